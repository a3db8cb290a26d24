"""The ICE agent under aiortc (aioice), where rtcli needs it to do otherwise: addresses, consent, liveness."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from enum import Enum, auto
from ipaddress import ip_address
from time import monotonic
from typing import Any

import aioice.ice
import aiortc

from rtcli.transport.liveness import TICK, Liveness
from rtcli.transport.webrtc_inside import inside, put_inside
from rtcli.transport.webrtc_rtp import Faults


LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
SERVER_LIMIT = 3.0
"""Seconds for a STUN or TURN server to answer on one interface."""
SERVER_GRACE = 0.5
"""Seconds that the other interfaces have once one was answered; aioice waits 5 s for the slowest."""

RECEIVE_BUFFER = 1 << 20
"""Bytes, of which a system gives what it allows: room for what comes while the loop is busy. aioice asks for a quarter,
which 500 small events fill, and a sender like aiortc's takes long to recover from what is lost."""

LARGEST_DATAGRAM = 1 << 16
"""Bytes. For each datagram asyncio asks for a buffer of four times this, and to take and return so much memory costs
15 µs: a quarter of reading an event."""

_SECOND_CHOICE = 26 << 24
"""Taken from the priority of a host candidate, puts it behind any other (RFC 8445 section 5.1.2.1: 126 becomes 100)."""
_STUN = range(4)
"""First byte of a STUN message (RFC 7983)."""
_STUN_SUCCESS = b"\x01\x01"
"""Type of a binding success response (RFC 8489 section 5)."""
_ASKED = 16
"""Requests whose answers are still waited for."""
_log = logging.getLogger(__name__)


class Reach(Enum):
    """The addresses of ours that a call uses."""

    NETWORK = auto()
    """All but loopback's: aioice's own choice."""
    LOOPBACK = auto()
    """127.0.0.1."""
    LOOPBACK_FIRST = auto()
    """127.0.0.1 is offered, and ::1 for who has IPv6 alone. The others have sockets too: should the answer name no
    address on (IPv4) loopback (a proxy or a container on this machine), the checks go out from there. Else see
    `keep_loopback`."""
    MACHINE = auto()
    """127.0.0.1 and the others, but nobody outside this machine is sent to or heard: for browsers, which offer no
    loopback address; Firefox does not even send to one."""


class IceAgent:
    """Changes one ICE connection before it gathers.

    - It uses the addresses that `reach` says; aioice always leaves 127.0.0.1 out.
    - STUN and TURN servers, where there are any, are not waited for longer than they are worth.
    - Consent requests carry USE-CANDIDATE: OpenAI's ICE-lite servers are reported to ignore others and to drop the
      call after 30 s (openai-agents-js#1353), and Chrome sends it too. Missing answers never close the connection as
      long as anything else arrives.
    - `lost` is called when nothing has arrived for `liveness.LOST` seconds.
    """

    def __init__(
        self, transport: aiortc.RTCIceTransport, *, reach: Reach, lost: Callable[[], None], faults: Faults
    ) -> None:
        self._connection = inside(transport, "_connection")
        self._protocols: list[Any] = inside(self._connection, "_protocols")
        self._nominated: dict[int, Any] = inside(self._connection, "_nominated")
        self._remote_candidates: list[Any] = inside(self._connection, "_remote_candidates")
        self._gather: Callable[..., Awaitable[list[Any]]] = inside(self._connection, "get_component_candidates")
        inside(self._connection, "build_request")
        inside(self._connection, "data_received")
        put_inside(self._connection, "get_component_candidates", self._candidates)
        put_inside(self._connection, "query_consent", self._watch)
        # Asked by ourselves: aioice leaves its questions running when it is cancelled.
        self._stun_server, self._connection.stun_server = self._connection.stun_server, None
        self._turn_server, self._connection.turn_server = self._connection.turn_server, None
        self._reach = reach
        self._fence: frozenset[str] | None = None
        """The only addresses that are listened to."""
        self._lost = lost
        self._faults = faults
        self._liveness: Liveness | None = None
        self._stopped = False
        self._asked: dict[bytes, float] = {}
        self.heard = False
        """Anything has arrived at all."""
        self.error: OSError | None = None
        """What the system said to the last packet it could not send."""
        self.round_trip: float | None = None
        """Seconds, of the last STUN request."""

    async def _candidates(self, component: int, addresses: list[str], **_: object) -> list[Any]:
        """In the place of aioice's own: give sockets to this machine's `addresses`, say which are offered."""
        if self._reach is Reach.MACHINE:
            self._put_up_fence({LOOPBACK, *addresses})
        if self._reach is not Reach.NETWORK:
            others = [] if self._reach is Reach.LOOPBACK else [address for address in addresses if address != LOOPBACK]
            second = [LOOPBACK_6] if self._reach is Reach.LOOPBACK_FIRST else []
            addresses = [LOOPBACK, *second, *others]  # aioice passes over one that is not there
        found = await self._gather(component=component, addresses=addresses)
        found += await self._from_servers(component)
        for protocol in self._protocols:
            self._listen(protocol)
        if self._reach is Reach.NETWORK:
            return found
        for candidate in found:
            candidate.priority -= 0 if candidate.host == LOOPBACK else _SECOND_CHOICE
        offered = {LOOPBACK, LOOPBACK_6}
        return [candidate for candidate in found if candidate.host in offered or self._reach is Reach.MACHINE]

    async def _from_servers(self, component: int) -> list[Any]:
        """The candidates that STUN and TURN servers give, as many as come in time. Leaves no task behind."""
        tasks = [asyncio.ensure_future(question) for question in self._questions(component)]
        pending, limit = set(tasks), SERVER_LIMIT
        found: list[Any] = []
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for candidate, protocol in (task.result() for task in done if not task.exception()):
                    found.append(candidate)
                    self._protocols += [protocol] if protocol else []
                limit = SERVER_GRACE if found else limit
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if tasks and not found:
            _log.warning("no STUN or TURN server gave an address")
        return found

    def _questions(self, component: int) -> Iterator[Coroutine[Any, Any, tuple[Any, Any]]]:
        connection = self._connection
        if self._stun_server:
            for protocol in self._protocols:
                if ip_address(protocol.local_candidate.host).version == 4:
                    yield aioice.ice.server_reflexive_candidate(protocol, self._stun_server)
        if self._turn_server:
            yield aioice.ice.relayed_candidate(
                component=component,
                hide_related_address=False,
                protocol_factory=lambda: aioice.ice.StunProtocol(connection),
                turn_server=self._turn_server,
                turn_username=connection.turn_username,
                turn_password=connection.turn_password,
                turn_ssl=connection.turn_ssl,
                turn_transport=connection.turn_transport,
            )

    def _put_up_fence(self, addresses: set[str]) -> None:
        self._fence = frozenset(addresses)
        self._remote_candidates[:] = [there for there in self._remote_candidates if there.host in addresses]

    def keep_loopback(self) -> None:
        """Close every socket that is not on loopback."""
        others = [protocol for protocol in self._protocols if protocol.local_candidate.host != LOOPBACK]
        for protocol in others:
            self._protocols.remove(protocol)
            protocol.transport.close()

    def _listen(self, protocol: Any) -> None:
        opened = protocol.transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        protocol.transport.max_size = LARGEST_DATAGRAM
        deliver, data_received = protocol.datagram_received, self._connection.data_received
        component = protocol.local_candidate.component

        def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
            # An empty datagram, from anybody, would end aiortc's transport.
            if not data or (self._fence is not None and address[0] not in self._fence):
                return
            self._hear(data)
            if data[0] not in _STUN:
                data_received(data, component)  # aioice finds out by an exception
                return
            try:
                deliver(data, address)
            except Exception as error:  # noqa: BLE001 - a malformed packet, from anybody
                self._faults.note("reading a packet", error)

        def error_received(error: Exception) -> None:
            if isinstance(error, OSError):
                self.error = error

        protocol.datagram_received = datagram_received
        protocol.error_received = error_received

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
        while not self._stopped:
            verdict = self._liveness.look(monotonic())
            if verdict == "lost":
                self._lost()
            elif verdict == "ask":
                self._ask()
            await asyncio.sleep(TICK)

    def stop(self) -> None:
        """The call is over: ask no more."""
        self._stopped = True

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
