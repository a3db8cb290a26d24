"""The short way of plain packets, and everything that must not take it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    WEBRTC_BINARY,
    WEBRTC_STRING,
    Chunk,
    DataChunk,
    SackChunk,
    serialize_packet,
)

from rtcli.transport.base import Message
from rtcli.transport.webrtc_shortcut import _texts
from tests.loopback.pair import Pair, connected, until


TSN, STREAM, PLACE = 2**32 - 2, 1, 2**16 - 1
WHOLE = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG


class Bundle(Chunk):
    def __init__(self, *chunks: Chunk) -> None:
        self._chunks = chunks

    def __bytes__(self) -> bytes:
        return b"".join(map(bytes, self._chunks))


def data(
    tsn: int, place: int, text: bytes, *, flags: int = WHOLE, stream_id: int = STREAM, protocol: int = WEBRTC_STRING
) -> DataChunk:
    chunk = DataChunk(flags)
    chunk.tsn, chunk.stream_seq, chunk.stream_id, chunk.protocol, chunk.user_data = (
        tsn,
        place,
        stream_id,
        protocol,
        text,
    )
    return chunk


def packet(*chunks: Chunk, tag: int = 7) -> bytes:
    """One SCTP packet with all of them."""
    return serialize_packet(5000, 5000, tag, Bundle(*chunks))


def test_plain_messages_do_not_pass_through_aiortc() -> None:
    async def run() -> None:
        async with connected() as pair:
            await until(lambda: not pair.them.buffered, "the end of opening the channel")
            long_way = read_by_aiortc(pair)
            await arrive(pair, [f"{number}: ü €" for number in range(100)])
            assert long_way == []

    asyncio.run(run())


def test_messages_of_one_packet_arrive_in_order() -> None:
    """Other senders than aiortc put as many into one as it holds."""

    async def run() -> None:
        async with connected() as pair:
            await until(lambda: not pair.them.buffered, "the end of opening the channel")
            long_way = read_by_aiortc(pair)
            bundle(pair, 3)
            await arrive(pair, [str(number) * (number + 1) for number in range(9)])
            assert long_way == []

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(5))
def test_whatever_becomes_of_the_packets_each_message_arrives_once_and_in_order(seed: int) -> None:
    async def run() -> None:
        chance = random.Random(seed)
        async with connected() as pair:
            disturb(pair, chance)
            texts = [f"{number} " + "é" * chance.choice((0, 1, 30, 30, 30, 700, 3000)) for number in range(300)]
            texts[100] = texts[200] = ""
            await arrive(pair, texts)

    asyncio.run(run())


def test_a_packet_of_another_association_is_dropped() -> None:
    async def run() -> None:
        async with connected() as pair:
            await until(lambda: not pair.them.buffered, "the end of opening the channel")
            sctp = sctp_of(pair.them)
            stream_id, place = next(iter(sctp._outbound_stream_seq.items()))
            chunk = data(sctp._local_tsn, place, b"forged", stream_id=stream_id)
            forged = serialize_packet(5000, 5000, sctp._remote_verification_tag ^ 1, chunk)
            await sctp.transport._send_data(forged)
            await arrive(pair, ["after it"])

    asyncio.run(run())


def test_plain_chunks_are_read() -> None:
    wrapped = [data(TSN + 1, PLACE, b"one"), data(0, 0, "zwölf".encode()), data(1, 1, b"3")]
    assert _texts(packet(*wrapped), TSN, STREAM, PLACE) == ["one", "zwölf", "3"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(data(0, 0, b"two", flags=SCTP_DATA_FIRST_FRAG), id="a first piece"),
        pytest.param(data(0, 0, b"two", flags=SCTP_DATA_LAST_FRAG), id="a last piece"),
        pytest.param(data(0, 0, b"two", flags=WHOLE | SCTP_DATA_UNORDERED), id="out of order"),
        pytest.param(data(1, 0, b"two"), id="behind a gap"),
        pytest.param(data(TSN, PLACE, b"two"), id="come twice"),
        pytest.param(data(0, 1, b"two"), id="behind a missing message"),
        pytest.param(data(0, 0, b"two", stream_id=STREAM + 2), id="of another channel"),
        pytest.param(data(0, 0, b"two", protocol=WEBRTC_BINARY), id="bytes"),
        pytest.param(data(0, 0, b""), id="no data"),
        pytest.param(SackChunk(), id="an acknowledgement"),
    ],
)
def test_a_packet_with_anything_else_in_it_is_left_to_aiortc(other: Chunk) -> None:
    assert _texts(packet(data(TSN + 1, PLACE, b"one"), other), TSN, STREAM, PLACE) == []
    assert _texts(packet(data(TSN + 1, PLACE, b"one"), data(0, 0, b"two")), TSN, STREAM, PLACE) == ["one", "two"]


@pytest.mark.parametrize("length", [0, 4, 16, 400, 65_535])
def test_a_chunk_that_lies_about_its_length_is_left_to_aiortc(length: int) -> None:
    lying = bytearray(packet(data(TSN + 1, PLACE, b"one")))
    lying[14:16] = length.to_bytes(2, "big")
    assert _texts(bytes(lying), TSN, STREAM, PLACE) == []


# ---- helpers --------------------------------------------------------------------------------------------------------


async def arrive(pair: Pair, texts: list[str]) -> None:
    """Sent by them, each of these comes once, in this order, and nothing else."""
    for text in texts:
        pair.them.send(text)
    pair.them.send("last")
    await pair.ours.inbox.wait_for(Message("last"))
    assert pair.ours.inbox.signals[1:] == [Message(text) for text in (*texts, "last")]


def sctp_of(peer: Any) -> Any:
    return peer._pc.sctp


def read_by_aiortc(pair: Pair) -> list[bytes]:
    """The packets that we leave to it from now on."""
    seen: list[bytes] = []
    shortcut = sctp_of(pair.us).transport.transport._recv.__self__
    read = shortcut._read

    async def reading(packet: bytes) -> None:
        seen.append(packet)
        await read(packet)

    shortcut._read = reading
    return seen


def bundle(pair: Pair, count: int) -> None:
    """They send so many messages in each packet; the last ones alone."""
    link = pair.them._link
    assert link
    part = link.association
    assert part
    send, waiting = part._send_chunk, []
    sctp = sctp_of(pair.them)

    async def sending(chunk: Chunk) -> None:
        if not isinstance(chunk, DataChunk) or chunk.user_data == b"last":
            await send(chunk)
            return
        waiting.append(chunk)
        if len(waiting) == count:
            await sctp.transport._send_data(packet(*waiting, tag=sctp._remote_verification_tag))
            waiting.clear()

    part._send_chunk = sending


def disturb(pair: Pair, chance: random.Random) -> None:
    """Some of the data that they send is lost, comes twice, or late."""
    ice = sctp_of(pair.them).transport.transport
    send: Callable[[bytes], Any] = ice._send
    late: list[bytes] = []

    async def sending(datagram: bytes) -> None:
        fate = chance.random() if datagram[0] == 23 else 1.0
        if fate < 0.02:
            return
        if fate < 0.07:
            late.append(datagram)
            return
        await send(datagram)
        if fate < 0.1:
            await send(datagram)
        while late:
            await send(late.pop())

    ice._send = sending
