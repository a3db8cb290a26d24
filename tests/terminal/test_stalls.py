"""Nothing on the screen stalls the audio, and the screen costs little: measured in a process of its own.

The figures: `-o log_cli=true -o log_cli_level=INFO`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.terminal.measured import PER_SECOND, Part, Report, Service, hum, on_a_terminal
from tests.terminal.pseudo import PseudoTerminal


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NOT RUN: a thread's CPU time is read from /proc")
_log = logging.getLogger(__name__)

UNREAD = 10.0
"""Seconds of events while nobody reads the terminal, and as many before without any."""
MOST_LATE, MOST_CONCEALED = 0.06, 60.0
"""Seconds by which a flood may make the loop that receives RTP later than it is without one, and milliseconds of sound
that may be guessed because of it. On a quiet machine 6 ms and nothing; a prompt on that loop was 5.7 s late.
"""
ROUNDS = 3
FACE = 0.1
"""Share of a core: generous, for a machine that does other things too."""


@dataclass(frozen=True)
class Round:
    """A stretch without a flood, one in which nobody reads, and one in which what waited is shown."""

    settled: Part
    unread: Part
    shown: Part

    @property
    def stalls(self) -> bool:
        """The flood held up more than this machine does by itself."""
        slack = max(MOST_CONCEALED, self.settled.concealed_ms)
        rate = self.settled.concealed_ms / self.settled.seconds
        return any(
            part.longest_gap > self.settled.longest_gap + MOST_LATE
            or part.concealed_ms > rate * part.seconds + slack
            or part.packets < part.seconds * 50 * 0.8
            for part in (self.unread, self.shown)
        )

    def __str__(self) -> str:
        return f"no flood: {self.settled}\nunread: {self.unread}\nread again: {self.shown}"


def flooded(terminal: PseudoTerminal, service: Service, report: Report) -> Round:
    report.skip()
    time.sleep(UNREAD)
    settled = report.part()
    terminal.reading.clear()
    begun = service.talkative.sent
    terminal.line("/event " + json.dumps({"type": "test.flood", "seconds": UNREAD}))
    time.sleep(UNREAD + 1)
    unread = report.part()
    terminal.reading.set()
    assert service.talkative.sent - begun > UNREAD * PER_SECOND * 0.5, "this machine is too busy to flood"
    terminal.wait_for(f'"number":{service.talkative.sent}')
    time.sleep(1)
    round_ = Round(settled, unread, report.part())
    _log.info("%s", round_)
    return round_


def test_a_flood_that_nobody_reads_stalls_no_audio(tmp_path: Path) -> None:
    """What a flood holds up it holds up every time; one round of three may meet what else this machine does."""
    with on_a_terminal(tmp_path, "--events", "all") as (terminal, service, report):
        time.sleep(2)
        rounds: list[Round] = []
        while (not rounds or rounds[-1].stalls) and len(rounds) < ROUNDS:
            rounds.append(flooded(terminal, service, report))
        terminal.line("/quit")
        assert terminal.process.wait(20) == 0
    assert not rounds[-1].stalls, "\n".join(map(str, rounds))
    hidden = sum(map(int, re.findall(rb"(\d+) events not shown", terminal.seen)))
    assert hidden > UNREAD * PER_SECOND * 0.4, "all was shown, as if somebody had read it"


def test_a_quiet_call_costs_little(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "--input", str(hum(tmp_path / "microphone.wav", 30))) as (terminal, _, report):
        time.sleep(2)
        report.skip()
        drawn = len(terminal.seen)
        time.sleep(6)
        quiet = report.part()
        assert len(terminal.seen) > drawn, "the meter moves"
    _log.info("quiet: %s", quiet)
    assert quiet.face < FACE, str(quiet)
