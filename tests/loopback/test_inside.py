"""Each private attribute of aiortc and aioice that rtcli reaches for: missing, it is named before the call begins.

What each is good for is tested beside it: sound (test_call, test_guards), addresses and consent (test_ice), the data
channel (test_sctp, test_guards), liveness (test_liveness).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aioice.ice import Connection
from aiortc import RTCDtlsTransport, RTCIceTransport, RTCRtpReceiver, RTCSctpTransport

from rtcli.errors import RtcliError
from rtcli.transport.webrtc import WebRtcPeer
from tests.loopback.pair import Inbox


FIELDS: list[tuple[type, str]] = [
    (RTCRtpReceiver, "_RTCRtpReceiver__jitter_buffer"),
    (RTCRtpReceiver, "_RTCRtpReceiver__decoder_queue"),
    (RTCRtpReceiver, "_RTCRtpReceiver__remote_streams"),
    (RTCDtlsTransport, "_ssl"),
    (RTCIceTransport, "_connection"),
    (RTCIceTransport, "_recv"),
    (RTCDtlsTransport, "_data_receiver"),
    (Connection, "_protocols"),
    (Connection, "_queue"),
    (Connection, "_nominated"),
    (Connection, "_remote_candidates"),
    (RTCSctpTransport, "_outbound_queue"),
    (RTCSctpTransport, "_sent_queue"),
    (RTCSctpTransport, "_cwnd"),
    (RTCSctpTransport, "_advertised_rwnd"),
    (RTCSctpTransport, "_sack_needed"),
    (RTCSctpTransport, "_sack_misordered"),
    (RTCSctpTransport, "_sack_duplicates"),
    (RTCSctpTransport, "_data_channels"),
    (RTCSctpTransport, "_inbound_streams"),
    (RTCSctpTransport, "_last_received_tsn"),
    (RTCSctpTransport, "_local_verification_tag"),
    (RTCSctpTransport, "_reconfig_deferred"),
]
METHODS: list[tuple[type, str]] = [
    (Connection, "build_request"),
    (Connection, "data_received"),
    (Connection, "get_component_candidates"),
    (Connection, "query_consent"),
    (RTCSctpTransport, "_data_channel_flush"),
    (RTCSctpTransport, "_data_channel_receive"),
    (RTCSctpTransport, "_handle_data"),
    (RTCSctpTransport, "_receive_sack_chunk"),
    (RTCSctpTransport, "_send_chunk"),
    (RTCSctpTransport, "_send_sack"),
]


async def _offer() -> None:
    peer = WebRtcPeer(source=None, sink=None, deliver=Inbox(), loopback=True)
    await peer.offer()


@pytest.mark.parametrize(("owner", "name"), FIELDS, ids=[name for _, name in FIELDS])
def test_without_the_field(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = owner.__init__  # type: ignore[misc]  # of a class, not of an instance

    def make_without(self: object, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        delattr(self, name)

    monkeypatch.setattr(owner, "__init__", make_without)
    with pytest.raises(
        RtcliError, match=rf"aiortc 1\.16\.\S+ is not the version rtcli knows: {owner.__name__} .*{name}$"
    ):
        asyncio.run(_offer())


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=[name for _, name in METHODS])
def test_without_the_method(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # aiortc itself would miss this one first.
    monkeypatch.setattr(RTCSctpTransport, "_data_channel_open", lambda *_: None)
    monkeypatch.delattr(owner, name)
    with pytest.raises(RtcliError, match=rf"is not the version rtcli knows: {owner.__name__} .*{name}$"):
        asyncio.run(_offer())
