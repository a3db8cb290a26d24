"""When the next packet is due. Pure: the moment is an argument."""

from __future__ import annotations

from rtcli.transport.base import FRAME_MS


BURST = 5
"""Frames that may be sent late, one after the other; what is later than that is left out."""


class Pace:
    """A frame each 20 (or 10) ms, counted from the first, so that no delay adds up.

    A loop that was blocked for a moment sends what it missed at once. After a longer stall the frame number jumps, and
    with it the RTP timestamp: for the other side a pause, not a flood of old sound.
    """

    def __init__(self, frame_ms: int = FRAME_MS) -> None:
        self.frame = frame_ms / 1000
        """Seconds."""
        self._start: float | None = None
        self._frame = -1
        self.skipped = 0
        """Frames left out."""

    def next(self, now: float) -> tuple[int, float]:
        """The number of the next frame and the seconds until it is due (0 when it is late)."""
        if self._start is None:
            self._start = now
        self._frame += 1
        behind = now - self._start - self._frame * self.frame
        if behind > BURST * self.frame:
            missed = int(behind / self.frame)
            self.skipped += missed
            self._frame += missed
            behind -= missed * self.frame
        return self._frame, max(0.0, -behind)
