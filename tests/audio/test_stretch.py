"""Speech made shorter and longer: length, pitch and smoothness."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.audio import stretch

from .streams import babble


def tone(hertz: float, samples: int) -> array[int]:
    step = 2 * math.pi * hertz / 48_000
    return array("h", (int(6000 * (math.sin(step * i) + math.sin(2 * step * i) / 2)) for i in range(samples)))


def largest_step(samples: array[int]) -> int:
    return max(abs(b - a) for a, b in pairwise(samples))


@pytest.mark.parametrize("hertz", [80, 110, 150, 220, 300])
def test_the_period_of_a_voice_is_found(hertz: float) -> None:
    lag, alike = stretch.period(tone(hertz, 1920))
    periods = lag * hertz / 48_000
    assert periods == pytest.approx(round(periods), abs=0.05)
    assert alike > 0.95


def test_noise_has_no_period_that_counts() -> None:
    chance = random.Random(4)
    noise = array("h", (chance.randint(-20_000, 20_000) for _ in range(1920)))
    assert stretch.period(noise)[1] < stretch.ALIKE


def test_too_little_sound_has_no_period() -> None:
    assert stretch.period(tone(200, 200)) == (0, 0.0)
    assert stretch.period(array("h")) == (0, 0.0)


@pytest.mark.parametrize("hertz", [90, 150, 260])
def test_a_period_less_or_more_is_heard_as_no_step(hertz: float) -> None:
    pcm = tone(hertz, 1920)
    lag, _ = stretch.period(pcm)
    shorter, longer = stretch.shorten(pcm, lag), stretch.lengthen(pcm, lag)
    assert (len(shorter), len(longer)) == (1920 - lag, 1920 + lag)
    assert largest_step(shorter) < 1.2 * largest_step(pcm)
    assert largest_step(longer) < 1.2 * largest_step(pcm)


@given(st.lists(st.integers(-32_768, 32_767), max_size=1500), st.integers(-50, 2000))
def test_any_sound_can_be_measured_cut_and_joined(samples: list[int], most: int) -> None:
    pcm = array("h", samples)
    lag, alike = stretch.period(pcm, most)
    assert lag == 0 or stretch.SHORTEST <= lag <= len(pcm) // 2
    assert -1 <= alike <= 1.001
    assert 0 <= len(pcm) - len(stretch.cut(pcm, most)) <= max(0, most)
    stretch.join(30_000, pcm)
    assert len(pcm) == len(samples)
    assert 0 <= stretch.peak(pcm) <= 32_768


def test_a_join_takes_the_step_away() -> None:
    pcm = array("h", [20_000] * 480)
    stretch.join(-20_000, pcm)
    assert pcm[0] == -20_000
    assert largest_step(pcm) < 400
    assert pcm[-1] == 20_000


def test_fading_out_ends_in_silence_without_a_step() -> None:
    faded = stretch.fade_out(9000, 480)
    assert len(faded) == 480
    assert largest_step(array("h", [9000]) + faded) <= 76
    assert not any(faded[120:])


def test_a_cut_in_a_pause_removes_what_was_asked() -> None:
    quiet = array("h", babble()[:1920])
    assert len(stretch.cut(quiet, 300)) == len(quiet) - 300
