"""What waits to be printed above the prompt: lines, and the events between them, runs of deltas as one.

A terminal that nobody reads for a while leaves thousands of events waiting. The newest are shown, the others counted:
to make lines of them all takes seconds of the interpreter, which the loop that receives RTP needs too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from rich.text import Text

from rtcli.protocol.updates import Update
from rtcli.records import dataclass
from rtcli.terminal import events


Detail = Literal["none", "key", "all"]
DETAILS: tuple[Detail, ...] = ("none", "key", "all")
NEWEST = 100
"""Events that are printed at once at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """Of the scrollback. An event is cut to the width, everything else is wrapped."""

    text: Text
    indent: int | None = 0
    """Columns before what does not fit in the first row; None: it is cut off."""


class Scroll:
    """Of one screen, in its thread."""

    def __init__(self) -> None:
        self._waiting: list[Line | events.Run] = []
        self._run: events.Run | None = None
        """May still grow."""
        self._runs = 0
        """Among what waits."""
        self._hidden = 0
        """Events older than all that wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, lines: Iterable[Line]) -> None:
        self._waiting += lines

    def add_events(self, update: Update, wall: datetime, detail: Detail) -> None:
        """What an update is at this level of detail; `wall`: when it came."""
        if detail == "none":
            return
        for entry in events.entries(update):
            if entry.type not in PRINTED and (detail == "all" or _is_key(entry)):
                self._add(entry, wall)

    def end_run(self) -> None:
        """Nothing more comes to the last event."""
        if self._run is not None:
            self._waiting.append(self._run)
            self._run = None
            self._runs += 1
            if self._runs >= 2 * NEWEST:
                self._hide()

    def take(self) -> list[Line]:
        """In order; what stands for the hidden ones comes before the first that is shown."""
        self._hide()
        ready = []
        for each in self._waiting:
            if isinstance(each, events.Run):
                ready += self._take_hidden()
                ready.append(Line(events.line(each), None))
            else:
                ready.append(each)
        self._waiting, self._runs = [], 0
        return ready

    def _add(self, entry: events.Entry, wall: datetime) -> None:
        grown = self._run.grown(entry) if self._run else None
        if grown is None:
            self.end_run()
        self._run = grown or events.Run.of(entry, wall)
        if entry.folds_into is None:
            self.end_run()

    def _hide(self) -> None:
        """Leave the newest events."""
        surplus = self._runs - NEWEST
        if surplus <= 0:
            return
        kept: list[Line | events.Run] = []
        for each in self._waiting:
            if surplus > 0 and isinstance(each, events.Run):
                surplus -= 1
                self._hidden += each.count
            else:
                kept.append(each)
        self._waiting, self._runs = kept, NEWEST

    def _take_hidden(self) -> list[Line]:
        hidden, self._hidden = self._hidden, 0
        told = f"{hidden} events not shown: they came faster than this terminal took them"
        return [Line(Text(told, style="rt.quiet"))] if hidden else []


PRINTED = frozenset({"rtcli.turn", "rtcli.error", "rtcli.warning"})
"""rtcli's own events that are lines of the conversation anyway."""


def _is_key(entry: events.Entry) -> bool:
    """What somebody follows a conversation by: no deltas, no parts, no figures."""
    return entry.is_error or entry.type in KEY_EVENTS


KEY_EVENTS = frozenset(
    {
        "session.created",
        "session.updated",
        "session.update",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.create",
        "conversation.item.truncated",
        "response.create",
        "response.cancel",
        "response.created",
        "response.done",
        "output_audio_buffer.clear",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "output_audio_buffer.cleared",
        "response.function_call_arguments.done",
        "rtcli.latency",
    }
)
