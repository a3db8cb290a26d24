from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtcli.transport.pacing import BURST, Pace


FRAME = 0.02


def test_frames_are_due_every_20_ms_from_the_first() -> None:
    pace = Pace()
    assert pace.next(100.0) == (0, 0.0)
    for number in range(1, 5):
        frame, wait = pace.next(100.0)
        assert frame == number
        assert abs(wait - number * FRAME) < 1e-9


def test_being_late_each_time_adds_up_to_nothing() -> None:
    """A loop that wakes 3 ms late for an hour still sends an hour of frames in an hour."""
    pace, now, frame = Pace(), 0.0, 0
    for _ in range(180_000):
        frame, wait = pace.next(now)
        now += wait + 0.003
    assert frame == 179_999
    assert abs(now - 3600) < 1
    assert pace.skipped == 0


def test_a_short_stall_is_caught_up() -> None:
    pace = Pace()
    pace.next(0.0)
    frames = [pace.next(BURST * FRAME) for _ in range(BURST)]
    assert frames == [(number, 0.0) for number in range(1, BURST + 1)]
    assert pace.next(BURST * FRAME)[1] > 0


def test_after_a_long_stall_the_frame_number_jumps_and_nothing_is_flooded() -> None:
    pace = Pace()
    pace.next(0.0)
    frame, wait = pace.next(60.005)
    assert (frame, wait) == (3000, 0.0)
    assert pace.skipped == 2999
    frame, wait = pace.next(60.005)
    assert frame == 3001
    assert 0 < wait <= FRAME


@given(st.lists(st.floats(0, 5), max_size=50))
def test_whatever_the_delays_frames_go_up_and_never_run_ahead_of_the_clock(delays: list[float]) -> None:
    pace, now, last = Pace(), 0.0, -1
    for delay in delays:
        frame, wait = pace.next(now)
        now += wait
        assert frame > last
        assert -1e-6 <= now - frame * FRAME <= (BURST + 1) * FRAME
        now += delay
        last = frame


def test_frames_of_10_ms_are_due_every_10_ms() -> None:
    pace = Pace(10)
    pace.next(0.0)
    assert pace.next(0.0) == (1, 0.01)
    assert pace.next(60.005)[0] == 6000
