"""Sound between aiortc and us: Opus packets as they are, without its encoder, jitter buffer and decoder.

aiortc's jitter buffer costs 80 ms, and 300 ms for the rest of the call after the first lost packet (aiortc#543); its
encoder knows neither FEC nor mono. Both are left out: what is sent is encoded already, what is received goes straight
to the playout.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from fractions import Fraction
from time import monotonic
from typing import Any

import aiortc
import av

from rtcli.transport.base import FRAME_MS, AudioSink, AudioSource, RtpPacket
from rtcli.transport.pacing import Pace
from rtcli.transport.webrtc_inside import inside, put_inside


SILENCE = {20: b"\xf8\xff\xfe", 10: b"\xf0\xff\xfe"}
"""By milliseconds: one CELT frame of silence, mono (RFC 6716 section 3.1)."""
RTP_RATE = 48
"""Ticks a millisecond of the RTP clock of Opus (RFC 7587 section 4.1)."""
STREAMS = 8
"""Remote streams that are remembered for RTCP reports; a report has room for 31 (RFC 3550 section 6.4.2)."""

_CLOCK = Fraction(1, 48_000)
_log = logging.getLogger(__name__)


class Faults:
    """Exceptions of handlers that must not end a call: counted by kind, logged once each."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def note(self, kind: str, error: Exception) -> None:
        self.count[kind] += 1
        if self.count[kind] == 1:
            _log.error("%s failed; the call goes on, and further failures of it are not logged", kind, exc_info=error)


class PacedTrack(aiortc.MediaStreamTrack):
    """A packet of the source each frame, silence where it has none. Nothing but closing the peer ends it."""

    kind = "audio"

    def __init__(self, source: AudioSource | None, faults: Faults, frame_ms: int = FRAME_MS) -> None:
        super().__init__()
        self._frame_ms = frame_ms
        self._source = source
        self._faults = faults
        self._pace = Pace(frame_ms)

    async def recv(self) -> av.Packet[Any]:
        frame, wait = self._pace.next(monotonic())
        if wait:
            await asyncio.sleep(wait)
        packet = self._packet()
        packet.pts = frame * self._frame_ms * RTP_RATE
        packet.time_base = _CLOCK
        return packet

    def _packet(self) -> av.Packet[Any]:
        if self._source is not None:
            try:
                return av.Packet(self._source.next_packet() or SILENCE[self._frame_ms])
            except Exception as error:  # noqa: BLE001 - an exception here would end aiortc's sender, silently
                self._faults.note("the audio source", error)
        return av.Packet(SILENCE[self._frame_ms])


class Tap:
    """Stands where the receiver's jitter buffer stood, and hands each packet on as it comes."""

    def __init__(self, receiver: aiortc.RTCRtpReceiver, sink: AudioSink | None, faults: Faults) -> None:
        self._streams = inside(receiver, "_RTCRtpReceiver__remote_streams")
        self._sink = sink
        self._faults = faults
        self._ssrc: int | None = None
        put_inside(receiver, "_RTCRtpReceiver__jitter_buffer", self)
        # The word that ends its decoder, before it starts: the thread would wait for the rest of the call, and for
        # ever if the process ended without closing the peer. Its track goes unread, so nothing may be put there.
        inside(receiver, "_RTCRtpReceiver__decoder_queue").put(None)

    def add(self, packet: Any) -> tuple[bool, None]:
        """Called by the receiver for each packet of a negotiated payload type, which is Opus.

        Gives what the jitter buffer gives when no frame is ready.
        """
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._forget_old_streams()
        if self._sink is not None and packet.payload:
            arrived = RtpPacket(
                packet.sequence_number, packet.timestamp, packet.ssrc, bool(packet.marker), packet.payload
            )
            try:
                self._sink.add(arrived, monotonic())
            except Exception as error:  # noqa: BLE001 - it would end the transport
                self._faults.note("the audio sink", error)
        return False, None

    def _forget_old_streams(self) -> None:
        """Bound the streams that aiortc reports on: with hundreds, its reports fail and closing it hangs."""
        while len(self._streams) > STREAMS:
            self._streams.pop(next(iter(self._streams)))
