"""The loudspeaker kept out of the microphone: WebRTC's echo canceller, or half duplex where it is missing.

The reference is what the speaker's callback really took, zeros included, by sample position (`alignment`). A queue of
reference blocks would lose its place for good at the first underrun (measured: from 67 down to 16 dB for the rest of
a call).

Automatic gain stays off: it raises what is left of the echo with everything else, 15 dB of it.
"""

from __future__ import annotations

import importlib.util
import math
from array import array
from collections import deque
from operator import mul
from typing import Any, Literal, Protocol

from rtcli.audio.alignment import Aligner, Reference
from rtcli.audio.base import BLOCK_BYTES, RATE, SILENCE
from rtcli.audio.stretch import peak
from rtcli.errors import UsageError


Mode = Literal["auto", "aec", "gate", "off"]

TAIL = 0.3
"""Seconds the gate stays shut behind the last audible sample: the room's, and the sound card's."""
AUDIBLE = 150
"""Peak of a played block from which it can be heard back."""

_QUEUE = 500


class EchoCanceller(Protocol):
    """Stands between microphone and encoder."""

    name: str
    """`aec`, `gate` or `off`."""

    def played(self, pcm: bytes, position: int, now: float) -> None:
        """What went to the speaker; called in its thread (`playout.Played`)."""

    def process(self, block: bytes, now: float) -> bytes:
        """A block of the microphone without the echo; called on the event loop. `now`: monotonic seconds."""

    @property
    def erle_db(self) -> float | None:
        """Echo return loss enhancement of late, in dB: echo before against after. None until something was heard."""


def make_canceller(mode: Mode) -> EchoCanceller:
    """`auto` is the canceller where its package is installed, else half duplex.

    Raises UsageError when `aec` was asked for and is not there.
    """
    there = all(importlib.util.find_spec(name) is not None for name in ("pywebrtc_audio", "numpy"))
    if mode == "aec" and not there:
        raise UsageError("the echo canceller is not installed (extra `aec`)")
    if mode == "off":
        return Off()
    return Aec() if there and mode != "gate" else Gate()


class Off:
    name = "off"

    def played(self, pcm: bytes, position: int, now: float) -> None:
        del pcm, position, now

    def process(self, block: bytes, now: float) -> bytes:
        del now
        return block

    @property
    def erle_db(self) -> float | None:
        return None


class Gate:
    """Half duplex: the microphone is silent while the speaker is not."""

    name = "gate"

    def __init__(self) -> None:
        self._shut_until = -math.inf

    def played(self, pcm: bytes, position: int, now: float) -> None:
        del position
        if peak(array("h", pcm)) >= AUDIBLE:
            self._shut_until = now + len(pcm) / 2 / RATE + TAIL

    def process(self, block: bytes, now: float) -> bytes:
        return SILENCE if now < self._shut_until else block

    @property
    def erle_db(self) -> float | None:
        return None


class Aec:
    """WebRTC's AEC3 with mild noise suppression."""

    name = "aec"

    def __init__(self) -> None:
        import numpy as np
        import pywebrtc_audio

        self._array: Any = np.frombuffer
        self._int16: Any = np.int16
        self._processor: Any = pywebrtc_audio.AudioProcessor(
            sample_rate=RATE, num_channels=1, echo_cancellation=True, noise_suppression=True, ns_level=1
        )
        self._played: deque[bytes] = deque(maxlen=_QUEUE)
        self._reference = Reference()
        self._erle = Erle()
        self._aligner = Aligner(self._reference)

    def played(self, pcm: bytes, position: int, now: float) -> None:
        del position, now
        self._played.append(pcm)

    def process(self, block: bytes, now: float) -> bytes:
        del now
        if len(block) != BLOCK_BYTES:
            return block
        while self._played:
            self._reference.add(self._played.popleft())
        far = self._reference.take()
        clean = self._processor.process(self._array(block, self._int16), self._array(far, self._int16))
        out: bytes = clean.tobytes()
        if self._aligner.leaks(block, out):
            out = SILENCE
        self._erle.note(far, block, out)
        return out

    @property
    def erle_db(self) -> float | None:
        return self._erle.db

    @property
    def matched_anew(self) -> int:
        """Times that speaker and microphone had come apart, by an underrun or by drift."""
        return self._reference.matched_anew


class Erle:
    """How much quieter the microphone became while the speaker could be heard, smoothed over some seconds."""

    _FORGET = 0.995
    _TAIL = 20

    def __init__(self) -> None:
        self._before = 0.0
        self._after = 0.0
        self._heard = 0

    def note(self, far: bytes, before: bytes, after: bytes) -> None:
        self._heard = self._TAIL if peak(array("h", far)) >= AUDIBLE else self._heard - 1
        if self._heard > 0:
            self._before = self._FORGET * self._before + _energy(before)
            self._after = self._FORGET * self._after + _energy(after)

    @property
    def db(self) -> float | None:
        if self._before <= 0:
            return None
        return 10 * math.log10(self._before / max(self._after, 1e-3 * self._before / 1e6))


def _energy(pcm: bytes) -> float:
    """Of every fourth sample: enough for a figure."""
    samples = array("h", pcm)[::4]
    return float(sum(map(mul, samples, samples)))
