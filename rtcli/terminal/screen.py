"""The face of a call on a terminal: the conversation scrolls, the bottom tells the truth, the prompt is never torn.

`show` runs in the face's thread and waits for the terminal; the prompt has its own thread (`prompt`). The two meet in
`Status`, which is replaced as a whole, and in `print_above`.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from rich.text import Text

from rtcli.protocol.server_events import SessionUpdated
from rtcli.protocol.updates import Closed, EventIn, EventOut, Update, Words
from rtcli.records import dataclass
from rtcli.terminal import lines
from rtcli.terminal.events import session_words
from rtcli.terminal.faces import console
from rtcli.terminal.figures import LABEL, cost_lines, stats_lines
from rtcli.terminal.prompt import Keys, Prompt
from rtcli.terminal.scroll import DETAILS, Detail, Line, Scroll
from rtcli.terminal.status import Status, growing_lines, status_line
from rtcli.terminal.summary import Summary
from rtcli.terminal.text import safe
from rtcli.terminal.typed import Typed


BATCH = 0.05
"""Seconds within which lines are printed together: each print redraws the prompt. Printing takes half of the time at
most, because the loop that receives RTP needs the interpreter too.
"""
LOOK = 0.2
"""Seconds between two looks at what the user wished for."""
MOST = 400
"""Lines that wait for their batch."""
BEHIND, CATCHING_UP = 0.5, 1.0
"""Seconds that an update has waited when what waits is too much to be printed as it comes, and those between two
prints from then on: meanwhile the older events make room for the newer ones.
"""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the user asked the screen itself for."""

    command: str
    """`say`, `echo`, `tell`, `warn`, `ptt`, or a command without its slash."""
    text: str = ""


class Screen:
    """A face that is also where the user types."""

    def __init__(
        self,
        keys: Keys,
        *,
        commands: list[tuple[str, str]],
        detail: Detail = "none",
        history: Path | None = None,
        ptt: bool = False,
        color: bool = True,
        quiet: bool = False,
        at_once: bool = False,
    ) -> None:
        """`at_once`: the prompt comes with the first look, and not only by `start`."""
        self._at_once = at_once
        self._status = Status(ptt=ptt)
        self._summary = Summary()
        self.detail: Detail = detail
        self._quiet = quiet
        self._out = console(sys.stdout, color=color)
        self._err = console(sys.stderr, color=color)
        self._prompt = Prompt(
            keys,
            above=lambda columns: growing_lines(self._status, columns),
            below=lambda columns: status_line(self._status, columns, time.monotonic()),
            history=history,
            color=color,
        )
        self._commands = commands
        self._wishes: deque[_Wish] = deque(maxlen=64)
        self._typed = Typed()
        self._scroll = Scroll()
        self._flushed_at = self._due_at = 0.0
        """When lines were printed last, and when the next may be (seconds, monotonic)."""

    @property
    def status(self) -> Status:
        """What is true of the call now; a value, read in any thread."""
        return self._status

    # ---- the face ----

    def start(self) -> None:
        """From now on the user can type."""
        self._prompt.start()

    def resume(self) -> None:
        """The process was stopped and goes on; called in any thread."""
        self._prompt.resume()

    def resize(self) -> None:
        """The terminal has another size; called in any thread."""
        self._prompt.resize()

    def show(self, update: Update, at: float) -> None:
        with self._giving_back():
            self._show(update, at)

    def rest(self) -> float | None:
        with self._giving_back():
            if self._at_once:
                self._at_once = False
                self._prompt.start()
            return self._rest()

    @contextmanager
    def _giving_back(self) -> Iterator[None]:
        """Whatever breaks here, the terminal is put back: nobody else will."""
        try:
            self._prompt.check()
            yield
        except BaseException:
            self._prompt.stop()
            raise

    def _show(self, update: Update, at: float) -> None:
        self._scroll.add(self._wished())  # what was asked for stands above what came of it
        before, self._status = self._status, self._status.after(update, at)
        self._summary.take(update, at)
        if isinstance(update, Closed):
            self._scroll.add(_words(text) for text in self._typed.take_all())
        waited = time.monotonic() - at
        self._scroll.add_events(update, datetime.now().astimezone() - timedelta(seconds=waited), self.detail)
        if isinstance(update, Closed):
            self._close(update)
            return
        if waited > BEHIND:
            self._due_at = max(self._due_at, self._flushed_at + CATCHING_UP)
        self._follow_typed(update, at)
        self._scroll.add(self._lines(update))
        if self._status is not before:
            self._prompt.refresh()

    def _rest(self) -> float | None:
        self._scroll.add(self._wished())
        self._scroll.add(_words(text) for text in self._typed.take_overdue(time.monotonic()))
        self._show_typed()
        if not self._scroll:
            return LOOK
        due = self._due_at - time.monotonic()
        if due > 0 and len(self._scroll) < MOST:
            return due
        self._flush()
        return LOOK

    # ---- the user's own wishes, in the prompt's thread ----

    def cycle_detail(self) -> None:
        self._set_detail(DETAILS[(DETAILS.index(self.detail) + 1) % len(DETAILS)])

    def say(self, text: str) -> None:
        """The user typed this; it is shown where it belongs in the conversation."""
        self._wishes.append(_Wish("say", text))

    def tell(self, texts: list[str]) -> None:
        """Lines that the user asked for."""
        self._wishes.extend(_Wish("tell", text) for text in texts)

    def warn(self, text: str) -> None:
        """What the user typed can not be done."""
        self._wishes.append(_Wish("warn", text))

    def set_ptt(self, *, on: bool) -> None:
        self._wishes.append(_Wish("ptt", "on" if on else "off"))

    def echo(self, command: str) -> None:
        """The user typed this command."""
        self._wishes.append(_Wish("echo", command))

    def perform(self, what: str) -> None:
        """`help`, `stats`, `cost`, `events` or `events LEVEL`."""
        command, _, rest = what.partition(" ")
        if command != "events":
            self._wishes.append(_Wish(command))
        elif wanted := [detail for detail in DETAILS if detail == rest]:
            self._set_detail(wanted[0])
        else:
            self.cycle_detail()

    def _set_detail(self, detail: Detail) -> None:
        self.detail = detail
        self._wishes.append(_Wish("events"))

    def _wished(self) -> list[Line]:
        """What was asked for since the last look, as lines: printed by the face's thread alone."""
        asked: list[Line] = []
        while self._wishes:
            asked += self._answer(self._wishes.popleft())
        return asked

    def _answer(self, wish: _Wish) -> list[Line]:
        match wish.command:
            case "say":
                self._typed.add(wish.text)
                return []
            case "tell":
                texts = [safe(wish.text)]
            case "warn":
                return [Line(Text.assemble(("warning: ", "rt.warning"), safe(wish.text)), 9)]
            case "ptt":
                self._status = replace(self._status, ptt=wish.text == "on")
                self._prompt.refresh()
                texts = ["push to talk: Ctrl-T begins and ends your turn" if self._status.ptt else "push to talk: off"]
            case "echo":
                return [Line(Text(f"> {safe(wish.text)}", style="rt.quiet"), 2)]
            case "help":
                width = max(len(name) for name, _ in self._commands) + 2
                return [Line(Text(f"{name:<{width}}{text}", style="rt.quiet"), width) for name, text in self._commands]
            case "stats":
                told = stats_lines(self._status.stats, self._status.times)
                return [Line(Text(text, style="rt.quiet"), LABEL) for text in told]
            case "cost":
                texts = cost_lines(self._status.bill)
            case _:
                texts = [f"events: {self.detail}"]
        return [Line(Text(text, style="rt.quiet"), 2) for text in texts]

    # ---- what was typed ----

    def _follow_typed(self, update: Update, at: float) -> None:
        if isinstance(update, EventOut):
            self._typed.sent(update, at)
        elif isinstance(update, EventIn):
            self._typed.came(update)
        elif isinstance(update, Words):
            self._typed.shown(update)

    def _show_typed(self) -> None:
        waiting, growing = self._typed.waiting, self._typed.among(self._status.growing)
        if (waiting, growing) != (self._status.typed, self._status.growing):
            self._status = replace(self._status, typed=waiting, growing=growing)
            self._prompt.refresh()

    # ---- what is printed ----

    def _lines(self, update: Update) -> list[Line]:
        if isinstance(update, Words):
            return [Line(lines.words(update), lines.INDENT)]
        if isinstance(update, EventIn) and isinstance(update.event, SessionUpdated):
            return self._session_line(update.event)
        line = lines.status(update)
        return [Line(line)] if line is not None and (lines.is_error(update) or not self._quiet) else []

    def _session_line(self, updated: SessionUpdated) -> list[Line]:
        """Somebody changed it in mid-call; what it is now."""
        if self._status.ready_at is None or self.detail != "none" or self._quiet:
            return []
        return [Line(Text(f"session: {session_words(updated.session)}", style="rt.quiet"), 2)]

    def _flush(self) -> None:
        ready = self._scroll.take()

        def write() -> int:
            return sum(self._print(line) for line in ready)

        begun = time.monotonic()
        self._prompt.print_above(write)
        self._flushed_at = time.monotonic()
        self._due_at = self._flushed_at + max(BATCH, min(CATCHING_UP, self._flushed_at - begun))

    def _print(self, line: Line) -> int:
        """Gives the number of rows."""
        if line.indent is None:
            self._out.print(line.text, no_wrap=True, overflow="ellipsis")
            return 1
        rows = lines.hung(line.text, self._out, line.indent)
        self._out.print(rows)
        return rows.plain.count("\n") + 1

    def _close(self, closed: Closed) -> None:
        self._scroll.end_run()
        self._flush()
        self._prompt.stop()
        error = lines.status(closed)
        summary = [] if self._quiet else self._summary.lines(self._err.width if self._err.is_terminal else 10_000)
        for line in summary + ([error] if error is not None else []):
            self._err.print(line)


def _words(text: str) -> Line:
    return Line(lines.words(Words("you", "", text)), lines.INDENT)
