"""The engine `scripted`: deterministic, nothing beyond the standard library.

It hears speech by its level, does not understand it (`[speech 1.8 s]`, or what it was told will be heard), answers with
given texts or by the rules of `reply`, and speaks in a synthetic sound: one vowel a syllable, at a pitch that belongs
to the voice's name.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from zlib import crc32

from rtcli.sandbox.engine.activity import TurnRules
from rtcli.sandbox.engine.base import Piece, Prompt, VoiceActivity, VoiceDetector
from rtcli.sandbox.engine.reply import answer, clauses


RATE: Final = 48_000


class ScriptedEngine:
    """`Engine` without models.

    `texts` maps what the user said (case, punctuation at the ends and doubled blanks do not matter) to the answer; what
    is not in it is answered by the rules. `heard` are the transcripts of the utterances in the order in which they are
    asked for; after the last one, the default. `clock` is what the rules tell the time by.
    """

    name = "scripted"

    def __init__(
        self,
        texts: Mapping[str, str] | None = None,
        *,
        heard: Sequence[str] = (),
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._texts = {_plain(said): text for said, text in (texts or {}).items()}
        self._heard = deque(heard)
        self._clock = clock

    def detector(self, *, threshold: float, silence_ms: int) -> VoiceDetector:
        return LevelDetector(threshold=threshold, silence_ms=silence_ms)

    async def transcribe(self, pcm: bytes) -> str:
        if self._heard:
            return self._heard.popleft()
        seconds = len(pcm) / 2 / RATE
        return f"[speech {seconds:.1f} s]" if seconds >= 0.05 else ""

    async def reply(self, prompt: Prompt) -> AsyncIterator[Piece]:
        said = prompt.history[-1].text if prompt.history else ""
        given = self._texts.get(_plain(said))
        for part in answer(prompt, now=self._clock()) if given is None else clauses(given):
            yield part

    async def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[bytes]:
        for piece in _sound(text, voice, speed):
            yield piece

    def close(self) -> None:
        pass


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .,!?")


# Ears

_FRAME_MS: Final = 20
_FRAME_BYTES: Final = RATE * _FRAME_MS // 1000 * 2
_THIN: Final = 3
"""Only every third sample is looked at: the level is the same, the work a third."""
_SMOOTH: Final = 5
"""Frames whose middle level counts: a key stroke is not longer than two and must neither begin nor prolong a turn."""
_SILENT_DB: Final = -70.0
_FIRST_FLOOR_DB: Final = -40.0
"""The first frame is the first floor, but not above this: a file may begin in the middle of a word."""
_RISE_DB: Final = 0.1
_RISE_IN_SPEECH_DB: Final = 0.04
"""A frame: the floor follows a new noise by 5 dB a second; by 2 while it may be speech, and no word is that long."""
_FALL_DB: Final = 3.0
"""A frame: two frames between words bring the floor back."""
_LEAST_DB: Final = -55.0
"""dBFS below which nothing is speech, however quiet the room."""
_MARGIN_DB: Final = 9.0
"""Above the floor, at half the score."""
_SLOPE_DB: Final = 40.0
"""From a score of 0 to a score of 1."""


class LevelDetector:
    """`VoiceDetector` by level over an adaptive floor. Loud noise swallows the ends of words."""

    def __init__(self, *, threshold: float, silence_ms: int) -> None:
        self._rules = TurnRules(threshold=threshold, silence_ms=silence_ms, frame_ms=_FRAME_MS)
        self._waiting = bytearray()
        self._levels = deque([_SILENT_DB] * (_SMOOTH // 2), maxlen=_SMOOTH)
        self._floor: float | None = None
        self._heard_ms = 0

    def feed(self, pcm: bytes) -> list[VoiceActivity]:
        self._waiting += pcm
        whole = len(self._waiting) // _FRAME_BYTES * _FRAME_BYTES
        frames = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        return [event for at in range(0, whole, _FRAME_BYTES) for event in self._step(frames[at : at + _FRAME_BYTES])]

    def _step(self, frame: bytes) -> Iterator[VoiceActivity]:
        self._levels.append(_level(frame))
        if len(self._levels) < _SMOOTH:
            return
        self._heard_ms += _FRAME_MS
        if event := self._rules.push(self._score(sorted(self._levels)[_SMOOTH // 2])):
            yield event
        if event := self._rules.wait(self._heard_ms):
            yield event

    def _score(self, level: float) -> float:
        """How far the level stands out of the noise, 0 to 1."""
        if self._floor is None:
            self._floor = min(level, _FIRST_FLOOR_DB)
        rise = _RISE_IN_SPEECH_DB if self._rules.speaking else _RISE_DB
        self._floor += min(max(level - self._floor, -_FALL_DB), rise)
        over = level - max(self._floor + _MARGIN_DB, _LEAST_DB)
        return min(max(0.5 + over / _SLOPE_DB, 0.0), 1.0)


def _level(frame: bytes) -> float:
    """Level of one frame without its direct current, in dBFS."""
    samples = _samples(frame)[::_THIN]
    mean = sum(samples) / len(samples)
    power = sum(one * one for one in samples) / len(samples) - mean * mean
    return max(_SILENT_DB, 10 * math.log10(max(power, 1e-9)) - 20 * math.log10(32_768))


def _samples(pcm: bytes) -> array[int]:
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


# Voice

_SYLLABLE: Final = re.compile(r"[aeiouy]+|\d|[.!?;:,]", re.IGNORECASE)
_SYLLABLE_MS: Final = 150
_GAP_MS: Final = 30
_PAUSES_MS: Final = {",": 120, ";": 160, ":": 160, ".": 220, "!": 220, "?": 220}
_RAMP: Final = 4
"""Cycles over which a syllable swells and fades: no clicks."""
_FORMANTS: Final = {"a": (730, 1090), "e": (530, 1840), "i": (270, 2290), "o": (570, 840), "u": (300, 870)}
"""First two formants in Hertz (Peterson and Barney 1952, men)."""
_PITCHES: Final = (98, 110, 123, 139, 156, 175, 196, 208, 220, 233)
_NAMES: Final = ("ash", "cedar", "echo", "verse", "ballad", "alloy", "sage", "marin", "coral", "shimmer")
_PEAK: Final = 9_000


def _sound(text: str, voice: str, speed: float) -> Iterator[bytes]:
    """One piece for each syllable and each pause."""
    pitch = _pitch(voice)
    pace = 1 / min(max(speed, 0.25), 1.5)
    for match in _SYLLABLE.finditer(text):
        mark = match[0][0].lower()
        if mark in _PAUSES_MS:
            yield _silence(_PAUSES_MS[mark] * pace)
            continue
        vowel = mark if mark in _FORMANTS else "aeiou"[ord(mark) % 5]
        yield _syllable(vowel, pitch, max(2 * _RAMP, round(pitch * _SYLLABLE_MS * pace / 1000)))
        yield _silence(_GAP_MS * pace)


def _pitch(voice: str) -> int:
    """Hertz."""
    name = voice.lower()
    return _PITCHES[_NAMES.index(name) if name in _NAMES else crc32(name.encode()) % len(_PITCHES)]


def _silence(ms: float) -> bytes:
    return bytes(2 * round(ms * RATE / 1000))


def _syllable(vowel: str, pitch: int, cycles: int) -> bytes:
    ramp = [_cycle(vowel, pitch, step) for step in range(1, _RAMP)]
    full = _cycle(vowel, pitch, _RAMP)
    return b"".join(ramp) + full * (cycles - 2 * len(ramp)) + b"".join(reversed(ramp))


@lru_cache(maxsize=512)
def _cycle(vowel: str, pitch: int, step: int) -> bytes:
    """One period of the vowel, `step` of `_RAMP` loud."""
    length = RATE // pitch
    harmonics = [(n, _strength(n * pitch, _FORMANTS[vowel])) for n in range(1, 3_400 // pitch)]
    wave = [sum(s * math.sin(2 * math.pi * n * at / length) for n, s in harmonics) for at in range(length)]
    gain = _PEAK * step / _RAMP / max(map(abs, wave))
    samples = array("h", (round(gain * one) for one in wave))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _strength(frequency: float, formants: tuple[int, ...]) -> float:
    """Of a harmonic: falls with frequency, rises around the formants."""
    return sum(1 / (1 + ((frequency - formant) / 90) ** 2) for formant in formants) + 30 / frequency
