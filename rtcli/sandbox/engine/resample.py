"""Changes of rate between the house's 48 kHz and what the models take and give."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


Samples = NDArray[np.float32]
"""Mono, -1 to 1."""

RATE: Final = 48_000
EAR_RATE: Final = 16_000
"""What Silero and Moonshine listen at."""
_DECIMATION: Final = RATE // EAR_RATE
_TAPS: Final = 97
"""Of the low-pass before decimation: 1 ms of delay, 6 dB down at 7.4 kHz, over 70 dB down from 8.5 kHz on."""


def _low_pass() -> Samples:
    at = np.arange(_TAPS) - (_TAPS - 1) / 2
    cut = 7_400 / RATE
    taps = 2 * cut * np.sinc(2 * cut * at) * np.kaiser(_TAPS, 7.0)
    return np.asarray(taps / taps.sum(), np.float32)


_FILTER: Final = _low_pass()


class Downsampler:
    """48 kHz s16le in pieces of any length to 16 kHz samples; no piece's edge can be heard in the result."""

    def __init__(self) -> None:
        self._odd = b""
        self._tail: Samples = np.zeros(_TAPS - 1, np.float32)

    def feed(self, pcm: bytes) -> Samples:
        """What is due by now; up to two input samples wait for the next piece."""
        data = self._odd + pcm
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        new = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32_768)
        sound: Samples = np.concatenate((self._tail, new))
        due = max(0, (len(sound) - _TAPS) // _DECIMATION + 1)
        self._tail = sound[due * _DECIMATION :]
        if due == 0:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(sound, _TAPS)[::_DECIMATION]
        return np.asarray(windows[:due] @ _FILTER, np.float32)


def stretch(sound: Samples, samples: int) -> Samples:
    """The same sound in another number of samples (band-limited, by its spectrum): a rate change, heard as pitch."""
    spectrum = np.fft.rfft(sound)
    target = np.zeros(samples // 2 + 1, spectrum.dtype)
    shared = min(len(spectrum), len(target))
    target[:shared] = spectrum[:shared]
    return np.asarray(np.fft.irfft(target, samples) * (samples / len(sound)), np.float32)


def to_pcm(sound: Samples) -> bytes:
    """s16le; clips what is out of range."""
    return (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()
