"""Nothing on the screen stalls the audio, and the screen costs little: measured in a process of its own, on a terminal
that the test reads, or does not.

The figures: `-o log_cli=true -o log_cli_level=INFO`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import math
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from rtcli.audio.opus import make_encoder
from rtcli.transport.webrtc import WebRtcPeer
from tests.program import environment
from tests.services import Call, Event, OpenAi


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NOT RUN: a thread's CPU time is read from /proc")
_log = logging.getLogger(__name__)

PER_SECOND = 500
UNREAD = 10.0
"""Seconds of events while nobody reads the terminal."""
LATE, CONCEALED, FACE = 1.0, 0.2, 0.1
"""Generous limits, for a machine that does other things too. Alone it has 0.02 s, 0.01 and 0.03; a prompt on the loop
that receives RTP was 5.7 s late.
"""

MEASURED = """
import asyncio, json, sys, threading, time

from rtcli import cli
from rtcli.audio.playout import Playout
from rtcli.call import Call

report, playouts, gaps = sys.argv.pop(1), [], []
made, hold = Playout.__init__, Call._hold


def remembered(self, *args, **more):
    made(self, *args, **more)
    playouts.append(self)


async def watched(self):
    async def watch():
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            gaps.append(now - before - 0.005)
            before = now
    watcher = asyncio.create_task(watch())
    threading.Thread(target=note, daemon=True).start()
    try:
        await hold(self)
    finally:
        watcher.cancel()


def note():
    while True:
        stats = playouts[0].stats()
        threads = {thread.name: cpu(thread) for thread in threading.enumerate() if thread.native_id}
        line = {"at": time.monotonic(), "cpu": time.process_time(), "threads": threads, "gaps": gaps[:]}
        gaps.clear()
        stats = {name: getattr(stats, name) for name in ("lost", "late", "concealed_ms", "received", "faults")}
        with open(report, "a") as file:
            file.write(json.dumps({**line, **stats}) + chr(10))
        time.sleep(0.5)


def cpu(thread):
    with open(f"/proc/self/task/{thread.native_id}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


Playout.__init__, Call._hold = remembered, watched
cli.main()
"""


class Tone:
    """440 Hz, without end."""

    def __init__(self) -> None:
        encoder = make_encoder()
        hum = array("h", (int(8000 * math.sin(0.0576 * n)) for n in range(960))).tobytes()
        self._packets = cycle([encoder.encode(hum) for _ in range(10)])

    def next_packet(self) -> bytes:
        return next(self._packets)


class Talkative(Call):
    """Sounds all the time; floods the call with events when it is asked to."""

    def __init__(self, session: Event) -> None:
        super().__init__(session)
        self.peer = WebRtcPeer(source=Tone(), sink=None, deliver=self._take, loopback=True)
        self.sent = 0

    def _obey(self, event: Event) -> None:
        if event["type"] == "test.flood":
            self._flooding = asyncio.get_running_loop().create_task(self._flood(event["seconds"]))
        else:
            super()._obey(event)

    async def _flood(self, seconds: float) -> None:
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            while self.sent < passed * PER_SECOND:
                self.sent += 1
                self._say({"type": "test.event", "number": self.sent, "words": "all work and no play " * 5})
            await asyncio.sleep(0.01)


class Service(OpenAi):
    talkative: Talkative

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        self.talkative = Talkative({"type": "realtime", **(session or {})})
        self.calls.append(self.talkative)
        return await self.talkative.peer.answer(offer.decode())


class Terminal:
    """The program on a terminal of 100 x 30 that is read only while `reading` is set."""

    def __init__(self, report: Path, home: Path, url: str, *arguments: str) -> None:
        self.reading = threading.Event()
        self.reading.set()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        sound = () if "--input" in arguments else ("--input", "none")
        self.process = subprocess.Popen(
            [sys.executable, "-c", MEASURED, str(report), "talk", *sound, "--output", "none", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment(home, TERM="xterm-256color", OPENAI_BASE_URL=url),
        )
        os.close(slave)
        self.seen = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            self.reading.wait()
            try:
                read = os.read(self._master, 65_536)
                os.write(self._master, b"\x1b[1;1R" * read.count(b"\x1b[6n"))  # the cursor is in the first row
            except OSError:  # the other end is closed
                return
            self.seen += read

    def line(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\r")

    def wait_for(self, text: str, limit: float = 30.0) -> None:
        until = time.monotonic() + limit
        while text.encode() not in self.seen:
            assert time.monotonic() < until, f"not seen: {text}\n{self.seen[-2000:].decode('utf-8', 'replace')}"
            time.sleep(0.05)


@dataclass(frozen=True)
class Part:
    """What was noted in a stretch of time."""

    seconds: float
    longest_gap: float
    """Seconds by which the loop that receives RTP was late."""
    concealed_ms: float
    packets: int
    cpu: float
    """Share of a core of the whole program."""
    face: float
    """Of that, the threads that draw."""

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.packets} packets, loop late by {self.longest_gap * 1000:.0f} ms at most, "
            f"{self.concealed_ms:.0f} ms concealed, program {self.cpu:.1%}, face {self.face:.1%} of a core"
        )


class Report:
    """Grows while the program runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def part(self) -> Part:
        """Since the last one."""
        looks = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()][self._read :]
        self._read += len(looks)
        first, last = looks[0], looks[-1]
        seconds = last["at"] - first["at"]
        faces = sum(last["threads"][name] - first["threads"].get(name, 0.0) for name in ("face", "prompt"))
        return Part(
            seconds,
            max(late for look in looks[1:] for late in look["gaps"]),
            last["concealed_ms"] - first["concealed_ms"],
            last["received"] - first["received"],
            (last["cpu"] - first["cpu"]) / seconds,
            faces / seconds,
        )


@contextmanager
def on_a_terminal(tmp_path: Path, *arguments: str) -> Iterator[tuple[Terminal, Service, Report]]:
    report = tmp_path / "report.ndjson"
    with Service() as service:
        terminal = Terminal(report, tmp_path, f"{service.url}/v1", *arguments)
        try:
            terminal.wait_for("ready" if "--input" not in arguments else "listening")
            yield terminal, service, Report(report)
        finally:
            terminal.reading.set()
            terminal.process.kill()
            terminal.process.wait()


def test_a_flood_that_nobody_reads_stalls_no_audio(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "--events", "all") as (terminal, service, report):
        time.sleep(2)
        before = report.part()
        terminal.reading.clear()
        terminal.line("/event " + json.dumps({"type": "test.flood", "seconds": UNREAD}))
        time.sleep(UNREAD + 1)
        flooded = report.part()
        terminal.reading.set()
        terminal.wait_for(f'"number":{service.talkative.sent}')
        time.sleep(1)
        shown = report.part()
        terminal.line("/quit")
        assert terminal.process.wait(20) == 0
    _log.info("no flood: %s", before)
    _log.info("unread: %s", flooded)
    _log.info("read again: %s", shown)
    assert service.talkative.sent > UNREAD * PER_SECOND * 0.5, "this machine is too busy to flood"
    for part in (flooded, shown):
        assert part.longest_gap < LATE, str(part)
        assert part.concealed_ms < part.seconds * 1000 * CONCEALED, str(part)
        assert part.packets > part.seconds * 50 * 0.8, str(part)


def test_a_quiet_call_costs_little(tmp_path: Path) -> None:
    microphone = tmp_path / "microphone.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        hum = array("h", (int(9000 * math.sin(n / 30) * (0.6 + 0.4 * math.sin(n / 2000))) for n in range(30 * 16_000)))
        file.writeframes(hum.tobytes())
    with on_a_terminal(tmp_path, "--input", str(microphone)) as (terminal, _, report):
        time.sleep(2)
        report.part()
        drawn = len(terminal.seen)
        time.sleep(6)
        quiet = report.part()
        assert len(terminal.seen) > drawn, "the meter moves"
    _log.info("quiet: %s", quiet)
    assert quiet.face < FACE, str(quiet)
