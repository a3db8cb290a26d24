"""The WebRTC peer on aiortc.

`webrtc*.py` are the only files that know aiortc and aioice: this one makes and ends connections, `webrtc_rtp.py`
carries sound, `webrtc_sctp.py` tunes the data channel, `webrtc_shortcut.py` reads it fast, `webrtc_ice.py` looks after
addresses and liveness, and `webrtc_inside.py` guards the private attributes that these need. Over 400 lines because
what a connection reports, and how far it got when it fails, is told by the one that made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import aiortc
from aiortc.rtcicetransport import parse_stun_turn_uri

from rtcli.errors import CallLost, ConnectError, EventTooLarge, UsageError
from rtcli.protocol import sdp, sdp_own
from rtcli.records import dataclass
from rtcli.transport.base import (
    CHANNEL,
    FRAME_MS,
    AudioSink,
    AudioSource,
    Deliver,
    Down,
    IceServer,
    Message,
    Opened,
    PeerStats,
    Signal,
)
from rtcli.transport.liveness import LOST
from rtcli.transport.webrtc_faults import BadNetwork, Fate
from rtcli.transport.webrtc_ice import IceAgent, Reach
from rtcli.transport.webrtc_inside import inside
from rtcli.transport.webrtc_rtp import Faults, PacedTrack, Tap
from rtcli.transport.webrtc_sctp import Association
from rtcli.transport.webrtc_shortcut import Shortcut


ANSWER_LIMIT = 30.0
"""Seconds that one who called us has to connect after our answer."""
FLUSH_LIMIT = 0.5
"""Seconds that events not sent yet may delay closing."""
CONFIRM_LIMIT = 0.1
"""Seconds after that for the other side to confirm them; some wait 200 ms before they do."""
CLOSE_LIMIT = 1.2
"""Seconds for aiortc to close; a TURN server that is gone would hold it up for half a minute."""
NAMED_ADDRESSES = 3
"""Addresses named in an error."""

_RATE = 48_000
_SERVERS = {("stun", None), ("turn", "udp"), ("turn", "tcp"), ("turns", "tcp")}
"""Schemes and transports that aiortc does not pass over in silence."""
_RECEIVED_SHUTDOWN = 2
"""OpenSSL's SSL_RECEIVED_SHUTDOWN: the other side sent close_notify."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Link:
    """The one transport that sound and events share, and what rtcli changed in it."""

    dtls: aiortc.RTCDtlsTransport
    ice: IceAgent
    association: Association | None
    """None when the other side offered no data channel."""

    @property
    def reachable(self) -> bool:
        return self.dtls.transport.state == "completed"

    @property
    def goodbye(self) -> bool:
        """DTLS was closed by the other side on purpose."""
        return bool(inside(self.dtls, "_ssl").get_shutdown() & _RECEIVED_SHUTDOWN)


class WebRtcPeer:
    """One side of one call. See `rtcli.transport.base.Peer` for what its methods promise.

    `loopback`: the other side is on this machine, as the host of its URL says, or as a server bound to loopback knows.
    Two such peers use 127.0.0.1 and nothing else. What happens with others stands under `Reach`.

    `ice_servers`: the first STUN and the first TURN server are asked; none are on loopback.

    `fate`: what becomes of each packet of sound that is sent, for a sandbox that plays a bad network.

    `deliver` gets Opened when the channel opens, before `accept` returns; then messages; Down once and last, unless
    `close` came first. Exceptions in `deliver`, `source` and `sink` are logged once each and change nothing.
    """

    def __init__(
        self,
        *,
        source: AudioSource | None,
        sink: AudioSink | None,
        deliver: Deliver,
        ice_servers: Sequence[IceServer] = (),
        loopback: bool = False,
        fate: Fate | None = None,
        frame_ms: int = FRAME_MS,
    ) -> None:
        servers = [_ice_server(server) for server in ice_servers]
        self._pc = aiortc.RTCPeerConnection(
            aiortc.RTCConfiguration(
                iceServers=[] if loopback else servers, bundlePolicy=aiortc.RTCBundlePolicy.MAX_BUNDLE
            )
        )
        self._frame_ms = frame_ms
        self._source = source
        self._sink = sink
        self._deliver = deliver
        self._loopback = loopback
        self._fate = fate
        self._network: BadNetwork | None = None
        self._faults = Faults()
        self._link: _Link | None = None
        self._channel: aiortc.RTCDataChannel | None = None
        self._theirs = False
        """It was opened by the other side."""
        self._offer = ""
        """Ours, as it went out."""
        self._remote: sdp.Description | None = None
        self._settled = asyncio.Event()
        """The channel is open, or never will be."""
        self._failure: ConnectError | None = None
        self._over = False
        """Down was delivered, or we closed."""
        self._limit: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """The SDP offer, candidates gathered. Raises ConnectError when this machine has no address to offer."""
        # Sound first: aiortc hangs the bundle on the transport that was made first.
        transceiver = self._add_audio()
        self._adopt(self._pc.createDataChannel(CHANNEL))
        self._pc.on("datachannel", self._take_channel)
        self._take_over(transceiver.receiver.transport, Reach.LOOPBACK_FIRST if self._loopback else Reach.NETWORK)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        self._offer = sdp_own.publish_offer(self._pc.localDescription.sdp)
        if "\r\na=candidate:" not in self._offer:
            raise ConnectError("ice", "this machine has no network address")
        return self._offer

    async def accept(self, answer: str, *, limit: float) -> None:
        """Take the answer and return when the data channel is open; see Peer. After an error the peer is closed."""
        try:
            async with asyncio.timeout(limit):
                await self._apply(answer)
                await self._settled.wait()
        except TimeoutError:
            self._failure = self._failure or self._unconnected(f"in {round(limit, 1):g} s")
        except ConnectError as error:
            self._failure = error
        if self._failure:
            await self.close()
            raise self._failure

    async def _apply(self, answer: str) -> None:
        assert self._link, "accept() follows offer()"
        try:
            self._remote = sdp.read_answer(answer, self._offer, loopback=self._loopback)
        except sdp.BadDescription as error:
            raise ConnectError("answer", str(error)) from None
        if self._remote.tcp_only:
            raise ConnectError("ice", "the answer names TCP addresses only, and media travel over UDP here")
        if self._loopback and self._remote.on_loopback:
            self._link.ice.keep_loopback()
        try:
            await self._pc.setRemoteDescription(aiortc.RTCSessionDescription(self._remote.text, "answer"))
        except Exception as error:
            raise ConnectError("answer", f"the answer can not be used: {error}") from error

    async def answer(self, offer: str) -> str:
        """The SDP answer to a peer that called us. Raises ValueError when the offer can not be answered.

        A caller that is not connected within ANSWER_LIMIT ends in Down.
        """
        self._remote = sdp.read_offer(offer)
        transceiver = self._add_audio() if self._remote.audio else None
        self._pc.on("datachannel", self._take_channel)
        await self._pc.setRemoteDescription(aiortc.RTCSessionDescription(self._remote.text, "offer"))
        shared = transceiver.receiver if transceiver else self._pc.sctp
        assert shared, "read_offer() gives a section at least"
        self._take_over(shared.transport, self._reach_back())
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        self._limit = asyncio.get_running_loop().call_later(ANSWER_LIMIT, self._never_came)
        return sdp_own.publish_answer(self._pc.localDescription.sdp, self._remote)

    def _reach_back(self) -> Reach:
        """Which addresses of ours a peer that called us may use."""
        assert self._remote
        if not self._loopback:
            return Reach.NETWORK
        return Reach.LOOPBACK if self._remote.on_loopback else Reach.MACHINE

    def _add_audio(self) -> aiortc.RTCRtpTransceiver:
        transceiver = self._pc.addTransceiver(PacedTrack(self._source, self._faults, self._frame_ms), "sendrecv")
        Tap(transceiver.receiver, self._sink, self._faults)
        return transceiver

    def _take_over(self, dtls: aiortc.RTCDtlsTransport, reach: Reach) -> None:
        sctp = self._pc.sctp
        self._link = _Link(
            dtls,
            IceAgent(dtls.transport, reach=reach, lost=self._on_silence, faults=self._faults),
            Association(sctp, overrun=self._on_overrun, faults=self._faults) if sctp else None,
        )
        if sctp and self._link.association:
            Shortcut(dtls, sctp, self._link.association)
        if self._fate is not None:
            self._network = BadNetwork(dtls, self._fate)
        inside(dtls, "_ssl")
        dtls.on("statechange", self._on_transport)
        dtls.transport.on("statechange", self._on_transport)

    def _take_channel(self, channel: aiortc.RTCDataChannel) -> None:
        # A server that opens one of its own though we did listens on that; what still comes by ours is taken too.
        if channel.label == CHANNEL and not self._theirs:
            self._theirs = True
            self._adopt(channel)
            self._on_open()
        else:
            _log.info("a data channel named %.40r is ignored", channel.label)

    def _adopt(self, channel: aiortc.RTCDataChannel) -> None:
        self._channel = channel
        inside(channel, "_setReadyState")
        channel.on("open", self._on_open)
        channel.on("message", self._on_message)
        channel.on("close", lambda: self._on_channel_close(channel))

    # What aiortc reports. An exception in one of these would close the connection.

    def _on_open(self) -> None:
        if not self._over and not self._settled.is_set():
            self._signal(Opened(self._remote.max_message_size if self._remote else None))
            self._settled.set()

    def _on_message(self, data: str | bytes) -> None:
        # The other side uses the channel, so it has it. Its acknowledgement (RFC 8832) comes behind (werift), or never.
        if not self._over and self._channel and self._channel.readyState == "connecting":
            self._channel._setReadyState("open")  # noqa: SLF001 - looked for in _adopt
        if not self._over:
            self._signal(Message(data))

    def _on_channel_close(self, channel: aiortc.RTCDataChannel) -> None:
        if channel is self._channel:
            self._end("the other side closed the call", orderly=True)

    def _on_transport(self) -> None:
        assert self._link
        ice, dtls = self._link.dtls.transport.state, self._link.dtls.state
        if "failed" in {ice, dtls}:
            self._end("the connection failed", orderly=False)
        elif dtls == "closed" and not self._over:
            goodbye = self._link.goodbye
            self._end("the other side closed the call" if goodbye else "the connection broke", orderly=goodbye)
        elif dtls == "connected" and self._limit:
            self._limit.cancel()

    def _on_silence(self) -> None:
        self._end(f"nothing arrived for {LOST:g} s", orderly=False)

    def _on_overrun(self) -> None:
        self._end("the other side sent a message larger than it may", orderly=False)

    def _never_came(self) -> None:
        self._end(f"the other side did not connect in {ANSWER_LIMIT:g} s", orderly=False)

    def _end(self, reason: str, *, orderly: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._link:
            self._link.ice.stop()
        if self._offer and not self._settled.is_set():
            self._failure = self._unconnected(f"({reason})")
        else:
            self._signal(Down(reason, orderly))
        self._settled.set()

    def _signal(self, signal: Signal) -> None:
        try:
            self._deliver(signal)
        except Exception as error:  # noqa: BLE001 - aiortc would close the connection
            self._faults.note("taking a signal", error)

    # How far connecting got

    def _unconnected(self, how: str) -> ConnectError:
        assert self._link
        dtls = self._link.dtls
        if not self._link.reachable:
            return self._unreachable(how)
        if dtls.state == "failed" and dtls.encrypted:
            return ConnectError("dtls", "the other side's certificate is not the one its answer names")
        if dtls.state in {"new", "connecting", "failed"}:
            return ConnectError("dtls", f"the DTLS handshake did not succeed {how}")
        return ConnectError("channel", f"the data channel did not open {how}")

    def _unreachable(self, how: str) -> ConnectError:
        assert self._link
        addresses = self._remote.addresses if self._remote else ()
        if not addresses:
            return ConnectError("ice", f"the answer names no address that can be used, and nothing came {how}")
        where = ", ".join(addresses[:NAMED_ADDRESSES]) + (", …" if len(addresses) > NAMED_ADDRESSES else "")
        if self._link.ice.heard:
            return ConnectError("ice", f"packets came back, but the ICE checks with {where} did not succeed {how}")
        why = f"; the system says: {self._link.ice.error.strerror}" if self._link.ice.error else ""
        return ConnectError("ice", f"no UDP packet to {where} got an answer {how}{why}", udp_suspect=True)

    # The open call

    def send(self, text: str) -> None:
        """Queue one event. Raises EventTooLarge, and CallLost when the channel is not open (yet, or any more)."""
        if self._over or self._channel is None or self._channel.readyState != "open":
            raise CallLost("the data channel is not open")
        limit = self._remote.max_message_size if self._remote else None
        if limit is not None and len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise EventTooLarge(size, limit)
        self._channel.send(text)

    @property
    def buffered(self) -> int:
        """Bytes of events queued and not yet acknowledged by the other side."""
        return self._unsent + self._unacknowledged

    @property
    def _unsent(self) -> int:
        queued = self._channel.bufferedAmount if self._channel else 0
        return queued + (self._link.association.unsent if self._link and self._link.association else 0)

    @property
    def _unacknowledged(self) -> int:
        return self._link.association.unacknowledged if self._link and self._link.association else 0

    async def stats(self) -> PeerStats:
        """Totals of the call so far. Loss and jitter are those of the stream that came last."""
        report = (await self._pc.getStats()).values()
        received = [entry for entry in report if entry.type == "inbound-rtp"]
        return PeerStats(
            round_trip=self._link.ice.round_trip if self._link else None,
            packets_sent=sum(entry.packetsSent for entry in report if entry.type == "outbound-rtp"),
            packets_received=sum(entry.packetsReceived for entry in received),
            packets_lost=sum(entry.packetsLost for entry in received),
            jitter=max((entry.jitter / _RATE for entry in received), default=None),
            buffered=self.buffered,
        )

    def cut(self) -> None:
        """Vanish without a word; only a peer that was given a `fate` can."""
        if self._network is not None:
            self._network.cut()

    async def close(self) -> None:
        """Say goodbye and free everything; safe to repeat; never takes longer than 2 s."""
        self._closing = self._closing or asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if not self._over:
            await self._flush()
        if not self._settled.is_set():
            self._failure = self._failure or ConnectError("channel", "the call was closed before it was connected")
        self._over = True
        self._settled.set()
        if self._limit:
            self._limit.cancel()
        if self._link and self._link.association:
            self._link.association.stop()
        checking = self._link is not None and self._link.dtls.transport.state == "checking"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT):
                await self._pc.close()
        # What aiortc woke or cancelled gets to its end; aioice looks up every 20 ms while it is checking.
        await asyncio.sleep(0.03 if checking else 0)

    async def _flush(self) -> None:
        """Give the last events a moment to get through."""
        await _until(lambda: not self._unsent, FLUSH_LIMIT)
        await _until(lambda: not self._unacknowledged, CONFIRM_LIMIT)


async def _until(condition: Callable[[], bool], limit: float) -> None:
    """Wait for what aiortc has no event for, `limit` seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while not condition():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.002)


def _ice_server(server: IceServer) -> aiortc.RTCIceServer:
    try:
        parts = parse_stun_turn_uri(server.url)
    except ValueError as error:
        raise UsageError(f"not a STUN or TURN URL: {server.url[:200]!r} ({error})") from None
    if (parts["scheme"], parts.get("transport")) not in _SERVERS:
        raise UsageError(f"a STUN or TURN server that can not be used: {server.url[:200]!r}")
    password = server.password.reveal() if server.password else None
    return aiortc.RTCIceServer(urls=server.url, username=server.username, credential=password)
