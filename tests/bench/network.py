"""A UDP relay between one sender and its receivers that loses, delays and reorders the same packets for each of them.

Not the kernel's netem, which needs rights and a module, but a process. It touches SRTP of the sender only, once armed;
ICE, DTLS and RTCP pass. What happens to a packet depends on its place in the stream and a seed, so all receivers meet
the same network.
"""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Network:
    """What is done to the stream. Shares are of packets, times in seconds."""

    loss: float = 0.0
    burst: int = 1
    """Packets lost in a row when one is lost; `loss` stays the share of all."""
    drop: tuple[int, ...] = ()
    """Packets lost by their number after the start of the impairment."""
    delay: float = 0.0
    jitter: float = 0.0
    """Uniform 0 to this, for each packet by itself: it reorders."""
    spikes: float = 0.0
    spike: float = 0.2
    ppm: float = 0.0
    """Drift of the sender's clock."""
    pause: float = 0.0
    """The sender is quiet for this long between two sentences in the middle; its timestamps stand still."""

    @property
    def in_time(self) -> float:
        """Mouth-to-ear at which no packet is late, in the mean over the phase of the speaker's blocks.

        The 20 ms frame, 6.5 ms of look-ahead in Opus, this network, half a block of the speaker.

        What is faster than that conceals. Spikes are left out: nobody waits for one packet in a hundred.
        """
        return 0.0265 + self.delay + self.jitter + 0.0025

    def fate(self, count: int, seed: int) -> list[float | None]:
        """For each packet its delay, or None when it is lost."""
        chance = random.Random(seed)
        fates: list[float | None] = []
        left = 0
        for number in range(count):
            delay = self.delay + self.jitter * chance.random()
            delay += self.spike if chance.random() < self.spikes else 0.0
            starts = chance.random() < self.loss / self.burst
            left = self.burst if starts and not left else left
            lost = left > 0 or number in self.drop
            left = max(0, left - 1)
            fates.append(None if lost else delay)
        return fates


class _Side(asyncio.DatagramProtocol):
    """One socket of a lane."""

    def __init__(self, lane: Lane, *, from_sender: bool) -> None:
        self._lane = lane
        self._from_sender = from_sender

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self._from_sender:
            self._lane.forward(data)
        else:
            self._lane.back(data)


class Lane:
    """Sender to one receiver and back."""

    def __init__(self, fates: list[float | None]) -> None:
        self.sender: Address | None = None
        self.receiver: Address | None = None
        self.armed = False
        self._fates = fates
        self._first: int | None = None
        self._to_sender: asyncio.DatagramTransport | None = None
        self._to_receiver: asyncio.DatagramTransport | None = None

    async def open(self, host: str) -> tuple[int, int]:
        """Ports that stand for the receiver (towards the sender) and for the sender (towards the receiver)."""
        loop = asyncio.get_running_loop()
        self._to_sender, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self, from_sender=True), local_addr=(host, 0)
        )
        self._to_receiver, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self, from_sender=False), local_addr=(host, 0)
        )
        return self._to_sender.get_extra_info("sockname")[1], self._to_receiver.get_extra_info("sockname")[1]

    def back(self, data: bytes) -> None:
        if self.sender is not None and self._to_sender is not None:
            self._to_sender.sendto(data, self.sender)

    def forward(self, data: bytes) -> None:
        if not self.armed or not _is_rtp(data):
            self._deliver(data)
            return
        sequence = struct.unpack_from(">H", data, 2)[0]
        if self._first is None:
            self._first = sequence
        number = (sequence - self._first) & 0xFFFF
        fate = self._fates[number] if number < len(self._fates) else 0.0
        if fate is None:
            return
        if fate > 0:
            asyncio.get_running_loop().call_later(fate, self._deliver, data)
        else:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if self.receiver is not None and self._to_receiver is not None:
            self._to_receiver.sendto(data, self.receiver)


def _is_rtp(data: bytes) -> bool:
    """RTP and not RTCP, STUN or DTLS (RFC 5761, RFC 7983)."""
    return len(data) > 12 and 128 <= data[0] < 192 and not 192 <= data[1] <= 223


def relay(pipe: Connection, host: str, lanes: list[str], fates: list[float | None]) -> None:
    """Entry of the relay's process. Takes ("join", lane, sender, receiver), ("arm",) and ("stop",)."""
    asyncio.run(_relay(pipe, host, {name: Lane(fates) for name in lanes}))


async def _relay(pipe: Connection, host: str, lanes: dict[str, Lane]) -> None:
    pipe.send({name: await lane.open(host) for name, lane in lanes.items()})
    loop = asyncio.get_running_loop()
    while True:
        order: tuple[Any, ...] = await loop.run_in_executor(None, pipe.recv)
        if order[0] == "stop":
            return
        if order[0] == "join":
            lanes[order[1]].sender, lanes[order[1]].receiver = order[2], order[3]
        else:
            for lane in lanes.values():
                lane.armed = True
