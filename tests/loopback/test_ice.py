"""Addresses, consent and servers, on the wire."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest
from aioice import stun
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtcli.errors import UsageError
from rtcli.protocol.secret import Secret
from rtcli.transport.base import IceServer, Opened
from rtcli.transport.webrtc import WebRtcPeer
from rtcli.transport.webrtc_ice import RECEIVE_BUFFER
from tests.loopback.pair import LIMIT, Inbox, Pair, Side, connected, until


def addresses(sdp: str) -> set[str]:
    return set(re.findall(r"(?m)^a=candidate:\S+ 1 udp \d+ (\S+) ", sdp))


def sockets(peer: WebRtcPeer) -> set[str]:
    assert peer._link
    return {protocol.local_candidate.host for protocol in peer._link.ice._protocols}


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


OFFERED = {"127.0.0.1", "::1"} if has_ipv6() else {"127.0.0.1"}


def requests_to(peer: WebRtcPeer) -> list[stun.Message]:
    """The STUN requests that reach a peer from now on."""
    assert peer._link
    seen: list[stun.Message] = []
    connection = peer._link.ice._connection
    receive = connection.request_received

    def request_received(message: stun.Message, *where: Any) -> None:
        seen.append(message)
        receive(message, *where)

    connection.request_received = request_received
    return seen


def test_consent_requests_carry_use_candidate() -> None:
    async def run() -> None:
        async with connected() as pair:
            await no_check_is_left(pair)
            seen = requests_to(pair.them)
            await until(lambda: seen, "a consent request")
            assert all("USE-CANDIDATE" in message.attributes for message in seen)

    async def no_check_is_left(pair: Pair) -> None:
        await pair.ours.sink.wait_for(1)
        await pair.theirs.sink.wait_for(1)

    asyncio.run(run())


def test_a_remote_that_never_answers_consent_but_sends_is_kept() -> None:
    """OpenAI's servers are reported to ignore checks they do not like; the sound shows that they are there."""

    async def run() -> None:
        async with connected() as pair:
            assert pair.them._link
            pair.them._link.ice._connection.request_received = lambda *_: None
            assert pair.us._link
            liveness = pair.us._link.ice._liveness
            assert liveness
            await pair.ours.sink.wait_for(len(pair.ours.sink.packets) + 50)
            assert liveness.look(liveness.heard + 1) != "lost"
            assert pair.ours.inbox.downs == []

    asyncio.run(run())


def test_calls_on_loopback_offer_nothing_else_and_use_127_0_0_1_alone() -> None:
    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer()
        offer = await us.offer()
        answer = await them.answer(offer)
        await us.accept(answer, limit=LIMIT)
        assert addresses(offer) == OFFERED
        assert addresses(answer) == {"127.0.0.1"}
        assert sockets(us) == sockets(them) == {"127.0.0.1"}
        await us.close()
        await them.close()

    asyncio.run(run())


def test_a_browser_is_offered_this_machines_other_addresses_too_and_heard_from_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An offer without an address on loopback. 127.0.0.2 stands in for an address of this machine."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.2"])

    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(loopback=False), theirs.peer()
        offer = re.sub(r"127\.0\.0\.2 (\d+) typ", r"192.0.2.77 \1 typ", await us.offer())
        answer = await them.answer(offer)
        assert addresses(answer) == {"127.0.0.1", "127.0.0.2"}
        assert them._link
        assert them._link.ice._remote_candidates == []
        await us.accept(answer, limit=LIMIT)
        await theirs.inbox.wait_for(Opened())
        hears(them, "198.51.100.7", heard=False)
        hears(them, "127.0.0.2", heard=True)
        await us.close()
        await them.close()

    def hears(peer: WebRtcPeer, address: str, *, heard: bool) -> None:
        assert peer._link
        peer._link.ice.heard = False
        peer._link.ice._protocols[0].datagram_received(b"\x80 from somewhere", (address, 9))
        assert peer._link.ice.heard is heard

    asyncio.run(run())


def test_an_answer_from_behind_a_proxy_on_this_machine_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL says loopback, the answer names another address: a container, or a gateway to the service."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.2"])

    async def run() -> None:
        ours, theirs = Side(), Side()
        us, them = ours.peer(), theirs.peer(loopback=False)
        offer = await us.offer()
        assert addresses(offer) == OFFERED
        answer = await them.answer(offer)
        # As if it were no loopback address.
        monkeypatch.setattr("rtcli.protocol.sdp.Description.on_loopback", False)
        await us.accept(answer, limit=LIMIT)
        assert sockets(us) == OFFERED | {"127.0.0.2"}
        await us.close()
        await them.close()

    asyncio.run(run())


@pytest.mark.skipif(not has_ipv6(), reason="NOT TESTED: this machine has no ::1")
def test_a_server_with_ipv6_alone_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        side, server = Side(), RTCPeerConnection(RTCConfiguration(iceServers=[]))
        us = side.peer()
        offer = await us.offer()
        monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["::1"])
        await server.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await server.setLocalDescription(await server.createAnswer())
        assert addresses(server.localDescription.sdp) == {"::1"}
        try:
            await us.accept(server.localDescription.sdp, limit=LIMIT)
        finally:
            await us.close()
            await server.close()

    asyncio.run(run())


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests with an address of its own invention, or not at all."""

    def __init__(self, address: tuple[str, int] | None) -> None:
        self.address = address

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.address is None:
            return
        request = stun.parse_message(data)
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self.address
        self.transport.sendto(bytes(response), addr)


async def offer_with(server: StunServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The offer of a peer that asks `server`."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.2"])
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    peer = WebRtcPeer(source=None, sink=None, deliver=Inbox(), ice_servers=[IceServer(f"stun:127.0.0.1:{port}")])
    try:
        return await peer.offer()
    finally:
        await peer.close()
        transport.close()


def test_an_address_from_a_stun_server_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = asyncio.run(offer_with(StunServer(("203.0.113.5", 4000)), monkeypatch))
    assert addresses(offer) == {"127.0.0.2", "203.0.113.5"}


def test_a_stun_server_that_never_answers_costs_the_offer_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.transport.webrtc_ice.SERVER_LIMIT", 0.2)

    async def run() -> str:
        before = asyncio.all_tasks()
        offer = await offer_with(StunServer(None), monkeypatch)
        assert asyncio.all_tasks() <= before
        return offer

    assert addresses(asyncio.run(run())) == {"127.0.0.2"}


def test_an_offer_that_is_cancelled_leaves_no_question_to_a_server_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(offer_with(StunServer(None), monkeypatch), 0.1)
        assert asyncio.all_tasks() <= before

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("turn:turn.example", {"turn_server": ("turn.example", 3478), "turn_transport": "udp", "turn_ssl": False}),
        ("turn:turn.example:443?transport=tcp", {"turn_server": ("turn.example", 443), "turn_transport": "tcp"}),
        ("turns:turn.example", {"turn_server": ("turn.example", 5349), "turn_transport": "tcp", "turn_ssl": True}),
        ("stun:stun.example:19302", {"stun_server": ("stun.example", 19302)}),
    ],
)
def test_server_urls_reach_the_ice_agent(url: str, expected: dict[str, object]) -> None:
    async def run() -> None:
        server = IceServer(url, "somebody", Secret("hidden"))
        peer = WebRtcPeer(source=None, sink=None, deliver=Inbox(), ice_servers=[server])
        transceiver = peer._add_audio()
        connection = transceiver.receiver.transport.transport._connection
        assert {name: getattr(connection, name) for name in expected} == expected
        if url.startswith("turn"):
            assert (connection.turn_username, connection.turn_password) == ("somebody", "hidden")
        await peer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "http://stun.example",
        "stun:",
        "stun:a?transport=tcp",
        "turn:a:b:c",
        "stuns:a",
        "turns:a?transport=udp",
        "turn:a?transport=x",
    ],
)
def test_a_url_that_names_no_usable_server_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="STUN or TURN"):
        WebRtcPeer(source=None, sink=None, deliver=Inbox(), ice_servers=[IceServer(url)])


def test_sockets_ask_for_room_for_what_comes_while_the_loop_is_busy() -> None:
    def room(sock: Any) -> int:
        return int(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    async def run() -> None:
        async with connected() as pair:
            assert pair.us._link
            ours = room(pair.us._link.ice._protocols[0].transport.get_extra_info("socket"))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                assert ours == room(other)

    asyncio.run(run())
