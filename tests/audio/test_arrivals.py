"""The delay that the arrivals of packets ask for."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from rtcli.audio.arrivals import Arrivals


MS = 48


def fed(needs: Callable[[int], float], count: int = 500, *, earlier: int = 0) -> Arrivals:
    """Arrivals of `count` packets with these needs in milliseconds."""
    arrivals = Arrivals()
    for number in range(count):
        arrivals.arrived(number * 960, round(needs(number) * MS), earlier=earlier)
    return arrivals


def test_a_steady_stream_is_played_with_no_delay_above_its_need() -> None:
    assert fed(lambda _: 30.0).target == 30 * MS


def test_jitter_is_covered_to_its_end() -> None:
    chance = random.Random(1)
    assert fed(lambda _: 30 + 60 * chance.random()).target == pytest.approx(90 * MS, abs=4 * MS)


def test_a_rare_spike_is_not_waited_for() -> None:
    assert fed(lambda number: 230.0 if number % 100 == 50 else 30.0).target == 30 * MS


def test_one_spike_among_the_first_packets_is_no_sign_of_many() -> None:
    assert fed(lambda number: 230.0 if number == 5 else 30.0, 60).target < 80 * MS


def test_frequent_lateness_is_waited_for() -> None:
    assert fed(lambda number: 70.0 if number % 10 == 5 else 30.0).target == 70 * MS


@pytest.mark.parametrize(("every", "waits"), [(100, False), (10, True)], ids=["1 %", "10 %"])
def test_fec_is_waited_for_where_loss_makes_it_pay(every: int, *, waits: bool) -> None:
    arrivals = Arrivals()
    for number in range(600):
        if number % every:
            arrivals.arrived(number * 960, 30 * MS, earlier=960)
    assert arrivals.target == (50 * MS if waits else 30 * MS)


def test_before_there_is_experience_some_jitter_is_supposed() -> None:
    assert 40 * MS <= fed(lambda _: 30.0, 1).target <= 50 * MS


@pytest.mark.parametrize("shift", [300, -300], ids=["later", "earlier"])
def test_a_new_route_is_believed_after_a_third_of_a_second(shift: int) -> None:
    chance = random.Random(2)
    arrivals = fed(lambda number: 330 + 20 * chance.random() + (shift if number >= 400 else 0), 420)
    assert arrivals.target == pytest.approx((350 + shift) * MS, abs=8 * MS)


def test_what_was_learnt_of_the_jitter_outlives_a_new_route() -> None:
    chance = random.Random(3)
    arrivals = fed(lambda _: 30 + 60 * chance.random(), 400)
    arrivals.restart()
    arrivals.arrived(10**7, 500 * MS)
    assert arrivals.target == pytest.approx(560 * MS, abs=5 * MS)


def test_a_packet_that_comes_after_its_fec_needs_the_lesser_of_both() -> None:
    arrivals = Arrivals()
    for number in range(0, 600, 2):
        arrivals.arrived((number + 1) * 960, 30 * MS, earlier=960)
        arrivals.arrived(number * 960, 200 * MS)
    assert arrivals.target == 50 * MS


def test_a_packet_that_comes_by_fec_alone_weighs_more_than_one_that_comes_late() -> None:
    """At 2.5 % the wait for late packets does not pay, but the wait for FEC does."""
    late, lost = Arrivals(), Arrivals()
    for number in range(600):
        hit = number % 40 == 0
        late.arrived(number * 960, (50 if hit else 30) * MS)
        if not hit:
            lost.arrived(number * 960, 30 * MS, earlier=960)
    assert late.target == 30 * MS
    assert lost.target == 50 * MS


@pytest.mark.parametrize("ppm", [1000, -1000])
def test_needs_of_long_ago_are_seen_as_drift_has_moved_them(ppm: int) -> None:
    arrivals = Arrivals()
    arrivals.slope = ppm * 1e-6
    for number in range(500):
        arrivals.arrived(number * 960, round(30 * MS + arrivals.slope * number * 960))
    assert arrivals.target == pytest.approx(30 * MS + arrivals.slope * 499 * 960, abs=10)
