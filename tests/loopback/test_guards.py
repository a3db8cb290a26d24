"""Failures that must not end a call."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from aiortc.rtcsctptransport import SCTP_DATA_LAST_FRAG, WEBRTC_DCEP, WEBRTC_STRING, DataChunk
from aiortc.rtp import RtcpByePacket

from rtcli.transport.base import Message, Opened, RtpPacket, Signal
from rtcli.transport.webrtc_rtp import SILENCE, STREAMS
from tests.loopback.pair import LIMIT, Inbox, Pair, Side, Sink, connected, until


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


class Touchy(Inbox):
    """Takes every signal, and fails."""

    def __call__(self, signal: Signal) -> None:
        super().__call__(signal)
        raise RuntimeError("deliver")


class TouchySink(Sink):
    def add(self, packet: RtpPacket, now: float) -> None:
        super().add(packet, now)
        raise RuntimeError("sink")


class TouchySource:
    """Fails each second time."""

    count = 0

    def next_packet(self) -> bytes:
        self.count += 1
        if self.count % 2:
            raise RuntimeError("source")
        return b"\x78sound"


def test_a_deliver_that_raises_ends_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        inbox = Touchy()
        async with connected(us=Side().peer(deliver=inbox)) as pair:
            for number in range(3):
                pair.them.send(str(number))
            await inbox.wait_for(Message("2"))
            pair.us.send("still here")
            await pair.theirs.inbox.wait_for(Message("still here"))
            assert inbox.signals == [Opened(), Message("0"), Message("1"), Message("2")]

    asyncio.run(run())
    assert len(errors(caplog)) == 1


def test_a_sink_that_raises_ends_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        sink = TouchySink()
        async with connected(us=Side().peer(sink=sink)) as pair:
            await sink.wait_for(20)
            pair.us.send("still here")
            await pair.theirs.inbox.wait_for(Message("still here"))

    asyncio.run(run())
    assert len(errors(caplog)) == 1


def test_a_source_that_raises_sends_silence_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with connected(us=Side().peer(source=TouchySource())) as pair:
            await pair.theirs.sink.wait_for(20)
            assert {packet.payload for packet in pair.theirs.sink.packets} == {SILENCE[20], b"\x78sound"}

    asyncio.run(run())
    assert len(errors(caplog)) == 1


def test_text_that_is_no_utf8_is_dropped_and_the_call_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with connected() as pair:
            channel = pair.them._channel
            assert channel
            channel.transport._data_channel_queue.append((channel, WEBRTC_STRING, b"\xff\xfe"))
            pair.them.send("after it")
            await pair.ours.inbox.wait_for(Message("after it"))
            assert pair.ours.inbox.signals == [Opened(), Message("after it")]

    asyncio.run(run())
    assert len(errors(caplog)) == 1


def test_a_message_in_front_of_the_channels_acknowledgement_opens_it() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        answer = await them.answer(await us.offer())
        sctp: Any = them._pc.sctp
        flush, queue = sctp._data_channel_flush, sctp._data_channel_queue

        async def unacknowledged() -> None:
            kept = [entry for entry in queue if entry[1] != WEBRTC_DCEP]
            queue.clear()
            queue.extend(kept)
            await flush()

        sctp._data_channel_flush = unacknowledged
        accepting = asyncio.create_task(us.accept(answer, limit=LIMIT))
        await theirs.inbox.wait_for(Opened())
        them.send("first")
        await accepting
        us.send("back")
        await theirs.inbox.wait_for(Message("back"))
        assert ours.inbox.signals == [Opened(), Message("first")]
        await us.close()
        await them.close()

    asyncio.run(run())


def test_a_message_that_never_ends_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts fill the room we told of, and no more."""

    async def run() -> None:
        async with connected() as pair:
            endless(monkeypatch)
            for _ in range(10):
                pair.them.send("x" * 200_000)
            down = await pair.ours.inbox.wait_for_down()
            assert down.reason == "the other side sent a message larger than it may"

    def endless(monkeypatch: pytest.MonkeyPatch) -> None:
        write = DataChunk.__bytes__

        def without_an_end(chunk: DataChunk) -> bytes:
            chunk.flags &= ~SCTP_DATA_LAST_FRAG
            return write(chunk)

        monkeypatch.setattr(DataChunk, "__bytes__", without_an_end)

    asyncio.run(run())


STRAY = [
    b"",
    *(bytes([first]) * size for first in (0, 20, 22, 23, 63, 128, 191, 192, 200, 255) for size in (1, 2, 12, 40)),
    # A STUN request whose length is right and whose attribute is cut.
    b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x00\x20\x00\x08",
]
"""Anybody can send these to an open port."""


def test_stray_packets_do_not_end_a_call() -> None:
    async def run() -> None:
        async with connected() as pair:
            assert pair.us._link
            protocol = pair.us._link.ice._protocols[0]
            for data in STRAY:
                protocol.datagram_received(data, ("127.0.0.1", 9))
            pair.us.send("still here")
            await pair.theirs.inbox.wait_for(Message("still here"))

    asyncio.run(run())


async def new_stream(pair: Pair, ssrc: int) -> None:
    """Go on sending as another stream, and wait until it is heard."""
    pair.them._pc.getSenders()[0]._ssrc = ssrc
    await until(lambda: pair.ours.sink.packets and pair.ours.sink.packets[-1].ssrc == ssrc, f"stream {ssrc}")


def test_a_new_stream_in_mid_call_goes_on_to_the_sink() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.ours.sink.wait_for(3)
            await new_stream(pair, 4711)
            await new_stream(pair, 4712)

    asyncio.run(run())


def test_streams_that_are_remembered_are_bounded() -> None:
    async def run() -> None:
        async with connected() as pair:
            for ssrc in range(1, STREAMS + 6):
                await new_stream(pair, ssrc)
            receiver = pair.us._pc.getReceivers()[0]
            assert len(receiver._RTCRtpReceiver__remote_streams) <= STREAMS + 1  # type: ignore[attr-defined]  # aiortc's own

    asyncio.run(run())


def test_an_rtcp_goodbye_does_not_stop_reception() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.ours.sink.wait_for(3)
            sender = pair.them._pc.getSenders()[0]
            await sender._send_rtcp([RtcpByePacket(sources=[sender._ssrc])])
            await pair.ours.sink.wait_for(len(pair.ours.sink.packets) + 10)

    asyncio.run(run())


def test_nothing_decodes_and_the_unread_track_stays_empty() -> None:
    async def run() -> None:
        async with connected() as pair:
            await pair.ours.sink.wait_for(30)
            assert not [thread.name for thread in threading.enumerate() if "decoder" in thread.name]
            receiver = pair.us._pc.getReceivers()[0]
            assert receiver.track._queue.qsize() <= 1  # type: ignore[attr-defined]  # the word that ended the decoder
            assert receiver._RTCRtpReceiver__decoder_queue.qsize() == 0  # type: ignore[attr-defined]  # aiortc's own

    asyncio.run(run())
