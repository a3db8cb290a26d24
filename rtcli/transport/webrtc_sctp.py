# ruff: noqa: SLF001 - figures that change all the time are read where they are
"""SCTP under the data channel (aiortc's), where rtcli needs it to do otherwise.

Measured with 300-byte events between two processes on one machine: aiortc alone lets its congestion window grow until
the other side's socket overflows, 0.3 to 2 s of events stand in line then, and half of what is sent is sent twice.
Nothing here changes what is on the wire but how much of it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiortc
from OpenSSL import SSL

from rtcli.transport.webrtc_inside import inside, put_inside
from rtcli.transport.webrtc_rtp import Faults


WINDOW = 65_536
"""Bytes in flight. Fits the receive buffer of a socket as systems set it up; at 100 ms round trip still 640 kB/s."""
SACK_DELAY = 0.005
"""Seconds that an acknowledgement waits for a second packet; RFC 9260 section 6.2 allows 0.2."""


class Association:
    """Changes one SCTP transport before it starts.

    - Bytes in flight are bounded, and every acknowledgement refills the window (aiortc sends one small event for it).
    - Every second packet is acknowledged instead of every one, which is a third of the work of reading; in a rush some
      more at a time (`webrtc_shortcut.py`).
    - A message that can not be decoded is dropped and counted; in aiortc it ends the connection.
    - `overrun` is called when the other side sends on though the room it was told about is taken by parts of messages.
    """

    def __init__(self, sctp: aiortc.RTCSctpTransport, *, overrun: Callable[[], None], faults: Faults) -> None:
        self._sctp: Any = sctp
        self._overrun = overrun
        self._faults = faults
        self._outbound: Any = inside(sctp, "_outbound_queue")
        self._sent: Any = inside(sctp, "_sent_queue")
        self._flush: Callable[[], Awaitable[None]] = inside(sctp, "_data_channel_flush")
        self._receive_sack: Callable[[Any], Awaitable[None]] = inside(sctp, "_receive_sack_chunk")
        self._receive_message: Callable[..., Awaitable[None]] = inside(sctp, "_data_channel_receive")
        self._send_sack: Callable[[], Awaitable[None]] = inside(sctp, "_send_sack")
        self._send_chunk: Callable[[Any], Awaitable[None]] = inside(sctp, "_send_chunk")
        for name in ("_cwnd", "_sack_needed", "_sack_misordered", "_sack_duplicates", "_advertised_rwnd"):
            inside(sctp, name)
        put_inside(sctp, "_receive_sack_chunk", self._on_sack)
        put_inside(sctp, "_data_channel_receive", self._on_message)
        put_inside(sctp, "_send_sack", self._sack)
        put_inside(sctp, "_send_chunk", self._send)
        self._unanswered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None

    @property
    def unsent(self) -> int:
        """Bytes handed over that the window has not let through yet."""
        return sum(len(chunk.user_data) for chunk in self._outbound)

    @property
    def unacknowledged(self) -> int:
        """Bytes sent that the other side has not confirmed."""
        return sum(len(chunk.user_data) for chunk in self._sent)

    def stop(self) -> None:
        """Leave no timer behind."""
        if self._timer:
            self._timer.cancel()

    async def _on_sack(self, chunk: Any) -> None:
        await self._receive_sack(chunk)
        self._sctp._cwnd = min(self._sctp._cwnd, WINDOW)
        await self._flush()

    async def _send(self, chunk: Any) -> None:
        # Most of aiortc's sending goes on in tasks that nobody waits for: that the connection has just ended is told
        # elsewhere.
        with contextlib.suppress(ConnectionError, SSL.Error):
            await self._send_chunk(chunk)

    async def _on_message(self, stream: int, protocol: int, data: bytes) -> None:
        try:
            await self._receive_message(stream, protocol, data)
        except Exception as error:  # noqa: BLE001 - text that is no UTF-8, say
            self._faults.note("reading a message", error)

    async def _sack(self) -> None:
        """Called by aiortc for each packet of data that it read."""
        if self._sctp._advertised_rwnd < 0:
            self._overrun()
        self._unanswered += 1
        if self._sctp._sack_misordered or self._sctp._sack_duplicates:
            await self._sack_now()
            return
        self._sctp._sack_needed = False
        await self.answer()

    def took(self) -> int:
        """A packet of data was read in another way; how many of them wait for an answer."""
        self._unanswered += 1
        return self._unanswered

    async def answer(self) -> None:
        """Acknowledge what was read: two packets or more at once, a single one if no other follows soon."""
        if self._unanswered > 1:
            await self._sack_now()
        elif self._unanswered and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SACK_DELAY, self._sack_late)

    async def _sack_now(self) -> None:
        self._unanswered = 0
        await self._send_sack()

    def _sack_late(self) -> None:
        self._timer = None
        if self._unanswered:
            self._late = asyncio.ensure_future(self._sack_now())
