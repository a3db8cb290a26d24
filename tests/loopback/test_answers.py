"""Answers as services write them, from a live peer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcli.errors import ConnectError
from rtcli.transport.base import Message, Opened
from rtcli.transport.webrtc import WebRtcPeer
from tests.loopback.pair import LIMIT, Side, rewritten_addresses


SAMPLE = Path(__file__).parent.parent / "protocol" / "fixtures" / "spec-sample-answer.sdp"


def values(sdp: str, name: str) -> list[str]:
    return re.findall(rf"(?m)^a={name}:([^\r\n]*)", sdp)


def spec_sample(live: str) -> str:
    """The answer that OpenAI's API specification shows, with a live peer's credentials, fingerprint and candidates."""
    fragment, password = values(live, "ice-ufrag")[0], values(live, "ice-pwd")[0]
    port = values(live, "candidate")[0].split()[5]
    text = SAMPLE.read_text()
    for old, new in (
        (values(text, "fingerprint")[0], values(live, "fingerprint")[0]),
        (values(text, "ice-ufrag")[0], fragment),
        (values(text, "ice-pwd")[0], password),
        (values(text, "candidate")[0].split()[5], port),
    ):
        text = text.replace(old, new)
    return text


def without(*names: str) -> Callable[[str], str]:
    def edit(live: str) -> str:
        return re.sub(rf"(?m)^a=(?:{'|'.join(names)})(?::[^\r\n]*)?\r\n", "", live)

    return edit


def in_first_section_only(live: str) -> str:
    """Transport attributes left out of the data channel's section, as in a bundle they may be."""
    head, channel = live.split("m=application")
    return head + "m=application" + without("ice-ufrag", "ice-pwd", "setup", "fingerprint", "candidate")(channel)


def at_session_level(live: str) -> str:
    lines = "".join(
        f"a={name}:{values(live, name)[0]}\r\n" for name in ("ice-ufrag", "ice-pwd", "setup", "fingerprint")
    )
    bare = without("ice-ufrag", "ice-pwd", "setup", "fingerprint")(live)
    return bare.replace("t=0 0\r\n", "t=0 0\r\n" + lines)


def with_tcp_candidates(live: str) -> str:
    tcp = "a=candidate:1 1 tcp 1671430143 127.0.0.1 443 typ host tcptype passive ufrag x\r\na=candidate:2 1 udp"
    return live.replace("a=candidate:", tcp + " 1 nohost.example 1 typ host\r\na=candidate:")


def with_ufrag_extension(live: str) -> str:
    return live.replace("typ host", f"typ host generation 0 ufrag {values(live, 'ice-ufrag')[0]} network-cost 50")


ACCEPTABLE: dict[str, Callable[[str], str]] = {
    "as it is": lambda live: live,
    "the sample of the specification": spec_sample,
    "bare line feeds": lambda live: live.replace("\r\n", "\n"),
    "a byte order mark and blank lines": lambda live: "\ufeff\r\n \n" + live,
    "transport in the first section only": in_first_section_only,
    "transport at session level": at_session_level,
    "ICE lite": lambda live: live.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"),
    "TCP and unusable candidates besides": with_tcp_candidates,
    "extensions in candidates": with_ufrag_extension,
    "no mid, no mux, no direction": without("mid", "rtcp-mux", "sendrecv", "group"),
    "no message size, no SCTP port": without("max-message-size", "sctp-port"),
    "several fingerprints": lambda live: live.replace("a=setup", "a=fingerprint:sha-1 AA:BB\r\na=setup"),
    "unknown lines": lambda live: live.replace("a=mid", "b=AS:64\r\na=x-odd\r\na=ssrc:1 x\r\na=extmap:x y\r\na=mid"),
}


@pytest.mark.parametrize("edit", ACCEPTABLE.values(), ids=ACCEPTABLE.keys())
def test_connects_with(edit: Callable[[str], str]) -> None:
    """Events and sound, both ways."""

    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        try:
            await us.accept(edit(await them.answer(await us.offer())), limit=LIMIT)
            await theirs.inbox.wait_for(Opened())
            us.send("to them")
            them.send("to us")
            await theirs.inbox.wait_for(Message("to them"))
            await ours.inbox.wait_for(Message("to us"))
            await theirs.sink.wait_for(3)
            await ours.sink.wait_for(3)
        finally:
            await us.close()
            await them.close()

    asyncio.run(run())


def test_sound_arrives_under_the_offered_payload_type_though_the_answer_names_another() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        answer = await them.answer(await us.offer())
        try:
            await us.accept(answer.replace("SAVPF 111", "SAVPF 96 0").replace(":111 ", ":96 "), limit=LIMIT)
            # `them` knows nothing of the edit: it sends with 111, as it may.
            await ours.sink.wait_for(3)
        finally:
            await us.close()
            await them.close()

    asyncio.run(run())


def test_a_refused_audio_section_leaves_a_call_of_events() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        answer = await them.answer(await us.offer())
        try:
            await us.accept(re.sub(r"m=audio \d+", "m=audio 0", answer), limit=LIMIT)
            us.send("to them")
            await theirs.inbox.wait_for(Message("to them"))
        finally:
            await us.close()
            await them.close()
        assert ours.source.count == 0

    asyncio.run(run())


def test_without_a_message_size_64_kib_are_the_limit() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        try:
            await us.accept(without("max-message-size")(await them.answer(await us.offer())), limit=LIMIT)
            us.send("x" * 65_536)
            await theirs.inbox.wait_for(Message("x" * 65_536))
            with pytest.raises(Exception, match="65537 bytes, the other side takes at most 65536"):
                us.send("x" * 65_537)
        finally:
            await us.close()
            await them.close()

    asyncio.run(run())


def refused(answer: str) -> ConnectError:
    """The error of a peer given `answer`, which leaves nothing behind."""

    async def run() -> ConnectError:
        before = asyncio.all_tasks()
        us = Side().peer()
        await us.offer()
        with pytest.raises(ConnectError) as caught:
            await us.accept(answer, limit=LIMIT)
        assert asyncio.all_tasks() <= before
        return caught.value

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "Model not found", "code": "model_not_found"}}', "Model not found"),
        ('{"error": "backend not loaded"}', "backend not loaded"),
        ("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        ("upstream connect error\nmore", "upstream connect error"),
        ("", "empty"),
    ],
)
def test_a_body_that_is_no_sdp_is_refused_in_its_own_words(body: str, words: str) -> None:
    error = refused(body)
    assert error.step == "answer"
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        "v=0\r\n",
        "v=0\r\nm=nonsense\r\n",
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:abcd\r\n",
        "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    ],
)
def test_malformed_sdp_is_refused_in_one_line(answer: str) -> None:
    error = refused(answer)
    assert error.step == "answer"
    assert "\n" not in str(error)


def test_an_answer_with_tcp_candidates_only_is_named_as_such() -> None:
    async def run() -> None:
        us, them = Side().peer(), Side().peer()
        answer = (await them.answer(await us.offer())).replace(" udp ", " tcp ")
        with pytest.raises(ConnectError, match="TCP addresses only") as caught:
            await us.accept(answer, limit=LIMIT)
        assert (caught.value.step, caught.value.udp_suspect) == ("ice", False)
        await them.close()

    asyncio.run(run())


def test_blocked_udp_fails_within_the_limit_and_names_the_address() -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        us, them = Side().peer(), Side().peer()
        # A port that nobody answers on: discard.
        answer = rewritten_addresses(await them.answer(await us.offer()), "127.0.0.1 9")
        await them.close()
        with pytest.raises(ConnectError, match=r"no UDP packet to 127\.0\.0\.1:9 got an answer in 0\.8 s") as caught:
            await us.accept(answer, limit=0.8)
        assert (caught.value.step, caught.value.udp_suspect) == ("ice", True)
        assert asyncio.all_tasks() <= before

    asyncio.run(run())


def test_wrong_ice_credentials_are_not_taken_for_blocked_udp() -> None:
    async def run() -> None:
        us, them = Side().peer(), Side().peer()
        answer = await them.answer(await us.offer())
        # A stranger answers at the address: another peer, with credentials of its own.
        stranger = Side().peer()
        helper = Side().peer()
        other = await stranger.answer(await helper.offer())
        await helper.close()
        address = " ".join(values(other, "candidate")[0].split()[4:6])
        await them.close()
        with pytest.raises(ConnectError, match="packets came back") as caught:
            await us.accept(rewritten_addresses(answer, address), limit=2)
        assert (caught.value.step, caught.value.udp_suspect) == ("ice", False)
        await stranger.close()

    asyncio.run(run())


def test_a_certificate_other_than_the_answer_names_fails_at_dtls() -> None:
    async def run() -> None:
        us, them = Side().peer(), Side().peer()
        answer = re.sub(r"sha-256 ..", "sha-256 00", await them.answer(await us.offer()))
        with pytest.raises(ConnectError, match="certificate") as caught:
            await us.accept(answer, limit=LIMIT)
        assert caught.value.step == "dtls"
        await them.close()

    asyncio.run(run())


def test_an_answer_without_opus_is_refused() -> None:
    async def run() -> None:
        us, them = Side().peer(), Side().peer()
        answer = (await them.answer(await us.offer())).replace("opus/48000/2", "PCMU/8000")
        with pytest.raises(ConnectError, match="no Opus") as caught:
            await us.accept(answer, limit=LIMIT)
        assert caught.value.step == "answer"
        await them.close()

    asyncio.run(run())


def test_a_machine_without_an_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: [])
        peer = WebRtcPeer(source=None, sink=None, deliver=lambda _: None)
        with pytest.raises(ConnectError, match="no network address") as caught:
            await peer.offer()
        assert caught.value.step == "ice"
        await peer.close()

    asyncio.run(run())
