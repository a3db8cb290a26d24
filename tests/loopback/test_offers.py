"""Offers as browsers and servers' clients write them, to a peer that answers."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from rtcli.transport.base import Down, Message, Opened
from tests.loopback.pair import LIMIT, Side, until


CHROMIUM = (Path(__file__).parent / "fixtures" / "chromium-offer.sdp").read_bytes().decode()
FIREFOX = (Path(__file__).parent / "fixtures" / "firefox-offer.sdp").read_bytes().decode()


def bare_client(*, audio: str | None, channel: str | None = "oai-events") -> RTCPeerConnection:
    """A peer of aiortc's own; `audio`: the direction it wants."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if audio:
        client.addTransceiver(AudioStreamTrack(), audio)
    if channel:
        client.createDataChannel(channel)
    return client


async def offer_of(client: RTCPeerConnection) -> str:
    await client.setLocalDescription(await client.createOffer())
    return str(client.localDescription.sdp)


async def connect(client: RTCPeerConnection, side: Side) -> str:
    """Our answer, taken by the client."""
    answer = await side.peer().answer(await offer_of(client))
    await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return answer


@pytest.mark.parametrize(
    ("wanted", "answered", "sends", "hears"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("recvonly", "sendonly", False, True),
        ("sendonly", "recvonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
def test_audio_flows_in_the_directions_that_were_offered(
    wanted: str, answered: str, *, sends: bool, hears: bool
) -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio=wanted)
        try:
            answer = await connect(client, side)
            assert f"a={answered}\r\n" in answer
            await side.inbox.wait_for(Opened())
            if sends:
                await side.sink.wait_for(5)
            if hears:
                await until(lambda: side.source.count > 5, "sound from us")
            side.made.send("done")
            assert bool(side.sink.packets) is sends
            assert bool(side.source.count) is hears
        finally:
            await side.made.close()
            await client.close()

    asyncio.run(run())


def test_an_offer_without_audio_makes_a_call_of_events() -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio=None)
        try:
            answer = await connect(client, side)
            assert "m=audio" not in answer
            await side.inbox.wait_for(Opened())
        finally:
            await side.made.close()
            await client.close()

    asyncio.run(run())


def test_an_offer_without_a_channel_makes_a_call_of_sound() -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio="sendrecv", channel=None)
        try:
            answer = await connect(client, side)
            assert "m=application" not in answer
            await side.sink.wait_for(5)
        finally:
            await side.made.close()
            await client.close()

    asyncio.run(run())


def test_the_channel_is_known_by_its_name() -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio="sendrecv", channel="chat")
        channel = client.createDataChannel("oai-events")
        try:
            await connect(client, side)
            await side.inbox.wait_for(Opened())
            await until(lambda: channel.readyState == "open", "the channel")
            channel.send("an event")
            await side.inbox.wait_for(Message("an event"))
        finally:
            await side.made.close()
            await client.close()

    asyncio.run(run())


def test_a_client_that_closes_is_gone_at_once() -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio="sendrecv")
        await connect(client, side)
        await side.inbox.wait_for(Opened())
        await client.close()
        down = await asyncio.wait_for(side.inbox.wait_for_down(), 2)
        assert down == Down("the other side closed the call", orderly=True)
        await side.made.close()

    asyncio.run(run())


def test_a_client_that_never_comes_ends_in_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.transport.webrtc.ANSWER_LIMIT", 0.2)

    async def run() -> None:
        before = asyncio.all_tasks()
        side = Side()
        await side.peer().answer(CHROMIUM)
        down = await side.inbox.wait_for_down()
        assert down == Down("the other side did not connect in 0.2 s", orderly=False)
        await side.made.close()
        assert asyncio.all_tasks() <= before

    asyncio.run(run())


def answered(offer: str) -> str:
    async def run() -> str:
        side = Side()
        # mDNS names are not looked up, which takes a second where nobody answers.
        answer = await asyncio.wait_for(side.peer().answer(offer), LIMIT)
        await side.made.close()
        return answer

    return asyncio.run(run())


@pytest.mark.parametrize(("offer", "payload"), [(CHROMIUM, 111), (FIREFOX, 109)], ids=["Chromium", "Firefox"])
def test_a_browsers_offer_is_answered(offer: str, payload: int) -> None:
    answer = answered(offer)
    assert re.findall(r"m=.*", answer.replace("\r", "")) == [
        f"m=audio {re.findall(r'm=audio ([0-9]+)', answer)[0]} UDP/TLS/RTP/SAVPF {payload}",
        f"m=application {re.findall(r'm=application ([0-9]+)', answer)[0]} UDP/DTLS/SCTP webrtc-datachannel",
    ]
    for line in (
        f"a=rtpmap:{payload} opus/48000/2",
        f"a=fmtp:{payload} minptime=10;useinbandfec=1",
        "a=max-message-size:262144",
        "a=group:BUNDLE 0 1",
        "a=setup:active",
        "a=sendrecv",
        "a=rtcp-mux",
    ):
        assert f"{line}\r\n" in answer


def test_sections_nobody_asked_for_are_refused_at_their_places() -> None:
    video = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n"
    head, channel = CHROMIUM.split("m=application")
    offer = (head + video + "m=application" + channel).replace("BUNDLE 0 1", "BUNDLE 0 v 1")
    answer = answered(offer)
    assert [line.split()[0] for line in answer.split("\r\n") if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=application",
    ]
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\n" in answer
    assert "a=group:BUNDLE 0 1\r\n" in answer


def test_a_channel_offered_before_audio_is_answered_in_that_order() -> None:
    async def run() -> None:
        side, client = Side(), bare_client(audio="sendrecv")
        offer = await offer_of(client)
        head, audio, channel = re.split(r"(?m)^(?=m=)", offer)
        answer = await side.peer().answer(head.replace("BUNDLE 0 1", "BUNDLE 1 0") + channel + audio)
        assert re.findall(r"m=(\w+)", answer) == ["application", "audio"]
        await side.made.close()
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ("", "the offer is empty"),
        ("<html>", "no SDP"),
        (CHROMIUM.replace("opus", "codec2"), "the offer has audio but no Opus"),
        (re.sub(r"a=ice-pwd.*\r\n", "", CHROMIUM), "no ICE credentials"),
        (re.sub(r"a=fingerprint.*\r\n", "", CHROMIUM), "no DTLS fingerprint"),
        (CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", "").replace("ice-ufrag:riHM", "ice-ufrag:else", 1), "bundle"),
        (re.sub(r"m=(audio|application) \d+", r"m=\1 0", CHROMIUM), "neither Opus audio nor a data channel"),
    ],
)
def test_an_offer_that_can_not_be_answered_says_why(offer: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        answered(offer)
