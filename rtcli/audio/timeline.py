"""RTP's 32-bit timestamps and changing streams laid on one media time line that only grows (RFC 3550 section 5.1)."""

from __future__ import annotations

from collections import deque

from rtcli.audio.base import RATE
from rtcli.records import dataclass
from rtcli.transport.base import RtpPacket


JUMP = 10 * RATE
"""A timestamp further off than this is a new time line, not a gap or a late packet."""
_CRYSTAL = 0.0015
"""The worst drift between two clocks that is believed: 1500 ppm."""
GAP = 3 * 960
"""Samples of media time missing in front of a packet that make it the start of a talk spurt: 60 ms."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a packet stands."""

    media: int
    """Media time in samples; comparable across streams."""
    new_stream: bool
    """The first of another SSRC: its decoder starts afresh."""
    new_line: bool
    """Its timestamps do not follow from those before."""


class TimeLine:
    """Places packets. A new SSRC or a jump goes on where the newest packet ended."""

    def __init__(self) -> None:
        self.newest = 0
        """Media time behind the newest packet."""
        self.marker_means = False
        """Whether the marker bit tells anything: some senders (aiortc's) set it on every packet."""
        self._ssrc: int | None = None
        self._retired: int | None = None
        self._timestamp = 0
        self._media = 0

    def place(self, packet: RtpPacket, samples: int) -> Place | None:
        """None for a straggler of a stream that was replaced."""
        if packet.ssrc == self._retired:
            return None
        new_stream = packet.ssrc != self._ssrc and self._ssrc is not None
        new_line = packet.ssrc != self._ssrc
        if new_line:
            self._retired, self._ssrc = self._ssrc, packet.ssrc
        step = _signed(packet.timestamp - self._timestamp)
        if new_line or abs(step) > JUMP:
            new_line = True
            step = self.newest - self._media
        media = self._media + step
        if step > 0 or new_line:
            self._timestamp, self._media = packet.timestamp & 0xFFFFFFFF, media
            self.newest = max(self.newest, media + samples)
        self.marker_means = not packet.marker or (self.marker_means and step <= 0)
        return Place(media, new_stream, new_line)


class Cutoff:
    """What of the stream belongs to an answer that was interrupted.

    By media time, not by arrival: a packet of the old answer that the network held up is as stale as its neighbours.
    Everything up to the newest packet at the moment of the interruption is stale, and for a while what goes on from
    there without a gap: it was on its way.
    """

    def __init__(self, newest: int, until: float, settle: int) -> None:
        """`newest`: media time at the interruption; `until`: on the caller's clock; `settle`: samples."""
        self._newest = newest
        self._until = until
        self._limit = newest + settle
        self._end = newest

    def judge(self, media: int, arrival: float, *, starts: bool) -> bool | None:
        """True: stale. None: the next answer has begun, or time is over. `starts`: the marker bit says so."""
        if media < self._newest:
            return True
        if starts or arrival >= self._until or media >= self._limit or media > self._end + GAP:
            return None
        self._end = max(self._end, media + 960)
        return True


class Drift:
    """The sender's clock against the speaker's: slope of the smallest need of each second, over half a minute."""

    _SECONDS = 30

    def __init__(self) -> None:
        self.ppm = 0.0
        """Positive when the sender's clock is the faster one."""
        self._least: deque[tuple[float, int]] = deque(maxlen=self._SECONDS)
        self._bucket = -1
        self._lowest = 0

    @property
    def slope(self) -> float:
        """By how much the needs grow with each sample; no more than a bad crystal's, the rest is the network's."""
        return max(-_CRYSTAL, min(_CRYSTAL, -self.ppm * 1e-6))

    def note(self, taken: int, need: int) -> None:
        """`taken`: the speaker's samples; `need`: of a packet, in samples (`arrivals`)."""
        bucket = taken // RATE
        if bucket == self._bucket:
            self._lowest = min(self._lowest, need)
            return
        if self._bucket >= 0:
            self._least.append((self._bucket, self._lowest))
            self._fit()
        self._bucket, self._lowest = bucket, need

    def restart(self) -> None:
        """The clocks' relation jumped: what was seen before does not compare."""
        self._least.clear()
        self._bucket = -1

    def _fit(self) -> None:
        """Least squares; below ten seconds the network's noise is larger than any crystal's error."""
        count = len(self._least)
        if count < 10:
            return
        mean_x = sum(x for x, _ in self._least) / count
        mean_y = sum(y for _, y in self._least) / count
        spread = sum((x - mean_x) ** 2 for x, _ in self._least)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in self._least) / spread
        self.ppm = -slope / RATE * 1e6


def _signed(difference: int) -> int:
    difference &= 0xFFFFFFFF
    return difference - (1 << 32) if difference & 0x80000000 else difference
