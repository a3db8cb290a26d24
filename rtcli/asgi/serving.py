"""An ASGI application served in a thread with an event loop of its own, so that its work never holds up the rest."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Awaitable, Callable

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rtcli.errors import UsageError
from rtcli.records import dataclass


_MOST_CONNECTIONS = 256
REQUEST_LIMIT = 15.0
"""Seconds for a whole request, head and body; longer than an application gives the body, so that it can say so."""
_MOST_MESSAGE = 1 << 20
"""Bytes of one that comes over a WebSocket."""
_STOP_LIMIT = 1.0
"""Seconds for the application to end what it does."""


class _Impatient(H11Protocol):
    """Closes a connection whose request does not arrive; uvicorn alone would wait for ever, and its places are few."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._wait()
        else:
            self._waited()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waited()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_LIMIT, self.transport.abort)

    def _waited(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@dataclass(frozen=True, slots=True)
class Served:
    app: ASGIApp
    stop: Callable[[], Awaitable[None]]
    malformed: Callable[[str], None] = lambda _: None
    """Gets the address of a client whose request was none, which the application never sees."""

    def protocol(self) -> type[H11Protocol]:
        malformed = self.malformed

        class Protocol(_Impatient):
            def send_400_response(self, msg: str) -> None:
                malformed(self.client[0] if self.client else "-")
                super().send_400_response(msg)

        return Protocol


class ThreadedServer:
    """`start` once, `stop` once; both are called from outside the thread."""

    def __init__(
        self,
        make: Callable[[], Served],
        *,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        websockets: bool = False,
    ) -> None:
        """`make` is called in the server's thread, on its loop. `port` 0 takes a free one."""
        self._make = make
        self._name = name
        self._host = host
        self._port = port
        self._websockets = websockets
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> str:
        """Serve; the URL of its root, when it takes connections. Raises UsageError when the port is taken."""
        bound = self._bind()
        self._thread = threading.Thread(target=self._run, args=(bound,), name=self._name, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        shown = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{shown}:{bound.getsockname()[1]}"

    def stop(self) -> None:
        """End every connection and the server; takes at most 2 s."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: it ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2.0)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The protocol is named because asyncio switches Nagle's algorithm off for such sockets only; with it on, an
        # answer waits 40 ms for an acknowledgement between its head and its body.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":  # there it would let two servers share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self._port))
            bound.listen()
        except (OSError, OverflowError) as error:
            bound.close()
            raise UsageError(f"port {self._port} on {self._host} can not be used: {error}") from error
        return bound

    def _run(self, bound: socket.socket) -> None:
        try:
            asyncio.run(self._serve(bound))
        except BaseException as error:  # noqa: BLE001 - told to the thread that called start
            self._failure = error
        finally:
            bound.close()
            self._ready.set()

    async def _serve(self, bound: socket.socket) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        served = self._make()
        server = uvicorn.Server(
            uvicorn.Config(
                served.app,
                http=served.protocol(),
                ws="websockets-sansio" if self._websockets else "none",
                ws_max_size=_MOST_MESSAGE,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_graceful_shutdown=1,
            )
        )
        # The socket listens already, so a client that comes before uvicorn has begun waits for it and is served.
        self._ready.set()
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            server.should_exit = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_LIMIT):
                    await served.stop()
            await serving
