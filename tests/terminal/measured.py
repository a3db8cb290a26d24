"""`rtcli talk` in a process that notes how late its loop is and what each thread costs, on a terminal or on none.

The service sounds all the time and floods when it is asked to; the terminal is read only while a test wishes.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from rtcli.audio.opus import make_encoder
from rtcli.transport.webrtc import WebRtcPeer
from tests.program import environment
from tests.services import Call, Event, OpenAi
from tests.terminal.pseudo import PseudoTerminal


PER_SECOND = 500
"""Events of a flood."""

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
        already = self.sent
        while (passed := time.monotonic() - begun) < seconds:
            while self.sent - already < passed * PER_SECOND:
                self.sent += 1
                self._say({"type": "test.event", "number": self.sent, "words": "all work and no play " * 5})
            await asyncio.sleep(0.01)


class Service(OpenAi):
    talkative: Talkative

    async def call(self, offer: bytes, session: Event | None = None, **how: Any) -> str:
        self.talkative = Talkative({"type": "realtime", **(session or {})})
        self.calls.append(self.talkative)
        return await self.talkative.peer.answer(offer.decode())


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

    def skip(self) -> None:
        """What was noted so far does not count."""
        self._looks()

    def part(self) -> Part:
        """Since the last one."""
        looks = self._looks()
        first, last = looks[0], looks[-1]
        seconds = last["at"] - first["at"]
        threads = last["threads"]
        faces = sum(threads[name] - first["threads"].get(name, 0.0) for name in ("face", "prompt") if name in threads)
        return Part(
            seconds,
            max(late for look in looks[1:] for late in look["gaps"]),
            last["concealed_ms"] - first["concealed_ms"],
            last["received"] - first["received"],
            (last["cpu"] - first["cpu"]) / seconds,
            faces / seconds,
        )

    def _looks(self) -> list[dict[str, Any]]:
        """Those since the last time."""
        lines = self._path.read_text(encoding="utf-8").splitlines()[self._read :]
        self._read += len(lines)
        return [json.loads(line) for line in lines]


@contextmanager
def on_a_terminal(tmp_path: Path, *arguments: str) -> Iterator[tuple[PseudoTerminal, Service, Report]]:
    report = tmp_path / "report.ndjson"
    with Service() as service:
        sound = () if "--input" in arguments else ("--input", "none")
        terminal = PseudoTerminal(
            [sys.executable, "-c", MEASURED, str(report), "talk", *sound, "--output", "none", *arguments],
            environment(tmp_path, TERM="xterm-256color", OPENAI_BASE_URL=f"{service.url}/v1"),
        )
        try:
            terminal.wait_for("ready" if "--input" not in arguments else "listening")
            yield terminal, service, Report(report)
        finally:
            terminal.kill()


@contextmanager
def off_the_terminal(folder: Path, *arguments: str) -> Iterator[Report]:
    """The same call where nobody looks."""
    path = folder / "plain.ndjson"
    with Service() as service:
        command = [sys.executable, "-c", MEASURED, str(path), "talk", "--output", "none", *arguments]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(folder, OPENAI_BASE_URL=f"{service.url}/v1"),
        )
        try:
            until = time.monotonic() + 30
            while not path.exists():
                assert time.monotonic() < until, "no call"
                time.sleep(0.1)
            yield Report(path)
        finally:
            process.kill()
            process.communicate()


def hum(path: Path, seconds: int) -> Path:
    """A microphone whose level goes up and down all the time."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        samples = range(seconds * 16_000)
        file.writeframes(
            array("h", (int(9000 * math.sin(n / 30) * (0.6 + 0.4 * math.sin(n / 2000))) for n in samples)).tobytes()
        )
    return path
