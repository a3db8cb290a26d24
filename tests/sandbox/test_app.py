"""The sandbox over HTTP, without sockets: the application is called as a server would call it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import httpx
import pytest

from rtcli.asgi import bodies
from rtcli.asgi.origins import is_loopback_host, is_loopback_origin
from rtcli.audio.base import Encoder
from rtcli.sandbox.app import create_app
from rtcli.sandbox.call import Limits, Parts
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.service import Service
from rtcli.transport.base import AudioSink, AudioSource, Deliver, Peer, PeerStats, RtpPacket


OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
SESSION = {"type": "realtime", "model": "gpt-realtime-2", "instructions": "Be brief."}


class QuietPeer:
    """A peer that answers and then waits."""

    buffered = 0

    def __init__(self, answers: Callable[[str], str]) -> None:
        self._answers = answers
        self.closed = False

    async def answer(self, offer: str) -> str:
        await asyncio.sleep(0)
        return self._answers(offer)

    def send(self, text: str) -> None:
        raise AssertionError("the channel never opened")

    async def close(self) -> None:
        self.closed = True

    async def offer(self) -> str:
        raise AssertionError("the sandbox does not offer")

    async def accept(self, answer: str, *, limit: float) -> None:
        raise AssertionError("the sandbox does not accept")

    async def stats(self) -> PeerStats:
        raise AssertionError("nobody asked")


class NoSound:
    """A playout and an encoder that are never needed here."""

    def add(self, packet: RtpPacket, now: float) -> None: ...

    def pull(self, samples: int, now: float) -> bytes:
        return bytes(samples * 2)

    def encode(self, pcm: bytes) -> bytes:
        return b""


class House:
    """A service with a client in front of it."""

    def __init__(
        self, *, answers: Callable[[str], str] = lambda _: "v=0\r\nanswer", limits: Limits | None = None
    ) -> None:
        self.peers: list[QuietPeer] = []
        self.wall = 1_800_000_000.0
        self._answers = answers
        parts = Parts(
            engine=ScriptedEngine(),
            make_peer=self._peer,
            make_playout=NoSound,
            make_encoder=lambda: cast(Encoder, NoSound()),
        )
        self.service = Service(parts, limits=limits, wall=lambda: self.wall)
        transport = httpx.ASGITransport(create_app(self.service), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8776/v1", headers={"Authorization": "Bearer sk-fake"}
        )

    def _peer(self, source: AudioSource, sink: AudioSink, deliver: Deliver) -> Peer:
        peer = QuietPeer(self._answers)
        self.peers.append(peer)
        return peer

    async def secret(self, **body: Any) -> str:
        answer = await self.http.post("/realtime/client_secrets", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["value"])

    async def call(self, key: str = "sk-fake", offer: str = OFFER) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
        return await self.http.post("/realtime/calls", content=offer, headers=headers)


def run(test: Callable[[House], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        house = House(**options)
        async with house.http:
            await test(house)
        await house.service.stop()
        assert all(peer.closed for peer in house.peers)

    asyncio.run(whole())


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


# --- client_secrets ---------------------------------------------------------------------------------------------------


def test_a_secret_comes_with_its_expiry_and_the_effective_session() -> None:
    async def test(house: House) -> None:
        body = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": SESSION}
        answer = (await house.http.post("/realtime/client_secrets", json=body)).json()
        assert answer["value"].startswith("ek_")
        assert answer["expires_at"] == house.wall + 60
        assert answer["session"]["instructions"] == "Be brief."
        assert answer["session"]["object"] == "realtime.session"
        assert answer["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"

    run(test)


def test_a_secret_needs_no_body() -> None:
    async def test(house: House) -> None:
        answer = (await house.http.post("/realtime/client_secrets")).json()
        assert answer["expires_at"] == house.wall + 600
        assert answer["session"]["type"] == "realtime"

    run(test)


def test_a_transcription_session_gets_its_own_object() -> None:
    async def test(house: House) -> None:
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-live-transcribe"}}}}
        view = (await house.http.post("/realtime/client_secrets", json={"session": session})).json()["session"]
        assert view["object"] == "realtime.transcription_session"
        assert view["audio"]["input"]["turn_detection"] is None
        assert "model" not in view

    run(test)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "invalid_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"session": {"model": "gpt-realtime"}}, "missing_required_parameter", "session.type"),
        ({"session": {"type": "realtime", "voice": "alloy"}}, "unknown_parameter", "session.voice"),
        ({"session": {"type": "realtime", "model": "gpt-live-1"}}, "invalid_value", "session.model"),
        ({"session": "realtime"}, "invalid_type", "session"),
        ({"model": "gpt-realtime"}, "unknown_parameter", "model"),
    ],
)
def test_a_wrong_secret_request_is_refused_with(body: dict[str, Any], code: str, param: str) -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/client_secrets", json=body)
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
        assert error["type"] == "invalid_request_error"

    run(test)


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "invalid_json"), (b"[]", "invalid_type"), (b"[" * 9999, "invalid_json")]
)
def test_a_body_that_is_no_object_is_refused(body: bytes, code: str) -> None:
    async def test(house: House) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await house.http.post("/realtime/client_secrets", content=body, headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (400, code)

    run(test)


def test_another_content_type_is_refused_by_its_own_code() -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/client_secrets", data={"model": "x"})
        assert (answer.status_code, error_of(answer)["code"]) == (400, "unsupported_content_type")
        answer = await house.http.post("/realtime/calls", json={"sdp": OFFER})
        assert (answer.status_code, error_of(answer)["code"]) == (400, "unsupported_content_type")

    run(test)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_an_offer_with_an_ephemeral_key_is_answered() -> None:
    async def test(house: House) -> None:
        answer = await house.call(await house.secret(session=SESSION))
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/sdp"
        assert answer.headers["location"].startswith("/v1/realtime/calls/rtc_")
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.text == "v=0\r\nanswer"
        assert house.service.calls == 1

    run(test)


@pytest.mark.parametrize(
    "files",
    [
        {"sdp": (None, OFFER, "application/sdp"), "session": (None, json.dumps(SESSION), "application/json")},
        {"sdp": (None, OFFER), "session": (None, json.dumps(SESSION))},
        {"sdp": ("offer.sdp", OFFER, "application/sdp"), "session": ("session.json", json.dumps(SESSION))},
        {"sdp": (None, OFFER)},
    ],
    ids=["typed parts", "plain parts", "files", "no session"],
)
def test_the_unified_form_is_answered(files: dict[str, Any]) -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/calls", files=files)
        assert answer.status_code == 201, answer.text

    run(test)


@pytest.mark.parametrize(
    ("files", "code", "param"),
    [
        ({"session": (None, json.dumps(SESSION))}, "missing_required_parameter", "sdp"),
        (
            {"sdp": (None, OFFER), "session": (None, '{"type": "realtime", "voice": "x"}')},
            "unknown_parameter",
            "session.voice",
        ),
        ({"sdp": (None, OFFER), "session": (None, "{")}, "invalid_json", None),
        ({"sdp": (None, "<html>")}, "invalid_offer", None),
        ({f"part{n}": (None, "x") for n in range(9)}, "invalid_multipart", None),
    ],
)
def test_a_wrong_unified_form_is_refused_with(files: dict[str, Any], code: str, param: str | None) -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/calls", files=files)
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
        assert house.service.calls == 0

    run(test)


def test_an_offer_the_peer_refuses_is_invalid_and_leaves_no_call() -> None:
    def refuse(offer: str) -> str:
        raise ValueError("no audio in it")

    async def test(house: House) -> None:
        answer = await house.call()
        assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_offer")
        await asyncio.sleep(0.01)
        assert house.service.calls == 0

    run(test, answers=refuse)


def test_a_broken_peer_is_a_server_error_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def break_down(offer: str) -> str:
        raise RuntimeError("private words")

    async def test(house: House) -> None:
        answer = await house.call()
        assert answer.status_code == 500
        assert error_of(answer)["type"] == "server_error"
        assert "private" not in answer.text

    run(test, answers=break_down)


def test_a_model_in_the_query_is_refused() -> None:
    async def test(house: House) -> None:
        headers = {"Content-Type": "application/sdp"}
        answer = await house.http.post("/realtime/calls?model=gpt-realtime", content=OFFER, headers=headers)
        assert (answer.status_code, error_of(answer)["param"]) == (400, "model")

    run(test)


def test_calls_beyond_the_limit_are_told_to_come_back() -> None:
    async def test(house: House) -> None:
        assert (await house.call()).status_code == 201
        answer = await house.call()
        assert (answer.status_code, error_of(answer)["code"]) == (503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "1"

    run(test, limits=Limits(calls=1))


def test_a_caller_that_never_connects_is_forgotten() -> None:
    async def test(house: House) -> None:
        assert (await house.call()).status_code == 201
        async with asyncio.timeout(10):
            while house.service.calls:  # noqa: ASYNC110 - the service tells nobody of a call that never was
                await asyncio.sleep(0.01)

    run(test, limits=Limits(connect=0.02))


def test_hanging_up_ends_the_call_once() -> None:
    async def test(house: House) -> None:
        location = (await house.call()).headers["location"].removeprefix("/v1")
        assert (await house.http.post(f"{location}/hangup")).status_code == 200
        assert house.service.calls == 0
        again = await house.http.post(f"{location}/hangup")
        assert (again.status_code, error_of(again)["code"]) == (404, "call_not_found")

    run(test)


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic c2s6", "Bearer ek_unknown"])
def test_without_a_key_nothing_is_done(authorization: str) -> None:
    async def test(house: House) -> None:
        for path in ("/realtime/client_secrets", "/realtime/calls", "/realtime/calls/rtc_1/hangup"):
            answer = await house.http.post(path, headers={"Authorization": authorization})
            assert answer.status_code == 401
            error_of(answer)

    run(test)


def test_an_ephemeral_key_ends_at_its_hour() -> None:
    async def test(house: House) -> None:
        key = await house.secret(expires_after={"anchor": "created_at", "seconds": 10})
        house.wall += 9.9
        assert (await house.call(key)).status_code == 201
        house.wall += 0.2
        answer = await house.call(key)
        assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")

    run(test)


def test_keys_are_bounded_and_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli.sandbox.service._MOST_KEYS", 3)

    async def test(house: House) -> None:
        keys = [await house.secret() for _ in range(4)]
        assert [(await house.call(key)).status_code for key in keys] == [401, 201, 201, 201]

    run(test)


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "192.168.1.4", "a:b:c"]
)
def test_a_foreign_host_name_is_misdirected(host: str) -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/client_secrets", headers={"Host": host})
        assert (answer.status_code, error_of(answer)["code"]) == (421, "host_not_allowed")

    run(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8776", "localhost:1", "[::1]:8776", "app.localhost"])
def test_loopback_names_are_served(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "file://", "http://localhost.evil.example", "chrome-extension://x"]
)
def test_a_foreign_origin_is_refused_before_anything_is_done(origin: str) -> None:
    async def test(house: House) -> None:
        answer = await house.http.post("/realtime/client_secrets", headers={"Origin": origin})
        assert (answer.status_code, error_of(answer)["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers
        answer = await house.http.options(
            "/realtime/calls", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert answer.status_code == 403

    run(test)


def test_a_page_on_loopback_reads_the_answer_and_its_location() -> None:
    origin = "http://localhost:5173"
    assert is_loopback_origin(origin)

    async def test(house: House) -> None:
        headers = {"Origin": origin, "Content-Type": "application/sdp"}
        answer = await house.http.post("/realtime/calls", content=OFFER, headers=headers)
        assert answer.headers["access-control-allow-origin"] == origin
        assert "Location" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        # An error is read by the page as well.
        answer = await house.http.post("/realtime/calls", headers={"Origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, origin)

    run(test)


def test_a_preflight_lets_a_page_on_loopback_through_to_the_private_network() -> None:
    async def test(house: House) -> None:
        answer = await house.http.options(
            "/realtime/calls",
            headers={
                "Origin": "http://127.0.0.1:3000",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
                "Access-Control-Request-Private-Network": "true",
            },
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:3000"
        assert "x-openai-agents-sdk" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-private-network"] == "true"

    run(test)


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_before_it_is_whole() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 << 20:
            sent += 1 << 16
            yield bytes(1 << 16)

    async def test(house: House) -> None:
        headers = {"Content-Type": "application/sdp"}
        answer = await house.http.post("/realtime/calls", content=endless(), headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")

    run(test)
    assert sent < 4 << 20


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_LIMIT", 0.05)

    async def stuck() -> AsyncIterator[bytes]:
        yield b"v=0"
        await asyncio.sleep(30)

    async def test(house: House) -> None:
        headers = {"Content-Type": "application/sdp"}
        answer = await house.http.post("/realtime/calls", content=stuck(), headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (408, "request_timeout")

    run(test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/realtime/calls", 405),
        ("POST", "/realtime/sessions", 404),
        ("POST", "/realtime/calls/..", 404),
    ],
)
def test_other_paths_and_methods_get_the_service_s_kind_of_error(method: str, path: str, status: int) -> None:
    async def test(house: House) -> None:
        answer = await house.http.request(method, path)
        assert answer.status_code == status
        assert error_of(answer)["type"] == "invalid_request_error"

    run(test)
