"""Mouth-to-ear from the sound itself: pieces of the speech that was sent are looked for in what was heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


Samples = NDArray[np.float32]

STRIDE = 6
"""48 kHz to 8 kHz: an eighth of a millisecond is fine enough."""
PIECE = 960
"""Samples at 8 kHz looked for: 120 ms, long enough to be told from its neighbours a pitch period away."""
STEP = 400
REACH = 5000
"""Latest a piece is looked for: 0.6 s."""
ALIKE = 0.7
LOUD = 300.0


class Line:
    """What was heard, at 8 kHz, on the sender's clock."""

    def __init__(self, blocks: Sequence[tuple[float, bytes]], start: float) -> None:
        """`start`: the moment the first sample was spoken."""
        self._times = np.array([moment - start for moment, _ in blocks])
        lengths = [len(pcm) // 2 for _, pcm in blocks]
        self._begins = np.concatenate(([0], np.cumsum(lengths)))
        self.pcm = np.frombuffer(b"".join(pcm for _, pcm in blocks), np.int16)
        self.small = reduce(self.pcm)

    def position(self, moment: float) -> int:
        """First sample (48 kHz) that left at or after `moment`."""
        block = int(np.searchsorted(self._times, moment))
        return int(self._begins[block])

    def moment(self, position: int) -> float:
        block = min(int(np.searchsorted(self._begins, position, "right")) - 1, len(self._times) - 1)
        return float(self._times[block] + (position - self._begins[block]) / 48_000)

    def cut(self, start: float, end: float) -> bytes:
        return self.pcm[self.position(start) : self.position(end)].tobytes()


def reduce(pcm: NDArray[np.int16]) -> Samples:
    """8 kHz by plain averaging."""
    usable = len(pcm) // STRIDE * STRIDE
    small: Samples = pcm[:usable].reshape(-1, STRIDE).mean(axis=1).astype(np.float32)
    return small


def mouth_to_ear(spoken: bytes, line: Line, when: Callable[[int], float], skip: float) -> list[float]:
    """Seconds from mouth to ear of each piece that was found. `when`: the moment sample n (48 kHz) was spoken."""
    source = reduce(np.frombuffer(spoken, np.int16))
    found = []
    for start in range(0, len(source) - PIECE, STEP):
        piece = source[start : start + PIECE]
        spoken_at = when(start * STRIDE)
        if spoken_at < skip or float(np.sqrt((piece**2).mean())) < LOUD:
            continue
        first = line.position(spoken_at) // STRIDE
        offset = _best(piece, line.small[first : first + REACH + PIECE])
        if offset is not None:
            found.append(line.moment((first + offset) * STRIDE) - spoken_at)
    return found


def _best(piece: Samples, where: Samples) -> int | None:
    """Where the piece lies, by normalised cross-correlation; None when it is not there."""
    if len(where) < len(piece):
        return None
    size = 1 << (len(where) + len(piece)).bit_length()
    product = np.fft.rfft(where, size) * np.conj(np.fft.rfft(piece, size))
    dots = np.fft.irfft(product, size)[: len(where) - len(piece) + 1]
    energy = np.concatenate(([0.0], np.cumsum(where.astype(np.float64) ** 2)))
    norms = np.sqrt((energy[len(piece) :] - energy[: -len(piece)]) * float((piece**2).sum()))
    scores = dots / (norms + 1e4 * len(piece))
    best = int(scores.argmax())
    return best if scores[best] >= ALIKE else None


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
