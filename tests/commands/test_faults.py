"""What goes wrong in a call, each time: one line, the right status, nothing on standard output, soon."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.gush import Gush
from tests.program import Done, environment, ready_call, rtcli, start


Answer = Callable[[str], tuple[int, str, bytes]]
"""Path -> status, content type, body."""

KEY = b'{"value": "ek_test", "expires_at": 9999999999, "session": {"type": "realtime"}}'


@contextmanager
def service(calls: tuple[int, str, bytes]) -> Iterator[str]:
    """Mints keys like the service, and answers every offer with `calls`; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, kind, body = (200, "application/json", KEY) if self.path.endswith("client_secrets") else calls
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def talk_to(base_url: str, home: Path, *more: str) -> Done:
    return rtcli("talk", "--base-url", base_url, "--text", "-q", *more, home=home, stdin="hello\n")


def one_line(done: Done) -> str:
    (line,) = done.err.splitlines()
    assert line.startswith("rtcli: ")
    return line


def test_an_html_page_for_an_answer_is_told_as_one(tmp_path: Path) -> None:
    page = b"<!doctype html><html><head><title>Sign in to Wi-Fi</title></head><body>hello</body></html>"
    with service((200, "text/html", page)) as base_url:
        done = talk_to(base_url, tmp_path)
    assert (done.status, done.out) == (5, "")
    assert "Sign in to Wi-Fi" in one_line(done)


def test_an_error_that_comes_with_status_200_is_seen_through(tmp_path: Path) -> None:
    body = b'{"error": {"message": "You exceeded your current quota", "type": "x", "code": "insufficient_quota"}}'
    with service((200, "application/json", body)) as base_url:
        done = talk_to(base_url, tmp_path)
    assert (done.status, done.out) == (5, "")
    assert "You exceeded your current quota" in one_line(done)


@pytest.mark.parametrize(
    "body",
    [
        b"v=0\r\nnothing that follows is a session description",
        b"v=0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n",
        b"v=0" + b"\x00" * 1000,
    ],
)
def test_a_malformed_answer_is_refused(tmp_path: Path, body: bytes) -> None:
    with service((201, "application/sdp", body)) as base_url:
        done = talk_to(base_url, tmp_path)
    assert (done.status, done.out) == (4, "")
    assert "answer" in one_line(done)


def test_when_nobody_listens_the_line_names_where(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = talk_to(f"http://127.0.0.1:{port}/v1", tmp_path)
    assert (done.status, done.out) == (4, "")
    assert f"127.0.0.1:{port}" in one_line(done)


def test_a_refused_key_is_3(tmp_path: Path) -> None:
    body = b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'
    with service((401, "application/json", body)) as base_url:
        done = talk_to(base_url, tmp_path)
    assert (done.status, done.out) == (3, "")
    assert "Incorrect API key provided" in one_line(done)


@contextmanager
def standing_in(home: Path, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A stand-in of its own process, and its base URL."""
    running = start("sandbox", "--engine", "scripted", "--port", "0", *more, home=home)
    assert running.stdout is not None
    try:
        yield running, running.stdout.readline().decode().strip()
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with standing_in(tmp_path) as running:
        yield running


def test_udp_that_gets_no_answer_ends_in_the_connect_limit_and_says_so(tmp_path: Path) -> None:
    """The answer is good, and from then on nothing comes: as behind a firewall that lets no UDP through."""
    with standing_in(tmp_path, "--fault", "death=0") as (_, base_url):
        done = talk_to(base_url, tmp_path, "--connect-timeout", "3")
    assert (done.status, done.out) == (4, "")
    assert "UDP" in one_line(done)


def test_a_peer_that_is_killed_in_mid_call_is_noticed(
    tmp_path: Path, sandbox: tuple[subprocess.Popen[bytes], str]
) -> None:
    with ready_call("talk", "--base-url", sandbox[1], "--text", home=tmp_path) as running:
        sandbox[0].send_signal(signal.SIGKILL)
        out, err = running.communicate(timeout=20)
    assert running.returncode == 4, err
    assert err.splitlines()[-1].startswith(b"rtcli: ")
    assert b'"rtcli.closed"' in out.splitlines()[-1]


def test_a_reader_of_our_output_that_takes_nothing_ends_the_call_with_4(tmp_path: Path) -> None:
    """The bytes are those of the contract; the half minute of patience is made short."""
    hasty = "import rtcli.commands.lanes as l; l.PATIENCE = 2.0; from rtcli.cli import main; main()"
    with Gush() as service:
        running = subprocess.Popen(
            [sys.executable, "-c", hasty, "tail", "--new", "--json", "-q", "--base-url", f"{service.url}/v1"],
            env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert running.stderr is not None
            assert running.wait(60) == 4
            assert running.stderr.read() == b"rtcli: nobody read our output for 2 s\n"
        finally:
            running.kill()
            running.communicate()


def test_a_service_that_hangs_up_in_order_ends_the_call_in_order(
    tmp_path: Path, sandbox: tuple[subprocess.Popen[bytes], str]
) -> None:
    with ready_call("talk", "--base-url", sandbox[1], "--text", home=tmp_path) as running:
        sandbox[0].send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 0, err
