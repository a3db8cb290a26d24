"""Two real peers in one process, on 127.0.0.1, and what they are given to hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from rtcli.transport.base import AudioSink, AudioSource, Deliver, Down, Opened, RtpPacket, Signal
from rtcli.transport.webrtc import WebRtcPeer


LIMIT = 30.0
"""Seconds; generous, for a machine that is busy with something else."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that no event tells of."""
    end = monotonic() + LIMIT
    while not condition():
        assert monotonic() < end, f"{what} did not happen in {LIMIT:g} s"
        await asyncio.sleep(0.01)


class Inbox:
    """Takes what a peer delivers."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)

    async def wait_for(self, signal: Signal) -> None:
        await until(lambda: signal in self.signals, f"{signal} in {self.signals[-3:]}")

    @property
    def downs(self) -> list[Down]:
        return [signal for signal in self.signals if isinstance(signal, Down)]

    async def wait_for_down(self) -> Down:
        await until(lambda: self.downs, "Down")
        return self.downs[0]


class Sink:
    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.times: list[float] = []

    def add(self, packet: RtpPacket, now: float) -> None:
        self.packets.append(packet)
        self.times.append(now)

    async def wait_for(self, count: int) -> None:
        await until(lambda: len(self.packets) >= count, f"{count} packets (there are {len(self.packets)})")


class Source:
    """Numbered Opus packets: 20 ms of hybrid mode, then a count that no decoder will see here."""

    def __init__(self) -> None:
        self.count = 0

    def next_packet(self) -> bytes:
        self.count += 1
        return b"\x78" + self.count.to_bytes(4, "big")


@dataclass
class Side:
    """A peer with what it was given."""

    inbox: Inbox = field(default_factory=Inbox)
    sink: Sink = field(default_factory=Sink)
    source: Source = field(default_factory=Source)

    def peer(
        self,
        *,
        source: AudioSource | None = None,
        sink: AudioSink | None = None,
        deliver: Deliver | None = None,
        loopback: bool = True,
    ) -> WebRtcPeer:
        self.made = WebRtcPeer(
            source=source or self.source, sink=sink or self.sink, deliver=deliver or self.inbox, loopback=loopback
        )
        return self.made


@dataclass
class Pair:
    us: WebRtcPeer
    """Offers, as the terminal does."""
    them: WebRtcPeer
    """Answers, as the service does."""
    ours: Side
    theirs: Side


@asynccontextmanager
async def connected(us: WebRtcPeer | None = None, them: WebRtcPeer | None = None) -> AsyncIterator[Pair]:
    """Two peers in a call; each may be given, made elsewhere."""
    ours, theirs = Side(), Side()
    pair = Pair(us or ours.peer(), them or theirs.peer(), ours, theirs)
    try:
        await pair.us.accept(await pair.them.answer(await pair.us.offer()), limit=LIMIT)
        if them is None:
            await theirs.inbox.wait_for(Opened())
        yield pair
    finally:
        await pair.us.close()
        await pair.them.close()


def rewritten_addresses(sdp: str, address: str) -> str:
    """The description with `address` (host and port, by a space) in the place of every candidate's."""
    lines = sdp.split("\r\n")
    for index, line in enumerate(lines):
        if line.startswith("a=candidate:"):
            words = line.split()
            words[4:6] = address.split()
            lines[index] = " ".join(words)
    return "\r\n".join(lines)
