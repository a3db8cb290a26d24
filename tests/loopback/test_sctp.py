"""The data channel under load."""

from __future__ import annotations

import asyncio
from typing import Any

from aiortc.rtcsctptransport import SackChunk

from rtcli.transport.base import Message
from rtcli.transport.webrtc import WebRtcPeer
from rtcli.transport.webrtc_sctp import WINDOW
from rtcli.transport.webrtc_shortcut import MOST_UNANSWERED
from tests.loopback.pair import connected, until


EVENTS = 3000
SIZE = 300


def association(peer: WebRtcPeer) -> Any:
    assert peer._link
    assert peer._link.association
    return peer._link.association


def events() -> list[str]:
    return [f"{number:0{SIZE}}" for number in range(EVENTS)]


def test_a_flood_of_small_events_arrives_whole_and_in_order_with_a_bounded_window() -> None:
    async def run() -> None:
        async with connected() as pair:
            flights: list[int] = []
            sctp = association(pair.them)._sctp
            for text in events():
                pair.them.send(text)
                flights.append(sctp._flight_size)
            while pair.them.buffered:
                flights.append(sctp._flight_size)
                await asyncio.sleep(0.001)
            await pair.ours.inbox.wait_for(Message(events()[-1]))
            assert pair.ours.inbox.signals[1:] == [Message(text) for text in events()]
            assert max(flights) <= WINDOW + SIZE

    asyncio.run(run())


def test_packets_that_come_in_a_rush_are_acknowledged_some_at_a_time() -> None:
    async def run() -> None:
        async with connected() as pair:
            acknowledgements = sacks_of(pair.us)
            for text in events():
                pair.them.send(text)
            await pair.ours.inbox.wait_for(Message(events()[-1]))
            await until(lambda: not pair.them.buffered, "the last acknowledgement")
            assert EVENTS / (MOST_UNANSWERED + 1) <= len(acknowledgements) < EVENTS / 4

    asyncio.run(run())


def test_two_packets_are_acknowledged_at_once() -> None:
    async def run() -> None:
        async with connected() as pair:
            await until(lambda: not pair.them.buffered, "the end of opening the channel")
            acknowledgements = sacks_of(pair.us)
            for number in range(10):
                pair.them.send(f"{number} one")
                pair.them.send(f"{number} two")
                await until(lambda: not pair.them.buffered, "the acknowledgement")
            assert len(acknowledgements) == 10

    asyncio.run(run())


def test_a_single_packet_is_acknowledged_after_a_moment() -> None:
    async def run() -> None:
        async with connected() as pair:
            await until(lambda: not pair.them.buffered, "the end of opening the channel")
            acknowledgements = sacks_of(pair.us)
            pair.them.send("alone")
            await until(lambda: not pair.them.buffered, "the acknowledgement")
            assert len(acknowledgements) == 1

    asyncio.run(run())


def test_packets_after_a_gap_are_acknowledged_one_by_one() -> None:
    """So that what was lost is sent again soon: the sender counts to three (RFC 9260 section 7.2.4)."""

    async def run() -> None:
        async with connected() as pair:
            acknowledgements = sacks_of(pair.us)
            lose_one_packet(pair.them)
            for number in range(8):
                pair.them.send(f"{number}")
            await pair.ours.inbox.wait_for(Message("7"))
            assert pair.ours.inbox.signals[1:] == [Message(f"{number}") for number in range(8)]
            assert len([chunk for chunk in acknowledgements if chunk.gaps]) >= 3

    asyncio.run(run())


def sacks_of(peer: WebRtcPeer) -> list[SackChunk]:
    """The acknowledgements a peer sends from now on."""
    seen: list[SackChunk] = []
    part = association(peer)
    send = part._send_chunk

    async def sent(chunk: object) -> None:
        if isinstance(chunk, SackChunk):
            seen.append(chunk)
        await send(chunk)

    part._send_chunk = sent
    return seen


def lose_one_packet(peer: WebRtcPeer) -> None:
    part = association(peer)
    send = part._send_chunk

    async def lose(chunk: object) -> None:
        part._send_chunk = send

    part._send_chunk = lose
