"""The two bounded queues between the call's loop and the face's thread. Nothing else crosses.

Updates: the loop never waits. When the face is behind, words still growing are folded away and counted, because the
whole text follows; everything else is kept up to `MOST_WAITING` bytes of it, and a face that then takes nothing for
`PATIENCE` seconds ends the call. A call that somebody else holds, or a file, can wait: more is taken from it when there
is room, and the other process drops the oldest meanwhile and says so.
Intents: `Call.post`; a face that is ahead of the call waits for `Call.room`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from rtcli.protocol.updates import EventIn, EventOut, Growing, Relayed, Update, Vitals


FOLD_ABOVE = 512
"""Updates waiting above which words still growing are folded."""
FOLDED = (Growing, Vitals)
"""Updates that the next of their kind makes void."""
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of events waiting."""
FULL = 4 * 1024 * 1024
"""Bytes of events waiting above which one who can wait puts nothing more."""
PATIENCE = 30.0
"""Seconds."""
BATCH = 256
"""Updates a face takes at once."""
BUSY, LINGER = 0.002, 0.002
"""Seconds between two takes below which the face lets some more come first.

Woken for every single one of 4000 events a second, it and the loop take the interpreter from one another each time.
"""


class UpdateLane:
    """One writer (the loop), one reader (the face's thread)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Update, float]] = deque()
        self._put = self._got = 0  # bytes; each has one writer
        self._filled = threading.Event()
        self._taken_at = self._clock()
        self._took_at = -BUSY
        self.folded = 0
        """Updates that were not shown."""

    def put(self, update: Update) -> None:
        if isinstance(update, FOLDED) and len(self._waiting) >= FOLD_ABOVE:
            self.folded += 1
            return
        if not self._waiting:
            self._taken_at = self._clock()
        self._put += _size(update)
        self._waiting.append((update, self._clock()))
        if not self._filled.is_set():
            self._filled.set()

    def take(self, timeout: float | None) -> list[tuple[Update, float]]:
        """The oldest updates, each with the time it was put in (seconds, monotonic); none when `timeout` s are over."""
        if self._clock() - self._took_at < BUSY and len(self._waiting) < BATCH:
            time.sleep(LINGER)
        if not self._waiting:
            self._filled.clear()
            # One that was put in between has set the event again, or is seen here.
            if not self._waiting and not self._filled.wait(timeout):
                return []
        taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        self._got += sum(_size(update) for update, _ in taken)
        self._taken_at = self._took_at = self._clock()
        return taken

    @property
    def full(self) -> bool:
        """For one who can wait: not yet."""
        return self._put - self._got > FULL

    @property
    def stuck(self) -> bool:
        """The face has taken nothing for too long, and too much waits for it."""
        return self._put - self._got > MOST_WAITING and self._clock() - self._taken_at > PATIENCE


def _size(update: Update) -> int:
    return len(update.raw) if isinstance(update, (EventIn, EventOut, Relayed)) else 64
