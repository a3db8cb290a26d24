"""How much of the past of a call `tail` shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rtcli.errors import UsageError
from rtcli.records import dataclass


if TYPE_CHECKING:
    from rtcli.protocol.updates import Relayed


Keep = Callable[["Relayed"], bool]
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Past:
    """How much of what has been is shown first. All None: nothing of a live call, everything of a file."""

    last: int | None = None
    """At most so many events that are shown."""
    since: float | None = None
    """Seconds back; inf: from the start."""

    @property
    def wanted(self) -> bool:
        return self.since is not None or bool(self.last)

    def chosen(self, past: list[Relayed], now: datetime, keep: Keep) -> list[Relayed]:
        if self.since is not None and self.since != float("inf"):
            begin = now - timedelta(seconds=self.since)
            past = [each for each in past if each.wall is None or each.wall >= begin]
        if self.last is None:
            return past
        shown = [each for each in past if keep(each)]
        return shown[-self.last :] if self.last else []


def span(text: str) -> float:
    """`start`, or a time back from now such as 30s, as seconds. Raises UsageError."""
    if text == "start":
        return float("inf")
    found = _SPAN.fullmatch(text)
    if not found:
        raise UsageError(f"--since takes start or a time such as 30s or 5m, not {text!r}")
    return float(found[1]) * _UNITS[found[2] or "s"]
