"""Two real peers in one process, on 127.0.0.1."""

from __future__ import annotations

import asyncio

from rtcli.transport.base import Message, Opened, RtpPacket, Signal
from rtcli.transport.webrtc import WebRtcPeer


LIMIT = 20.0


class Inbox:
    """Takes what a peer delivers."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self._changed = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self._changed.set()

    async def wait_for(self, signal: Signal) -> None:
        async with asyncio.timeout(LIMIT):
            while signal not in self.signals:
                self._changed.clear()
                await self._changed.wait()


class Sink:
    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []

    def add(self, packet: RtpPacket, now: float) -> None:
        self.packets.append(packet)


async def _exchange() -> None:
    ours, theirs = Inbox(), Inbox()
    us = WebRtcPeer(source=None, sink=None, deliver=ours, loopback=True)
    them = WebRtcPeer(source=None, sink=Sink(), deliver=theirs, loopback=True)
    await us.accept(await them.answer(await us.offer()), limit=LIMIT)
    us.send("from us")
    them.send("from them")
    await ours.wait_for(Message("from them"))
    await theirs.wait_for(Message("from us"))
    assert ours.signals[0] == Opened()
    await us.close()
    await them.close()


def test_two_peers_exchange_events() -> None:
    asyncio.run(_exchange())
