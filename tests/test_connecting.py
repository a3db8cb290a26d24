"""How a call comes up: what is tried again, how often and with which offer, and what a user is told meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rtcli import wiring
from rtcli.call import Call, Parts, Signalling
from rtcli.errors import ConnectError, ServiceError
from rtcli.protocol.conversation import Plan
from rtcli.protocol.intents import HangUp
from rtcli.protocol.rest import Endpoint
from rtcli.protocol.secret import Secret
from rtcli.protocol.updates import Closed, Connected, Connecting, Notice, Update
from rtcli.settings import Settings
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Opened, Peer, PeerStats
from rtcli.transport.http import Http
from rtcli.transport.signalling import Direct, EphemeralKey
from tests.services import Asked, Reset, Said, Scripted, Server, error, minted


KEY = Secret("sk-marked-0123456789abcdef")
SESSION = {"type": "realtime", "model": "gpt-realtime-2"}
ANSWER = Said(201, b"v=0\r\nanswer\r\n", "application/sdp", {"Location": "/v1/realtime/calls/rtc_1"})
BUSY = error(429, "Rate limit reached", "rate_limit_exceeded")


@dataclass
class Peers:
    """Makes peers that need no network; each has an offer of its own."""

    refuse: bool = False
    """No packet of the other side ever comes."""
    made: list[FakePeer] = field(default_factory=list)

    def __call__(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        self.made.append(FakePeer(f"v=0\r\noffer {len(self.made) + 1}\r\n", deliver, refuse=self.refuse))
        return self.made[-1]


class FakePeer:
    def __init__(self, offer: str, deliver: Deliver, *, refuse: bool) -> None:
        self._offer = offer
        self._deliver = deliver
        self._refuse = refuse
        self.answer_taken = ""
        self.closed = False
        self.buffered = 0

    async def offer(self) -> str:
        return self._offer

    async def accept(self, answer: str, *, limit: float) -> None:
        self.answer_taken = answer
        if self._refuse:
            raise ConnectError("ice", "no UDP packet got an answer", udp_suspect=True)
        self._deliver(Opened())

    async def answer(self, offer: str) -> str:
        raise NotImplementedError

    def send(self, text: str) -> None: ...

    async def stats(self) -> PeerStats:
        return PeerStats(None, 0, 0, 0, None, 0)

    async def close(self) -> None:
        self.closed = True


Way = Callable[[Http, Endpoint], Signalling]


def directly(http: Http, there: Endpoint) -> Signalling:
    return Direct(http, there, KEY, SESSION)


def with_minted_key(http: Http, there: Endpoint) -> Signalling:
    return EphemeralKey(http, there, KEY, SESSION)


def hold(server: Server, way: Way, peers: Peers, *, limit: float = 30.0, **parts: Any) -> list[Update]:
    """All that a call tells which is hung up as soon as it is up."""

    async def main() -> list[Update]:
        async with Http() as http:
            signalling = way(http, Endpoint(f"{server.url}/v1"))
            made = wiring.call_parts(signalling, server.url, wiring.file_sound(None, None), Settings())
            call = Call(replace(made, peer=peers, **{"prepare": _nothing, **parts}), Plan(), connect_timeout=limit)
            told = []
            async for update in call.run():
                told.append(update)
                if isinstance(update, Connected):
                    call.post(HangUp())
            return told

    return asyncio.run(main())


async def _nothing() -> None: ...


def closed(told: list[Update]) -> Closed:
    assert isinstance(told[-1], Closed)
    return told[-1]


def notices(told: list[Update]) -> list[str]:
    return [update.message for update in told if isinstance(update, Notice)]


def connected(told: list[Update]) -> bool:
    return any(isinstance(update, Connected) for update in told)


# ---- trying again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [BUSY, error(503, "Slow down", "slow_down"), Reset()])
def test_a_call_is_tried_again_with_a_new_offer_and_a_new_peer(failure: Said | Exception) -> None:
    peers = Peers()
    with Scripted(failure, ANSWER) as service:
        told = hold(service, directly, peers)
    assert connected(told)
    first, second = service.asked
    assert b"offer 1" in first.body
    assert b"offer 2" in second.body
    assert [peer.closed for peer in peers.made] == [True, True]
    assert [bool(peer.answer_taken) for peer in peers.made] == [False, True]
    (notice,) = notices(told)
    assert "; trying again in 0." in notice
    assert KEY.reveal() not in notice


def test_a_retried_call_has_a_freshly_minted_key() -> None:
    with Scripted(minted("ek_1"), BUSY, minted("ek_2"), ANSWER) as service:
        assert connected(hold(service, with_minted_key, Peers()))
    assert [asked.headers["authorization"] for asked in service.asked[1::2]] == ["Bearer ek_1", "Bearer ek_2"]


def test_the_wait_that_a_server_asks_for_is_kept_and_told() -> None:
    with Scripted(error(429, "Rate limit reached", retry_after_ms="70"), minted(), ANSWER) as service:
        told = hold(service, with_minted_key, Peers())
    assert connected(told)
    assert notices(told) == ["429 Too Many Requests: Rate limit reached; trying again in 0.1 s"]
    assert [update.step for update in told if isinstance(update, Connecting)] == ["token", "token", "call", "ice"]


def test_a_wait_beyond_the_limit_for_connecting_is_not_begun() -> None:
    with Scripted(error(429, "Rate limit reached", retry_after="25")) as service:
        told = hold(service, directly, Peers(), limit=20)
    assert len(service.asked) == 1
    assert notices(told) == []
    refused = closed(told).error
    assert isinstance(refused, ServiceError)
    assert (refused.status, refused.retry_after) == (429, 25.0)


@pytest.mark.parametrize(
    "failure",
    [
        error(429, "You exceeded your current quota", "insufficient_quota"),
        error(429, "No credit", "credit_balance_exhausted", retry_after="1"),
        error(500, "Never mind", x_should_retry="false"),
        error(400, "Invalid SDP offer", "invalid_offer"),
    ],
)
def test_what_does_not_pass_by_waiting_is_told_at_once(failure: Said) -> None:
    with Scripted(failure) as service:
        told = hold(service, directly, Peers())
    assert len(service.asked) == 1
    assert isinstance(closed(told).error, ServiceError)


def test_after_three_tries_the_last_answer_stands() -> None:
    with Scripted(error(500, "Broken", retry_after_ms="1")) as service:
        told = hold(service, directly, Peers())
    assert len(service.asked) == 3
    assert len(notices(told)) == 2
    assert str(closed(told).error) == "500 Internal Server Error: Broken"


# ---- limits ---------------------------------------------------------------------------------------------------------


class Hanging(Server):
    """Answers up to a request, and that one never."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def answer(self, asked: Asked) -> Said:
        if asked.path.endswith(self._path):
            await asyncio.Event().wait()
        return minted()


@pytest.mark.parametrize(
    ("path", "step", "what"), [("/client_secrets", "token", "the key"), ("/calls", "call", "the answer to our offer")]
)
def test_a_step_that_hangs_is_named(path: str, step: str, what: str) -> None:
    with Hanging(path) as service:
        told = hold(service, with_minted_key, Peers(), limit=1.0)
    given_up = closed(told).error
    assert isinstance(given_up, ConnectError)
    assert given_up.step == step
    assert str(given_up) == f"no connection within 1 s, still waiting for {what}"


def test_waits_between_tries_count_into_the_limit() -> None:
    with Scripted(error(503, "Slow down", "slow_down", retry_after_ms="1100")) as service:
        told = hold(service, directly, Peers(), limit=2.0)
    assert len(service.asked) == 2
    assert isinstance(closed(told).error, ServiceError)


# ---- a call that was answered and does not come up ------------------------------------------------------------------


def test_an_answered_call_that_can_not_be_connected_is_taken_back() -> None:
    with Scripted(ANSWER, Said(200)) as service:
        told = hold(service, directly, Peers(refuse=True))
    assert service.lines == ["POST /v1/realtime/calls", "POST /v1/realtime/calls/rtc_1/hangup"]
    assert isinstance(closed(told).error, ConnectError)
    assert "UDP" in str(closed(told).error)


def test_failing_to_take_it_back_hides_nothing() -> None:
    with Scripted(ANSWER, Reset()) as service:
        told = hold(service, directly, Peers(refuse=True))
    assert "UDP" in str(closed(told).error)


# ---- at the same time -----------------------------------------------------------------------------------------------


def test_a_key_is_asked_for_while_the_offer_is_being_made() -> None:
    arrived = threading.Event()

    class Noting(Scripted):
        async def answer(self, asked: Asked) -> Said:
            arrived.set()
            return await super().answer(asked)

    async def prepare() -> None:
        assert await asyncio.to_thread(arrived.wait, 20), "the key is asked for only after the offer was made"

    with Noting(minted(), ANSWER) as service:
        assert connected(hold(service, with_minted_key, Peers(), prepare=prepare))


def test_what_can_not_be_prepared_ends_the_call_with_its_reason() -> None:
    async def prepare() -> None:
        raise ConnectError("ice", "this machine has no network address")

    peers = Peers()
    with Scripted(minted(), ANSWER) as service:
        told = hold(service, with_minted_key, peers, prepare=prepare)
    assert str(closed(told).error) == "this machine has no network address"
    assert peers.made == []
    assert service.lines == ["POST /v1/realtime/client_secrets"]


def test_the_parts_of_a_real_call_load_aiortc_beside_the_loop() -> None:
    async def parts() -> Parts:
        way = directly(Http(), Endpoint())
        return wiring.call_parts(way, "http://127.0.0.1", wiring.file_sound(None, None), Settings())

    assert asyncio.run(parts()).prepare is wiring.load_webrtc
