"""The face of `tail`: events as lines, runs of deltas as one line that grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from rich.text import Text

from rtcli.protocol.updates import Closed, Relayed, Update
from rtcli.terminal import lines
from rtcli.terminal.events import INDENT, Entry, Run, entries, line, lines_of
from rtcli.terminal.faces import console


class TailFace:
    """On a terminal a run is rewritten in place as it grows; elsewhere it is written when it is over."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        keep: Callable[[Entry], bool],
        fold: bool = True,
        full: bool = False,
        quiet: bool = False,
        color: bool = True,
    ) -> None:
        self._out = console(out, color=color)
        self._err = console(err, color=color)
        self._keep = keep
        self._fold = fold
        self._full = full
        self._quiet = quiet
        self._run: Run | None = None
        """Shown on a terminal already, but not ended."""
        self._hidden = 0

    def show(self, update: Update, at: float) -> None:
        told = update.wall if isinstance(update, Relayed) else None
        wall = (told or datetime.fromtimestamp(time.time() - (time.monotonic() - at), UTC)).astimezone()
        # An end that is an error is told on standard error, in one line.
        for entry in () if isinstance(update, Closed) and update.error else entries(update):
            self._take(entry, wall)
        status = lines.status(update)
        if isinstance(update, Closed):
            self._end_run()
            self._tell_hidden()
        elif status is not None and not entries(update) and not self._quiet:
            self._end_run()
            self._err.print(status, soft_wrap=True)
        if isinstance(update, Closed) and status is not None:
            self._err.print(status, soft_wrap=True)

    def rest(self) -> float | None:
        return None

    def _take(self, entry: Entry, wall: datetime) -> None:
        if not self._keep(entry):
            self._hidden += 1
            return
        grown = self._run.grown(entry) if self._run and self._fold else None
        if grown is None:
            self._end_run()
            grown = Run.of(entry, wall)
        self._run = grown
        if entry.folds_into is None or not self._fold:
            self._end_run()
        elif self._out.is_terminal and not self._out.is_dumb_terminal:
            self._rewrite(line(grown))

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if run.first.folds_into is not None and self._fold and self._out.is_terminal:
            self._clear_line()
        for text in lines_of(run, full=self._full):
            if self._out.is_terminal:
                self._out.print(lines.hung(text, self._out, INDENT))
            else:
                self._out.print(text, soft_wrap=True)
        self._out.file.flush()

    def _rewrite(self, text: Text) -> None:
        text.truncate(self._out.width - 1, overflow="ellipsis")
        self._clear_line()
        self._out.print(text, end="", soft_wrap=True)
        self._out.file.flush()

    def _clear_line(self) -> None:
        if not self._out.is_dumb_terminal:
            self._out.file.write("\r\x1b[K")

    def _tell_hidden(self) -> None:
        if self._hidden and not self._quiet:
            self._err.print(Text(f"{self._hidden} more events were not shown", style="rt.quiet"), soft_wrap=True)
