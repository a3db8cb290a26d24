"""A bad network on purpose: what a test asks the sandbox for, done to the packets that one side sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiortc

from rtcli.transport.webrtc_inside import inside, put_inside


Fate = Callable[[], float | None]
"""Of one packet of sound: seconds by which it comes later, or None when it is lost."""
_RTP = range(128, 192)
"""First byte of RTP and RTCP (RFC 7983)."""


class BadNetwork:
    """Between one peer and the other."""

    def __init__(self, dtls: aiortc.RTCDtlsTransport, fate: Fate) -> None:
        self._ice = dtls.transport
        self._fate = fate
        self._send = inside(self._ice, "_send")
        self._late: set[asyncio.Task[None]] = set()
        put_inside(self._ice, "_send", self._send_or_not)

    async def _send_or_not(self, data: bytes) -> None:
        if data[:1] == b"" or data[0] not in _RTP:
            await self._send(data)
            return
        delay = self._fate()
        if delay == 0:
            await self._send(data)
        elif delay is not None:
            task = asyncio.get_running_loop().create_task(self._send_later(data, delay))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _send_later(self, data: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        if self._ice.state == "completed":
            await self._send(data)

    def cut(self) -> None:
        """Nothing arrives and nothing leaves any more, as when the power fails."""
        for protocol in inside(inside(self._ice, "_connection"), "_protocols"):
            protocol.datagram_received = lambda *_: None
            protocol.transport = _Cut(protocol.transport)


class _Cut:
    """A socket whose cable was pulled."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def sendto(self, data: bytes, address: Any = None) -> None:
        """Lost."""
