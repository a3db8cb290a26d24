"""The voice, by Hibari: the only file that knows `hibari`.

One voice ("heart") lies in its wheel and the others would be downloaded, so `Hibari(voice=...)` is never used. The
names of the Realtime API are made from that one by two figures: *size* moves pitch and timbre together (synthesised at
another pace, then resampled), *pitch* moves the fundamental alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import numpy as np
from hibari import Hibari, dsp

from rtcli.sandbox.engine.resample import RATE, Samples, stretch, to_pcm


@dataclass(frozen=True, slots=True)
class Character:
    """What makes a voice out of Hibari's own."""

    size: float
    """Below 1 a larger speaker: everything lower."""
    pitch: float
    """Of the fundamental, on top of `size`."""


VOICES: Final = {
    "alloy": Character(0.98, 0.86),
    "ash": Character(0.86, 0.62),
    "ballad": Character(0.92, 0.72),
    "cedar": Character(0.84, 0.68),
    "coral": Character(1.06, 1.00),
    "echo": Character(0.90, 0.60),
    "marin": Character(1.00, 1.00),
    "sage": Character(1.03, 0.88),
    "shimmer": Character(1.10, 1.12),
    "verse": Character(0.94, 0.64),
}
_LEVEL: Final = 2.0
"""Hibari speaks at about -26 dBFS; this brings it to -20."""
_QUIET: Final = 10 ** (-50 / 20)
_STEP: Final = 240
"""Samples at 24 kHz (10 ms) over which silence is judged."""
_LEAD_MS: Final = 20
_GAPS_MS: Final = {",": 140, ";": 180, ":": 180, ".": 260, "!": 260, "?": 260}
_BREAK: Final = re.compile(r"(?<=[.!?;:,])\s+")


def character(voice: str) -> Character:
    """The voice of a name; an unknown name always gets the same one of these."""
    known = sorted(VOICES)
    return VOICES.get(voice.lower()) or VOICES[known[crc32(voice.encode()) % len(known)]]


class Speaker:
    """Blocking; not to be used from two threads at once."""

    def __init__(self) -> None:
        self._model = Hibari(threads=1)
        for _ in self.say("Warm up.", voice="marin", speed=1.0):
            pass

    def say(self, text: str, *, voice: str, speed: float) -> Iterator[bytes]:
        """48 kHz s16le, one piece a clause, with the pause that its punctuation asks for."""
        chosen = character(voice)
        for clause in _BREAK.split(text.strip()):
            for phonemes in self._model.phonemize(clause):
                sound = self._sound(phonemes, chosen, min(max(speed, 0.25), 1.5))
                if len(sound):
                    yield to_pcm(sound) + _gap(clause, speed)

    def _sound(self, phonemes: str, chosen: Character, speed: float) -> Samples:
        ids = np.asarray([self._model.ids(phonemes)], np.int64)
        pace = np.asarray([speed / chosen.size], np.float32)
        *filters, f0 = (out[0] for out in self._model.sess.run(None, {"ids": ids, "speed": pace}))
        sound = _trimmed(dsp.synth(*filters, f0 * chosen.pitch, np.random.default_rng(0)))
        if not len(sound):
            return sound
        ratio = RATE / (dsp.SR * chosen.size)
        return _LEVEL * stretch(sound, round(len(sound) * ratio))


def _trimmed(sound: Any) -> Samples:
    """Without the third of a second of silence that the model puts on both sides."""
    steps = len(sound) // _STEP
    level = np.sqrt(np.mean(sound[: steps * _STEP].reshape(steps, _STEP) ** 2, axis=1))
    loud = np.flatnonzero(level > _QUIET)
    if not len(loud):
        return np.zeros(0, np.float32)
    lead = _LEAD_MS * dsp.SR // 1000
    return np.asarray(sound[max(0, loud[0] * _STEP - lead) : (loud[-1] + 1) * _STEP + lead], np.float32)


def _gap(clause: str, speed: float) -> bytes:
    ms = _GAPS_MS.get(clause.rstrip("\"')\u201d\u2019")[-1:], 60) / speed
    return bytes(2 * round(ms * RATE / 1000))
