"""Speech made a little shorter or longer without a click or a change of pitch.

A pitch period is taken out, or put in once more, where two neighbouring periods are alike (WSOLA; Verhelst and
Roelands 1993). Plain `array` arithmetic: numpy is no dependency of a call, its import costs more than a minute of
this, and the search runs at 4 kHz, a few times a second at most.
"""

from __future__ import annotations

from array import array
from operator import mul
from typing import TypeAlias


SHORTEST = 120
"""Samples of the shortest period taken: 2.5 ms, 400 Hz."""
LONGEST = 720
"""Samples of the longest: 15 ms, 67 Hz."""
ALIKE = 0.85
"""Normalised correlation from which two periods count as the same sound."""

_DECIMATE = 12
"""48 kHz to 4 kHz for the first search: a voice's pitch is below 500 Hz."""
_JOIN = 120
"""Samples over which a splice is smoothed: 2.5 ms, below what is heard as a fade."""

Pcm: TypeAlias = "array[int]"
"""Type code `h`. In quotes: `array` takes no parameter at run time before Python 3.12."""


def peak(pcm: Pcm) -> int:
    """Largest magnitude, by every fourth sample: a level for a meter or a test of silence."""
    some = pcm[::4]
    if not some:
        return 0
    high, low = max(some), -min(some)
    return max(low, high)


def crossfade(old: Pcm, new: Pcm) -> Pcm:
    """From `old` to `new` over their common length, linearly: right for sounds in phase."""
    length = min(len(old), len(new))
    return array("h", [(a * (length - i) + b * i) // length for i, a, b in zip(range(length), old, new, strict=False)])


def join(last: int, pcm: Pcm) -> None:
    """Let `pcm` start where the sound before it ended, at the sample `last`: no step, no click. In place."""
    length = min(_JOIN, len(pcm))
    step = last - pcm[0] if length else 0
    if abs(step) < 64:
        return
    for i in range(length):
        pcm[i] = _clip(pcm[i] + step * (length - i) // length)


def fade_out(last: int, samples: int) -> Pcm:
    """From the sample `last` down to silence, then silence."""
    slope = min(_JOIN, samples)
    return array("h", [last * (slope - i - 1) // slope for i in range(slope)] + [0] * (samples - slope))


def period(pcm: Pcm, most: int = LONGEST) -> tuple[int, float]:
    """The lag at which the beginning of `pcm` repeats best, and how well (-1 to 1); (0, 0.0) when it is too short.

    `pcm` needs twice the lag; 20 ms of it find a period up to 10 ms.
    """
    most = min(most, len(pcm) // 2, LONGEST)
    if most < SHORTEST:
        return 0, 0.0
    small = _decimated(pcm)
    first, last = SHORTEST // _DECIMATE, most // _DECIMATE
    window = min(len(small) - last, 60)
    lag, _ = _best_lag(small, range(first, last + 1), window)
    near = range(max(SHORTEST, (lag - 1) * _DECIMATE + 3), min(most, (lag + 1) * _DECIMATE - 3) + 1, 3)
    length = min(len(pcm) - near[-1], 3 * LONGEST // 4) if near else 0
    return _best_lag(pcm, near, length, stride=5) if length > 0 else (0, 0.0)


def shorten(pcm: Pcm, lag: int) -> Pcm:
    """`pcm` without its first period of `lag` samples: the first two are folded into one."""
    return crossfade(pcm[:lag], pcm[lag : 2 * lag]) + pcm[2 * lag :]


def lengthen(pcm: Pcm, lag: int) -> Pcm:
    """`pcm` with its first period of `lag` samples heard once more."""
    return pcm[:lag] + crossfade(pcm[lag : 2 * lag], pcm[:lag]) + pcm[lag:]


def cut(pcm: Pcm, most: int) -> Pcm:
    """`pcm` without up to `most` samples near its start, spliced: for what is quiet."""
    samples = min(most, len(pcm) - 2 * _JOIN)
    if samples <= 0:
        return pcm
    return crossfade(pcm[:_JOIN], pcm[samples : samples + _JOIN]) + pcm[samples + _JOIN :]


def _decimated(pcm: Pcm) -> list[int]:
    """At 4 kHz, behind a moving average of sorts that keeps the higher half of a voice from folding down."""
    parts = (pcm[start::_DECIMATE] for start in (0, 3, 6, 9))
    return [sum(four) for four in zip(*parts, strict=False)]


def _best_lag(pcm: Pcm | list[int], lags: range, length: int, stride: int = 1) -> tuple[int, float]:
    head = pcm[:length:stride]
    energy = sum(map(mul, head, head))
    best, best_score = lags[0], -1.0
    for lag in lags:
        part = pcm[lag : lag + length : stride]
        dot = sum(map(mul, head, part))
        if dot <= 0:
            continue
        score = dot / (energy * sum(map(mul, part, part)) + 1) ** 0.5
        if score > best_score:
            best, best_score = lag, score
    return best, best_score


def _clip(value: int) -> int:
    return -32768 if value < -32768 else min(value, 32767)
