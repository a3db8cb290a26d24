"""What a test expects of `rtcli send`: the options, and the JUnit file at the end."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rtcli.commands.options import flag
from rtcli.errors import ExpectationUnmet, UsageError
from rtcli.records import dataclass


if TYPE_CHECKING:
    from rtcli.protocol.errand import Errand
    from rtcli.protocol.expectations import Expected


EXPECTING = "Expectations (9 when one is not met)"


@dataclass(frozen=True, slots=True)
class Expecting:
    """An option group (`rtcli.commands.options`)."""

    expect: Annotated[
        list[str] | None,
        flag(
            "--expect",
            text="Wait for an event: TYPE, TYPE path=value or TYPE path~regex. Repeatable.",
            panel=EXPECTING,
            metavar="EVENT",
        ),
    ] = None
    expect_transcript: Annotated[
        str | None,
        flag("--expect-transcript", text="The answer's words hold this.", panel=EXPECTING, metavar="REGEX"),
    ] = None
    expect_audio: Annotated[
        bool, flag("--expect-audio", text="The answer is spoken, and audible.", panel=EXPECTING)
    ] = False
    max_latency: Annotated[
        float | None,
        flag("--max-latency", text="To the first word or sample.", panel=EXPECTING, min=0, metavar="MS"),
    ] = None
    max_cost: Annotated[
        float | None,
        flag("--max-cost", text="An estimate, by known prices.", panel=EXPECTING, min=0, metavar="DOLLARS"),
    ] = None
    junit: Annotated[
        Path | None, flag("--junit", text="Write what came of it for a CI system.", panel=EXPECTING, metavar="FILE")
    ] = None

    def expected(self) -> Expected:
        """Raises UsageError."""
        from rtcli.protocol.expectations import Expected, compile_pattern, parse_event_expectation

        words = self.expect_transcript
        return Expected(
            events=tuple(map(parse_event_expectation, self.expect or ())),
            transcript=None if words is None else compile_pattern("--expect-transcript", words),
            audio=self.expect_audio,
            latency_ms=self.max_latency,
            cost=self.max_cost,
        )

    def check_file(self) -> None:
        """Raises UsageError when the JUnit file could not be written later."""
        if self.junit is None:
            return
        folder = self.junit.expanduser().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK) or self.junit.expanduser().is_dir():
            raise UsageError(f"--junit {self.junit}: no file can be written there")


def write_junit(path: Path, errand: Errand, seconds: float) -> None:
    """In place at once, so that nobody reads half of it. Raises UsageError."""
    from rtcli.terminal.advice import one_line
    from rtcli.terminal.junit import junit

    closed = errand.closed
    error = None if closed is None else closed.error
    told = None if error is None or isinstance(error, ExpectationUnmet) else one_line(error)
    if told is None and closed is not None and closed.exit:
        told = closed.reason
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    text = junit(errand.outcomes, told, seconds=seconds, began=began)
    target = path.expanduser()
    try:
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(target)
    except OSError as error_of_disk:
        raise UsageError(f"--junit {path}: {error_of_disk.strerror or error_of_disk}") from None


class Stopwatch:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
