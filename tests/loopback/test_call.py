"""A call between two peers: events, sound, stats, the end."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from rtcli.errors import CallLost, EventTooLarge
from rtcli.transport.base import CHANNEL, Down, Message, Opened
from rtcli.transport.webrtc import WebRtcPeer
from rtcli.transport.webrtc_rtp import SILENCE
from tests.loopback.pair import LIMIT, Inbox, Side, Sink, connected, until


def test_events_travel_both_ways_in_order() -> None:
    async def run() -> None:
        async with connected() as pair:
            for number in range(200):
                pair.us.send(f"question {number}")
                pair.them.send(f"answer {number}")
            await pair.ours.inbox.wait_for(Message("answer 199"))
            await pair.theirs.inbox.wait_for(Message("question 199"))
            assert pair.ours.inbox.signals == [Opened(), *(Message(f"answer {n}") for n in range(200))]
            assert pair.theirs.inbox.signals == [Opened(), *(Message(f"question {n}") for n in range(200))]

    asyncio.run(run())


def test_opened_is_delivered_before_accept_returns() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        await us.accept(await them.answer(await us.offer()), limit=LIMIT)
        assert ours.inbox.signals[:1] == [Opened()]
        await us.close()
        await them.close()

    asyncio.run(run())


def test_large_events_arrive_whole() -> None:
    async def run() -> None:
        text = "ä" * 131_072
        async with connected() as pair:
            pair.us.send(text)
            await pair.theirs.inbox.wait_for(Message(text))

    asyncio.run(run())


def test_binary_messages_are_delivered_as_bytes() -> None:
    async def run() -> None:
        async with connected() as pair:
            assert pair.them._channel
            pair.them._channel.send(b"\x00\xff")
            await pair.ours.inbox.wait_for(Message(b"\x00\xff"))

    asyncio.run(run())


def test_packets_of_the_source_arrive_at_the_sink_as_they_are() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.theirs.sink.wait_for(20)
            packets = pair.theirs.sink.packets[:20]
            first = int.from_bytes(packets[0].payload[1:], "big")
            assert [packet.payload for packet in packets] == [
                b"\x78" + (first + n).to_bytes(4, "big") for n in range(20)
            ]
            assert {(b.sequence - a.sequence) % 65_536 for a, b in pairwise(packets)} == {1}
            assert {packet.ssrc for packet in packets} == {packets[0].ssrc}
            assert all((b.timestamp - a.timestamp) % 2**32 % 960 == 0 for a, b in pairwise(packets))
            assert pair.theirs.sink.times == sorted(pair.theirs.sink.times)

    asyncio.run(run())


def test_silence_is_sent_where_there_is_no_source() -> None:
    async def run() -> None:
        silent = WebRtcPeer(source=None, sink=None, deliver=Inbox(), loopback=True)
        async with connected(us=silent) as pair:
            await pair.theirs.sink.wait_for(5)
            assert {packet.payload for packet in pair.theirs.sink.packets} == {SILENCE[20]}

    asyncio.run(run())


def test_an_event_over_the_limit_is_refused_with_both_sizes_and_the_call_goes_on() -> None:
    async def run() -> None:
        async with connected() as pair:
            with pytest.raises(EventTooLarge) as caught:
                pair.us.send("ä" * 131_073)
            assert (caught.value.size, caught.value.limit) == (262_146, 262_144)
            pair.us.send("small")
            await pair.theirs.inbox.wait_for(Message("small"))

    asyncio.run(run())


def test_send_before_the_channel_is_open_and_after_the_end_says_so() -> None:
    async def run() -> None:
        early = WebRtcPeer(source=None, sink=None, deliver=Inbox(), loopback=True)
        with pytest.raises(CallLost):
            early.send("too early")
        await early.close()
        async with connected() as pair:
            await pair.us.close()
            with pytest.raises(CallLost):
                pair.us.send("too late")

    asyncio.run(run())


def test_the_other_side_closing_is_orderly_and_told_once() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.them.close()
            assert await pair.ours.inbox.wait_for_down() == Down("the other side closed the call", orderly=True)
            await pair.us.close()
            assert len(pair.ours.inbox.downs) == 1
            assert pair.theirs.inbox.downs == []

    asyncio.run(run())


def test_events_sent_just_before_close_arrive() -> None:
    async def run() -> None:
        async with connected() as pair:
            for number in range(50):
                pair.us.send(f"{number}" * 1000)
            await pair.us.close()
            await pair.theirs.inbox.wait_for(Message("49" * 1000))

    asyncio.run(run())


def test_close_leaves_no_task_and_may_be_repeated() -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        async with connected() as pair:
            pair.us.send("x")
            await asyncio.gather(pair.us.close(), pair.us.close())
        assert asyncio.all_tasks() <= before

    asyncio.run(run())


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_close_at_any_step_leaves_no_task(steps: int) -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        if steps > 0:
            offer = await us.offer()
            if steps > 1:
                await them.answer(offer)
        await us.close()
        await them.close()
        assert asyncio.all_tasks() <= before

    asyncio.run(run())


def test_stats_count_packets_and_tell_the_round_trip() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.ours.sink.wait_for(30)
            assert pair.us._link
            await until(lambda: pair.us._link and pair.us._link.ice.round_trip, "a round trip")
            stats = await pair.us.stats()
            assert stats.packets_received >= 30
            assert stats.packets_sent >= 1
            assert stats.packets_lost == 0
            assert stats.round_trip is not None
            assert 0 < stats.round_trip < LIMIT
            assert stats.jitter is not None
            assert stats.buffered == 0

    asyncio.run(run())


def test_stats_of_a_peer_that_never_connected_are_empty() -> None:
    async def run() -> None:
        peer = WebRtcPeer(source=None, sink=Sink(), deliver=Inbox())
        stats = await peer.stats()
        assert (stats.round_trip, stats.packets_sent, stats.packets_received, stats.jitter) == (None, 0, 0, None)
        await peer.close()

    asyncio.run(run())


def test_buffered_counts_what_the_other_side_has_not_acknowledged() -> None:
    async def run() -> None:
        async with connected() as pair:
            for _ in range(10):
                pair.us.send("x" * 50_000)
            # One turn of the loop hands the events to SCTP, which holds them until they are acknowledged.
            await asyncio.sleep(0)
            assert pair.us.buffered > 400_000
            await until(lambda: pair.us.buffered == 0, "the last acknowledgement")

    asyncio.run(run())


def test_other_channels_than_the_one_for_events_are_ignored() -> None:
    async def run() -> None:
        async with connected() as pair:
            other = pair.us._pc.createDataChannel("chat")
            await until(lambda: other.readyState == "open", "the other channel")
            other.send("not an event")
            pair.us.send("an event")
            await pair.theirs.inbox.wait_for(Message("an event"))
            assert pair.theirs.inbox.signals == [Opened(), Message("an event")]

    asyncio.run(run())


def test_a_channel_for_events_that_the_other_side_opens_itself_is_taken() -> None:
    async def run() -> None:
        async with connected() as pair:
            theirs = pair.them._pc.createDataChannel(CHANNEL)
            heard: list[str] = []
            theirs.on("message", heard.append)
            await until(lambda: theirs.readyState == "open", "their channel")
            pair.them.send("by the channel that we opened")
            theirs.send("by theirs")
            await pair.ours.inbox.wait_for(Message("by theirs"))
            pair.us.send("an event")
            await until(lambda: heard, "an event on their channel")
            assert heard == ["an event"]
            await pair.ours.inbox.wait_for(Message("by the channel that we opened"))
            assert pair.ours.inbox.signals.count(Opened()) == 1
            theirs.close()
            await pair.ours.inbox.wait_for(Down("the other side closed the call", orderly=True))

    asyncio.run(run())


def test_packets_of_10_ms_come_100_a_second_and_follow_each_other_without_a_gap() -> None:
    async def run() -> None:
        silent = WebRtcPeer(source=None, sink=None, deliver=Inbox(), loopback=True, frame_ms=10)
        async with connected(us=silent) as pair:
            await pair.theirs.sink.wait_for(50)
            packets = pair.theirs.sink.packets
            assert {packet.payload for packet in packets} == {SILENCE[10]}
            steps = {
                (later.timestamp - before.timestamp) / (later.sequence - before.sequence)
                for before, later in pairwise(packets)
                if later.sequence > before.sequence
            }
            assert min(steps) == 480

    asyncio.run(run())
