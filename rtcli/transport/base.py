"""What a call knows of a WebRTC peer, and a guest of the call that somebody else holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from rtcli.protocol.codec import JsonObject
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


CHANNEL = "oai-events"
"""Label of the data channel; the client creates it before the offer (OpenAI's WebRTC guide)."""
FRAME_MS = 20
"""Duration of the Opus packets we send, unless 10 ms ones are asked for."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One received audio packet, decrypted (RFC 3550)."""

    sequence: int
    """16 bits, wraps."""
    timestamp: int
    """32 bits, wraps; 48 kHz."""
    ssrc: int
    marker: bool
    payload: bytes
    """Opus (RFC 7587)."""


class AudioSource(Protocol):
    """What we send. Asked once a frame on the event loop; must not wait."""

    def next_packet(self) -> bytes:
        """The Opus payload of the next frame."""


class AudioSink(Protocol):
    """What we receive. Fed on the event loop; must not wait."""

    def add(self, packet: RtpPacket, now: float) -> None:
        """`now`: seconds on the monotonic clock at arrival."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The data channel is open."""

    limit: int | None = field(default=None, compare=False)
    """Bytes of an event that the other side takes (`a=max-message-size`, RFC 8841); None when there is no limit."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the data channel."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Down:
    """The connection ended and it was not us. Comes once, last."""

    reason: str
    """A fragment for people: "the other side closed the call", "nothing arrived for 4 s"."""
    orderly: bool
    """True when the other side said goodbye (data channel or DTLS close)."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server (RFC 7064, RFC 7065), and how it knows us."""

    url: str
    """`stun:HOST[:PORT]`, `turn:HOST[:PORT][?transport=udp|tcp]` or `turns:HOST[:PORT]`."""
    username: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A client event went out in a call that somebody else holds: ours, theirs, or another guest's."""

    data: str


@dataclass(frozen=True, slots=True)
class Aside:
    """One of rtcli's own events (`rtcli.…`) in a call that another rtcli holds, as JSON."""

    data: str


Signal = Opened | Message | Down
Deliver = Callable[[Signal], None]
"""Takes a signal on the event loop; must not raise."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A call that was up before we came."""

    name: str
    """On this machine; its id where it has no name here."""
    call_id: str | None
    session: JsonObject
    """As its holder last saw it; empty when nobody says."""


class Channel(Protocol):
    """A way into a call that somebody else holds. Made for one use.

    What happens there is delivered on the event loop: `Message` (from the service), `Sent`, `Aside`, and `Down`, once
    and last, when the call or the way to it ended.
    """

    keeps_line: bool
    """Whoever holds the call lets a `response.create` wait while another response runs, and tells (`Sent`) when one of
    ours went out. Else it goes out at once, and nobody tells what others send.
    """

    async def join(self, deliver: Callable[[Message | Sent | Aside | Down], None], *, limit: float) -> Joined:
        """Raises ConnectError, UsageError, AuthError or ServiceError."""

    def send(self, text: str) -> None:
        """Queue one client event. Raises EventTooLarge, and CallLost when the way is closed."""

    @property
    def buffered(self) -> int:
        """Bytes of events queued."""

    async def hang_up(self) -> None:
        """End the call for everybody. Raises RtcliError."""

    async def close(self) -> None:
        """Leave; the call goes on. Safe to repeat; never takes longer than 2 s."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    round_trip: float | None
    """Seconds."""
    packets_sent: int
    packets_received: int
    packets_lost: int
    jitter: float | None
    """Seconds (RFC 3550 section 6.4.1)."""
    buffered: int
    """Bytes of events not yet on the wire."""


class Peer(Protocol):
    """One side of one call. Made for one use: offer then accept, or answer; then send; then close."""

    async def offer(self) -> str:
        """The SDP offer, candidates gathered."""

    async def accept(self, answer: str, *, limit: float) -> None:
        """Take the answer and return when the data channel is open.

        Raises ConnectError naming the step when that takes more than `limit` seconds or fails before.
        """

    async def answer(self, offer: str) -> str:
        """The SDP answer to a peer that called us. Raises ValueError when the offer can not be answered."""

    def send(self, text: str) -> None:
        """Queue one event. Raises EventTooLarge, and CallLost when the channel is not open."""

    @property
    def buffered(self) -> int:
        """Bytes of events queued and not yet acknowledged by the transport."""

    async def stats(self) -> PeerStats: ...

    async def close(self) -> None:
        """Say goodbye and free everything; safe to repeat; never takes longer than 2 s."""
