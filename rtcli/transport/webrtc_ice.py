"""The ICE agent under aiortc (aioice), where rtcli needs it to do otherwise: addresses, consent, liveness."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import aiortc

from rtcli.transport.liveness import TICK, Liveness
from rtcli.transport.webrtc_inside import inside, put_inside
from rtcli.transport.webrtc_rtp import Faults


LOOPBACK = "127.0.0.1"
GATHER_LIMIT = 3
"""Seconds for STUN and TURN servers to answer; aioice waits 5 for the slowest of all interfaces."""

_STUN_SUCCESS = b"\x01\x01"
"""Type of a binding success response (RFC 8489 section 5)."""
_ASKED = 16
"""Requests whose answers are still waited for."""


class IceAgent:
    """Changes one ICE connection before it gathers.

    - On loopback it offers 127.0.0.1, which aioice leaves out, and nothing else.
    - Consent requests carry USE-CANDIDATE: OpenAI's ICE-lite servers are reported to ignore others and to drop the
      call after 30 s (openai-agents-js#1353), and Chrome sends it too. Missing answers never close the connection as
      long as anything else arrives.
    - `lost` is called once when nothing has arrived for `liveness.LOST` seconds.
    """

    def __init__(
        self, transport: aiortc.RTCIceTransport, *, loopback: bool, lost: Callable[[], None], faults: Faults
    ) -> None:
        self._connection = inside(transport, "_connection")
        self._loopback = loopback
        self._lost = lost
        self._faults = faults
        self._liveness: Liveness | None = None
        self._asked: dict[bytes, float] = {}
        self.heard = False
        """Anything has arrived at all."""
        self.round_trip: float | None = None
        """Seconds, of the last STUN request."""
        self._protocols: list[Any] = inside(self._connection, "_protocols")
        self._nominated: dict[int, Any] = inside(self._connection, "_nominated")
        self._gather: Callable[..., Awaitable[list[Any]]] = inside(self._connection, "get_component_candidates")
        put_inside(self._connection, "get_component_candidates", self._candidates)
        put_inside(self._connection, "query_consent", self._watch)

    async def _candidates(self, component: int, addresses: list[str], timeout: int = GATHER_LIMIT) -> list[Any]:  # noqa: ASYNC109 - aioice's
        """In the place of aioice's own: which of this machine's addresses are offered."""
        if self._loopback:
            # The other addresses get their sockets too, but are not offered: should the answer name no address on
            # loopback (a proxy on this machine, a container), the checks go out from there. See `keep_loopback`.
            addresses = [LOOPBACK, *(address for address in addresses if address != LOOPBACK)]
        found = await self._gather(component=component, addresses=addresses, timeout=min(timeout, GATHER_LIMIT))
        for protocol in self._protocols:
            self._listen(protocol)
        return [candidate for candidate in found if not self._loopback or candidate.host == LOOPBACK]

    def keep_loopback(self) -> None:
        """Close every socket that is not on loopback."""
        others = [protocol for protocol in self._protocols if protocol.local_candidate.host != LOOPBACK]
        for protocol in others:
            self._protocols.remove(protocol)
            protocol.transport.close()

    def _listen(self, protocol: Any) -> None:
        deliver = protocol.datagram_received

        def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
            self._hear(data)
            try:
                deliver(data, address)
            except Exception as error:  # noqa: BLE001 - a malformed packet, from anybody
                self._faults.note("reading a packet", error)

        protocol.datagram_received = datagram_received

    def _hear(self, data: bytes) -> None:
        now = monotonic()
        self.heard = True
        if self._liveness is not None:
            self._liveness.heard = now
        if data[:2] == _STUN_SUCCESS:
            asked = self._asked.pop(bytes(data[8:20]), None)
            if asked is not None:
                self.round_trip = now - asked

    async def _watch(self) -> None:
        """In the place of aioice's consent checks; started by it when a pair was nominated, cancelled when closed."""
        self._liveness = Liveness(monotonic())
        while (verdict := self._liveness.look(monotonic())) != "lost":
            if verdict == "ask":
                self._ask()
            await asyncio.sleep(TICK)
        self._lost()

    def _ask(self) -> None:
        """Send a binding request on the pair in use. The answer is heard, not awaited."""
        connection = self._connection
        for pair in self._nominated.values():
            request = connection.build_request(pair, nominate=connection.ice_controlling)
            request.add_message_integrity(connection.remote_password.encode())
            self._asked[request.transaction_id] = monotonic()
            pair.protocol.send_stun(request, pair.remote_addr)
        while len(self._asked) > _ASKED:
            self._asked.pop(next(iter(self._asked)))
