"""What strangers try: refused, logged, and the server lives on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from urllib.parse import urlsplit

import pytest

from rtcli.asgi import bodies, serving
from rtcli.protocol.secret import Secret
from tests.server.house import KEY, OFFER, House, house
from tests.services import minted


SECRET = "a-secret-of-twenty-and-more"
DEV = "http://localhost:5173"


@pytest.fixture(scope="module")
def it() -> Iterator[House]:
    """One for all that must reach nothing behind it."""
    with house(minted()) as one:
        yield one
        assert len(one.asked) <= 2  # what our own page asked for


def raw(it: House, request: bytes) -> bytes:
    """The answer to bytes as they are; empty when the connection was closed instead."""
    parts = urlsplit(it.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        try:
            answer = HTTPResponse(connection)
            answer.begin()
        except (ConnectionResetError, RemoteDisconnected):
            return b""
        return f"HTTP/1.1 {answer.status}\r\n{answer.headers}".encode() + answer.read()


def lives(it: House) -> None:
    assert it.http.get("/config").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3000", "192.168.1.5"]
)
def test_a_foreign_host_is_refused_and_logged(it: House, host: str) -> None:
    for path in ("/", "/token", "/config"):
        answer = it.http.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "host_not_allowed")
        assert " 421 " in it.log[-1]
        assert f"host {host}" in it.log[-1]
    lives(it)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", DEV, "http://127.0.0.1:1", "http://evil@127.0.0.1"])
def test_a_foreign_origin_is_refused_and_logged(it: House, origin: str) -> None:
    for answer in (it.post_offer(Origin=origin), it.http.get("/token", headers={"Origin": origin})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers
    assert f"origin {origin}" in it.log[-1]
    lives(it)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_or_a_link_elsewhere_mints_nothing_but_shows_the_page(it: House, site: str) -> None:
    assert it.http.get("/token", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert it.http.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_our_own_page_is_let_in(it: House) -> None:
    assert it.http.get("/token", headers={"Origin": it.url, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert it.http.get("/token", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_an_allowed_origin_may_ask_and_read_where_its_call_is() -> None:
    with house(origins=frozenset({DEV})) as it:
        asks = {
            "Origin": DEV,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        leave = it.http.options("/session", headers={**asks, "Access-Control-Request-Private-Network": "true"})
        assert leave.status_code == 204
        assert leave.headers["access-control-allow-origin"] == DEV
        assert leave.headers["access-control-allow-headers"] == "content-type"
        assert "POST" in leave.headers["access-control-allow-methods"]
        assert leave.headers["access-control-allow-private-network"] == "true"
        answer = it.post_offer(Origin=DEV)
        assert answer.status_code == 201
        assert answer.headers["access-control-allow-origin"] == DEV
        assert "Location" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        refused = it.http.options("/session", headers={**asks, "Origin": "https://evil.example"})
        assert refused.status_code == 403


def test_an_oversize_body_is_refused(it: House) -> None:
    big = b"v=0" + b"x" * (bodies.MOST_BYTES + 1)
    answer = it.http.post("/session", content=big, headers={"Content-Type": "application/sdp"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert " 413 " in it.log[-1]
    lives(it)


def test_a_slow_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_LIMIT", 0.3)
    with house() as it:
        head = b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 900\r\n"
        assert raw(it, head + b"\r\nv=0").startswith(b"HTTP/1.1 408")
        assert " 408 " in it.log[-1]
        lives(it)


@pytest.mark.parametrize("begun", [b"", b"POST /session HTTP/1.1\r\nHost: loc"], ids=["nothing", "half a head"])
def test_a_head_that_never_comes_holds_no_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "REQUEST_LIMIT", 0.3)
    with house() as it:
        started = time.monotonic()
        assert raw(it, begun) == b""
        assert time.monotonic() - started < 10
        lives(it)


def test_a_thousand_tokens_a_second_are_not_minted() -> None:
    def ask(url: str) -> list[tuple[int, str]]:
        """250 times over one connection: status and delay."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        said = []
        for _ in range(250):
            connection.request("GET", "/token")
            answer = connection.getresponse()
            answer.read()
            said.append((answer.status, answer.headers.get("Retry-After", "")))
        connection.close()
        return said

    with house(minted(), mints_at_once=20, mints_a_second=5.0) as it, ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        answers = [answer for answers in pool.map(ask, [it.url] * 4) for answer in answers]
        most = 20 + 5 * (time.monotonic() - began) + 1
        good = sum(status == 200 for status, _ in answers)
        refused = [delay for status, delay in answers if status == 429]
        assert 20 <= good <= most
        assert good + len(refused) == 1000
        assert len(it.asked) == good
        assert all(int(delay) >= 1 for delay in refused)
        assert sum(" 429 " in line for line in it.log) == len(refused)
        lives(it)


@pytest.mark.parametrize(
    "path",
    [
        "/../config.py",
        "/page/../../keys.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fapp.py",
        "//etc/passwd",
        "/main.js/../../app.py",
        "/main.js%00.py",
        "/v1/realtime/calls/../../../etc/passwd",
        "/\\..\\app.py",
        "http://evil.example/token",
        "/%0d%0aSet-Cookie:%20a=b",
    ],
)
def test_path_tricks_lead_nowhere(it: House, path: str) -> None:
    answer = raw(it, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer
    assert b"Set-Cookie:" not in answer.split(b"\n\n")[0]
    assert all(line.isprintable() for line in it.log)
    lives(it)


@pytest.mark.parametrize(
    "lines",
    [
        "Host: localhost\r\nHost: evil.example",
        "Content-Length: 5\r\nContent-Length: 6",
        "X: \x00",
        "Access-Control-Request-Headers: a\rSet-Cookie: b",
    ],
    ids=["two hosts", "two lengths", "a zero", "a bare return"],
)
def test_malformed_heads_reach_nothing(it: House, lines: str) -> None:
    host = "" if lines.startswith("Host") else "Host: localhost\r\n"
    answer = raw(it, f"GET /token HTTP/1.1\r\n{host}{lines}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert it.log[-1].endswith("127.0.0.1 malformed request 400")
    lives(it)


def test_what_comes_through_a_proxy_from_elsewhere_is_from_elsewhere(it: House) -> None:
    answer = it.http.get("/token", headers={"X-Forwarded-For": "203.0.113.7"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "address_not_allowed")
    assert "203.0.113.7 GET /token 403" in it.log[-1]


def test_no_control_character_reaches_the_log(it: House) -> None:
    head = b"GET /%1b[31m%c2%9b%e2%80%ae HTTP/1.1\r\nHost: localhost\r\n"
    assert raw(
        it, head + b"X-Forwarded-For: \x9b31m\xe2\r\nOrigin: http://localhost\r\n X-Folded: \x9bx\r\n\r\n"
    ).startswith(b"HTTP/1.1 403")
    assert it.log[-1].isprintable()


def test_what_a_client_sends_changes_no_header_to_the_service() -> None:
    with house() as it:
        it.http.post(
            "/session",
            content=OFFER,
            headers={
                "Content-Type": "application/sdp",
                "Authorization": "Bearer sk-forged",
                "OpenAI-Organization": "org-forged",
                "OpenAI-Project": "proj-forged",
                "OpenAI-Safety-Identifier": "forged",
                "X-Forwarded-Host": "evil.example",
            },
        )
        assert "forged" not in str(it.asked[0].headers)
        assert it.asked[0].headers["authorization"] == f"Bearer {KEY}"


# --- beyond loopback -------------------------------------------------------------------------------------------------


def test_without_the_secret_nothing_is_minted_and_with_it_all_is() -> None:
    with house(minted(), secret=Secret(SECRET)) as it:
        for path in ("/token", "/config"):
            answer = it.http.get(path, headers={"Host": "192.168.1.5:3000"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "secret_required")
            assert it.http.get(path, headers={"Authorization": f"Bearer {SECRET}x"}).status_code == 401
            assert it.http.get(path, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200
            assert it.http.get(path, headers={"Cookie": f"rtcli_secret={SECRET}"}).status_code == 200
        assert it.post_offer().status_code == 401
        assert it.http.get("/token", headers={"Host": "evil.example"}).status_code == 421
        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in it.asked)


def test_the_link_with_the_secret_becomes_a_cookie_and_is_not_logged() -> None:
    with house(minted(), secret=Secret(SECRET)) as it:
        answer = it.http.get(f"/?secret={SECRET}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert it.http.get("/?secret=wrong").status_code == 200
        assert SECRET not in "".join(it.log)
        it.http.cookies.clear()
        assert it.http.get("/token").status_code == 401
