"""WAV files as microphone and speaker."""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import struct
import sys
import threading
import time
import wave
from array import array
from itertools import pairwise
from pathlib import Path

import pytest

from rtcli.audio.base import BLOCK_BYTES
from rtcli.audio.files import NullSpeaker, WavMicrophone, WavSpeaker
from rtcli.errors import UsageError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wav(seconds: float = 0.5, *, rate: int = 48_000, channels: int = 1, width: int = 2, code: int = 1) -> bytes:
    """A 440 Hz tone at half scale, written by hand so that floats and 8 bits are there too."""
    frames = bytearray()
    for i in range(int(seconds * rate)):
        value = 0.5 * math.sin(2 * math.pi * 440 * i / rate)
        frames += _sample(value, width, code) * channels
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(frames), b"WAVE")
    head += struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, code, channels, rate, rate * channels * width, channels * width, width * 8
    )
    return head + struct.pack("<4sI", b"data", len(frames)) + bytes(frames)


def _sample(value: float, width: int, code: int) -> bytes:
    if code == 3:
        return struct.pack("<f", value)
    if width == 1:
        return bytes([int(128 + 127 * value)])
    return int(value * (2 ** (8 * width - 1) - 1)).to_bytes(width, "little", signed=True)


def drained(microphone: WavMicrophone, clock: Clock) -> list[bytes]:
    blocks = []
    for _ in range(10_000):
        clock.now += 0.01
        block = microphone.read()
        if block is not None:
            blocks.append(block)
        if microphone.ended:
            return blocks
    raise AssertionError("the file does not end")


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    ("width", "code"), [(1, 1), (2, 1), (3, 1), (4, 1), (4, 3)], ids=["8", "16", "24", "32", "float"]
)
def test_every_pcm_wav_becomes_48_khz_mono(rate: int, width: int, code: int) -> None:
    clock = Clock()
    microphone = WavMicrophone(wav(rate=rate, width=width, code=code, channels=2), clock=clock)
    microphone.start()
    blocks = drained(microphone, clock)
    samples = array("h", b"".join(blocks))
    assert {len(block) for block in blocks} == {BLOCK_BYTES}
    assert 49 <= len(blocks) <= 51
    assert max(samples[4800:19_200]) == pytest.approx(16_384, rel=0.05)
    crossings = sum(a < 0 <= b for a, b in pairwise(samples[4800:19_200]))
    assert crossings == pytest.approx(440 * 0.3, abs=2)


def test_a_file_gives_nothing_before_its_start_and_no_faster_than_real_time() -> None:
    clock = Clock()
    microphone = WavMicrophone(wav(), clock=clock)
    assert microphone.read() is None
    assert not microphone.ended
    microphone.start()
    assert microphone.read() is None
    clock.now += 0.0101
    assert microphone.read() is not None
    assert microphone.read() is None


def test_a_reader_that_was_held_up_loses_nothing() -> None:
    clock = Clock()
    microphone = WavMicrophone(wav(), clock=clock)
    microphone.start()
    clock.now += 0.3
    burst = [microphone.read() for _ in range(50)]
    assert 1 < sum(block is not None for block in burst) <= 6
    rest = drained(microphone, clock)
    assert sum(block is not None for block in burst) + len(rest) == 50


def test_a_path_works_as_well_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    path.write_bytes(wav())
    clock = Clock()
    microphone = WavMicrophone(path, clock=clock)
    assert microphone.name == str(path)
    microphone.start()
    assert len(drained(microphone, clock)) == 50
    microphone.close()
    assert microphone.read() is None


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3\x04mp3 of sorts" * 40, b"\0" * 5000, b"<!doctype html>" * 30])
def test_what_is_no_wav_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"noise\.wav: not a WAV file"):
        WavMicrophone(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.wav: No such file"):
        WavMicrophone(tmp_path / "gone.wav")


def test_a_truncated_file_ends_where_it_breaks_off() -> None:
    clock = Clock()
    microphone = WavMicrophone(wav()[:20_000], clock=clock)
    microphone.start()
    assert 18 <= len(drained(microphone, clock)) <= 21


class Pull:
    """Gives a constant, and says when it was asked often enough."""

    def __init__(self, blocks: int) -> None:
        self.enough = threading.Event()
        self.asked: list[int] = []
        self._blocks = blocks

    def __call__(self, samples: int) -> bytes:
        self.asked.append(samples)
        if len(self.asked) == self._blocks:
            self.enough.set()
        return array("h", [1000] * samples).tobytes()


def test_a_wav_speaker_writes_what_is_played_for_its_owner_alone(tmp_path: Path) -> None:
    path, pull = tmp_path / "answer.wav", Pull(30)
    speaker = WavSpeaker(path)
    speaker.start(pull)
    assert pull.enough.wait(20)
    speaker.close()
    with wave.open(str(path)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (48_000, 1, 2)
        assert reader.getnframes() == 240 * len(pull.asked)
        assert set(array("h", reader.readframes(10_000))) == {1000}
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_crash_leaves_a_header_that_players_accept(tmp_path: Path) -> None:
    path, pull = tmp_path / "answer.wav", Pull(120)
    speaker = WavSpeaker(path)
    speaker.start(pull)
    assert pull.enough.wait(20)
    crashed = path.read_bytes()
    speaker.close()
    with wave.open(io.BytesIO(crashed)) as reader:
        assert reader.getnframes() >= 240 * 90


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"answer\.wav: "):
        WavSpeaker(tmp_path / "no" / "such" / "answer.wav").start(Pull(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_disk_that_is_full_at_the_start_is_named() -> None:
    with pytest.raises(UsageError, match="/dev/full: No space left"):
        WavSpeaker("/dev/full").start(Pull(1))


def test_a_disk_that_fills_up_ends_the_writing_and_not_the_pulling(tmp_path: Path) -> None:
    class Full(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told: list[str] = []
    path, pull = tmp_path / "answer.wav", Pull(40)
    speaker = WavSpeaker(path, on_error=told.append)
    speaker.start(pull)
    assert speaker._file is not None
    speaker._file.close()
    speaker._file = Full(path, "w")
    assert pull.enough.wait(20)
    speaker.close()
    assert speaker.error == f"{path}: No space left on device"
    assert told == [speaker.error]


def test_a_paced_speaker_keeps_real_time(tmp_path: Path) -> None:
    pull = Pull(120)
    speaker = NullSpeaker()
    begun = time.monotonic()
    speaker.start(pull)
    assert pull.enough.wait(20)
    took = time.monotonic() - begun
    speaker.close()
    assert took > 0.55
    asked = len(pull.asked)
    time.sleep(0.05)
    assert len(pull.asked) == asked
    assert set(pull.asked) == {240}
