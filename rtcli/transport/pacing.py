"""When the next packet is due. Pure: the moment is an argument."""

from __future__ import annotations

from rtcli.transport.base import FRAME_MS


FRAME = FRAME_MS / 1000
"""Seconds."""
BURST = 5
"""Frames that may be sent late, one after the other; what is later than that is left out."""


class Pace:
    """A frame each 20 ms, counted from the first, so that no delay adds up.

    A loop that was blocked for a moment sends what it missed at once. After a longer stall the frame number jumps, and
    with it the RTP timestamp: for the other side a pause, not a flood of old sound.
    """

    def __init__(self) -> None:
        self._start: float | None = None
        self._frame = -1
        self.skipped = 0
        """Frames left out."""

    def next(self, now: float) -> tuple[int, float]:
        """The number of the next frame and the seconds until it is due (0 when it is late)."""
        if self._start is None:
            self._start = now
        self._frame += 1
        behind = now - self._start - self._frame * FRAME
        if behind > BURST * FRAME:
            missed = int(behind / FRAME)
            self.skipped += missed
            self._frame += missed
            behind -= missed * FRAME
        return self._frame, max(0.0, -behind)
