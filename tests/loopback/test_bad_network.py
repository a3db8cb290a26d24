"""A peer with a bad network: the sound it sends is lost and late as it was asked for, its events are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle, pairwise

from rtcli.transport.base import Message
from rtcli.transport.webrtc import WebRtcPeer
from tests.loopback.pair import Inbox, Sink, Source, connected


def with_fate(fate: Callable[[], float | None]) -> WebRtcPeer:
    return WebRtcPeer(source=Source(), sink=Sink(), deliver=Inbox(), loopback=True, fate=fate)


def test_packets_are_lost_and_overtaken_and_events_are_not() -> None:
    async def run() -> None:
        fates = cycle([0.0, None, 0.05, 0.0])
        async with connected(them=with_fate(lambda: next(fates))) as pair:
            pair.us.send("hello")  # opens the channel for the other side
            await pair.ours.sink.wait_for(60)
            numbers = [packet.sequence for packet in pair.ours.sink.packets]
            steps = [(b - a) % 65_536 for a, b in pairwise(numbers)]
            assert any(1 < step < 10 for step in steps), "none was lost"
            assert any(step > 60_000 for step in steps), "none was overtaken"
            for number in range(50):
                pair.them.send(f"event {number}")
            await pair.ours.inbox.wait_for(Message("event 49"))
            events = [signal for signal in pair.ours.inbox.signals if isinstance(signal, Message)]
            assert events == [Message(f"event {number}") for number in range(50)]

    asyncio.run(run())


def test_a_peer_that_is_cut_off_says_no_goodbye() -> None:
    async def run() -> None:
        async with connected(them=with_fate(lambda: 0.0)) as pair:
            await pair.ours.sink.wait_for(5)
            pair.them.cut()
            await pair.them.close()
            down = await pair.ours.inbox.wait_for_down()
            assert not down.orderly
            assert "nothing arrived" in down.reason

    asyncio.run(run())
