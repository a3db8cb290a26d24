"""Whatever comes in, aiortc reads what is made of it."""

from __future__ import annotations

import contextlib

from aiortc.sdp import SessionDescription
from hypothesis import given

from rtcli.protocol.sdp import BadDescription, read_answer, read_offer
from tests.protocol.descriptions import OFFER, mangled


def check(text: str) -> None:
    read = SessionDescription.parse(text)
    for section in read.media:
        assert section.ice
        assert section.ice.usernameFragment
        assert section.ice.password
        assert section.dtls
        assert section.dtls.fingerprints
        assert section.kind == "application" or (section.rtp.codecs and section.rtcp_mux and section.direction)
    assert len({section.rtp.muxId for section in read.media}) == len(read.media)


@given(mangled())
def test_an_answer(text: str) -> None:
    with contextlib.suppress(BadDescription):
        check(read_answer(text, OFFER).text)


@given(mangled())
def test_an_offer(text: str) -> None:
    with contextlib.suppress(BadDescription):
        check(read_offer(text).text)
