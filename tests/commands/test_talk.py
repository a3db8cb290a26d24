"""`rtcli talk --sandbox` as a user runs it: a real process, real WebRTC, real recognition, a real voice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from tests.program import ready_call, rtcli, start


pytestmark = pytest.mark.speech

QUESTION = Path(__file__).parents[2] / "rtcli/sandbox/engine/sample_question.wav"


@pytest.fixture(autouse=True)
def _speech() -> None:
    from rtcli.sandbox.engine.speech import missing

    if (absent := missing()) is None:
        return
    if os.environ.get("RTCLI_REQUIRE_ALL"):
        pytest.fail(f"real speech is required: {absent}")
    pytest.skip(f"needs the extra `sandbox`: {absent}")


def test_a_first_run_on_any_machine_is_a_real_spoken_turn(tmp_path: Path) -> None:
    done = rtcli("talk", "--sandbox", home=tmp_path, stdin=subprocess.DEVNULL)
    assert done.status == 0, done.err
    assert re.search("(two|2).{0,3}(plus|[+]).{0,3}(three|3)", done.err, re.IGNORECASE)
    assert done.out.strip().splitlines() == ["2 plus 3 is 5."]


def test_without_standard_input_it_holds_the_same_turn(tmp_path: Path) -> None:
    program = "import sys; from rtcli.cli import main; sys.argv = ['rtcli', 'talk', '--sandbox']; main()"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "{program}" <&-', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "PULSE_SERVER": "unix:/nonexistent"},
    )
    assert (done.returncode, done.stdout) == (0, "2 plus 3 is 5.\n"), done.stderr


def test_a_pipe_that_never_says_anything_does_not_hold_it_up(tmp_path: Path) -> None:
    silent, held_open = os.pipe()
    try:
        done = rtcli("talk", "--sandbox", home=tmp_path, stdin=silent)
    finally:
        os.close(silent)
        os.close(held_open)
    assert (done.status, done.out) == (0, "2 plus 3 is 5.\n"), done.err


def test_a_piped_question_is_answered_in_text_and_nothing_else_is_on_standard_output(tmp_path: Path) -> None:
    done = rtcli("talk", "--sandbox", "--text", home=tmp_path, stdin="what is two plus three\n")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    assert "5" in done.out or "five" in done.out


def test_each_piped_line_is_a_turn_in_order(tmp_path: Path) -> None:
    done = rtcli("talk", "--sandbox", "--text", home=tmp_path, stdin="say apples\nwhat is 4 plus 4\nsay pears\n")
    assert done.status == 0, done.err
    first, second, third = done.out.lower().splitlines()
    assert ("apples" in first, "8" in second, "pears" in third) == (True, True, True)


def test_a_spoken_question_from_a_file_is_answered_into_a_file_that_says_what_was_printed(tmp_path: Path) -> None:
    answer = tmp_path / "answer.wav"
    done = rtcli("talk", "--sandbox", "--input", str(QUESTION), "--output", str(answer), home=tmp_path)
    assert done.status == 0, done.err
    assert "5" in done.out
    assert _words(_recognised(answer)) == _words(done.out)


@pytest.mark.parametrize("model", ["gpt-transcribe", "gpt-live-transcribe"])
def test_what_is_said_is_written_down_a_line_a_turn_whoever_finds_the_turns(tmp_path: Path, model: str) -> None:
    twice = tmp_path / "twice.wav"
    with wave.open(str(QUESTION)) as once, wave.open(str(twice), "wb") as both:
        both.setparams(once.getparams())
        said = once.readframes(once.getnframes())
        both.writeframes(said + bytes(2 * once.getframerate() * once.getnchannels() * once.getsampwidth()) + said)
    options = ("--transcription", "--transcribe", model, "--input", str(twice))
    done = rtcli("talk", "--sandbox", *options, home=tmp_path, stdin=subprocess.DEVNULL)
    assert done.status == 0, done.err
    # By its first and last word: the lines are what is tested, not the ear.
    assert [(words[0], words[-1]) for words in map(_words, done.out.splitlines())] == [("hello", "3")] * 2


@pytest.mark.parametrize("wrong", [("--model", "gpt-live-1"), ("--server", "http://127.0.0.1:9"), ("--set", "voice=x")])
def test_what_can_not_be_called_is_told_alone_in_one_line(tmp_path: Path, wrong: tuple[str, str]) -> None:
    done = rtcli("talk", "--sandbox", *wrong, home=tmp_path, stdin=subprocess.DEVNULL)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1, done.err


def test_json_is_every_event_and_ends_with_the_exit(tmp_path: Path) -> None:
    done = rtcli("talk", "--sandbox", "--text", "--json", home=tmp_path, stdin="hello\n")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["_rt"]["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["type"] == "rtcli.connected"
    assert {"session.created", "response.done"} <= {line["type"] for line in lines if line["_rt"]["dir"] == "in"}
    assert "response.create" in {line["type"] for line in lines if line["_rt"]["dir"] == "out"}
    assert (lines[-1]["type"], lines[-1]["exit"]) == ("rtcli.closed", 0)
    assert done.status == 0


def test_ctrl_c_hangs_up_with_status_0(tmp_path: Path) -> None:
    with ready_call("talk", "--sandbox", "--text", home=tmp_path) as running:
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert running.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["reason"] == "interrupted"


def test_kill_ends_it_with_status_143(tmp_path: Path) -> None:
    with ready_call("talk", "--sandbox", "--text", home=tmp_path) as running:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode == 143


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    running = start("talk", "--sandbox", "--json", home=tmp_path)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    begun = time.monotonic()
    running.wait(timeout=30)
    assert time.monotonic() - begun < 30
    assert running.returncode == 0
    assert b"Traceback" not in running.stderr.read()
    running.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--input", "no such microphone"), 6, "no such microphone"),
        (("--output", "no such loudspeaker"), 6, "no such loudspeaker"),
        (("--input", "absent.wav"), 2, "absent.wav"),
        (("--output", "/nonexistent/answer.wav"), 2, "/nonexistent/answer.wav"),
        (("--ptt",), 2, "--ptt"),
        (("--vexing",), 2, "--vexing"),
    ],
)
def test_a_wrong_wish_is_one_line_and_its_status(
    tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    done = rtcli("talk", "--sandbox", *arguments, home=tmp_path)
    assert (done.status, done.out) == (status, "")
    assert says in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_a_silent_file_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    done = rtcli("talk", "--sandbox", "--input", str(silence), home=tmp_path)
    assert (done.status, done.out) == (7, "")
    assert "no speech" in done.err


def _recognised(path: Path) -> str:
    import asyncio

    from rtcli.audio.base import RATE
    from rtcli.sandbox.engine.speech import SpeechEngine

    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        pcm = file.readframes(file.getnframes())
    engine = SpeechEngine.load()
    try:
        return asyncio.run(engine.transcribe(pcm))
    finally:
        engine.close()


def _words(text: str) -> list[str]:
    names = {"two": "2", "three": "3", "five": "5"}
    return [names.get(word, word) for word in "".join(c for c in text.lower() if c.isalnum() or c == " ").split()]
