"""The bench measures what it says: delays, fates and words that are known beforehand."""

from __future__ import annotations

import random
from array import array

import numpy as np
import pytest

from .measure import Line, mouth_to_ear, quantile
from .network import Network
from .offline import simulate
from .scores import Score, chance, pooled
from .speech import _distance


def noise(samples: int) -> bytes:
    chance = random.Random(5)
    smooth, out = 0.0, array("h")
    for _ in range(samples):
        smooth += 0.05 * (chance.uniform(-20_000, 20_000) - smooth)
        out.append(int(smooth))
    return out.tobytes()


def test_a_known_delay_is_measured_to_a_millisecond() -> None:
    spoken = noise(96_000)
    blocks = [(10.0 + i * 0.01, (bytes(960 * 7) + spoken)[960 * i : 960 * (i + 1)]) for i in range(207)]
    delays = mouth_to_ear(spoken, Line(blocks, 10.0), lambda sample: sample / 48_000, 0.2)
    assert len(delays) > 20
    assert quantile(delays, 0.5) == pytest.approx(0.07, abs=0.001)
    assert quantile(delays, 0.95) == pytest.approx(0.07, abs=0.001)


def test_speech_that_is_not_there_is_not_found() -> None:
    blocks = [(10.0 + i * 0.01, np.full(480, i % 7, np.int16).tobytes()) for i in range(300)]
    assert mouth_to_ear(noise(96_000), Line(blocks, 10.0), lambda sample: sample / 48_000, 0.0) == []


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1), (0.2, 1), (0.1, 3)])
def test_the_network_loses_the_share_it_promises(loss: float, burst: int) -> None:
    fates = Network(loss=loss, burst=burst).fate(20_000, 3)
    assert fates.count(None) / 20_000 == pytest.approx(loss, rel=0.15)


def test_the_same_seed_is_the_same_network() -> None:
    network = Network(loss=0.1, jitter=0.06, spikes=0.01)
    assert network.fate(500, 7) == network.fate(500, 7) != network.fate(500, 8)


def test_words_are_counted_as_edits() -> None:
    assert _distance(["a", "warm", "coat", "with", "you"], ["a", "warm", "goat", "you", "too"]) == 3


def test_two_receivers_alike_are_not_told_apart_and_a_worse_one_is() -> None:
    assert chance([1, 0, 2, 0], [0, 2, 0, 1]) > 0.3
    assert chance([3] * 12, [0] * 12) < 0.01
    assert chance([0] * 12, [3] * 12) == 1.0


def test_rounds_are_pooled_by_sentence() -> None:
    one = Score((0.04, 0.05), (0.01,), (0, 2), 20)
    whole = pooled([one, Score((0.06,), (0.03,), (1, 0), 30)])
    assert (whole.delays, whole.wrong, whole.words) == ((0.04, 0.05, 0.06), (0, 2, 1, 0), 50)
    assert whole.concealed_percent == pytest.approx(2.0)
    assert whole.wer == pytest.approx(6.0)


def test_a_simulated_call_is_the_same_every_time() -> None:
    payloads = [b"\xf8\xff\xfe"] * 100
    one, other = (simulate(Network(loss=0.1, jitter=0.06), payloads, 50, 7) for _ in range(2))
    assert one.blocks == other.blocks
    assert one.facts["received"] < 100


def test_a_playout_is_no_faster_than_the_network_unless_it_conceals() -> None:
    assert Network(delay=0.02, jitter=0.06).in_time == pytest.approx(0.109)
    assert Network().in_time == pytest.approx(0.029)
