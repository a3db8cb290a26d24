"""Records behave as the standard library's, whose meaning they take over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import pytest

from rtcli import records


def _made(dataclass: Callable[..., Any]) -> tuple[Any, Any]:
    class Point:
        kind: ClassVar[str] = "point"
        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list, compare=False)
        secret: str = field(default="s", repr=False)

    class Named(dataclass(frozen=True, slots=True)(Point)):  # type: ignore[misc]  # the decorator is what is tested
        name: str
        again: bool = False

    base = Named.__mro__[1]
    return base, dataclass(frozen=True, slots=True, kw_only=True)(Named)


@pytest.fixture(params=[dataclasses.dataclass, records.light], ids=["standard", "ours"])
def made(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return _made(request.param)


def test_fields_and_defaults(made: tuple[Any, Any]) -> None:
    point, named = made
    assert dataclasses.asdict(point(1)) == {"x": 1, "y": 2, "tags": [], "secret": "s"}
    assert dataclasses.astuple(named(1, name="n")) == (1, 2, [], "s", "n", False)
    assert point(1).tags is not point(1).tags
    assert [each.name for each in dataclasses.fields(named)] == ["x", "y", "tags", "secret", "name", "again"]
    assert dataclasses.replace(named(1, name="n"), y=5) == named(1, 5, name="n")
    assert not hasattr(point(1), "__dict__")


def test_comparing_hashing_printing(made: tuple[Any, Any]) -> None:
    point, named = made
    assert point(1, tags=["a"]) == point(1, tags=["b"]) != point(2)
    assert point(1) != named(1, name="n")
    assert {point(1), point(1), point(1, 3)} == {point(1), point(1, 3)}
    assert repr(point(1)).endswith("Point(x=1, y=2, tags=[])")
    match named(7, name="n"):
        case object(x=x, name=name):
            assert (x, name) == (7, "n")


def test_what_is_refused(made: tuple[Any, Any]) -> None:
    point, named = made
    with pytest.raises(dataclasses.FrozenInstanceError):
        point(1).x = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        del named(1, name="n").x
    for arguments, more in (((), {}), ((1,), {"z": 1})):
        with pytest.raises(TypeError):
            point(*arguments, **more)
    with pytest.raises(TypeError):
        named(1, 2, [], "s", "n")


@pytest.mark.parametrize("dataclass", [dataclasses.dataclass, records.light], ids=["standard", "ours"])
def test_one_that_changes_has_no_hash(dataclass: Callable[..., Any]) -> None:
    class Plain:
        """Counts."""

        n: int = 0

        def __repr__(self) -> str:
            return "mine"

    made = dataclass(slots=True)(Plain)
    one = made()
    one.n = 4
    assert one == made(4)
    assert repr(one) == "mine"
    with pytest.raises(TypeError):
        hash(one)
