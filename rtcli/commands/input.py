"""Standard input as intents, in a daemon thread.

The descriptor is read directly: a thread waiting inside a buffered reader would make the interpreter abort at exit.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

from rtcli.commands.running import Held
from rtcli.commands.window import Window
from rtcli.errors import UsageError
from rtcli.protocol.intents import Fail, InputEnded, Intent, Mistyped, PlayMicrophone


MAX_LINE = 1 << 20
"""Bytes in a line."""
SILENT = 2.0
"""Seconds without a line after which a sample question is asked."""

OnEof = Literal["wait", "hangup", "stay"]


def standard_input() -> int | None:
    """Descriptor of standard input; None when the program was started without one."""
    if sys.stdin is None:
        return None
    with suppress(OSError, ValueError):
        return sys.stdin.fileno()
    return None


class Lines:
    """Each line becomes an intent; the end of input becomes what `on_eof` says."""

    def __init__(
        self,
        descriptor: int | None,
        to_intent: Callable[[str], Intent],
        *,
        on_eof: OnEof = "wait",
        asks_sample: bool = False,
        typed: bool = False,
    ) -> None:
        self._descriptor = descriptor
        self._to_intent = to_intent
        self._on_eof = on_eof
        self._asks_sample = asks_sample
        """A sample question waits as microphone; it is asked when no line comes."""
        self._typed = typed
        """By a person, who may mistype: a bad line ends nothing."""
        self._came = False
        self._window = Window()

    def start(self, call: Held) -> None:
        self._call = call
        threading.Thread(target=self._run, name="stdin", daemon=True).start()
        if self._asks_sample:
            timer = threading.Timer(SILENT, self._ask_sample)
            timer.daemon = True
            timer.start()

    def _run(self) -> None:
        try:
            for line in lines_of(self._descriptor):
                self._take(line)
        except UsageError as error:
            self._call.post(Fail(error))
            return
        self._ended()

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        self._came = True
        try:
            intent = self._to_intent(line)
        except UsageError as error:
            if not self._typed:
                raise
            intent = Mistyped(str(error))
        self._call.room.wait()
        self._call.post(intent)

    def _ended(self) -> None:
        self._ask_sample()
        if self._on_eof == "hangup":
            self._call.post(self._window.end("end of input"))
        elif self._on_eof == "wait":
            self._call.post(InputEnded())

    def _ask_sample(self) -> None:
        if self._asks_sample and not self._came:
            self._call.post(PlayMicrophone())


def lines_of(descriptor: int | None) -> Iterator[str]:
    """Lines as they come, without their ends; none without a descriptor. Raises UsageError for one that is endless."""
    rest = b""
    while chunk := _read(descriptor):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (_text(line) for line in whole)
        if len(rest) > MAX_LINE:
            raise UsageError(f"a line of more than {MAX_LINE} bytes on standard input")
    if rest:
        yield _text(rest)


def _read(descriptor: int | None) -> bytes:
    if descriptor is None:
        return b""
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # closed, or a terminal that is gone
        return b""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")
