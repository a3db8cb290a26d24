"""`dataclass`, made when it is used: importing some two hundred records is a fifth of a short command's time.

The standard library compiles up to six methods for each class when it is declared, most of which are never called.
Here one `__init__` is compiled, with the first instance; comparing, hashing, printing and refusing to change are shared
by all. The rest, fields and slots, is the standard library's, so `fields`, `replace` and `asdict` work as ever. What
nobody here uses is not there: `__post_init__`, `InitVar`, ordering, records without slots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar


T = TypeVar("T")


def light(*, frozen: bool = False, slots: bool, kw_only: bool = False, eq: bool = True, repr: bool = True) -> Any:  # noqa: A002 - dataclass's own names
    """A decorator with the meaning of `dataclasses.dataclass`."""
    assert slots, "records without slots are not made"

    def declare(cls: type[Any]) -> type[Any]:
        cls.__doc__ = cls.__doc__ or cls.__name__  # else a signature is written there, which takes as long as the rest
        plain: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)
        made: type[Any] = plain(cls)
        methods: dict[str, Any] = {"__init__": _first_init(made, frozen=frozen)}
        if repr:
            methods["__repr__"] = _repr
        if eq:
            compared = _compared(made)
            methods |= {"__eq__": _eq(compared), "__hash__": _hash(compared) if frozen else None}
        if frozen:
            methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
        own = vars(cls)
        for name, method in methods.items():
            if name not in own or own[name] is None:
                setattr(made, name, method)
        return made

    return declare


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - named again for export
else:
    dataclass = light


def _first_init(cls: type[Any], *, frozen: bool) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: N807 - it is one
        init = cls.__init__ = _compiled_init(cls, frozen=frozen)
        init(self, *args, **named)

    return __init__


def _compiled_init(cls: type[Any], *, frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"_missing": MISSING}
    positional: list[str] = ["self"]
    named: list[str] = []
    body: list[str] = []
    for each in dataclasses.fields(cls):
        name, value = each.name, each.name
        parameter = name
        if each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            parameter = f"{name}=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        (named if each.kw_only else positional).append(parameter)
        if frozen:  # the slot itself: twice as fast as object.__setattr__
            known[f"_set_{name}"] = getattr(cls, name).__set__
            body.append(f"_set_{name}(self, {value})")
        else:
            body.append(f"self.{name} = {value}")
    parameters = [*positional, *(["*", *named] if named else [])]
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body or ["pass"]), known)  # noqa: S102 - names of fields
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _compared(cls: type[Any]) -> Callable[[Any], object]:
    names = [each.name for each in dataclasses.fields(cls) if each.compare]
    return attrgetter(*names) if names else type


def _eq(compared: Callable[[Any], object]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:  # noqa: N807 - it is one
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(compared: Callable[[Any], object]) -> Callable[[Any], int]:
    return lambda self: hash(compared(self))


def _repr(self: Any) -> str:
    held = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(held)})"


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:  # noqa: ARG001 - the method's signature
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:  # noqa: ARG001 - the method's signature
    raise FrozenInstanceError(f"cannot delete field {name!r}")
