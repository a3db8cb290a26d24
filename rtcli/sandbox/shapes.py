"""Checks of JSON from outside, with the service's own refusals.

A check takes a value and the path by which its sender knows it (`session.audio.input`), and raises Refusal with one of
the codes seen in the wild: `missing_required_parameter`, `unknown_parameter`, `invalid_type`, `invalid_value`.
A missing field is reported before an unknown one: the beta's flat session lacks `type` first of all, and that is the
message which names the cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rtcli.sandbox.refusal import Refusal


Check = Callable[[Any, str], None]

_SHOWN = 64
"""Characters of a foreign value that an error message repeats."""


_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    float: "a decimal",
    dict: "an object",
    list: "an array",
}


def _wrong_type(path: str, expected: str, value: object) -> Refusal:
    message = f"Invalid type for '{path}': expected {expected}, but got {_KINDS[type(value)]} instead."
    return Refusal(message, code="invalid_type", param=path)


def invalid(path: str, value: object, why: str) -> Refusal:
    """`invalid_value`; `why` is a sentence."""
    shown = value if len(str(value)) <= _SHOWN else f"{str(value)[:_SHOWN]}…"
    return Refusal(f"Invalid value: '{shown}'. {why}", code="invalid_value", param=path)


def _one_of(choices: Collection[str]) -> str:
    return "Supported values are: " + ", ".join(f"'{choice}'" for choice in choices) + "."


def text(*choices: str, longest: int | None = None) -> Check:
    """A string; one of `choices` when there are any, at most `longest` characters."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if choices and value not in choices:
            raise invalid(path, value, _one_of(choices))
        if longest is not None and len(value) > longest:
            raise invalid(path, value, f"Expected at most {longest} characters, got {len(value)}.")

    return check


def flag(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)


def number(lowest: float = -math.inf, highest: float = math.inf) -> Check:
    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(path, "a decimal", value)
        if not lowest <= value <= highest:
            raise invalid(path, value, f"Expected a value between {lowest:g} and {highest:g}.")

    return check


def whole(lowest: int, highest: int) -> Check:
    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer", value)
        if not lowest <= value <= highest:
            raise invalid(path, value, f"Expected a value between {lowest} and {highest}.")

    return check


def listing(of: Check, *, most: int) -> Check:
    """An array of at most `most` entries."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        if len(value) > most:
            raise Refusal(
                f"'{path}' has {len(value)} entries, at most {most} are taken.", code="invalid_value", param=path
            )
        for index, entry in enumerate(value):
            of(entry, f"{path}[{index}]")

    return check


def anything(value: Any, path: str) -> None:
    """Free JSON: a schema, metadata of a tool."""


def mapping(value: Any, path: str) -> None:
    """An object with keys of its sender's choice."""
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object", value)


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    fields = {**required, **(optional or {})}

    def check(value: Any, path: str) -> None:
        mapping(value, path)
        for name in required:
            if name not in value:
                where = _join(path, name)
                raise Refusal(f"Missing required parameter: '{where}'.", code="missing_required_parameter", param=where)
        for name in value:
            if name not in fields:
                where = _join(path, name[:_SHOWN])
                raise Refusal(f"Unknown parameter: '{where}'.", code="unknown_parameter", param=where)
        for name, entry in value.items():
            fields[name](entry, _join(path, name))

    return check


def tagged(key: str, variants: Mapping[str, Check]) -> Check:
    """An object whose field `key` says which of `variants` it is."""

    def check(value: Any, path: str) -> None:
        mapping(value, path)
        where = _join(path, key)
        if key not in value:
            raise Refusal(f"Missing required parameter: '{where}'.", code="missing_required_parameter", param=where)
        text(*variants)(value[key], where)
        variants[value[key]](value, path)

    return check


def nullable(check: Check) -> Check:
    def check_unless_null(value: Any, path: str) -> None:
        if value is not None:
            check(value, path)

    return check_unless_null


def either(of_text: Check, *, or_whole: Check | None = None, or_record: Check | None = None) -> Check:
    """A string, or else an integer or an object where given."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, int) and or_whole is not None:
            or_whole(value, path)
        elif isinstance(value, dict) and or_record is not None:
            or_record(value, path)
        else:
            of_text(value, path)

    return check


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
