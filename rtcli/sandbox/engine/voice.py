"""The voice, by Hibari: the only file that knows `hibari`.

One voice ("heart") lies in its wheel and the others would be downloaded, so `Hibari(voice=...)` is never used. The
names of the Realtime API are made from that one by two figures, see `Character`. Deterministic (`seed=0`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

import numpy as np
from hibari import SAMPLE_RATE, Hibari

from rtcli.records import dataclass
from rtcli.sandbox.engine.reply import clauses
from rtcli.sandbox.engine.resample import RATE, Samples, stretch, to_pcm
from rtcli.sandbox.engine.timbre import paced, with_formants


@dataclass(frozen=True, slots=True)
class Character:
    """What makes a voice out of Hibari's own."""

    size: float
    """Of timbre and pitch together. Below 1 a larger speaker."""
    pitch: float
    """Of the pitch alone, on top of `size`."""


VOICES: Final = {
    "alloy": Character(0.96, 0.92),
    "ash": Character(0.84, 0.95),
    "ballad": Character(0.90, 0.96),
    "cedar": Character(0.87, 0.84),
    "coral": Character(1.06, 1.04),
    "echo": Character(0.93, 0.80),
    "marin": Character(1.00, 1.00),
    "sage": Character(1.05, 0.92),
    "shimmer": Character(1.10, 1.10),
    "verse": Character(0.98, 0.84),
}
_SLOWEST: Final = 0.5
_FASTEST: Final = 1.15
"""Paces that the model does well; at 1.5 a recogniser gets every seventh word of it wrong, stretched here none."""
_GAIN: Final = 10 ** (5.5 / 20)
"""From Hibari's level (-25.5 dBFS, within 1 dB from sentence to sentence) to -20 dBFS."""
_KNEE: Final = 0.7
_QUIET: Final = 10 ** (-50 / 20)
_STEP: Final = SAMPLE_RATE // 100
_EDGE: Final = 2 * _STEP
"""Silence kept on both sides: 20 ms."""
_GAPS_MS: Final = {",": 140, ";": 180, ":": 180, ".": 260, "!": 260, "?": 260}
_NOTHING: Final = np.zeros(0, np.float32)
"""For marks without a word, over which the model would breathe."""
_LONGEST: Final = 5_000
"""Characters of one text, a quarter of an hour."""


def character(voice: str) -> Character:
    """The voice of a name; an unknown name always gets the same one of these."""
    known = sorted(VOICES)
    name = voice.lower()
    return VOICES.get(name) or VOICES[known[crc32(name.encode()) % len(known)]]


class Speaker:
    """Blocking; not to be used from two threads at once."""

    def __init__(self) -> None:
        self._model = Hibari(threads=1)
        self._model("Warm up.", seed=0)  # loads the pronunciations

    def say(self, text: str, *, voice: str, speed: float) -> Iterator[bytes]:
        """48 kHz s16le, a piece for each clause, with the pause that its punctuation asks for."""
        speed = min(max(speed, 0.25), 1.5)
        readable = re.sub(r"(\S{40})(?=\S)", r"\1 ", text[:_LONGEST])
        for clause in clauses(readable):
            sound = self._sound(clause, character(voice), speed) if re.search(r"\w", clause) else _NOTHING
            if len(sound):
                yield to_pcm(sound) + _gap(clause, speed)

    def _sound(self, clause: str, chosen: Character, speed: float) -> Samples:
        """Spoken slower or faster by as much as the resampling at the end changes it back."""
        shift = chosen.size * chosen.pitch
        pace = speed / shift
        possible = min(max(pace, _SLOWEST), _FASTEST)
        sound = _trimmed(self._model(clause, speed=possible, seed=0))
        if not len(sound):
            return sound
        if pace != possible:
            sound = paced(sound, pace / possible)
        if chosen.pitch != 1:
            sound = with_formants(sound, 1 / chosen.pitch)
        return _limited(_GAIN * stretch(sound, round(len(sound) * RATE / (SAMPLE_RATE * shift))))


def _trimmed(sound: Samples) -> Samples:
    """Without the third of a second of silence that the model puts on both sides."""
    steps = len(sound) // _STEP
    level = np.sqrt(np.mean(sound[: steps * _STEP].reshape(steps, _STEP) ** 2, axis=1))
    loud = np.flatnonzero(level > _QUIET)
    if not len(loud):
        return sound[:0]
    return sound[max(0, loud[0] * _STEP - _EDGE) : (loud[-1] + 1) * _STEP + _EDGE]


def _limited(sound: Samples) -> Samples:
    """Bent, not cut, where it comes near full scale."""
    over = np.maximum(np.abs(sound) - _KNEE, 0)
    bent = _KNEE + (1 - _KNEE) * np.tanh(over / (1 - _KNEE))
    return np.where(over > 0, np.copysign(bent, sound), sound)


def _gap(clause: str, speed: float) -> bytes:
    mark = clause.rstrip().rstrip("\"')\u201d\u2019")[-1:]
    return bytes(2 * round(_GAPS_MS.get(mark, 60) / speed * RATE / 1000))
