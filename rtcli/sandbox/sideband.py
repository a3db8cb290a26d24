"""The sideband: further connections to a running call, over a WebSocket (`/v1/realtime?call_id=rtc_…`).

Each gets the events of the data channel from the moment it joined, `session.created` first, and what it sends counts as
if the call's client had sent it. The call never waits for one: whoever does not take its events is cut off.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect


MOST_UNTAKEN = 8 << 20
"""Bytes of events a connection may leave untaken."""
_POLICY = 1008
"""Close code (RFC 6455 section 7.4.1)."""
_CLOSING = 1.0
"""Seconds for the last events to go out."""


class Joinable(Protocol):
    """What is needed of a call."""

    def join(self, listener: Sideband) -> None: ...

    def leave(self, listener: Sideband) -> None: ...

    def take(self, data: str | bytes) -> None: ...


class Sideband:
    """One connection; a listener of its call."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._untaken = 0
        self._end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def hear(self, text: str) -> None:
        """One event; never waits."""
        if self._end.done():
            return
        self._untaken += len(text)
        if self._untaken > MOST_UNTAKEN:
            self.ended(_POLICY, "The events were not taken.")
        else:
            self._waiting.put_nowait(text)

    def ended(self, code: int, reason: str) -> None:
        """The call is over, or this connection is."""
        if not self._end.done():
            self._end.set_result((code, reason))

    async def serve(self, call: Joinable) -> None:
        """From joining to the end of the connection or of the call. Raises Refusal when the call takes no more."""
        call.join(self)
        try:
            await self._websocket.accept()
            await self._exchange(call)
        except (WebSocketDisconnect, RuntimeError):  # Starlette's word for a connection that is gone
            pass
        finally:
            call.leave(self)

    async def _exchange(self, call: Joinable) -> None:
        sending = asyncio.create_task(self._send_all())
        reading = asyncio.create_task(self._read(call))
        try:
            waited: tuple[asyncio.Future[Any], ...] = (sending, reading, self._end)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done() and not reading.done():
                await self._close(sending)
        finally:
            for task in (sending, reading):
                task.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)

    async def _close(self, sending: asyncio.Task[None]) -> None:
        """What the call said last goes out first, to who takes it."""
        code, reason = self._end.result()
        if code != _POLICY:
            drained = asyncio.create_task(self._waiting.join())
            await asyncio.wait({drained, sending}, timeout=_CLOSING, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
        sending.cancel()
        async with asyncio.timeout(_CLOSING):
            await self._websocket.close(code, reason)

    async def _send_all(self) -> None:
        while True:
            text = await self._waiting.get()
            await self._websocket.send_text(text)
            self._untaken -= len(text)
            self._waiting.task_done()

    async def _read(self, call: Joinable) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            call.take(text if text is not None else message.get("bytes") or b"")
