"""The server in its thread."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import cast

import httpx
import pytest

from rtcli.audio.base import Encoder
from rtcli.errors import UsageError
from rtcli.sandbox.call import MakePeer, Parts
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.service import Service
from rtcli.sandbox.serving import SandboxServer
from rtcli.transport.base import RtpPacket


class NoSound:
    def add(self, packet: RtpPacket, now: float) -> None: ...

    def pull(self, samples: int, now: float) -> bytes:
        return bytes(samples * 2)


def make_service() -> Service:
    def no_peer(*_: object, **__: object) -> None:
        raise AssertionError("no call in these tests")

    return Service(Parts(ScriptedEngine(), cast(MakePeer, no_peer), NoSound, lambda: cast(Encoder, None)))


def mint(base: str) -> httpx.Response:
    return httpx.post(f"{base}/realtime/client_secrets", headers={"Authorization": "Bearer sk-fake"}, json={})


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sandbox"]


def test_the_server_serves_from_the_moment_it_started_and_stops_at_once() -> None:
    server = SandboxServer(make_service)
    base = server.start()
    assert base.startswith("http://127.0.0.1:")
    assert base.endswith("/v1")
    assert mint(base).json()["value"].startswith("ek_")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 2.5
    assert sandbox_threads() == []
    with pytest.raises(httpx.ConnectError):
        mint(base)


def test_an_open_connection_does_not_hold_up_the_stop() -> None:
    server = SandboxServer(make_service)
    base = server.start()
    address = ("127.0.0.1", int(base.rpartition(":")[2].partition("/")[0]))
    with httpx.Client() as idle, socket.create_connection(address) as half:
        idle.get(base)
        half.sendall(b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nv=0")
        server.stop()
        assert sandbox_threads() == []


def test_a_taken_port_is_a_usage_error_that_names_it() -> None:
    first = SandboxServer(make_service)
    port = int(first.start().rpartition(":")[2].partition("/")[0])
    try:
        with pytest.raises(UsageError, match=f"port {port} "):
            SandboxServer(make_service, port=port).start()
    finally:
        first.stop()


def test_a_port_is_free_again_after_the_stop() -> None:
    first = SandboxServer(make_service)
    port = int(first.start().rpartition(":")[2].partition("/")[0])
    first.stop()
    second = SandboxServer(make_service, port=port)
    assert str(port) in second.start()
    second.stop()


def test_a_service_that_can_not_be_made_is_told_to_who_started_it() -> None:
    def broken() -> Service:
        raise UsageError("no such engine")

    server = SandboxServer(broken)
    with pytest.raises(UsageError, match="no such engine"):
        server.start()
    server.stop()
    assert sandbox_threads() == []


def test_stopping_what_never_started_does_nothing() -> None:
    SandboxServer(make_service).stop()


@pytest.mark.parametrize(
    "request_text",
    [
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nAuthorization: Bearer sk\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n X: folded\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (1 << 20),
    ],
    ids=["no host", "a path trick", "a folded header", "TLS", "a huge header"],
)
def test_the_server_survives(request_text: bytes) -> None:
    server = SandboxServer(make_service)
    base = server.start()
    try:
        port = int(base.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(request_text)
            try:
                head = raw.recv(100)
            except ConnectionResetError:
                head = b""
        assert head == b"" or head.startswith(b"HTTP/1.1 4")
        assert mint(base).status_code == 200
    finally:
        server.stop()


def test_errors_of_the_server_are_json_too() -> None:
    server = SandboxServer(make_service)
    base = server.start()
    try:
        answer = httpx.get(base)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
        assert set(json.loads(answer.text)["error"]) == {"type", "code", "message", "param"}
    finally:
        server.stop()
