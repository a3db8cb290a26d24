"""What was heard, scored; rounds pooled; two receivers compared sentence by sentence."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .measure import Line, mouth_to_ear, quantile
from .network import Network
from .peers import Heard, frame_end
from .speech import PADS, Speech, errors


SKIP = 4.0
"""Seconds at the start that are not counted: each receiver may find its depth first."""
_SHUFFLES = 4000


@dataclass(frozen=True, slots=True)
class Score:
    """Of one receiver in one row, over one round or many."""

    delays: tuple[float, ...]
    """Mouth-to-ear of each piece of speech that was found, seconds."""
    concealed: tuple[float, ...]
    """Share guessed or missing, for each round."""
    wrong: tuple[int, ...]
    """Words wrong in each sentence, over its windows."""
    words: int
    facts: tuple[dict[str, Any], ...] = ()

    def ms(self, share: float) -> float:
        """A quantile of mouth-to-ear in milliseconds."""
        return 1000 * quantile(self.delays, share)

    @property
    def concealed_percent(self) -> float:
        return 100 * sum(self.concealed) / max(1, len(self.concealed))

    @property
    def wer(self) -> float:
        """Percent."""
        return 100 * sum(self.wrong) / max(1, self.words)


def score(network: Network, said: Speech, heard: Heard, start: float) -> Score:
    def when(sample: int) -> float:
        number, rest = divmod(sample, 960)
        return frame_end(number, said.half, network.ppm, network.pause) - 0.02 + rest / 48_000

    line = Line(heard.blocks, start)
    delays = mouth_to_ear(said.pcm, line, when, SKIP)
    middle = quantile(delays, 0.5) if delays else 0.1
    wrong, total, slips = errors(said, [_windows(line, when, span, middle) for span in said.spans])
    facts = {**heard.facts, "cpu": heard.cpu, "slips": slips}
    return Score(tuple(delays), (heard.concealed,), tuple(wrong), total, (facts,))


def _windows(line: Line, when: Callable[[int], float], span: tuple[int, int], middle: float) -> list[bytes]:
    """The recording of a sentence that was heard about `middle` seconds after it was said, cut in several ways."""
    begin, end = when(span[0]) + middle - 0.15, when(span[1]) + middle + 0.3
    return [line.cut(begin - pad / 48_000, end + pad / 48_000) for pad in PADS]


def pooled(rounds: Sequence[Score]) -> Score:
    return Score(
        tuple(delay for one in rounds for delay in one.delays),
        tuple(share for one in rounds for share in one.concealed),
        tuple(wrong for one in rounds for wrong in one.wrong),
        sum(one.words for one in rounds),
        tuple(facts for one in rounds for facts in one.facts),
    )


def chance(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """How likely as many more words wrong of ours would be if both were alike: one-sided, signs flipped by sentence."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    seen = sum(differences)
    dice = random.Random(1)
    as_many = sum(sum(d * dice.choice((-1, 1)) for d in differences) >= seen for _ in range(_SHUFFLES))
    return as_many / _SHUFFLES
