from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtcli.protocol.sdp import (
    MAX_BODY,
    MAX_CANDIDATES,
    BadDescription,
    Description,
    read_answer,
    read_offer,
)
from rtcli.protocol.sdp_own import publish_answer, publish_offer
from tests.protocol.descriptions import ANSWER, DIGEST, OFFER, SAMPLE, mangled


def answer(text: str, **kwargs: bool) -> Description:
    return read_answer(text, OFFER, **kwargs)


def sections(text: str) -> list[str]:
    return re.split(r"(?m)^(?=m=)", text)[1:]


def test_the_sample_answer_of_the_specification() -> None:
    read = answer(SAMPLE)
    audio, channel = sections(read.text)
    for section in (audio, channel):
        assert "a=ice-ufrag:kZ2qkHXX/u11\r\n" in section
        assert "a=ice-pwd:uoD16Di5OGx3VbqgA3ymjEQV2kwiOjw6\r\n" in section
        assert "a=fingerprint:sha-256 CA:92:52:51" in section
        assert "a=setup:active\r\n" in section
        assert "a=candidate:993865896 1 udp 2130706431 127.0.0.1 3478 typ host\r\n" in section
        assert " tcp " not in section
    assert "a=sendrecv\r\n" in audio
    assert read.max_message_size == 65_536
    assert read.addresses == ("127.0.0.1:3478",)
    assert read.on_loopback
    assert (read.audio, read.channel, read.tcp_only) == (True, True, False)


def test_what_is_canonical_stays_as_it_is() -> None:
    once = answer(ANSWER).text
    assert answer(once).text == once


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(end: str) -> None:
    assert answer(ANSWER.replace("\n", end)).text == answer(ANSWER).text


def test_a_byte_order_mark_and_blanks_are_read_over() -> None:
    indented = "\n".join(f"  {line} " for line in ANSWER.splitlines())
    assert answer("\ufeff \r\n\t" + indented).text == answer(ANSWER).text


def test_the_roles_left_out_are_those_of_the_standards() -> None:
    assert "a=setup:passive" in answer(ANSWER.replace("a=setup:active\n", "")).text
    assert "a=setup:passive" in answer(ANSWER.replace("setup:active", "setup:actpass")).text
    assert "a=setup:actpass" in read_offer(OFFER.replace("a=setup:actpass\n", "")).text


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("a=max-message-size:1000\n", 1000),
        ("a=max-message-size:0\n", None),
        ("a=max-message-size:x\n", 65_536),
        ("", 65_536),
    ],
)
def test_the_message_size(line: str, limit: int | None) -> None:
    assert answer(ANSWER.replace("a=max-message-size:262144\n", line)).max_message_size == limit


def test_opus_is_found_wherever_it_is_listed_and_other_codecs_go() -> None:
    text = ANSWER.replace("SAVPF 111", "SAVPF 0 96 8").replace(
        "a=rtpmap:111 opus", "a=rtpmap:0 PCMU/8000\na=rtpmap:96 OPUS"
    )
    audio = sections(answer(text).text)[0]
    assert re.findall(r"a=rtpmap:(.*)\r", audio) == ["96 opus/48000/2", "111 opus/48000/2"]
    assert "SAVPF 96 111\r\n" in audio


def test_a_section_left_out_or_refused_is_made_up_for() -> None:
    channel_only = ANSWER.split("m=audio")[0] + "m=application" + ANSWER.split("m=application")[1]
    for text in (channel_only, ANSWER.replace("m=audio 40000", "m=audio 0")):
        read = answer(text)
        assert not read.audio
        assert [section.split()[0] for section in sections(read.text)] == ["m=audio", "m=application"]
        assert "a=inactive\r\n" in sections(read.text)[0]


def test_sections_in_another_order_or_too_many_find_their_places() -> None:
    head, audio, channel = re.split(r"(?m)^(?=m=)", ANSWER)
    assert answer(head + channel + audio).text == answer(ANSWER).text
    assert answer(head + audio + channel + "m=video 0 UDP/TLS/RTP/SAVPF 96\n" + audio).text == answer(ANSWER).text


def test_candidates_on_loopback_are_kept_alone_where_asked_for() -> None:
    text = ANSWER.replace("a=ice-ufrag", "a=candidate:2 1 udp 1 127.0.0.1 9 typ host\na=ice-ufrag", 1)
    assert answer(text).addresses == ("192.0.2.1:40000", "127.0.0.1:9")
    assert answer(text, loopback=True).addresses == ("127.0.0.1:9",)
    assert answer(ANSWER, loopback=True).addresses == ("192.0.2.1:40000",)


@pytest.mark.parametrize(
    "line",
    [
        "1 1 tcp 1 192.0.2.9 9 typ host tcptype passive",
        "1 2 udp 1 192.0.2.9 9 typ host",
        "1 1 udp 1 8ec20ca6-098e-4a02-8bed-b67ddd6e3e57.local 9 typ host",
        "1 1 udp 1 turn.example 9 typ relay",
        "1 1 udp 1 0.0.0.0 9 typ host",
        "1 1 udp 1 224.0.0.1 9 typ host",
        "1 1 udp 1 fe80::1%eth0 9 typ host",
        "1 1 udp 1 192.0.2.9 0 typ host",
        "1 1 udp 1 192.0.2.9 65536 typ host",
        "1 1 udp 4294967296 192.0.2.9 9 typ host",
        "1 1 udp x 192.0.2.9 9 typ host",
        "1 1 udp 1 192.0.2.9 9 typ wormhole",
        "1 1 udp 1 192.0.2.9 9",
        "{ 1 udp 1 192.0.2.9 9 typ host",
        "",
    ],
)
def test_candidates_that_can_not_be_used_are_left_out(line: str) -> None:
    text = ANSWER.replace("a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host", f"a=candidate:{line}")
    assert answer(text).addresses == ()


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            "1 1 UDP 1 2001:DB8::9 9 typ host generation 0 ufrag abcd network-cost 50",
            "1 1 udp 1 2001:db8::9 9 typ host",
        ),
        ("1 1 udp 1 192.0.2.9 9 typ srflx raddr 10.0.0.1 rport 9", "1 1 udp 1 192.0.2.9 9 typ srflx"),
        ("1 1 udp 1 192.0.2.9 9 typ prflx raddr 10.0.0.1 rport 9", "1 1 udp 1 192.0.2.9 9 typ host"),
    ],
)
def test_what_a_candidate_adds_to_its_address_is_left_out(line: str, kept: str) -> None:
    assert (
        f"a=candidate:{kept}\r\n"
        in answer(ANSWER.replace("a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host", f"a=candidate:{line}")).text
    )


def test_candidates_are_bounded_and_each_is_listed_once() -> None:
    many = "".join(f"a=candidate:1 1 udp 1 192.0.2.9 {port} typ host\n" * 2 for port in range(1, 1000))
    assert len(answer(ANSWER.replace("a=ice-ufrag", many + "a=ice-ufrag", 1)).addresses) == MAX_CANDIDATES


def test_tcp_alone_is_told_apart_from_nothing_and_from_names() -> None:
    assert answer(SAMPLE.replace(" udp ", " tcp ")).tcp_only
    assert not answer(re.sub("a=candidate.*\n", "", ANSWER)).tcp_only
    assert not answer(SAMPLE.replace("127.0.0.1 3478", "x.local 3478")).tcp_only


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the answer is empty"),
        (" \r\n ", "the answer is empty"),
        ('{"error":{"message":"No such model"}}', "the answer is no SDP, it says: No such model"),
        ('{"error":"backend not loaded"}', "it says: backend not loaded"),
        ('{"detail":"nope"}', "it says: nope"),
        ('{"message":7,"detail":""}', 'it says: {"message":7'),
        ('{"message":"' + "\\\\" * 9000, "it says: "),
        ("{" * 100_000, "it says: {{{"),
        ("<html><head><title> 502\n Bad Gateway </title>", "it says: 502 Bad Gateway"),
        ("<!DOCTYPE html><p>Sign <b>in</b></p>", "it says: Sign in"),
        ("<>", "it says: <>"),
        ("first\nsecond", "it says: first"),
        ("x" * 1000, "it says: xxx"),
        ("v=0\r\n", "the answer has no media section"),
        ("v=0\r\nm=audio\r\n", "media line"),
        (ANSWER.replace("a=ice-pwd", "a=ice-odd"), "no ICE credentials"),
        (ANSWER.replace("sha-256", "sha-1"), "no DTLS fingerprint"),
        (ANSWER.replace(DIGEST, DIGEST[:-3]), "no DTLS fingerprint"),
        (ANSWER.replace("m=application 40000", "m=application 0"), "refuses the data channel"),
        (ANSWER.split("m=application")[0], "refuses the data channel"),
        (ANSWER.replace("opus/48000", "PCMU/8000"), "no Opus"),
        (ANSWER + "a=x:" + "y" * MAX_BODY, "characters"),
    ],
)
def test_what_can_not_be_used_is_refused_in_one_line_that_says_why(text: str, words: str) -> None:
    with pytest.raises(BadDescription) as caught:
        answer(text)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 260


def test_offers_of_two_transports_are_refused() -> None:
    parted = OFFER.replace("a=group:BUNDLE 0 1\n", "").replace("a=ice-ufrag:abcd", "a=ice-ufrag:efgh", 1)
    with pytest.raises(BadDescription, match="bundle"):
        read_offer(parted)


def test_offers_whose_sections_share_a_mid_are_refused() -> None:
    with pytest.raises(BadDescription, match="same mid"):
        read_offer(OFFER.replace("a=mid:1", "a=mid:0"))


def test_bundle_only_sections_are_no_refusals() -> None:
    text = OFFER.replace("m=application 40000", "m=application 0").replace("a=mid:1", "a=mid:1\na=bundle-only")
    assert read_offer(text).channel


def test_the_old_form_of_the_data_channel_is_read() -> None:
    old = OFFER.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001").replace("a=sctp-port:5000\n", "")
    assert "m=application 9 DTLS/SCTP 5001\r\n" in read_offer(old).text


def test_what_goes_out_lists_opus_alone_with_fec_welcome() -> None:
    ours = OFFER.replace("SAVPF 111", "SAVPF 96 9").replace(
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:96 opus/48000/2\na=rtpmap:9 G722/8000\na=rtcp-fb:9 nack\na=extmap:2 urn:level",
    )
    ours = ours.replace("a=setup", "a=fingerprint:sha-512 AB\na=setup")
    audio = sections(publish_offer(ours))[0]
    assert "SAVPF 111\r\n" in audio
    assert "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" in audio
    assert not re.search("G722|rtcp-fb|level|sha-512", audio)


def test_an_answer_lists_refused_sections_at_their_places() -> None:
    video = "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:v\n"
    offer = read_offer(OFFER.replace("m=audio", video + "m=audio", 1))
    lines = publish_answer(ANSWER, offer).split("\r\n")
    assert [line.split()[:2] for line in lines if line.startswith("m=")] == [
        ["m=video", "0"],
        ["m=audio", "40000"],
        ["m=application", "40000"],
    ]
    assert "a=mid:v" in lines


# What is written must be what the stack reads without complaint, whatever came in.

LINE = re.compile(r"[a-z]=[\x20-\x7e]*")


def check(read: Description) -> None:
    assert all(LINE.fullmatch(line) for line in read.text.split("\r\n")[:-1])
    assert read.text.endswith("\r\n")
    assert "a=ice-ufrag:" in read.text
    assert "a=fingerprint:sha-" in read.text


@given(mangled())
def test_no_answer_fails_but_by_being_refused(text: str) -> None:
    with contextlib.suppress(BadDescription):
        check(answer(text))


@given(mangled())
def test_no_offer_fails_but_by_being_refused(text: str) -> None:
    with contextlib.suppress(BadDescription):
        read = read_offer(text)
        check(read)
        publish_answer(ANSWER, read)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@example(json.dumps({"error": {"message": "\x1b[2J" * 100}}))
def test_no_text_fails_but_by_being_refused(text: str) -> None:
    with pytest.raises(BadDescription):
        answer(text)
