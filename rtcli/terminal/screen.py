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
from datetime import datetime
from pathlib import Path
from typing import Literal

from rich.text import Text

from rtcli.protocol.updates import Closed, EventIn, EventOut, Stats, Update, Words
from rtcli.protocol.usage import dollars
from rtcli.records import dataclass
from rtcli.terminal import events, lines
from rtcli.terminal.faces import console
from rtcli.terminal.prompt import Keys, Prompt
from rtcli.terminal.status import Status, growing_lines, status_line
from rtcli.terminal.summary import Summary
from rtcli.terminal.text import safe
from rtcli.terminal.typed import Typed


Detail = Literal["none", "key", "all"]
DETAILS: tuple[Detail, ...] = ("none", "key", "all")
BATCH = 0.05
"""Seconds within which lines are printed together: each print redraws the prompt."""
LOOK = 0.2
"""Seconds between two looks at what the user wished for."""
MOST = 200
"""Lines that wait for their batch."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Of the scrollback. An event is cut to the width, everything else is wrapped."""

    text: Text
    indent: int | None = 0
    """Columns before what does not fit in the first row; None: it is cut off."""


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
    ) -> None:
        self._status = Status(ptt=ptt)
        self._summary = Summary()
        self.detail: Detail = detail
        self._run: events.Run | None = None
        self._quiet = quiet
        self._out = console(sys.stdout, color=color)
        self._err = console(sys.stderr, color=color)
        self._prompt = Prompt(
            keys,
            above=lambda columns: growing_lines(self._status, columns),
            below=lambda columns: status_line(self._status, columns, time.monotonic()),
            commands=commands,
            history=history,
            color=color,
        )
        self._commands = commands
        self._wishes: deque[_Wish] = deque(maxlen=64)
        self._typed = Typed()
        self._waiting: list[_Line] = []
        self._flushed_at = 0.0

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
            return self._rest()

    @contextmanager
    def _giving_back(self) -> Iterator[None]:
        """Whatever breaks here, the terminal is put back: nobody else will."""
        try:
            yield
        except BaseException:
            self._prompt.stop()
            raise

    def _show(self, update: Update, at: float) -> None:
        before, self._status = self._status, self._status.after(update, at)
        self._summary.take(update, at)
        if isinstance(update, Closed):
            self._waiting += [_words(text) for text in self._typed.take_all()]
        if self.detail != "none":
            self._add_events(update)
        if isinstance(update, Closed):
            self._close(update)
            return
        self._follow_typed(update, at)
        self._waiting += self._lines(update)
        if self._status is not before:
            self._prompt.refresh()

    def _rest(self) -> float | None:
        self._waiting += self._wished()
        self._waiting += [_words(text) for text in self._typed.take_overdue(time.monotonic())]
        self._show_typed()
        if not self._waiting:
            return LOOK
        due = self._flushed_at + BATCH - time.monotonic()
        if due > 0 and len(self._waiting) < MOST:
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

    def _wished(self) -> list[_Line]:
        """What was asked for since the last look, as lines: printed by the face's thread alone."""
        asked: list[_Line] = []
        while self._wishes:
            asked += self._answer(self._wishes.popleft())
        return asked

    def _answer(self, wish: _Wish) -> list[_Line]:
        match wish.command:
            case "say":
                self._typed.add(wish.text)
                return []
            case "tell":
                texts = [safe(wish.text)]
            case "warn":
                return [_Line(Text.assemble(("warning: ", "rt.warning"), safe(wish.text)), 9)]
            case "ptt":
                self._status = replace(self._status, ptt=wish.text == "on")
                self._prompt.refresh()
                texts = ["push to talk: Ctrl-T begins and ends your turn" if self._status.ptt else "push to talk: off"]
            case "echo":
                return [_Line(Text(f"> {safe(wish.text)}", style="rt.quiet"), 2)]
            case "help":
                width = max(len(name) for name, _ in self._commands) + 2
                return [_Line(Text(f"{name:<{width}}{text}", style="rt.quiet"), width) for name, text in self._commands]
            case "stats":
                texts = stats_lines(self._status.stats)
            case "cost":
                texts = [f"{self._status.tokens} tokens, {dollars(self._status.cost)}"]
            case _:
                texts = [f"events: {self.detail}"]
        return [_Line(Text(text, style="rt.quiet"), 2) for text in texts]

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

    def _lines(self, update: Update) -> list[_Line]:
        if isinstance(update, Words):
            return [_Line(lines.words(update), lines.INDENT)]
        line = lines.status(update)
        return [_Line(line)] if line is not None and (lines.is_error(update) or not self._quiet) else []

    def _add_events(self, update: Update) -> None:
        """Events between the words, runs of deltas as one line."""
        for entry in events.entries(update):
            if entry.type in PRINTED or (self.detail == "key" and not _is_key(entry)):
                continue
            grown = self._run.grown(entry) if self._run else None
            if grown is None:
                self._end_run()
                grown = events.Run.of(entry, datetime.now().astimezone())
            self._run = grown
            if entry.folds_into is None:
                self._end_run()

    def _end_run(self) -> None:
        if self._run is not None:
            self._waiting.append(_Line(events.line(self._run), None))
            self._run = None

    def _flush(self) -> None:
        ready, self._waiting = self._waiting, []
        self._flushed_at = time.monotonic()

        def write() -> int:
            return sum(self._print(line) for line in ready)

        self._prompt.print_above(write)

    def _print(self, line: _Line) -> int:
        """Gives the number of rows."""
        if line.indent is None:
            self._out.print(line.text, no_wrap=True, overflow="ellipsis")
            return 1
        rows = lines.hung(line.text, self._out, line.indent)
        self._out.print(rows)
        return rows.plain.count("\n") + 1

    def _close(self, closed: Closed) -> None:
        self._end_run()
        self._flush()
        self._prompt.stop()
        error = lines.status(closed)
        summary = [] if self._quiet else self._summary.lines(self._err.width if self._err.is_terminal else 10_000)
        for line in summary + ([error] if error is not None else []):
            self._err.print(line)


def _words(text: str) -> _Line:
    return _Line(lines.words(Words("you", "", text)), lines.INDENT)


def stats_lines(stats: Stats | None) -> list[str]:
    if stats is None:
        return ["no figures yet"]
    trip = "?" if stats.round_trip is None else f"{stats.round_trip * 1000:.0f} ms"
    lost = "?" if stats.lost is None else f"{stats.lost:.1%}"
    effect = "" if stats.erle_db is None else f", {stats.erle_db:.0f} dB taken off"
    wire = f"round trip {trip}, lost {lost}, {stats.unsent} bytes of events unsent, echo {stats.echo}{effect}"
    figures = [
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in stats.playout.items()
    ]
    return [wire, "playout: " + ", ".join(figures)]


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
    }
)
