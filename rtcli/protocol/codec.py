"""Wire objects as frozen records: one reflective codec over type hints, cached per class.

A record is a frozen, slotted, keyword-only dataclass whose field names are the wire's names. Its `extra` holds what
the record does not know, and what it knows but keeps in another form than it was written (an explicit null or empty
value, a number where text is the rule), so that `to_object(from_object(cls, value)) == value`.
One exception: an integer left out by a server that we read as 0 comes back as 0.

Field types understood: str, int, float, bool, JsonObject, JsonArray, Json, LooseText, another record,
`tuple[record, ...]`, and any of these `| None`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    TypeAlias,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from rtcli.records import dataclass


Json: TypeAlias = Any
JsonObject: TypeAlias = dict[str, Any]
JsonArray: TypeAlias = list[Any]

_LOOSE = "loose"
LooseText: TypeAlias = Annotated[str, _LOOSE]
"""Text, where some servers write a number (LiteLLM's and LocalAI's `error.code`)."""

MAX_DEPTH = 100
"""Levels of nesting taken. The service needs a dozen; what is accepted here must survive every later walk over it."""

T = TypeVar("T")


class NotJson(ValueError):
    """The bytes are no JSON we take; the message says why, without quoting them."""


class Mismatch(ValueError):
    """A value has the wrong shape. `str()` gives a path and both sides: `$.response.id: expected string, got 3`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = ""

    def under(self, step: str) -> Mismatch:
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"${self.path}: {self.problem}"


class Record:
    """Base of the wire's objects: comparing and printing, once for all of them.

    Written by dataclass for each of some sixty classes they would double the time this package takes to import.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # `extra` is a dict
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__dataclass_fields__)

    def __repr__(self) -> str:
        held = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        told = ", ".join(f"{name}={value!r}" for name, value in held if value not in (None, "", (), {}))
        return f"{type(self).__name__}({told})"


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Declare a wire object, a subclass of Record."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(cls)


# ---- text -----------------------------------------------------------------------------------------------------------


def parse(data: str | bytes) -> Json:
    """Strict JSON (RFC 8259): UTF-8, no NaN or Infinity, numbers that fit, at most MAX_DEPTH levels. Raises NotJson."""
    try:
        text = data if isinstance(data, str) else data.decode()
        value = _DECODER.decode(text)
    except NotJson:
        raise
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} (character {error.pos})") from None
    except RecursionError:
        raise NotJson(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:  # int() refuses more than 4,300 digits
        raise NotJson("a number out of range") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth_exceeds(value, MAX_DEPTH):
        raise NotJson(f"nested deeper than {MAX_DEPTH} levels")
    return value


def text_of(value: Json) -> str:
    """Compact JSON. A lone surrogate, which UTF-8 can not carry, is written as its escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # Python's escape of a surrogate is JSON's


def shown(value: object) -> str:
    """A short name for an offending value, printable whatever it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "a very large number"
    return json.dumps(value)


_SHOWN = 40


def _no_constant(name: str) -> Json:
    raise NotJson(f"not JSON: {name}")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("a number out of range")
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_number)


def _depth_exceeds(value: Json, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        below: list[Json] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        if not below:
            return False
        level = below
    return any(isinstance(node, (dict, list)) for node in level)


# ---- records --------------------------------------------------------------------------------------------------------


def from_object(cls: type[T], value: Json) -> T:
    """Read one record. Raises Mismatch naming the first wrong or missing field."""
    kind: Any = cls
    taken: T = _plan(kind).read(value)
    return taken


def to_object(value: Any) -> JsonObject:
    """The wire's object for a record: its `type` when that belongs to the class, its fields, its `extra`.

    A field that is None, "" or () and has that for its default is left out; a server that must write it puts it into
    `extra`.
    """
    kind: Any = type(value)
    return _plan(kind).write(value)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    read: Callable[[Json], Json]
    required: bool
    default: Json
    silent: bool
    """Left out on the wire when it has its default."""
    loose: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    cls: Any
    fields: dict[str, _Field]
    required: frozenset[str]
    wire_type: str | None

    def read(self, value: Json) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(f"expected object, got {shown(value)}")
        known: JsonObject = {}
        extra: JsonObject = {}
        for key, given in value.items():
            field = self.fields.get(key)
            if field is None:
                if key != "type" or self.wire_type is None:
                    extra[key] = given
            elif given is None and not field.required:
                extra[key] = None
            else:
                known[key] = self._take(field, given, extra)
        if not self.required <= known.keys():
            raise Mismatch("missing").under("." + min(self.required - known.keys()))
        return self.cls(**known, extra=extra)

    @staticmethod
    def _take(field: _Field, given: Json, extra: JsonObject) -> Json:
        try:
            taken = field.read(given)
        except Mismatch as mismatch:
            raise mismatch.under("." + field.name) from None
        if (field.silent and taken == field.default) or (field.loose and taken is not given):
            extra[field.name] = given
        return taken

    def write(self, value: Any) -> JsonObject:
        out: JsonObject = {} if self.wire_type is None else {"type": self.wire_type}
        for name, field in self.fields.items():
            held = getattr(value, name)
            if not (field.silent and held == field.default):
                out[name] = _plain(held)
        return {**out, **value.extra}


@cache
def _plan(cls: Any) -> _Plan:
    hints = get_type_hints(cls, include_extras=True)
    found = {f.name: _field(f.name, hints[f.name], f.default) for f in fields(cls) if f.name != "extra"}
    return _Plan(
        cls=cls,
        fields=found,
        required=frozenset(name for name, field in found.items() if field.required),
        wire_type=cls.type if get_origin(hints.get("type")) is ClassVar else None,
    )


def _field(name: str, hint: Any, default: Json) -> _Field:
    return _Field(
        name=name,
        read=_reader(hint),
        required=default is MISSING,
        default=default,
        silent=default is not MISSING and default in {None, "", ()},
        loose=_is_loose(hint),
    )


def _is_loose(hint: Any) -> bool:
    return _LOOSE in getattr(hint, "__metadata__", ()) or any(_is_loose(part) for part in get_args(hint))


def _reader(hint: Any) -> Callable[[Json], Json]:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return _reader(next(part for part in get_args(hint) if part is not NoneType))
    if origin is Annotated:
        return _read_loose
    if origin is tuple:
        return partial(_read_tuple, _reader(get_args(hint)[0]))
    return _PLAIN.get(origin or hint) or partial(from_object, hint)  # a record may contain its own kind


def _read_tuple(read: Callable[[Json], Json], value: Json) -> tuple[Json, ...]:
    if not isinstance(value, list):
        raise Mismatch(f"expected list, got {shown(value)}")
    taken = []
    for index, entry in enumerate(value):
        try:
            taken.append(read(entry))
        except Mismatch as mismatch:
            raise mismatch.under(f"[{index}]") from None
    return tuple(taken)


def _read_text(value: Json) -> Json:
    if isinstance(value, str):
        return value
    raise Mismatch(f"expected string, got {shown(value)}")


def _read_loose(value: Json) -> Json:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return shown(value)
    raise Mismatch(f"expected string, got {shown(value)}")


def _read_integer(value: Json) -> Json:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():  # servers that divide write 1500.0
        return int(value)
    raise Mismatch(f"expected integer, got {shown(value)}")


def _read_number(value: Json) -> Json:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise Mismatch(f"expected number, got {shown(value)}")


def _read_boolean(value: Json) -> Json:
    if isinstance(value, bool):
        return value
    raise Mismatch(f"expected boolean, got {shown(value)}")


def _read_object(value: Json) -> Json:
    if isinstance(value, dict):
        return value
    raise Mismatch(f"expected object, got {shown(value)}")


def _read_list(value: Json) -> Json:
    if isinstance(value, list):
        return value
    raise Mismatch(f"expected list, got {shown(value)}")


def _read_any(value: Json) -> Json:
    return value


_PLAIN: dict[Any, Callable[[Json], Json]] = {
    str: _read_text,
    int: _read_integer,
    float: _read_number,
    bool: _read_boolean,
    dict: _read_object,
    list: _read_list,
    Any: _read_any,
}


def _plain(value: Json) -> Json:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return to_object(value) if hasattr(value, "__dataclass_fields__") else value
