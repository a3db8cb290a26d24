from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from array import array
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise

import pytest

from rtcli.sandbox.engine.base import Paused, Prompt, SpeechStarted, SpeechStopped, Turn
from rtcli.sandbox.engine.scripted import ScriptedEngine


RATE = 48_000
NOON = datetime(2026, 11, 22, 12, 30)  # noqa: DTZ001 - the user's own clock has no zone


def silence(ms: int) -> bytes:
    return bytes(2 * RATE * ms // 1000)


def noise(ms: int, peak: int, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    return array("h", (chance.randint(-peak, peak) for _ in range(RATE * ms // 1000))).tobytes()


def said(engine: ScriptedEngine, text: str, *, voice: str = "marin", speed: float = 1.0) -> bytes:
    async def collect(pieces: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in pieces])

    return asyncio.run(collect(engine.speak(text, voice=voice, speed=speed)))


def replied(engine: ScriptedEngine, text: str) -> str:
    async def collect() -> str:
        return "".join([str(part) async for part in engine.reply(Prompt("", [Turn("user", text)]))])

    return asyncio.run(collect())


@pytest.mark.parametrize("module", ["base", "scripted", "reply", "speech"])
def test_importing_it_loads_nothing_beyond_the_standard_library(module: str) -> None:
    code = (
        f"import sys; import rtcli.sandbox.engine.{module}; "
        "sys.exit(','.join({'numpy', 'onnxruntime', 'hibari', 'moonshine_voice', 'av'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_utterance_is_heard_as_its_length() -> None:
    assert asyncio.run(ScriptedEngine().transcribe(silence(1_800))) == "[speech 1.8 s]"


def test_no_sound_has_no_words() -> None:
    assert not asyncio.run(ScriptedEngine().transcribe(b""))


def test_given_transcripts_come_in_order_and_then_the_default() -> None:
    engine = ScriptedEngine(heard=["one", "two"])
    heard = [asyncio.run(engine.transcribe(silence(500))) for _ in range(3)]
    assert heard == ["one", "two", "[speech 0.5 s]"]


def test_a_given_answer_is_found_however_the_question_is_written() -> None:
    assert replied(ScriptedEngine({"How far?": "Ten miles."}), " how  far ") == "Ten miles."


def test_what_has_no_given_answer_is_answered_by_the_rules() -> None:
    assert "5" in replied(ScriptedEngine({"a": "b"}), "what is two plus three")


def test_the_clock_is_the_one_given() -> None:
    assert "12:30" in replied(ScriptedEngine(clock=lambda: NOON), "what time is it?")


def test_the_same_text_sounds_the_same_twice() -> None:
    assert said(ScriptedEngine(), "Hello there.") == said(ScriptedEngine(), "Hello there.")


def test_a_longer_text_sounds_longer_and_a_faster_one_shorter() -> None:
    engine = ScriptedEngine()
    once = len(said(engine, "hello there"))
    assert len(said(engine, "hello there hello there")) == 2 * once
    assert len(said(engine, "hello there", speed=1.5)) < 0.75 * once


def test_voices_differ_and_unknown_names_have_one_too() -> None:
    names = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"]
    sounds = {said(ScriptedEngine(), "hello", voice=name) for name in names}
    assert len(sounds) == len(names)
    assert said(ScriptedEngine(), "hello", voice="voice_123")


def test_the_sound_neither_clips_nor_clicks() -> None:
    samples = array("h", said(ScriptedEngine(), "Hello there, how are you?", voice="shimmer"))
    assert 6_000 < max(map(abs, samples)) < 20_000
    assert max(abs(b - a) for a, b in pairwise(samples)) < 5_000


def test_its_own_voice_is_one_turn_for_its_ears() -> None:
    engine = ScriptedEngine()
    speech = said(engine, "this is a rather long sentence without any pause at all in it")
    events = engine.detector(threshold=0.5, silence_ms=500).feed(silence(500) + speech + silence(800))
    assert [type(event) for event in events] == [SpeechStarted, Paused, SpeechStopped]
    start, _, stop = events
    assert abs(start.at_ms - 500) <= 40
    assert abs(stop.at_ms - 500 - len(speech) * 1000 / 2 / RATE) <= 60


def test_pieces_of_any_length_give_the_same_events() -> None:
    engine = ScriptedEngine()
    sound = silence(300) + said(engine, "hello there") + silence(900)
    whole = engine.detector(threshold=0.5, silence_ms=500).feed(sound)
    detector = engine.detector(threshold=0.5, silence_ms=500)
    parts = [event for at in range(0, len(sound), 777) for event in detector.feed(sound[at : at + 777])]
    assert parts == whole
    assert whole


def test_speech_from_the_very_first_sample_is_heard() -> None:
    engine = ScriptedEngine()
    events = engine.detector(threshold=0.5, silence_ms=500).feed(said(engine, "hello there"))
    assert isinstance(events[0], SpeechStarted)
    assert events[0].at_ms <= 40


def test_a_click_begins_no_turn() -> None:
    engine = ScriptedEngine()
    assert (
        engine.detector(threshold=0.5, silence_ms=500).feed(silence(1_000) + noise(30, 20_000) + silence(1_000)) == []
    )


def test_steady_noise_becomes_the_floor_and_speech_over_it_is_heard() -> None:
    engine = ScriptedEngine()
    detector = engine.detector(threshold=0.5, silence_ms=500)
    detector.feed(noise(8_000, 300))
    speech = array("h", said(engine, "hello there how are you"))
    mixed = array("h", (a + b for a, b in zip(speech, array("h", noise(10_000, 300, 2)), strict=False))).tobytes()
    events = detector.feed(mixed + noise(1_000, 300, 3))
    assert [type(event) for event in events] == [SpeechStarted, Paused, SpeechStopped]
