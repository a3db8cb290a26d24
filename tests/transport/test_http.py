"""The HTTP client against a real server on loopback that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rtcli.errors import AuthError, ConnectError, RtcliError, ServiceError, UsageError
from rtcli.protocol import rest
from rtcli.protocol.rest import Endpoint, HttpAnswer, HttpRequest
from rtcli.protocol.secret import Secret
from rtcli.transport.http import MAX_BODY, Http, Limits


MARKED = "sk-marked-0123456789abcdef"
KEY = Secret(MARKED)
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
T = TypeVar("T")

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Answers each request with the next reply, the last one for ever; keeps what it was sent."""

    replies: list[Reply]
    port: int = 0
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    """Head and body of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [
                    line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length")
                ]
                body = await reader.readexactly(int(lengths[0])) if lengths else b""
                self.seen.append((head, body))
                await (self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled when the test is over and this request hangs on purpose
        finally:
            writer.close()


@asynccontextmanager
async def serving(*replies: Reply) -> AsyncIterator[Server]:
    server = Server(list(replies))
    running = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()


def reply(status: int, body: Any = b"", **headers: str) -> Reply:
    raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    named = {"content-length": str(len(raw)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + raw)

    return write


async def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with RST
    writer.transport.abort()
    raise ConnectionError


async def hang_up(writer: asyncio.StreamWriter) -> None:
    raise ConnectionError


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """A byte every little while, for ever: never silent, never done."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x15\x03\x01\x00\x02\x02F this is no HTTP\r\n\r\n")


class Waits:
    """A sleep that only notes how long it was asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Until done; tasks of servers that hang on purpose are cancelled then."""
    return asyncio.run(main)


def mint(url: str, key: Secret | None = KEY) -> HttpRequest:
    return rest.client_secret_request(Endpoint(url), key, {"type": "realtime"})


def call(url: str) -> HttpRequest:
    return rest.call_request(Endpoint(url), KEY, OFFER)


async def asked(
    request: Callable[[str], HttpRequest], *replies: Reply, limits: Limits | None = None
) -> tuple[HttpAnswer | RtcliError, Server, Waits]:
    """The answer or the error, the server that gave it, and the waits between."""
    waits = Waits()
    async with serving(*replies) as server, Http(limits=limits, sleep=waits) as http:
        try:
            return await http.ask(request(server.url)), server, waits
        except RtcliError as error:
            return error, server, waits


# ---- what is sent ---------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_built() -> None:
    answer, server, _ = run(asked(mint, reply(200, {"value": "ek_1"}, X_Request_Id="req_1")))
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.headers["x-request-id"]) == (200, "req_1")
    assert rest.parse_client_secret(answer).value.reveal() == "ek_1"
    ((head, body),) = server.seen
    lines = head.lower().splitlines()
    assert lines[0] == "post /v1/realtime/client_secrets http/1.1"
    assert f"authorization: bearer {MARKED}" in lines
    assert "content-type: application/json" in lines
    assert "accept-encoding: identity" in lines
    assert json.loads(body) == {"session": {"type": "realtime"}}


# ---- every answer ---------------------------------------------------------------------------------------------------


def error(message: str, code: str | None = None, **more: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, **more}}


QUOTA = error("You exceeded your current quota", "insufficient_quota")


@pytest.mark.parametrize(
    ("given", "kind", "line", "waits"),
    [
        (
            reply(400, error("Unknown parameter: 'session.voice'.", "unknown_parameter", param="session.voice")),
            ServiceError,
            "400 Bad Request: Unknown parameter: 'session.voice'. (unknown_parameter, param session.voice)",
            0,
        ),
        (
            reply(401, error(f"Incorrect API key provided: {MARKED}", "invalid_api_key")),
            AuthError,
            "401 Unauthorized: Incorrect API key provided: *** (invalid_api_key)",
            0,
        ),
        (reply(403, error("Not in your country")), AuthError, "403 Forbidden: Not in your country", 0),
        (
            reply(429, error("Slow down", "slow_down"), retry_after="3"),
            ServiceError,
            "429 Too Many Requests: Slow down (slow_down)",
            2,
        ),
        (reply(429, error("Slow down")), ServiceError, "429 Too Many Requests: Slow down", 2),
        (reply(429, error("Slow down"), retry_after="9999"), ServiceError, "429 Too Many Requests: Slow down", 0),
        (
            reply(429, QUOTA, retry_after="1"),
            ServiceError,
            "429 Too Many Requests: You exceeded your current quota (insufficient_quota)",
            0,
        ),
        (reply(500, error("Oops")), ServiceError, "500 Internal Server Error: Oops", 2),
        (
            reply(503, error("Busy", "server_is_overloaded")),
            ServiceError,
            "503 Service Unavailable: Busy (server_is_overloaded)",
            2,
        ),
        (reply(200, "certainly"), ServiceError, '200 OK: expected a key, got "certainly"', 0),
        (reply(200, {"session": {}}), ServiceError, "the answer holds no key", 0),
        (reply(200, ""), ServiceError, "200 OK: expected a key, got an empty answer", 0),
        (
            reply(200, "<!doctype html><title>Log in</title>", content_type="text/html"),
            ServiceError,
            '200 OK: expected a key, got a web page titled "Log in"',
            0,
        ),
        (
            reply(502, "<html><title>Bad gateway</title></html>", content_type="text/html"),
            ServiceError,
            '502 Bad Gateway: a web page titled "Bad gateway"',
            2,
        ),
    ],
)
def test_an_answer_that_is_no_key_becomes_one_line_without_the_key(
    given: Reply, kind: type[RtcliError], line: str, waits: int
) -> None:
    answer, server, waited = run(asked(mint, given))
    assert isinstance(answer, HttpAnswer)
    with pytest.raises(kind) as caught:
        rest.parse_client_secret(answer)
    assert str(caught.value) == line
    assert len(waited.seconds) == waits
    assert len(server.seen) == waits + 1


def test_a_retry_waits_as_long_as_the_server_says_and_then_gets_the_answer() -> None:
    answer, server, waits = run(asked(mint, reply(429, b"", retry_after="7"), reply(200, {"value": "ek_1"})))
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, waits.seconds, len(server.seen)) == (200, [7.0], 2)


def test_a_call_is_never_posted_twice() -> None:
    answer, server, waits = run(asked(call, reply(503, b"", retry_after="0")))
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, len(server.seen), waits.seconds) == (503, 1, [])
    broken, server, waits = run(asked(call, reset))
    assert isinstance(broken, ConnectError)
    assert (broken.step, len(server.seen), waits.seconds) == ("call", 1, [])


# ---- no answer ------------------------------------------------------------------------------------------------------

SHORT = Limits(connect=5.0, silence=0.2, total=20.0)


@pytest.mark.parametrize("broken", [reset, hang_up])
def test_a_connection_that_breaks_is_tried_three_times_and_told_in_one_line(broken: Reply) -> None:
    told, server, waits = run(asked(mint, broken))
    assert isinstance(told, ConnectError)
    assert str(told) == f"127.0.0.1:{server.port} closed the connection without an answer"
    assert (told.step, len(server.seen), len(waits.seconds)) == ("token", 3, 2)
    assert told.__cause__ is None


def test_a_connection_that_breaks_once_is_no_error() -> None:
    answer, server, _ = run(asked(mint, reset, reply(200, {"value": "ek_1"})))
    assert isinstance(answer, HttpAnswer)
    assert len(server.seen) == 2


def test_a_server_that_hangs_is_given_up() -> None:
    told, server, waits = run(asked(mint, hang, limits=SHORT))
    assert isinstance(told, ConnectError)
    assert str(told) == f"127.0.0.1:{server.port} said nothing for 0.2 s"
    assert waits.seconds == []


def test_a_slow_answer_within_the_limits_arrives() -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await reply(200, {"value": "ek_1"})(writer)

    answer, _, _ = run(asked(mint, slow))
    assert isinstance(answer, HttpAnswer)


def test_an_answer_that_trickles_for_ever_is_cut_off() -> None:
    told, server, _ = run(asked(mint, trickle, limits=Limits(connect=5.0, silence=5.0, total=0.5)))
    assert isinstance(told, ConnectError)
    assert str(told) == f"127.0.0.1:{server.port} gave no whole answer within 0.5 s"


def test_what_is_no_http_is_told() -> None:
    told, server, waits = run(asked(call, garbage))
    assert isinstance(told, ConnectError)
    assert (str(told), waits.seconds) == (f"what 127.0.0.1:{server.port} answers is no valid HTTP", [])


def test_a_body_without_end_is_refused_at_its_limit() -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    told, server, _ = run(asked(mint, flood))
    assert isinstance(told, ServiceError)
    assert str(told) == f"the answer of 127.0.0.1:{server.port} is larger than {MAX_BODY} bytes"


def test_a_compressed_answer_is_refused_before_it_can_expand() -> None:
    told, _, _ = run(asked(mint, reply(200, b"\x1f\x8b", content_encoding="gzip")))
    assert isinstance(told, ServiceError)
    assert "encoding" in str(told)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def told_by(request: HttpRequest, **options: Any) -> RtcliError:
    async with Http(limits=Limits(connect=5.0, silence=5.0, total=20.0), sleep=Waits(), **options) as http:
        with pytest.raises(RtcliError) as caught:
            await http.ask(request)
        return caught.value


def test_a_refused_connection_names_host_and_port() -> None:
    port = unused_port()
    told = run(told_by(mint(f"http://127.0.0.1:{port}/v1?api_key=hidden")))
    assert isinstance(told, ConnectError)
    assert str(told) == f"127.0.0.1:{port} refuses connections"


def test_a_name_that_does_not_exist_is_told() -> None:
    told = run(told_by(mint("https://no-such-host.invalid/v1")))
    assert isinstance(told, ConnectError)
    assert str(told) == "the name of no-such-host.invalid can not be resolved"


def test_tls_to_a_server_that_speaks_plain_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main() -> tuple[RtcliError, int]:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port: int = server.sockets[0].getsockname()[1]
            return await told_by(mint(f"https://127.0.0.1:{port}/v1")), port

    told, port = run(main())
    assert isinstance(told, ConnectError)
    assert str(told).startswith(f"no TLS with 127.0.0.1:{port}: ")


# ---- keys, hosts, redirects -----------------------------------------------------------------------------------------


def test_a_key_never_leaves_over_plain_http() -> None:
    told = run(told_by(mint("http://192.0.2.1/v1")))
    assert isinstance(told, UsageError)
    assert MARKED not in str(told)
    assert "192.0.2.1" in str(told)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_gets_neither_key_nor_visit(status: int) -> None:
    async def main() -> tuple[RtcliError, Server]:
        async with serving(reply(200, {"value": "ek_evil"})) as other:
            elsewhere = reply(status, b"", location=f"http://127.0.0.1:{other.port}/v1/realtime/client_secrets")
            async with serving(elsewhere) as server:
                return await told_by(mint(server.url)), other

    told, other = run(main())
    assert isinstance(told, ServiceError)
    assert f"127.0.0.1:{other.port}" in str(told)
    assert other.seen == []


def test_a_redirect_without_a_key_to_another_host_is_not_followed_either() -> None:
    async def main() -> tuple[RtcliError, Server]:
        async with serving(reply(200, {"value": "ek_evil"})) as other:
            elsewhere = reply(302, b"", location=f"http://127.0.0.1:{other.port}/token")
            async with serving(elsewhere) as server:
                return await told_by(rest.server_token_request(server.url)), other

    told, other = run(main())
    assert isinstance(told, ServiceError)
    assert other.seen == []


def test_a_redirect_on_the_same_host_is_followed_with_the_whole_request() -> None:
    moved = reply(307, b"", location="/v2/realtime/client_secrets")
    answer, server, _ = run(asked(mint, moved, reply(200, {"value": "ek_1"})))
    assert isinstance(answer, HttpAnswer)
    (_, first), (head, second) = server.seen
    assert head.startswith("POST /v2/realtime/client_secrets ")
    assert MARKED in head
    assert first == second


def test_a_get_follows_every_kind_of_redirect_on_the_same_host() -> None:
    def token(url: str) -> HttpRequest:
        return rest.server_token_request(url)

    answer, server, _ = run(asked(token, reply(302, b"", location="/other"), reply(200, {"value": "ek_1"})))
    assert isinstance(answer, HttpAnswer)
    assert server.seen[1][0].startswith("GET /other ")


def test_a_post_is_not_turned_into_a_get() -> None:
    told, server, _ = run(asked(mint, reply(302, b"", location="/other"), reply(200, {"value": "ek_1"})))
    assert isinstance(told, ServiceError)
    assert len(server.seen) == 1


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://[broken", "https://u:p@127.0.0.1/"])
def test_a_redirect_that_leads_nowhere_is_told(location: str) -> None:
    told, _, _ = run(asked(mint, reply(307, b"", location=location)))
    assert isinstance(told, ServiceError)
    assert str(told) == "307 Temporary Redirect: leads nowhere"


def test_redirects_in_a_circle_end() -> None:
    told, server, _ = run(asked(mint, reply(307, b"", location="/v1/again")))
    assert isinstance(told, ServiceError)
    assert "redirects more than 3 times" in str(told)
    assert len(server.seen) == 4


def test_a_call_that_was_answered_keeps_its_location() -> None:
    async def main() -> HttpAnswer:
        async with serving(reply(201, OFFER, location="/v1/realtime/calls/rtc_1")) as server, Http() as http:
            return await http.ask(call(server.url))

    assert rest.parse_call(run(main())) == rest.CallAnswer(OFFER, "rtc_1")


# ---- proxies, certificates, logs ------------------------------------------------------------------------------------


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_the_environments_proxy_is_never_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port()}")
    answer, _, _ = run(asked(mint, reply(200, {"value": "ek_1"})))
    assert isinstance(answer, HttpAnswer)


async def through_proxy(
    answer: Reply, proxied: Callable[[str], dict[str, Any]]
) -> tuple[RtcliError | HttpAnswer, Server]:
    async with serving(answer) as proxy, Http(sleep=Waits(), **proxied(f"http://127.0.0.1:{proxy.port}")) as http:
        try:
            return await http.ask(mint("https://api.example.com/v1")), proxy
        except RtcliError as told:
            return told, proxy


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_is_asked_for_the_host_only_and_its_refusal_is_told() -> None:
    refused = reply(407, b"", proxy_authenticate="Basic")
    told, proxy = run(through_proxy(refused, lambda url: {"proxy": Secret(url.replace("//", "//me:pa55word@"))}))
    assert isinstance(told, ConnectError)
    assert str(told).startswith("the proxy did not connect to api.example.com: 407")
    ((head, _),) = proxy.seen
    assert head.startswith("CONNECT api.example.com:443 ")
    assert MARKED not in head
    assert "proxy-authorization" in head.lower()


@pytest.mark.usefixtures("no_proxies")
def test_the_environments_proxy_is_used_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_environment(url: str) -> dict[str, Any]:
        monkeypatch.setenv("HTTPS_PROXY", url)
        return {}

    told, proxy = run(through_proxy(reply(403), from_environment))
    assert isinstance(told, ConnectError)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("proxy", "line"),
    [
        (
            "socks5://127.0.0.1:1",
            "a SOCKS proxy needs the package socksio, which is not installed: `pip install socksio`",
        ),
        ("gopher://127.0.0.1:1", "the proxy's URL can not be used"),
    ],
)
def test_an_unusable_proxy_is_a_usage_error_without_its_url(proxy: str, line: str) -> None:
    told = run(told_by(mint("https://api.example.com/v1"), proxy=Secret(proxy)))
    assert isinstance(told, UsageError)
    assert str(told).startswith(line)
    assert "127.0.0.1" not in str(told)


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("127.0.0.1", "the proxy refuses connections"),
        ("no-such-proxy.invalid", "the name of the proxy can not be resolved"),
    ],
)
def test_a_proxy_that_can_not_be_reached_is_not_taken_for_the_service(host: str, line: str) -> None:
    proxy = Secret(f"http://me:pa55word@{host}:{unused_port()}")
    told = run(told_by(mint("https://api.example.com/v1"), proxy=proxy))
    assert isinstance(told, ConnectError)
    assert str(told) == line


def test_a_ca_bundle_that_is_missing_or_none_is_a_usage_error(tmp_path: Path) -> None:
    missing = run(told_by(mint("https://127.0.0.1:1/v1"), ca_bundle=str(tmp_path / "none.pem")))
    assert isinstance(missing, UsageError)
    assert "No such file" in str(missing)
    (tmp_path / "text.pem").write_text("not a certificate")
    wrong = run(told_by(mint("https://127.0.0.1:1/v1"), ca_bundle=str(tmp_path / "text.pem")))
    assert isinstance(wrong, UsageError)


def test_a_server_certificate_is_trusted_with_its_bundle_and_refused_without(certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    async def main() -> tuple[RtcliError, HttpAnswer, Server]:
        server = Server([reply(200, {"value": "ek_1"})])
        running = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
        refused = await told_by(mint(url))
        seen_before = list(server.seen)
        async with Http(ca_bundle=str(chain)) as http:
            answer = await http.ask(mint(url))
        running.close()
        assert seen_before == []
        return refused, answer, server

    refused, answer, _ = run(main())
    assert isinstance(refused, ConnectError)
    assert "certificate of 127.0.0.1" in str(refused)
    assert answer.status == 200


def test_no_key_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run(asked(mint, reply(401, error(f"no: {MARKED}"))))
    run(asked(mint, reset))
    assert MARKED not in caplog.text
