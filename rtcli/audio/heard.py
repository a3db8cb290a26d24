"""How much real sound reaches a loudspeaker, measured as it is played."""

from __future__ import annotations

import math
from array import array

from rtcli.audio.base import Pull, Speaker
from rtcli.protocol.expectations import LEAST_LEVEL, Heard


_BLOCK_MS = 10.0
_FULL_SCALE = 32768.0


class MeteredSpeaker:
    """A speaker like the one inside; `heard` may be read from any thread."""

    def __init__(self, inside: Speaker) -> None:
        self.name = inside.name
        self.heard = Heard()
        self._inside = inside

    def start(self, pull: Pull) -> None:
        def metered(samples: int) -> bytes:
            pcm = pull(samples)
            self._note(pcm)
            return pcm

        self._inside.start(metered)

    def close(self) -> None:
        self._inside.close()

    def _note(self, pcm: bytes) -> None:
        level = _level(pcm)
        if level is None:
            return
        before = self.heard
        sound_ms = before.sound_ms + (_BLOCK_MS if level >= LEAST_LEVEL else 0.0)
        loudest = level if before.loudest is None else max(before.loudest, level)
        self.heard = Heard(sound_ms, loudest)


def _level(pcm: bytes) -> float | None:
    """DBFS (RMS) of a block; None for zeros."""
    samples = array("h", pcm)
    power = sum(sample * sample for sample in samples)
    return 10 * math.log10(power / len(samples) / _FULL_SCALE**2) if power else None
