from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from rtcli.sandbox.engine.activity import TurnRules
from rtcli.sandbox.engine.base import Paused, Resumed, SpeechStarted, SpeechStopped, VoiceActivity


FRAME_MS = 32


def run(scores: Iterable[float], *, silence_ms: int = 500, lag_ms: int = 0) -> list[VoiceActivity]:
    """Frame after frame, with a look in the middle of each as a detector fed with 16 ms does it."""
    rules = TurnRules(threshold=0.5, silence_ms=silence_ms, frame_ms=FRAME_MS, lag_ms=lag_ms)
    events = []
    for at, score in enumerate(scores):
        events += [rules.wait(at * FRAME_MS + FRAME_MS // 2), rules.push(score), rules.wait((at + 1) * FRAME_MS)]
    return [event for event in events if event]


def test_speech_pause_speech_silence_is_told_in_order() -> None:
    scores = [0.0] * 3 + [0.9] * 10 + [0.0] * 8 + [0.9] * 4 + [0.0] * 20
    assert run(scores) == [
        SpeechStarted(at_ms=96),
        Paused(at_ms=416),
        Resumed(at_ms=672),
        Paused(at_ms=800),
        SpeechStopped(at_ms=800),
    ]


def test_two_loud_frames_begin_nothing() -> None:
    assert run([0.0, 0.9, 0.0, 0.9, 0.0, 0.0, 0.0]) == []


def test_a_weak_beginning_belongs_to_the_speech() -> None:
    assert run([0.0, 0.4, 0.4, 0.9, 0.9, 0.9])[0] == SpeechStarted(at_ms=32)


def test_a_score_between_the_levels_prolongs_speech_but_does_not_revive_it() -> None:
    assert run([0.9] * 4 + [0.4] * 20) == [SpeechStarted(at_ms=0)]
    assert run([0.9] * 4 + [0.0] + [0.4] * 20)[-1] == SpeechStopped(at_ms=128)


def test_a_pause_shorter_than_160_ms_is_not_told() -> None:
    assert run([0.9] * 4 + [0.0] * 4 + [0.9] * 4) == [SpeechStarted(at_ms=0)]


def test_the_end_is_told_in_the_middle_of_a_frame_when_the_silence_is_long_enough() -> None:
    rules = TurnRules(threshold=0.5, silence_ms=200, frame_ms=FRAME_MS)
    for score in [0.9] * 4 + [0.0] * 6:
        rules.push(score)
    assert rules.wait(327) == Paused(at_ms=128)
    assert rules.wait(327) is None
    assert rules.wait(328) == SpeechStopped(at_ms=128)


def test_a_hangover_shorter_than_a_pause_ends_the_turn_without_one() -> None:
    assert run([0.9] * 4 + [0.0] * 6, silence_ms=100) == [SpeechStarted(at_ms=0), SpeechStopped(at_ms=128)]


def test_the_lag_of_the_scores_is_taken_off_the_end() -> None:
    assert run([0.9] * 4 + [0.0] * 20, lag_ms=32)[-1] == SpeechStopped(at_ms=96)


def test_a_second_turn_is_told_like_the_first() -> None:
    turn = [0.9] * 4 + [0.0] * 20
    assert [type(event) for event in run(turn * 2)] == [SpeechStarted, Paused, SpeechStopped] * 2


@given(st.lists(st.floats(0, 1), max_size=200), st.integers(0, 2_000))
def test_events_are_always_well_formed(scores: list[float], silence_ms: int) -> None:
    following: dict[type | None, set[type]] = {
        None: {SpeechStarted},
        SpeechStarted: {Paused, SpeechStopped},
        Paused: {Resumed, SpeechStopped},
        Resumed: {Paused, SpeechStopped},
        SpeechStopped: {SpeechStarted},
    }
    events = run(scores, silence_ms=silence_ms)
    last: VoiceActivity | None = None
    for event in events:
        assert type(event) in following[type(last) if last else None]
        last = event
