"""The sideband of a call that somebody else opened: its events over a WebSocket. The only file that knows websockets.

A way into a call like the local socket of another rtcli (`transport.base.Channel`), but the service keeps no line and
says nothing of what others send. Redirects are refused, because the key goes along with the request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.http11 import Response

from rtcli.errors import CallLost, ConnectError, EventTooLarge, RtcliError, ServiceError, UsageError
from rtcli.protocol import hosts, server_events
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.refusal import one_line
from rtcli.protocol.rest import HttpAnswer, HttpRequest, parse_error
from rtcli.protocol.secret import Secret
from rtcli.protocol.server_events import SessionCreated
from rtcli.records import dataclass
from rtcli.transport.base import Down, Joined, Message


LARGEST_IN = 16 << 20
"""Bytes of an event from the other side; a retrieved item holds its sound."""
LARGEST_OUT = 15 << 20
"""Bytes of an event to it: the service's documented limit for one piece of sound, its largest event."""
GREETING = 1.0
"""Seconds to wait for the session at the beginning; whether the service tells it here is not known."""
_FLUSH = 1.0
"""Seconds for the last events to go out at the end."""
_GOODBYE = 0.5
"""Seconds for the other side to close too."""
_NORMAL, _GOING_AWAY = 1000, 1001
_TOO_BIG = 1009

_wire = logging.getLogger("rtcli.sideband.wire")
_wire.setLevel(logging.WARNING)  # at DEBUG websockets writes down every header, and the key is in one


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Seconds."""

    interval: float = 10.0
    """Between two pings."""
    limit: float = 10.0
    """For a pong to come."""


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Sideband:
    """Implements `transport.base.Channel`."""

    keeps_line = False

    def __init__(
        self,
        request: HttpRequest,
        call_id: str,
        hang_up: Callable[[], Awaitable[None]],
        *,
        proxy: Secret | None = None,
        ca_bundle: str | None = None,
        keepalive: Keepalive | None = None,
    ) -> None:
        """`request`: its URL is that of HTTP (`https://…/v1/realtime?call_id=…`), its headers hold the key.

        `hang_up`: ends the call, which the WebSocket itself can not.
        `proxy`: a URL; without it the environment's proxies are used. Neither is ever used for loopback.
        """
        self._request = request
        self._call_id = call_id
        self._hang_up = hang_up
        self._proxy = proxy
        self._ca_bundle = ca_bundle
        self._keepalive = keepalive or Keepalive()
        self._connection: ClientConnection | None = None
        self._deliver: Callable[[Message | Down], None] = _nobody
        self._greeting: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._unsent = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._down = self._closing = False

    async def join(self, deliver: Callable[[Message | Down], None], *, limit: float) -> Joined:
        if self._request.secrets and not hosts.key_may_travel(self._request.url):
            raise UsageError(f"a key does not travel to {self._place} over plain http")
        try:
            self._connection = await self._connect(limit)
        except InvalidStatus as error:
            raise _refused(error.response, self._request.secrets) from None
        except (WebSocketException, OSError, ValueError, EOFError, ImportError) as error:
            # `from None`: websockets' exceptions hold requests and proxies, and with them secrets.
            raise self._failure(error, limit) from None
        self._deliver = deliver
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        return Joined(self._call_id, self._call_id, await self._session())

    def send(self, text: str) -> None:
        size = len(text.encode())
        if self._connection is None or self._down or self._closing:
            raise CallLost("the connection is closed")
        if size > LARGEST_OUT:
            raise EventTooLarge(size, LARGEST_OUT)
        self._unsent += size
        self._outgoing.put_nowait(text)

    @property
    def buffered(self) -> int:
        return self._unsent

    async def hang_up(self) -> None:
        await self._hang_up()

    async def close(self) -> None:
        if self._closing or self._connection is None:
            return
        self._closing = True
        if self._unsent and not self._down:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outgoing.join(), _FLUSH)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    # ---- inside ----

    async def _connect(self, limit: float) -> ClientConnection:
        headers = {name: v.reveal() if isinstance(v, Secret) else v for name, v in self._request.headers.items()}
        parts = urlsplit(self._request.url)
        secure = parts.scheme == "https"
        url = urlunsplit(parts._replace(scheme="wss" if secure else "ws"))
        proxy: str | bool | None = self._proxy.reveal() if self._proxy else True
        if hosts.is_loopback(parts.hostname or ""):
            proxy = None
        return await _Connect(
            url,
            additional_headers=headers,
            user_agent_header=None if "user-agent" in {name.lower() for name in headers} else "rtcli",
            ssl=self._trust() if secure else None,
            proxy=proxy if isinstance(proxy, str) else True if proxy else None,
            compression=None,  # what is not compressed can not expand
            open_timeout=limit,
            ping_interval=self._keepalive.interval,
            ping_timeout=self._keepalive.limit,
            close_timeout=_GOODBYE,
            max_size=LARGEST_IN,
            logger=_wire,
        )

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_bundle)
        except OSError as error:
            raise UsageError(f"the CA bundle {self._ca_bundle} can not be read: {error.strerror or error}") from None

    async def _read(self) -> None:
        assert self._connection is not None
        try:
            while True:
                data = await self._connection.recv()
                self._greet(data)
                self._deliver(Message(data))
                await asyncio.sleep(0)  # whoever works the messages off gets its turn before the next one
        except ConnectionClosed as closed:
            self._tell_down(self._end(closed))
        except Exception as error:  # noqa: BLE001 - whatever websockets makes of what it was sent ends this call alone
            self._tell_down(Down(f"the connection broke: {type(error).__name__}", orderly=False))

    def _greet(self, data: str | bytes) -> None:
        """The first event of a connection is the session, if the service says it here too."""
        if not self._greeting.done():
            first = server_events.decode(data)
            self._greeting.set_result(first.session if isinstance(first, SessionCreated) else {})

    async def _session(self) -> JsonObject:
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(self._greeting), GREETING)
        return {}

    async def _write(self) -> None:
        assert self._connection is not None
        while True:
            text = await self._outgoing.get()
            with suppress(ConnectionClosed):  # the reader tells
                await self._connection.send(text)
            self._unsent -= len(text.encode())
            self._outgoing.task_done()

    def _end(self, closed: ConnectionClosed) -> Down:
        """Why, and whether the other side said goodbye; the close frame that came first says it."""
        ours = closed.sent if closed.sent and not closed.rcvd_then_sent else None
        if ours and ours.code == _TOO_BIG:
            reason = f"the other side sent an event of more than {LARGEST_IN} bytes"
        elif ours and ours.reason == "keepalive ping timeout":
            reason = f"nothing came back for {self._keepalive.limit:g} s"
        elif ours:
            reason = f"the other side does not speak WebSocket: {one_line(ours.reason, 100)}"
        elif closed.rcvd is None:
            reason = "the connection broke off"
        elif closed.rcvd.code in {_NORMAL, _GOING_AWAY}:
            return Down(one_line(closed.rcvd.reason, 200) or "the other side closed the connection", orderly=True)
        else:
            said = f"{closed.rcvd.code} {one_line(closed.rcvd.reason, 200)}"
            reason = f"the other side closed the connection: {said}".rstrip()
        return Down(reason, orderly=False)

    def _tell_down(self, down: Down) -> None:
        if not self._down and not self._closing:
            self._down = True
            if not self._greeting.done():
                self._greeting.set_result({})
            self._deliver(down)

    @property
    def _place(self) -> str:
        parts = urlsplit(self._request.url)
        return one_line(f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname), 100)

    def _failure(self, error: Exception, limit: float) -> RtcliError:
        """No text of the error where it may quote a header or a proxy's password."""
        match error:
            case TimeoutError():
                fact = f"no WebSocket with {self._place} within {limit:g} s"
            case InvalidProxy():
                return UsageError("the proxy's URL can not be used")
            case ProxyError():
                fact = f"the proxy did not connect to {self._place}"
            case ImportError():
                return UsageError(
                    "a SOCKS proxy needs the package python-socks, which is not installed: `pip install python-socks` "
                    "beside rtcli, or name an HTTP proxy"
                )
            case socket.gaierror():
                fact = f"the name of {self._place} can not be resolved"
            case ConnectionRefusedError():
                fact = f"{self._place} refuses connections"
            case ssl.SSLCertVerificationError():
                fact = f"the certificate of {self._place} is not trusted: {one_line(error.verify_message, 100)}"
            case ssl.SSLError():
                fact = f"no TLS with {self._place}: {one_line(error.reason or 'broken off', 100)}"
            case InvalidHandshake():
                fact = f"{self._place} does not speak WebSocket"
            case _:
                fact = f"no connection to {self._place} ({type(error).__name__})"
        return ConnectError("call", fact)


def _nobody(_: Message | Down) -> None:
    """Nobody has joined yet."""


def _refused(response: Response, secrets: tuple[Secret, ...]) -> RtcliError:
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    answer = HttpAnswer(response.status_code, headers, bytes(response.body or b""), secrets)
    if 300 <= response.status_code < 400:
        return ServiceError(f"{response.status_code}: leads to another address, which a key does not follow")
    return parse_error(answer)
