"""A call between rtcli's peer on loopback and Chromium: events and sound, both ways."""

from __future__ import annotations

import asyncio
import json
import math
from array import array
from pathlib import Path
from typing import Any

import pytest

from rtcli.audio.opus import make_decoder, make_encoder
from rtcli.transport.base import Down, Message, Opened, RtpPacket, Signal
from rtcli.transport.webrtc import WebRtcPeer
from tests.browser.chromium import browsing, chromium


PAGE = Path(__file__).parent / "peer.html"
LIMIT = 60.0
"""Seconds; a browser takes its time on a busy machine."""
LOUD = 1000
"""A sample value that silence and its coding noise do not reach."""


class Tone:
    """A source: 440 Hz, encoded."""

    def __init__(self) -> None:
        self._encoder = make_encoder()
        self._sample = 0

    def next_packet(self) -> bytes:
        steps = range(self._sample, self._sample + 960)
        self._sample += 960
        return self._encoder.encode(array("h", (int(8000 * math.sin(0.0576 * step)) for step in steps)).tobytes())


class Call:
    """Our side, and what comes in."""

    def __init__(self) -> None:
        self.peer = WebRtcPeer(source=Tone(), sink=self, deliver=self.deliver, loopback=True)
        self.signals: list[Signal] = []
        self.packets: list[RtpPacket] = []
        self.ended = asyncio.Event()
        self.page: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """What the page reports of what it received."""

    def add(self, packet: RtpPacket, now: float) -> None:
        self.packets.append(packet)

    def deliver(self, signal: Signal) -> None:
        self.signals.append(signal)
        if isinstance(signal, Opened):
            self.peer.send("hello")
        elif isinstance(signal, Down):
            self.ended.set()

    async def on_offer(self, body: str) -> str:
        return await self.peer.answer(json.loads(body))

    async def on_call(self, _: str) -> str:
        return await self.peer.offer()

    async def on_answer(self, body: str) -> None:
        await self.peer.accept(json.loads(body), limit=LIMIT)

    async def on_heard(self, body: str) -> None:
        self.page.set_result(json.loads(body))

    async def on_failed(self, body: str) -> None:
        self.page.set_exception(AssertionError(body))

    def loudest(self) -> int:
        """What the browser's tone decodes to."""
        decoder = make_decoder()
        return max(max(array("h", decoder.decode(packet.payload)), default=0) for packet in self.packets)


@pytest.mark.parametrize("role", ["offer", "answer"])
def test_chromium_and_we_hear_each_other_on_loopback(role: str, tmp_path: Path) -> None:
    chromium()

    async def run() -> None:
        call = Call()
        handlers = {
            "POST /offer": call.on_offer,
            "GET /offer": call.on_call,
            "POST /answer": call.on_answer,
            "POST /heard": call.on_heard,
            "POST /failed": call.on_failed,
        }
        async with asyncio.timeout(LIMIT), browsing(PAGE, f"role={role}", handlers, tmp_path):
            assert (await call.page)["address"] in ("127.0.0.1", "::1")
            await call.ended.wait()
            assert call.signals[:2] == [Opened(), Message("echo hello")]
            assert call.signals[-1] == Down("the other side closed the call", orderly=True)
            assert call.loudest() > LOUD
        await call.peer.close()

    asyncio.run(run())
