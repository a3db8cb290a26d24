"""Where a phrase ends, by loudness."""

from __future__ import annotations

from rtcli.audio import phrases
from rtcli.audio.phrases import Phrases


BEGIN, END = phrases.BEGIN // 20, phrases.END // 20
"""Frames of 20 ms."""
SPEECH, ROOM = 0.3, 0.004


def ended(*parts: tuple[float, int]) -> int:
    """Phrases over after so many frames of each level."""
    listening = Phrases()
    for level, frames in parts:
        for _ in range(frames):
            listening.note(level)
    return listening.ended


def test_a_pause_after_speech_ends_a_phrase_once() -> None:
    assert ended((ROOM, 50), (SPEECH, 50), (ROOM, END - 1)) == 0
    assert ended((ROOM, 50), (SPEECH, 50), (ROOM, 10 * END)) == 1
    assert ended(*[(ROOM, 50), (SPEECH, 50)] * 3, (ROOM, END)) == 3


def test_a_stop_for_breath_ends_none() -> None:
    assert ended((ROOM, 50), (SPEECH, 30), (ROOM, END // 2), (SPEECH, 30), (ROOM, END)) == 1


def test_clicks_and_silence_are_no_phrases() -> None:
    assert ended((0.0, 500)) == 0
    assert ended((ROOM, 50), *[(SPEECH, BEGIN // 2), (ROOM, 60)] * 10) == 0


def test_words_are_found_above_a_noisy_room_and_the_room_is_not_taken_for_words() -> None:
    assert ended((0.05, 500), (SPEECH, 50), (0.05, 2 * END)) - ended((0.05, 500)) == 1
    assert ended((0.05, 3000)) <= 1
