"""A value that must not be seen."""

from __future__ import annotations

from dataclasses import field

from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class Secret:
    """An API key, an ephemeral key or a password. Prints as a mask; `reveal` is for the wire alone."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._value)
