"""Words in the order they were spoken, each once, whatever order the events come in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.transcript import CAPTIONS, HOPE, PATIENCE, Transcript, Voice
from rtcli.protocol.updates import Growing, Words


def texts(words: list[Words]) -> list[str]:
    return [said.text for said in words]


def a_turn(transcript: Transcript, number: int, now: float) -> None:
    """A spoken question whose words have not come, and its answer, over."""
    transcript.hear(f"u{number}", now)
    transcript.committed(f"u{number}", now)
    transcript.say(f"m{number}", f"r{number}", now)
    transcript.said(f"m{number}", f"r{number}", 0, f"answer {number}", now)
    transcript.said_all(f"r{number}", now, cut=False)


def test_an_answer_waits_for_its_question() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    assert transcript.release(PATIENCE - 0.1) == []
    transcript.heard("u1", 0, "question", 2.9)
    assert texts(transcript.release(2.9)) == ["question", "answer 1"]
    assert not transcript.waiting


def test_a_question_that_keeps_an_answer_waiting_too_long_comes_late_and_marked() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    assert texts(transcript.release(PATIENCE)) == ["answer 1"]
    assert not transcript.waiting
    transcript.heard("u1", 0, "question", 9.0)
    assert transcript.release(9.0) == [Words("you", "u1", "question", late=True)]


def test_a_late_question_is_told_once() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    transcript.release(PATIENCE)
    for _ in range(2):
        transcript.heard("u1", 0, "question", 9.0)
    assert texts(transcript.release(9.0)) == ["question"]


def test_parts_of_a_late_question_are_kept_until_it_is_whole() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    transcript.hear_part("u1", 0, "quest", 1.0)
    assert texts(transcript.release(PATIENCE)) == ["answer 1"]
    assert transcript.hear_part("u1", 0, "ion", 5.0) == Growing("you", "u1", "question")
    assert transcript.release(5.0) == []
    transcript.heard("u1", 0, "Question?", 6.0)
    assert transcript.release(6.0) == [Words("you", "u1", "Question?", late=True)]


def test_parts_of_a_question_that_never_became_whole_are_shown_at_the_end() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    transcript.hear_part("u1", 0, "quest", 1.0)
    transcript.release(PATIENCE)
    assert transcript.release_all() == [Words("you", "u1", "quest", cut=True, late=True)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_transcripts_in_any_order_are_shown_in_the_order_of_speaking(order: tuple[int, ...]) -> None:
    transcript = Transcript()
    for number in range(3):
        transcript.hear(f"u{number}", 0.0)
        transcript.committed(f"u{number}", 0.0)
    shown: list[str] = []
    for number in order:
        transcript.heard(f"u{number}", 0, f"turn {number}", 1.0)
        shown += texts(transcript.release(1.0))
    assert shown == ["turn 0", "turn 1", "turn 2"]


def test_a_transcript_that_never_comes_does_not_stop_the_captions_behind_it() -> None:
    transcript = Transcript()
    for number in range(2):
        transcript.hear(f"u{number}", 0.0)
        transcript.committed(f"u{number}", 0.0)
    transcript.heard("u1", 0, "second", 1.0)
    assert transcript.release(1.0 + CAPTIONS - 0.1) == []
    assert texts(transcript.release(1.0 + CAPTIONS)) == ["second"]


def test_a_question_nobody_answers_is_hoped_for_for_a_while() -> None:
    transcript = Transcript()
    transcript.hear("u1", 0.0)
    transcript.committed("u1", 1.0)
    transcript.release(1.0 + HOPE - 0.1)
    assert transcript.waiting
    transcript.release(1.0 + HOPE)
    assert not transcript.waiting


def test_a_question_still_being_spoken_is_not_given_up_however_long_it_is() -> None:
    transcript = Transcript()
    transcript.hear("u1", 0.0)
    transcript.release(100.0)
    assert transcript.waiting
    transcript.committed("u1", 100.0)
    transcript.heard("u1", 0, "long", 101.0)
    assert transcript.release(101.0) == [Words("you", "u1", "long")]


def test_an_empty_transcript_shows_nothing_and_lets_the_rest_through() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    transcript.heard("u1", 0, "  ", 1.0)
    assert texts(transcript.release(1.0)) == ["answer 1"]


def test_the_model_is_silent_until_its_response_is_over() -> None:
    transcript = Transcript()
    transcript.say("m1", "r1", 0.0)
    transcript.said("m1", "r1", 0, "answer", 0.0)
    assert transcript.release(1000.0) == []
    transcript.said_all("r1", 1000.0, cut=False)
    assert texts(transcript.release(1000.0)) == ["answer"]


def test_an_answer_of_several_items_and_parts_is_shown_item_by_item() -> None:
    transcript = Transcript()
    transcript.said("m1", "r1", 1, "world.", 0.0)
    transcript.said("m1", "r1", 0, "Hello ", 0.0)
    transcript.said("m2", "r1", 0, "And more.", 0.0)
    transcript.said_all("r1", 0.0, cut=False)
    assert texts(transcript.release(0.0)) == ["Hello world.", "And more."]


def test_two_responses_at_once_end_each_for_itself() -> None:
    transcript = Transcript()
    transcript.said("m1", "r1", 0, "first", 0.0)
    transcript.said("m2", "r2", 0, "aside", 0.0)
    transcript.said_all("r2", 1.0, cut=False)
    assert transcript.release(1.0) == []
    transcript.said_all("r1", 2.0, cut=True)
    assert transcript.release(2.0) == [Words("model", "m1", "first", cut=True), Words("model", "m2", "aside")]


def test_the_whole_text_replaces_what_had_grown() -> None:
    transcript = Transcript()
    transcript.hear_part("u1", 0, "won to", 0.0)
    transcript.heard("u1", 0, "One, two.", 0.0)
    assert texts(transcript.release(0.0)) == ["One, two."]


def test_a_part_that_is_whole_does_not_grow_again() -> None:
    transcript = Transcript()
    transcript.say_part("m", "r", 0, "Hello", 0.0)
    transcript.said("m", "r", 0, "Hello there.", 0.0)
    assert transcript.say_part("m", "r", 0, " late", 0.0) is None
    transcript.said_all("r", 0.0, cut=False)
    assert texts(transcript.release(0.0)) == ["Hello there."]


def test_what_was_shown_does_not_grow_again() -> None:
    transcript = Transcript()
    transcript.said("m1", "r1", 0, "answer", 0.0)
    transcript.said_all("r1", 0.0, cut=False)
    transcript.release(0.0)
    assert transcript.say_part("m1", "r1", 0, "more", 1.0) is None
    transcript.said("m1", "r1", 0, "answer more", 1.0)
    assert not transcript.waiting


def test_a_typed_line_has_its_place_when_it_becomes_an_item() -> None:
    transcript = Transcript()
    transcript.hear("u1", 0.0)
    transcript.committed("u1", 0.0)
    transcript.wrote("u2", "typed", 0.0)
    transcript.heard("u1", 0, "spoken", 1.0)
    assert transcript.release(1.0) == [Words("you", "u1", "spoken"), Words("you", "u2", "typed", typed=True)]


def test_a_forgotten_item_is_waited_for_by_nobody() -> None:
    transcript = Transcript()
    a_turn(transcript, 1, 0.0)
    transcript.forget("u1")
    assert texts(transcript.release(0.0)) == ["answer 1"]
    transcript.forget("never heard of")


def test_at_the_end_everything_begun_is_shown_as_cut() -> None:
    transcript = Transcript()
    transcript.hear_part("u1", 0, "Could you", 0.0)
    transcript.say_part("m1", "r1", 0, "Of cou", 0.0)
    transcript.say("m2", "r1", 0.0)
    assert transcript.release_all() == [
        Words("you", "u1", "Could you", cut=True),
        Words("model", "m1", "Of cou", cut=True),
    ]
    assert transcript.release_all() == []


def test_memory_is_bounded_however_many_items_are_left_unfinished() -> None:
    transcript = Transcript()
    for number in range(2000):
        transcript.hear(f"u{number}", 0.0)
    assert len(transcript._entries) <= 512
    for number in range(2000):
        transcript.wrote(f"w{number}", "x", 0.0)
        transcript.release(100.0)
    assert len(transcript._told) <= 512
    assert len(transcript._given_up) <= 512


MOVES: list[Callable[[Transcript, int, float], object]] = [
    lambda transcript, n, now: transcript.hear(f"u{n}", now),
    lambda transcript, n, now: transcript.committed(f"u{n}", now),
    lambda transcript, n, now: transcript.no_words(f"u{n}", now),
    lambda transcript, n, now: transcript.heard(f"u{n}", 0, "words", now),
    lambda transcript, n, now: transcript.hear_part(f"u{n}", 0, "part", now),
    lambda transcript, n, now: transcript.wrote(f"u{n}", "typed", now),
    lambda transcript, n, now: transcript.say(f"m{n}", f"r{n % 3}", now),
    lambda transcript, n, now: transcript.say_part(f"m{n}", f"r{n % 3}", 0, "part", now),
    lambda transcript, n, now: transcript.said(f"m{n}", f"r{n % 3}", 0, "words", now),
    lambda transcript, n, now: transcript.said_all(f"r{n % 3}", now, cut=False),
]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 5), st.floats(0, 5)), max_size=60))
def test_every_item_is_shown_once_and_nothing_is_waited_for_for_ever(
    moves: list[tuple[Callable[[Transcript, int, float], object], int, float]],
) -> None:
    transcript = Transcript()
    now, shown = 0.0, list[Words]()
    for move, number, later in moves:
        now += later
        move(transcript, number, now)
        shown += transcript.release(now)
    for number in range(6):
        transcript.committed(f"u{number}", now)
        transcript.said_all(f"r{number % 3}", now, cut=False)
    shown += transcript.release(now + HOPE)
    assert not transcript.waiting
    shown += transcript.release_all()
    assert len({said.item_id for said in shown}) == len(shown)


def interrupted(text: str, *, after: float, before: tuple[str, float] | None = None) -> str | None:
    """What was heard of a voice that said `text`, after an answer with so many seconds."""
    transcript = Transcript()
    if before:
        transcript.said("m0", "r0", 0, before[0], 0.0)
        transcript.said_all("r0", 0.0, cut=False, voice=Voice(before[1]))
    transcript.said("m1", "r1", 0, text, 1.0)
    transcript.said_all("r1", 1.0, cut=True, voice=Voice(after, interrupted=True))
    words = transcript.release(1.0)[-1]
    assert (words.text, words.cut) == (text, True)
    return words.heard


def test_an_interrupted_voice_is_shown_as_far_as_it_was_heard_in_whole_words() -> None:
    assert interrupted("At the end of a long pier stood a house.", after=1.0) == "At the end of a"
    assert interrupted("At the end of a long pier stood a house.", after=0.0) == ""
    assert interrupted("Short.", after=5.0) == "Short."
    assert interrupted("昔々あるところに", after=1.0) == "昔々あると"


def test_how_far_it_came_is_judged_by_the_pace_of_the_answer_before() -> None:
    slow = ("x" * 80, 10.0)
    assert interrupted("At the end of a long pier stood a house.", after=1.0, before=slow) == "At the"
    never_ended = ("x" * 80, 60.0)
    assert interrupted("At the end of a long pier stood a house.", after=1.0, before=never_ended) == "At the end of a"


def test_an_answer_in_text_that_was_cut_short_was_read_whole() -> None:
    transcript = Transcript()
    transcript.said("m1", "r1", 0, "Half an ans", 0.0)
    transcript.said_all("r1", 1.0, cut=True)
    assert transcript.release(1.0) == [Words("model", "m1", "Half an ans", cut=True)]


def test_what_was_spoken_later_waits_for_what_was_spoken_before() -> None:
    transcript = Transcript()
    for item in ("u1", "u2"):
        transcript.committed(item, 0.0)
    transcript.heard("u2", 0, "second", 1.0)
    assert transcript.release(1.0 + PATIENCE + 1.0) == []
    transcript.heard("u1", 0, "first", 6.0)
    assert transcript.release(6.0) == [Words("you", "u1", "first"), Words("you", "u2", "second")]
