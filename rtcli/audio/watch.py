"""What to do about a device that stops: notice, close, open again. Decisions only; the streams are `portaudio`'s.

PortAudio raises nothing when a cable is pulled or a server hangs: a stream ends, or its callbacks just cease. So each
stream is looked at ten times a second, in a thread of its own, since closing a stream on a hung server may take as
long as the server does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from rtcli.errors import DeviceError


LOOK = 0.1
"""Seconds between two looks."""
STALLED = 0.5
"""Seconds without a callback: with LOOK, a stall is noticed within 0.7 s."""
RETRY = 0.5
"""Seconds between two attempts to open again."""
OTHER = 2.0
"""Seconds after which the default device takes the place of one that does not come back."""
RENEW = 5.0
"""Seconds between two attempts to start the whole library anew."""
UNDERRUNS = 2
"""Times a speaker may run dry within UNDERRUN_WINDOW before it is given more latency."""
UNDERRUN_WINDOW = 5.0


class Watched(Protocol):
    """A device as the watch sees it. Called in the watch's thread only, but for `beat`."""

    name: str

    def beat(self) -> float:
        """When its last callback came, on the monotonic clock; minus infinity when the stream has ended."""

    def shut(self) -> None:
        """Close the stream; may take long."""

    def reopen(self, *, other: bool) -> None:
        """Open it again, or with `other` the default device in its place. Raises DeviceError."""

    def renew(self) -> None:
        """Start the library anew if that is safe."""

    def underruns(self) -> int:
        """Times it ran dry since it was made."""

    def back_off(self) -> bool:
        """Ask for more latency at the next opening; False when there is no more to ask for."""


class Watch:
    """Keeps one device going until `stop`. `tell` gets one line for people for each change."""

    def __init__(
        self, device: Watched, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._device = device
        self._tell = tell
        self._clock = clock
        self._lost_at: float | None = None
        self._next_try = 0.0
        self._next_renewal = 0.0
        self._dry: deque[float] = deque(maxlen=UNDERRUNS)
        self._seen_dry = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {device.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """End the watch; False when it hangs in a stream that will not close."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1.0)
        return not self._thread.is_alive()

    def look(self) -> None:
        """One look at the device."""
        now = self._clock()
        if self._lost_at is not None:
            self._seek(now, self._lost_at)
        elif now - self._device.beat() > STALLED:
            self._lose()
        else:
            self._listen_for_underruns(now)

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            with suppress(Exception):  # whatever one look met, the next may find better; the thread must not end
                self.look()

    def _lose(self) -> None:
        ended = self._device.beat() == float("-inf")
        self._tell(f"{self._device.name} {'is gone' if ended else 'has stopped'}; trying to open it again")
        self._device.shut()
        # On a hung server that took until it went on: patience begins now.
        self._lost_at = self._next_try = self._clock()
        self._next_renewal = self._lost_at + OTHER

    def _seek(self, now: float, lost_at: float) -> None:
        if now < self._next_try:
            return
        self._next_try = now + RETRY
        if now >= self._next_renewal:
            self._next_renewal = now + RENEW
            self._device.renew()
        before = self._device.name
        if not self._reopened(other=False) and not (now - lost_at >= OTHER and self._reopened(other=True)):
            return
        self._lost_at = None
        name = self._device.name
        self._tell(f"{name} is back" if name == before else f"{before} is still gone; {name} takes its place")

    def _reopened(self, *, other: bool) -> bool:
        try:
            self._device.reopen(other=other)
        except DeviceError:
            return False
        return True

    def _listen_for_underruns(self, now: float) -> None:
        count = self._device.underruns()
        if count == self._seen_dry:
            return
        self._seen_dry = count
        self._dry.append(now)
        if len(self._dry) < UNDERRUNS or now - self._dry[0] > UNDERRUN_WINDOW or not self._device.back_off():
            return
        self._dry.clear()
        self._device.shut()
        if not self._reopened(other=False):
            self._lose()
