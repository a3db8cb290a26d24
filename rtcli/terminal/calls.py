"""The face of several calls at once: their events as lines, interleaved as they come, each call with a colour."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TextIO

from rich.text import Text

from rtcli.protocol.updates import Closed, Update
from rtcli.terminal import lines
from rtcli.terminal.events import Entry, Run, entries, line
from rtcli.terminal.faces import console
from rtcli.terminal.text import safe


COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
_SHOWN = 6
"""Last characters of a call's id: the first ones are alike."""


class CallsFace:
    """A run of deltas is one line, written when it is over: with several calls there is no last line to rewrite."""

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False, color: bool = True) -> None:
        self._out = console(out, color=color)
        self._err = console(err, color=color)
        self._quiet = quiet
        self._runs: dict[str, Run] = {}
        self._colours: dict[str, str] = {}
        self._seen = 0

    def show(self, call_id: str, update: Update, at: float) -> None:
        """`at`: when it came (seconds, monotonic). Raises BrokenPipeError when nobody reads any more."""
        wall = datetime.fromtimestamp(time.time() - (time.monotonic() - at)).astimezone()
        for entry in entries(update):
            self._take(call_id, entry, wall)
        status = lines.status(update)
        if isinstance(update, Closed):
            self._end_run(call_id)
            if status is not None:
                self._err.print(self._mark(call_id) + status, soft_wrap=True)
            self._colours.pop(call_id, None)
        elif status is not None and not entries(update) and not self._quiet:
            self._err.print(self._mark(call_id) + status, soft_wrap=True)

    def _take(self, call_id: str, entry: Entry, wall: datetime) -> None:
        run = self._runs.get(call_id)
        grown = run.grown(entry) if run else None
        if grown is None:
            self._end_run(call_id)
            grown = Run.of(entry, wall)
        self._runs[call_id] = grown
        if entry.folds_into is None:
            self._end_run(call_id)

    def _end_run(self, call_id: str) -> None:
        run = self._runs.pop(call_id, None)
        if run is not None:
            self._out.print(self._mark(call_id) + line(run), soft_wrap=True)
            self._out.file.flush()

    def _mark(self, call_id: str) -> Text:
        """Colours go round; a call keeps its own to its end."""
        if call_id not in self._colours:
            self._colours[call_id] = COLOURS[self._seen % len(COLOURS)]
            self._seen += 1
        return Text.assemble((f"{safe(call_id[-_SHOWN:])} ", f"bold {self._colours[call_id]}"))
