"""The plain faces: words for a pipe or a plain terminal, and JSON lines. Each is used by one thread alone.

A face only shows; what it is shown was decided by the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TextIO

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from rtcli.errors import ServiceError
from rtcli.protocol.codec import text_of
from rtcli.protocol.updates import Closed, Connected, EventIn, Notice, Ready, Refused, Relayed, Update, Words
from rtcli.terminal import lines, ndjson
from rtcli.terminal.summary import Summary


class Face(Protocol):
    """What a user looks at or pipes. May wait for a slow terminal or pipe: it has a thread of its own.

    Raises BrokenPipeError when nobody reads any more.
    """

    def show(self, update: Update, at: float) -> None:
        """`at`: when the call said so (seconds, monotonic)."""

    def rest(self) -> float | None:
        """Called when nothing more is there to show; seconds until it must be called again, None when it need not."""


class _Console(Console):
    """Rich's own ends the thread by SystemExit when nobody reads, and whoever waits for the thread waits for ever."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(stream: TextIO, *, color: bool = True) -> Console:
    """A console that never wraps what a pipe reads and decorates nothing but a terminal."""
    return _Console(
        file=stream, theme=Theme(lines.STYLES), no_color=not color or None, highlight=False, markup=False, emoji=False
    )


class PlainFace:
    """The model's words on standard output, everything else on standard error.

    In a transcription session what was heard is the result.
    On a terminal both sides are labelled there; in a pipe there is one bare line a turn. At the end it is summed up.
    """

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False, color: bool = True) -> None:
        self._out = console(out, color=color)
        self._err = console(err, color=color)
        self._quiet = quiet
        self._refused: ServiceError | None = None
        self._result = "model"
        """Whose words are the result."""
        self._summary = Summary()

    def show(self, update: Update, at: float) -> None:
        self._summary.take(update, at)
        if isinstance(update, Closed) and not self._quiet:
            self._sum_up()
        if isinstance(update, Ready) and update.session.get("type") == "transcription":
            self._result = "you"
        if isinstance(update, Words):
            self._show_words(update)
        elif isinstance(update, Closed) and update.error is not None and update.error is self._refused:
            return  # told when it happened
        elif (line := lines.status(update)) is not None and (not self._quiet or lines.is_error(update)):
            self._print(self._err, line)
        if isinstance(update, Refused):
            self._refused = update.error

    def rest(self) -> float | None:
        return None

    def _show_words(self, said: Words) -> None:
        if said.speaker == self._result and not self._out.is_terminal:
            if text := lines.bare_words(said):
                self._out.file.write(text + "\n")
            self._out.file.flush()
        elif said.speaker == self._result or not (said.typed or self._quiet):
            target = self._out if self._out.is_terminal else self._err
            self._print(target, lines.words(said))

    def _sum_up(self) -> None:
        for line in self._summary.lines(self._err.width if self._err.is_terminal else 10_000):
            self._print(self._err, line)

    @staticmethod
    def _print(target: Console, line: Text) -> None:
        target.print(line, soft_wrap=not target.is_terminal)


Keep = Callable[[ndjson.Document], bool]


class JsonFace:
    """One JSON object a line on standard output, flushed; errors also as a line on standard error."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        sid: str = "1",
        raw: bool = False,
        keep: Keep | None = None,
        notices: bool = False,
    ) -> None:
        """`keep`: which lines are shown; the last one always is. `notices`: also on standard error, for a long wait."""
        self._out = out
        self._err = console(err)
        self._sid = sid
        self._raw = raw
        """The service's events alone, as they came."""
        self._keep = keep
        self._notices = notices
        self._seq = 0
        self._began = time.monotonic()
        self._refused: Exception | None = None
        self._unwritten: list[str] = []

    def show(self, update: Update, at: float) -> None:
        if isinstance(update, (Connected, Relayed)):
            self._sid = update.name
        told = isinstance(update, Closed) and update.error is not None and update.error is self._refused
        if isinstance(update, Refused):
            self._refused = self._refused or update.error
        if self._raw:
            self._show_raw(update)
        else:
            self._show_documents(update, at, told=told)
        worth = lines.is_error(update) or (self._notices and isinstance(update, Notice))
        if not told and worth and (line := lines.status(update)) is not None:
            self._flush()
            self._err.print(line, soft_wrap=True)
        if isinstance(update, Closed):
            self._flush()

    def _show_documents(self, update: Update, at: float, *, told: bool) -> None:
        """`told`: what ended the call stands there already."""
        if isinstance(update, Closed) and update.error is not None and not told:
            self._write(self._stamped(ndjson.Document("local", text_of(ndjson.error_object(update.error))), at))
        wall = update.wall if isinstance(update, Relayed) else None
        for document in ndjson.documents(update):
            if isinstance(update, Closed) or self._keep is None or self._keep(document):
                self._write(self._stamped(document, at, wall))

    def rest(self) -> float | None:
        self._flush()
        return None

    def _show_raw(self, update: Update) -> None:
        if not isinstance(update, (EventIn, Relayed)) or (isinstance(update, Relayed) and update.direction != "in"):
            return
        if self._keep is None or all(map(self._keep, ndjson.documents(update))):
            self._write(ndjson.one_object_line(update.raw))

    def _stamped(self, document: ndjson.Document, at: float, wall: datetime | None = None) -> str:
        self._seq += 1
        return ndjson.stamped(
            document,
            seq=self._seq,
            wall=wall or datetime.now(UTC),
            ms=(at - self._began) * 1000,
            sid=self._sid,
        )

    def _write(self, line: str) -> None:
        self._unwritten.append(line)

    def _flush(self) -> None:
        """All lines of one batch in one write."""
        if self._unwritten:
            text = "\n".join(self._unwritten) + "\n"
            self._unwritten.clear()
            self._out.write(text)
            self._out.flush()


class NoFace:
    """Takes everything and shows nothing: nobody looks any more."""

    def show(self, update: Update, at: float) -> None: ...

    def rest(self) -> float | None:
        return None
