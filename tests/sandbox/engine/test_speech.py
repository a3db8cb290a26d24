"""The real parts: Silero, Moonshine and Hibari, as the extra `sandbox` installs them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rtcli.errors import RtcliError
from rtcli.sandbox.engine import speech
from rtcli.sandbox.engine.base import Paused, Prompt, SpeechStarted, SpeechStopped, Turn, VoiceActivity
from rtcli.sandbox.engine.speech import SpeechEngine, missing


pytestmark = pytest.mark.speech

if (absent := missing()) and os.environ.get("RTCLI_REQUIRE_ALL") != "1":
    pytest.skip(f"THE SPEECH ENGINE IS NOT TESTED: {absent}", allow_module_level=True)

np = pytest.importorskip("numpy")

RATE = 48_000
VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
SENTENCE = "Turn off the lights in the kitchen."


@pytest.fixture(scope="module")
def engine() -> Iterator[SpeechEngine]:
    with ThreadPoolExecutor(1) as thread:
        loaded = thread.submit(SpeechEngine.load).result()
    yield loaded
    loaded.close()


def silence(ms: int) -> bytes:
    return bytes(2 * RATE * ms // 1000)


def said(engine: SpeechEngine, text: str, *, voice: str = "marin", speed: float = 1.0) -> bytes:
    async def collect(pieces: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in pieces])

    return asyncio.run(collect(engine.speak(text, voice=voice, speed=speed)))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("good-bye", "goodbye"))


def errors(reference: str, heard: str) -> int:
    """Words wrong, missing or too many (Levenshtein)."""
    wanted, got = words(reference), words(heard)
    row = list(range(len(got) + 1))
    for at, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(got, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


def detected(
    engine: SpeechEngine, pcm: bytes, *, threshold: float = 0.5, silence_ms: int = 500, step: int = 1_920
) -> list[VoiceActivity]:
    detector = engine.detector(threshold=threshold, silence_ms=silence_ms)
    return [event for at in range(0, len(pcm), step) for event in detector.feed(pcm[at : at + step])]


def kinds(events: list[VoiceActivity]) -> list[type]:
    return [type(event) for event in events]


def trimmed(pcm: bytes) -> tuple[bytes, int]:
    """Without the quiet at both ends (under -40 dBFS in 10 ms), and its length in milliseconds."""
    blocks = [pcm[at : at + 960] for at in range(0, len(pcm), 960)]
    loud = [at for at, block in enumerate(blocks) if np.sqrt(np.mean(np.frombuffer(block, "<i2") ** 2.0)) > 328]
    return b"".join(blocks[loud[0] : loud[-1] + 1]), 10 * (loud[-1] + 1 - loud[0])


def mixed(pcm: bytes, noise: bytes) -> bytes:
    both = np.frombuffer(pcm, "<i2").astype(int) + np.frombuffer(noise[: len(pcm)], "<i2")
    return bytes(np.clip(both, -32_768, 32_767).astype("<i2").tobytes())


def noise(ms: int, level_db: float) -> bytes:
    samples = np.random.default_rng(5).standard_normal(RATE * ms // 1000) * 32_768 * 10 ** (level_db / 20)
    return bytes(np.clip(samples, -32_768, 32_767).astype("<i2").tobytes())


# Voice and recognition


@pytest.mark.parametrize("voice", [*VOICES, "voice_0123abcd"])
def test_every_voice_is_understood_and_has_a_speaking_level(engine: SpeechEngine, voice: str) -> None:
    texts = (SENTENCE, "What is the weather like in Paris today?", "Let us talk about something else.")
    wrong = 0
    for text in texts:
        pcm = said(engine, text, voice=voice)
        samples = np.frombuffer(trimmed(pcm)[0], "<i2") / 32_768
        assert -23 < 10 * np.log10(np.mean(samples**2)) < -17
        assert np.max(np.abs(samples)) < 0.999
        wrong += errors(text, asyncio.run(engine.transcribe(silence(100) + pcm)))
    assert wrong <= 1


def test_voices_differ_in_pitch_or_in_timbre(engine: SpeechEngine) -> None:
    from rtcli.sandbox.engine.voice import VOICES as CHARACTERS

    assert set(CHARACTERS) == set(VOICES)
    heard = {(one.size, one.size * one.pitch) for one in CHARACTERS.values()}
    for (size, pitch), (other_size, other_pitch) in combinations(heard, 2):
        assert abs(np.log2(size / other_size)) + abs(np.log2(pitch / other_pitch)) > 0.06


def pitch_of(pcm: bytes) -> float:
    """Median fundamental in Hertz, by autocorrelation of the loud tenths of a second."""
    samples = np.frombuffer(pcm, "<i2") / 32_768
    found = []
    for at in range(0, len(samples) - 4_800, 2_400):
        spectrum = np.fft.rfft(samples[at : at + 4_800] * np.hanning(4_800), 16_384)
        likeness = np.fft.irfft(np.abs(spectrum) ** 2)
        lag = 114 + int(np.argmax(likeness[114:685]))
        if likeness[0] > 1 and likeness[lag] > 0.4 * likeness[0]:
            found.append(RATE / lag)
    return float(np.median(found))


def test_a_deeper_voice_is_deeper(engine: SpeechEngine) -> None:
    pitches = {voice: pitch_of(said(engine, SENTENCE, voice=voice)) for voice in ("cedar", "marin", "shimmer")}
    assert pitches["cedar"] < 0.85 * pitches["marin"]
    assert pitches["shimmer"] > 1.1 * pitches["marin"]


def test_an_unknown_voice_is_always_the_same_one(engine: SpeechEngine) -> None:
    assert said(engine, "Hello.", voice="voice_abc") == said(engine, "Hello.", voice="voice_abc")


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.25, 1.5])
def test_speed_is_honoured_and_still_understood(engine: SpeechEngine, speed: float) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    normal, changed = said(engine, text), said(engine, text, speed=speed)
    assert 0.85 < trimmed(changed)[1] * speed / trimmed(normal)[1] < 1.2
    assert errors(text, asyncio.run(engine.transcribe(silence(100) + changed))) <= 1


def test_the_same_text_sounds_the_same_twice(engine: SpeechEngine) -> None:
    assert said(engine, SENTENCE, voice="ash") == said(engine, SENTENCE, voice="ash")


def test_the_first_piece_comes_before_the_rest_and_begins_with_sound(engine: SpeechEngine) -> None:
    async def pieces() -> list[bytes]:
        return [piece async for piece in engine.speak("Here it is. And here is more.", voice="marin", speed=1.0)]

    both = asyncio.run(pieces())
    assert len(both) == 2
    assert both[0].startswith(both[0].lstrip(b"\0"))
    lead = np.flatnonzero(np.abs(np.frombuffer(both[0], "<i2").astype(int)) > 200)[0]
    assert lead < RATE * 60 // 1000


@pytest.mark.parametrize("text", ["", "   ", "...", "\u65e5\u672c", "\x1b\0", "!" * 300])
def test_what_can_not_be_spoken_is_silence(engine: SpeechEngine, text: str) -> None:
    assert said(engine, text) == b""


def test_the_loop_goes_on_while_it_recognises(engine: SpeechEngine) -> None:
    pcm = said(engine, SENTENCE)

    async def both() -> int:
        turns = 0
        task = asyncio.create_task(engine.transcribe(pcm))
        while not task.done():
            turns += 1
            await asyncio.sleep(0.001)
        return turns

    assert asyncio.run(both()) > 10


@pytest.mark.parametrize("pcm", [b"", b"\0", silence(10), silence(2_000), noise(2_000, -40)])
def test_no_speech_has_no_words(engine: SpeechEngine, pcm: bytes) -> None:
    assert not asyncio.run(engine.transcribe(pcm))


def test_long_speech_is_recognised_to_its_end(engine: SpeechEngine) -> None:
    text = (
        "Here is a short story about a lighthouse keeper, who every evening climbed the long stair. "
        "One night the lamp would not start, and he went down again to look for some oil. "
        "The door was open and the wind had put out the candle on the table. "
        "He sat down in the dark and waited for the morning, and nobody came."
    )
    pcm = said(engine, text)
    assert len(pcm) / 2 / RATE > 15
    assert errors(text, asyncio.run(engine.transcribe(pcm))) <= 3


def test_a_long_turn_recognised_again_costs_its_last_part_only(
    engine: SpeechEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = engine._recogniser
    passes: list[int] = []
    recognised = recogniser._words

    def counted(sound: Any) -> str:
        passes.append(len(sound))
        return recognised(sound)

    monkeypatch.setattr(recogniser, "_words", counted)
    pcm = said(engine, "The wind blew over the hill and the old mill turned again. " * 4, voice="verse")
    first = asyncio.run(engine.transcribe(pcm))
    before = len(passes)
    again = asyncio.run(engine.transcribe(pcm + silence(200)))
    assert before >= 2
    assert len(passes) == before + 1
    assert words(again) == words(first)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_loading_leaves_no_threads_that_wait_by_spinning() -> None:
    code = (
        "import os, numpy; before = len(os.listdir('/proc/self/task'))\n"
        "from rtcli.sandbox.engine.speech import SpeechEngine\n"
        "SpeechEngine.load(); print(len(os.listdir('/proc/self/task')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 1


def test_the_head_is_asked_with_the_given_clock(engine: SpeechEngine) -> None:
    async def collect() -> str:
        prompt = Prompt("", [Turn("user", "What is two plus three?")])
        return "".join([str(part) async for part in engine.reply(prompt)])

    assert asyncio.run(collect()) == "2 plus 3 is 5."


# The sample question


def sample_question() -> bytes:
    path = Path(speech.__file__).with_name("sample_question.wav")
    assert path.stat().st_size < 300_000
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


def test_the_sample_question_is_recognised(engine: SpeechEngine) -> None:
    assert asyncio.run(engine.transcribe(sample_question())) == "Hello, what is two plus three?"


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("Hello, what is 2+3?", "Hello, what is two plus three?"),
        ("2 plus 3", "Two plus three"),
        ("At 7:00, 5 PM.", "At 7:00, five PM."),
        ("It costs $5, or 3.5, or 5% of 12.", "It costs $5, or 3.5, or 5% of 12."),
        ("Paris,", "Paris."),
    ],
)
def test_small_numbers_are_written_in_words_and_others_left(heard: str, text: str) -> None:
    from rtcli.sandbox.engine.recogniser import written

    assert written(heard) == text


def test_the_sample_question_is_one_turn(engine: SpeechEngine) -> None:
    events = detected(engine, sample_question() + silence(1_000))
    assert kinds(events)[0] is SpeechStarted
    assert kinds(events).count(SpeechStarted) == kinds(events).count(SpeechStopped) == 1


# Voice activity


@pytest.fixture(scope="module")
def utterance(engine: SpeechEngine) -> bytes:
    return trimmed(said(engine, "Could you speak a little more slowly, please?"))[0]


def test_start_and_end_are_where_the_speech_is(engine: SpeechEngine, utterance: bytes) -> None:
    events = detected(engine, silence(1_000) + utterance + silence(1_000))
    assert kinds(events) == [SpeechStarted, Paused, SpeechStopped]
    end = 1_000 + len(utterance) * 1000 // 2 // RATE
    assert abs(events[0].at_ms - 1_000) <= 80
    assert abs(events[-1].at_ms - end) <= 90


def test_start_and_end_are_told_soon(engine: SpeechEngine, utterance: bytes) -> None:
    detector = engine.detector(threshold=0.5, silence_ms=500)
    pcm = silence(1_000) + utterance + silence(1_000)
    told = {type(event): at // 96 + 10 for at in range(0, len(pcm), 960) for event in detector.feed(pcm[at : at + 960])}
    end = 1_000 + len(utterance) * 1000 // 2 // RATE
    assert told[SpeechStarted] - 1_000 <= 220
    assert 400 <= told[SpeechStopped] - end <= 600


@pytest.mark.parametrize("level_db", [-50, -40, -33])
def test_speech_in_noise_is_one_turn_and_noise_is_none(engine: SpeechEngine, utterance: bytes, level_db: int) -> None:
    pcm = mixed(silence(4_000) + utterance + silence(2_000), noise(12_000, level_db))
    events = detected(engine, pcm)
    assert kinds(events).count(SpeechStarted) == kinds(events).count(SpeechStopped) == 1
    assert abs(events[0].at_ms - 4_000) <= 150


def test_a_pause_shorter_than_the_hangover_does_not_split(engine: SpeechEngine, utterance: bytes) -> None:
    pcm = silence(500) + utterance + silence(350) + utterance + silence(1_000)
    assert kinds(detected(engine, pcm)).count(SpeechStopped) == 1
    assert kinds(detected(engine, pcm, silence_ms=200)).count(SpeechStopped) == 2


@pytest.mark.parametrize("ms", [2, 10, 40, 100])
def test_a_click_begins_no_turn(engine: SpeechEngine, ms: int) -> None:
    assert detected(engine, silence(1_000) + noise(ms, -6) + silence(1_000)) == []


def test_a_higher_threshold_is_harder_to_reach(engine: SpeechEngine, utterance: bytes) -> None:
    faint = mixed(silence(1_000) + utterance + silence(1_000), noise(8_000, -6))
    begun = [kinds(detected(engine, faint, threshold=level)).count(SpeechStarted) for level in (0.05, 0.99)]
    assert begun[0] >= 1
    assert begun[1] == 0


def test_pieces_of_any_length_give_the_same_events(engine: SpeechEngine, utterance: bytes) -> None:
    pcm = silence(500) + utterance + silence(1_000)
    whole = detected(engine, pcm, step=len(pcm))
    assert whole == detected(engine, pcm, step=960)
    assert kinds(whole) == kinds(detected(engine, pcm, step=777))


def test_calls_do_not_disturb_one_another(engine: SpeechEngine, utterance: bytes) -> None:
    pcm = silence(500) + utterance + silence(1_000)
    alone = detected(engine, pcm)
    one, other = (engine.detector(threshold=0.5, silence_ms=500) for _ in range(2))
    events = []
    for at in range(0, len(pcm), 1_920):
        events += one.feed(pcm[at : at + 1_920])
        other.feed(noise(20, -30))
    assert events == alone


# Whether it is there at all


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    assert missing() == "numpy is not installed"


def test_a_missing_model_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speech._PARTS, "hibari", ("assets/gone.onnx",))
    assert missing() == "hibari has no model file assets/gone.onnx"


def test_a_platform_without_recognition_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "find_spec", lambda name: None if name == "moonshine_voice" else find_spec(name))
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert missing() == "there is no speech recognition for Darwin x86_64"


def test_a_part_that_does_not_load_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libmoonshine.so: version `GLIBC_2.34'\n not found")

    monkeypatch.setattr(speech, "_parts", broken)
    with pytest.raises(RtcliError, match=r"^the speech engine can not be loaded: libmoonshine.so: .* not found$"):
        SpeechEngine.load()


def test_an_engine_may_be_closed_twice() -> None:
    loaded = SpeechEngine.load()
    loaded.close()
    loaded.close()
