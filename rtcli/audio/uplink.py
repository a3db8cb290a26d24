"""Lane 1: the microphone's blocks as Opus packets, one every frame, whatever the microphone does."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable

from rtcli.audio.base import BLOCK_BYTES, RATE, SILENCE, Encoder, Microphone
from rtcli.audio.echo import EchoCanceller
from rtcli.audio.phrases import Phrases
from rtcli.audio.stretch import peak
from rtcli.records import dataclass
from rtcli.transport.base import FRAME_MS


BACKLOG = 6
"""Blocks kept between microphone and encoder: 60 ms. What is older is dropped; after a stall it would be delay."""
_FULL = BACKLOG * BLOCK_BYTES
_PATIENCE = 50
"""Frames (one second) after which delay that was never needed is given back."""
_QUIET = 0.02
"""Peak below which a block can go unnoticed."""
_READ_MOST = 1000
"""Blocks taken from a microphone at once: ten seconds of backlog, more is a broken microphone."""


@dataclass(frozen=True, slots=True)
class UplinkStats:
    sent: int
    """Packets."""
    starved: int
    """Packets with silence in them because the microphone had nothing."""
    dropped: int
    """Blocks (10 ms) thrown away because the microphone gave more than real time."""
    failed: int
    """Packets replaced by an empty one because microphone or encoder raised: each one is a bug."""


class Uplink:
    """Implements transport's `AudioSource`. Everything here runs on the event loop and never waits or raises."""

    def __init__(
        self,
        microphone: Microphone | None,
        encoder: Encoder,
        *,
        frame_ms: int = FRAME_MS,
        echo: EchoCanceller | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`frame_ms`: what the encoder was made for, 20 or 10.

        `echo`: takes the loudspeaker out of each block as it is read; it gets what was played elsewhere.
        """
        self.muted = False
        """Silence goes out; the packets and the microphone's clock go on."""
        self.level = 0.0
        """Peak of the last frame from the microphone, 0 to 1, muted or not."""
        self._microphone = microphone
        self._encoder = encoder
        self._echo = echo
        self._clock = clock
        self._frame_bytes = frame_ms * RATE // 1000 * 2
        self._pcm = bytearray()
        self._spare = _FULL
        """Least bytes left behind a frame of late."""
        self._frames = 0
        self._phrases = Phrases(frame_ms)
        self._sent = self._starved = self._dropped = self._failed = 0

    def replace(self, microphone: Microphone | None) -> Microphone | None:
        """Go on with another microphone (or none); gives back the one before, for its owner to close."""
        before, self._microphone = self._microphone, microphone
        self._pcm.clear()
        return before

    @property
    def ended(self) -> bool:
        """A file as microphone was read, and sent, to its end."""
        return self._microphone is not None and self._microphone.ended and not self._pcm

    @property
    def phrases_ended(self) -> int:
        """Phrases that were spoken and are over; for sessions in which nobody else finds their end."""
        return self._phrases.ended

    def next_packet(self) -> bytes:
        """The next frame as Opus."""
        self._sent += 1
        try:
            pcm = self._frame()
            self._phrases.note(0.0 if self.muted else self.level)
            return self._encoder.encode(bytes(self._frame_bytes) if self.muted else pcm)
        except Exception:  # noqa: BLE001 - an exception here would silence the call for good
            self._failed += 1
            return _NOTHING

    def stats(self) -> UplinkStats:
        return UplinkStats(sent=self._sent, starved=self._starved, dropped=self._dropped, failed=self._failed)

    def _frame(self) -> bytes:
        self._collect()
        if len(self._pcm) < self._frame_bytes:
            # A whole frame of silence, what there is kept for the next: the 10 ms gained are the buffer that was
            # missing. Half a frame of each would be a gap inside a word, again and again.
            self._starved += 1
            self.level = 0.0
            return bytes(self._frame_bytes)
        pcm = bytes(self._pcm[: self._frame_bytes])
        del self._pcm[: self._frame_bytes]
        self.level = peak(array("h", pcm)) / 32768
        self._trim()
        return pcm

    def _collect(self) -> None:
        """Take what the microphone has; drop the oldest above the bound."""
        if self._microphone is None:
            return
        for _ in range(_READ_MOST):
            block = self._microphone.read()
            if block is None:
                break
            self._pcm += self._cleaned(block if len(block) == BLOCK_BYTES else SILENCE)
        self._drop(len(self._pcm) - (self._frame_bytes + BACKLOG * BLOCK_BYTES))
        if self._microphone.ended and 0 < len(self._pcm) < self._frame_bytes:
            self._pcm += bytes(self._frame_bytes - len(self._pcm))

    def _cleaned(self, block: bytes) -> bytes:
        return block if self._echo is None else self._echo.process(block, self._clock())

    def _drop(self, excess: int) -> None:
        """Drop at least `excess` bytes, in whole blocks."""
        if excess <= 0:
            return
        blocks = -(-excess // BLOCK_BYTES)
        self._dropped += blocks
        del self._pcm[: blocks * BLOCK_BYTES]

    def _trim(self) -> None:
        """Give back delay that was not needed for a second: a stall's, or a microphone's faster clock's."""
        self._spare = min(self._spare, len(self._pcm))
        self._frames += 1
        if self._frames < _PATIENCE:
            return
        if self._spare >= 2 * BLOCK_BYTES and self.level < _QUIET:
            self._drop(BLOCK_BYTES)
        self._frames, self._spare = 0, _FULL


_NOTHING = b"\xf8"
"""An Opus packet of one empty frame: the other side conceals it (RFC 6716 section 3.2.1)."""
