"""Making other voices out of one: the pace and the formants of a sound, at the 24 kHz of the voice. Pure numpy."""

from __future__ import annotations

from typing import Final

import numpy as np

from rtcli.sandbox.engine.resample import Samples


_GRAIN: Final = 600
"""Samples of a WSOLA grain, 25 ms: more than two periods of the lowest voice."""
_SEEK: Final = 200
"""Samples to either side in which the best continuation is sought: more than half a period."""
_FRAME: Final = 1024
_HOP: Final = 256
_ENVELOPE: Final = 36
"""Cepstral coefficients that make the spectrum's envelope; the pitch (below 500 Hz) lies above them."""


def paced(sound: Samples, rate: float) -> Samples:
    """The sound `rate` times as fast at the same pitch (WSOLA, Verhelst and Roelands 1993)."""
    hop = _GRAIN // 2
    source = np.pad(sound, (_SEEK, _GRAIN + _SEEK + hop))
    grains = max(1, round(len(sound) / (hop * rate)))
    window = _hann(_GRAIN)
    result = np.zeros((grains + 1) * hop, np.float32)
    at = _SEEK
    for grain in range(grains):
        ideal = min(round(grain * hop * rate), len(sound))
        at = ideal + _like(source[ideal : ideal + _GRAIN + 2 * _SEEK], source[at + hop : at + hop + _GRAIN], grain)
        result[grain * hop : grain * hop + _GRAIN] += window * source[at : at + _GRAIN]
    return result


def _like(near: Samples, wanted: Samples, grain: int) -> int:
    """Where in `near` the grain begins that goes on most like `wanted`; the first one stays where it is."""
    if grain == 0:
        return _SEEK
    likeness = np.correlate(near, wanted, "valid")
    energy = np.convolve(near * near, np.ones(_GRAIN, np.float32), "valid")
    return int(np.argmax(likeness / np.sqrt(energy + 1e-6)))


def with_formants(sound: Samples, ratio: float) -> Samples:
    """The sound with its formants (the spectrum's envelope) moved to `ratio` times their place, the pitch kept."""
    padded = np.pad(sound, (_FRAME, 2 * _FRAME))
    window = _hann(_FRAME)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * window
    spectra = np.fft.rfft(frames, axis=1)
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + 1e-4), axis=1)
    cepstra[:, _ENVELOPE : 1 - _ENVELOPE] = 0
    envelopes = np.asarray(np.fft.rfft(cepstra, axis=1).real, np.float32)
    moved = _moved(envelopes, ratio)
    shaped = np.fft.irfft(spectra * np.exp(np.clip(moved - envelopes, -6, 3)), axis=1)
    return _overlapped(np.asarray(shaped * window, np.float32))[_FRAME : _FRAME + len(sound)]


def _moved(envelopes: Samples, ratio: float) -> Samples:
    """Each row read at `1 / ratio` of the place."""
    last = envelopes.shape[1] - 1
    place = np.minimum(np.arange(last + 1) / ratio, last)
    below = place.astype(int)
    part = (place - below).astype(np.float32)
    above = np.minimum(below + 1, last)
    return np.asarray(envelopes[:, below] * (1 - part) + envelopes[:, above] * part, np.float32)


def _overlapped(frames: Samples) -> Samples:
    """Overlap and add; two Hann windows at a quarter's hop sum to one and a half."""
    count, parts = len(frames), _FRAME // _HOP
    sums = np.zeros((count + parts - 1, _HOP), np.float32)
    blocks = frames.reshape(count, parts, _HOP)
    for part in range(parts):
        sums[part : part + count] += blocks[:, part]
    sums /= 1.5
    return np.asarray(sums.reshape(-1), np.float32)


def _hann(length: int) -> Samples:
    """Periodic: halves of it overlapped sum to one."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length), np.float32)
