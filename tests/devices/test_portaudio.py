"""Real PortAudio streams on a virtual sound card, each in an interpreter of its own.

A fresh one, because PortAudio lists devices once, when it is loaded, and keeps threads that outlive a dead server.
"""

from __future__ import annotations

import json
import math
import queue
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import wave
from array import array
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import rtcli.sandbox.engine

from .card import Card


pytestmark = pytest.mark.audio

SLACK = 1.5
"""Seconds that a busy machine may add to a limit."""

PREAMBLE = """
import json, math, sys, threading, time
from array import array
from pathlib import Path
from rtcli.audio import portaudio
from rtcli.audio.portaudio import DeviceMicrophone, DeviceSpeaker, devices, find
from rtcli.errors import DeviceError, UsageError

def heard(microphone, seconds):
    blocks, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        block = microphone.read()
        if block is None:
            time.sleep(0.005)
        else:
            blocks.append(block)
    return array("h", b"".join(blocks))

class Tone:
    def __init__(self, hertz=500.0):
        self.at, self.step, self.calls = 0, 2 * math.pi * hertz / 48000, []
    def __call__(self, samples):
        self.calls.append(time.monotonic())
        out = array("h", (int(8000 * math.sin(self.step * (self.at + i))) for i in range(samples)))
        self.at += samples
        return out.tobytes()
"""


def run(card: Card, program: str, *words: str, timeout: float = 60, environment: dict[str, str] | None = None) -> Any:
    """What a program of ours printed as JSON, with the card as its only sound."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(program), *words],
        env=environment or card.environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "the C libraries' chatter reached the terminal"
    return json.loads(done.stdout)


def tone_file(path: Path, seconds: float, hertz: float = 440.0) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, 48_000, 0, "NONE", ""))
        step = 2 * math.pi * hertz / 48_000
        writer.writeframes(array("h", (int(9000 * math.sin(step * i)) for i in range(int(seconds * 48_000)))).tobytes())
    return path


def pitch(samples: array[int]) -> float:
    """Hertz, by upward crossings of zero in what is not silent."""
    loud = [i for i, sample in enumerate(samples) if abs(sample) > 1000]
    assert len(loud) > 1000, "nothing was heard"
    part = samples[loud[0] : loud[-1]]
    return sum(a < 0 <= b for a, b in pairwise(part)) / len(part) * 48_000


def test_the_card_s_devices_are_listed_and_found_by_number_name_and_part(card: Card) -> None:
    told = run(
        card,
        """
        all = devices()
        speaker = find("output", "card_speaker")
        print(json.dumps({
            "names": [d.name for d in all],
            "same": [find("output", str(speaker.index)) == speaker, find("output", "SPEAK") == speaker],
            "defaults": [d.name for d in all if d.is_default_input or d.is_default_output],
        }))
        """,
    )
    assert set(told["names"]) == {"card_speaker", "card_mic", "default"}
    assert told["same"] == [True, True]
    assert told["defaults"]


def test_an_ambiguous_name_lists_what_it_could_mean_and_an_unknown_one_what_there_is(card: Card) -> None:
    told = run(
        card,
        """
        said = []
        for kind, spec in (("input", "a"), ("input", "nothing-like-it"), ("output", "99"), ("input", "card_speaker")):
            try:
                find(kind, spec)
            except (UsageError, DeviceError) as error:
                said.append([type(error).__name__, str(error)])
        print(json.dumps(said))
        """,
    )
    assert [kind for kind, _ in told] == ["UsageError", "DeviceError", "DeviceError", "DeviceError"]
    assert "card_mic" in told[0][1]
    assert "default" in told[0][1]
    assert "card_mic" in told[1][1]


def test_a_wav_played_into_the_card_comes_out_of_the_microphone(card: Card, tmp_path: Path) -> None:
    program = """
        import subprocess
        microphone = DeviceMicrophone(find("input", "card_mic"))
        microphone.start()
        player = subprocess.Popen(["paplay", "--device=card_room", sys.argv[1]])
        samples = heard(microphone, 2.0)
        player.wait()
        microphone.close()
        Path(sys.argv[2]).write_bytes(samples.tobytes())
        print(json.dumps({"name": microphone.name, "overflows": microphone.overflows}))
    """
    out = tmp_path / "heard.raw"
    told = run(card, program, str(tone_file(tmp_path / "tone.wav", 1.0)), str(out))
    assert told["name"] == "card_mic"
    assert pitch(array("h", out.read_bytes())) == pytest.approx(440, rel=0.02)


def test_what_the_speaker_pulls_comes_out_of_the_card(card: Card, tmp_path: Path) -> None:
    program = """
        tone, speaker = Tone(), DeviceSpeaker()
        speaker.start(tone)
        time.sleep(1.5)
        speaker.close()
        calls = len(tone.calls)
        time.sleep(0.2)
        print(json.dumps({"blocks": calls, "after": len(tone.calls) - calls}))
    """
    with card.recording(tmp_path / "out.raw"):
        told = run(card, program)
    assert 200 < told["blocks"] < 400
    assert told["after"] == 0
    assert pitch(array("h", (tmp_path / "out.raw").read_bytes())) == pytest.approx(500, rel=0.02)


def test_a_speaker_that_runs_dry_is_given_more_latency_until_it_does_not(card: Card) -> None:
    """An interpreter that is held up for 40 ms now and then is too slow for 20 ms of latency and not for 200."""
    told = run(
        card,
        """
        class HeldUp(Tone):
            def __call__(self, samples):
                if len(self.calls) % 50 == 49:
                    time.sleep(0.04)
                return super().__call__(samples)

        speaker = DeviceSpeaker()
        speaker.start(HeldUp())
        begun, end = speaker.figures()["latency_ms"], time.monotonic() + 30
        quiet_since = time.monotonic()
        before = speaker.underrun_count
        while time.monotonic() < end and (speaker.underrun_count == 0 or time.monotonic() - quiet_since < 3):
            if speaker.underrun_count != before:
                before, quiet_since = speaker.underrun_count, time.monotonic()
            time.sleep(0.05)
        print(json.dumps({"begun": begun, "figures": speaker.figures(), "settled": time.monotonic() < end}))
        speaker.close()
        """,
    )
    assert told["begun"] == 20
    assert told["figures"]["underruns"] >= 2
    assert told["figures"]["latency_ms"] > 20
    assert told["settled"]


def test_without_a_sound_server_the_error_is_one_clear_line(card: Card) -> None:
    card.stop()
    told = run(
        card,
        """
        said = []
        for make in (DeviceMicrophone, DeviceSpeaker):
            try:
                part = make()
                part.start(*([lambda n: bytes(2 * n)] if make is DeviceSpeaker else []))
            except DeviceError as error:
                said.append(str(error))
        print(json.dumps(said))
        """,
    )
    assert len(told) == 2
    assert all(line and "\n" not in line for line in told)


class Program:
    """A program that runs while the test does things to the card; it prints lines, each stamped when it came."""

    def __init__(self, card: Card, text: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", PREAMBLE + textwrap.dedent(text)],
            env=card.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[tuple[float, str]] = queue.Queue()
        self._errors = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._collect, self._complain)]
        for reader in self._readers:
            reader.start()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.put((time.monotonic(), line.strip()))

    def _complain(self) -> None:
        assert self._process.stderr is not None
        self._errors = self._process.stderr.read()

    def until(self, part: str, seconds: float = 20) -> float:
        """When a line with `part` in it came."""
        end = time.monotonic() + seconds
        seen: list[str] = []
        while True:
            try:
                moment, line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {part!r} in {seconds} s; there were {seen}") from None
            seen.append(line)
            if part in line:
                return moment

    def end(self) -> str:
        """End it in an orderly way; what it wrote on standard error."""
        # Not `communicate`: it would read, and close, what the threads are reading.
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write("end\n")
        self._process.wait(30)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        assert self._process.returncode == 0, self._errors
        return self._errors


SPEECH = Path(rtcli.sandbox.engine.__file__).with_name("sample_question.wav")

BOTH = """
import os
tell = lambda line: print(line, flush=True)
microphone = DeviceMicrophone(find("input", "card_mic"), on_event=tell)
speaker = DeviceSpeaker(find("output", "card_speaker"), on_event=tell)
tone = Tone()
microphone.start()
speaker.start(tone)
reading = threading.Event()
def read():
    count = 0
    while not reading.wait(0.02):
        got = 0
        while microphone.read() is not None:
            got += 1
        count += got
        if got > 25:
            print(f"backlog {got}", flush=True)
        if count >= 50:
            count = 0
            print(f"half a second heard, {len(tone.calls)} pulled", flush=True)
reader = threading.Thread(target=read)
reader.start()
sys.stdin.readline()
reading.set()
reader.join()
microphone.close()
speaker.close()
print("closed", flush=True)
"""


@pytest.mark.parametrize("what", ["mic", "speaker"])
def test_an_unplugged_device_is_told_within_700_ms_and_taken_back_when_it_returns(card: Card, what: str) -> None:
    program = Program(card, BOTH)
    program.until("heard")
    card.unplug(what)
    pulled = time.monotonic()
    noticed = program.until(f"card_{what} is gone")
    card.plug(what)
    program.until(f"card_{what} is back")
    program.until("heard")
    assert noticed - pulled < 0.7 + SLACK
    assert not program.end()


def test_a_stalled_server_is_told_within_700_ms_and_its_backlog_thrown_away(card: Card) -> None:
    program = Program(card, BOTH)
    program.until("heard")
    card.freeze()
    frozen = time.monotonic()
    noticed = program.until("has stopped")
    time.sleep(2.0)
    card.thaw()
    program.until("is back")
    program.until("is back")
    program.until("heard")
    while not program.lines.empty():
        assert "backlog" not in program.lines.get()[1]
    assert noticed - frozen < 0.7 + SLACK
    assert not program.end()


def test_the_sound_server_s_death_is_survived_and_a_new_server_is_found(card: Card) -> None:
    program = Program(card, BOTH)
    program.until("heard")
    card.stop()
    program.until("is gone")
    time.sleep(3.0)
    card.start()
    program.until("is back", 30)
    program.until("heard", 30)
    assert not program.end()


def test_a_call_can_end_while_the_sound_server_hangs(card: Card) -> None:
    program = Program(card, BOTH)
    program.until("heard")
    card.freeze()
    assert not program.end()


def test_a_microphone_that_delivers_nothing_but_zeros_is_named(card: Card) -> None:
    program = Program(card, BOTH)
    program.until("card_mic delivers nothing but zeros")
    assert not program.end()


@pytest.mark.skipif(shutil.which("jackd") is None, reason="NOT RUN: a device of one rate needs jackd (Debian: jackd2)")
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (16_000, 1)])
def test_a_device_of_one_rate_and_channel_count_is_opened_as_it_likes(card: Card, rate: int, channels: int) -> None:
    program = """
        microphone = DeviceMicrophone(find("input", "system"))
        speaker, tone = DeviceSpeaker(find("output", "system")), Tone()
        microphone.start()
        speaker.start(tone)
        samples = heard(microphone, 2.0)
        microphone.close()
        speaker.close()
        print(json.dumps({"heard": len(samples) / 48000, "pulled": tone.at / 48000}))
    """
    with card.strict(rate, channels) as environment:
        told = run(card, program, environment=environment)
    assert told["heard"] == pytest.approx(2.0, abs=0.5)
    assert told["pulled"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.skipif(find_spec("pywebrtc_audio") is None, reason="NOT RUN: needs the extra `aec`")
def test_the_loudspeaker_does_not_come_back_through_the_microphone(card: Card) -> None:
    card.echo(100, 0.5)
    program = """
        from rtcli.audio.echo import Aec
        from rtcli.audio.files import WavMicrophone
        ticks = iter(range(10**9))
        spoken = WavMicrophone(Path(sys.argv[1]), clock=lambda: next(ticks))
        spoken.start()
        speech = b"".join(block for block in iter(spoken.read, None))
        canceller = Aec()
        class Voice:
            at = 0
            def __call__(self, samples):
                start = 2 * self.at % (len(speech) - 1920)
                out = speech[start : start + 2 * samples]
                canceller.played(out, self.at, 0.0)
                self.at += samples
                return out
        microphone = DeviceMicrophone(find("input", "card_mic"))
        speaker = DeviceSpeaker(find("output", "card_speaker"))
        microphone.start()
        speaker.start(Voice())
        echo = loud = kept_out = 0
        begun = time.monotonic()
        while time.monotonic() < begun + 8:
            block = microphone.read()
            if block is None:
                time.sleep(0.005)
                continue
            clean = canceller.process(block, 0.0)
            if time.monotonic() > begun + 3:
                before = sum(s * s for s in array("h", block)[::8])
                after = sum(s * s for s in array("h", clean)[::8])
                echo += before
                if before > 60 * 500**2:
                    loud += 1
                    kept_out += after < before / 100
        microphone.close()
        speaker.close()
        print(json.dumps({
            "loud": loud, "kept_out": kept_out / max(loud, 1), "echo": echo, "told": canceller.erle_db,
            "anew": canceller.matched_anew, "dry": speaker.underrun_count, "latency": speaker.latency,
            "lost": microphone.overflows,
        }))
    """
    told = run(card, program, str(SPEECH))
    assert told["echo"] > 1e6, "there was no echo to cancel"
    # By blocks of 10 ms, 20 dB each: where a busy machine holds up the sound server the echo moves, for some of them.
    assert told["loud"] > 100, told
    assert told["kept_out"] > 0.95, told
    assert told["told"] > 15, told


SPEAKERS_OF_STDERR = """
import ctypes, os, sys
from rtcli.audio.portaudio import devices
devices()
ctypes.CDLL(None).perror(b"chatter")
print("ours", file=sys.stderr)
os.write(2, b"and raw")
"""


def test_chatter_of_c_libraries_is_hushed_and_our_own_words_are_not(card: Card) -> None:
    command = [sys.executable, "-c", SPEAKERS_OF_STDERR]
    done = subprocess.run(command, env=card.environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "ours\nand raw"
