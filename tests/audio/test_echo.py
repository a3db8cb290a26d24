"""Echo cancelling and half duplex on a simulated room: delay, reflections, an underrun in the middle."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from importlib.util import find_spec

import pytest

from rtcli.audio.base import BLOCK, BLOCK_BYTES, SILENCE
from rtcli.audio.echo import Aec, Gate, Off, make_canceller
from rtcli.audio.uplink import Uplink
from rtcli.errors import UsageError

from .streams import babble


needs_aec = pytest.mark.skipif(find_spec("pywebrtc_audio") is None, reason="NOT RUN: needs the extra `aec`")


def loud(block: bytes) -> float:
    samples = array("h", block)
    return math.sqrt(sum(s * s for s in samples) / len(samples))


class Room:
    """What a microphone hears of the speaker: `delay` blocks later, at half the level, with one reflection."""

    def __init__(self, delay: int) -> None:
        self._past = [array("h", SILENCE)] * (delay + 3)

    def heard(self, played: bytes) -> bytes:
        self._past.append(array("h", played))
        del self._past[0]
        return array("h", [a // 2 + b // 8 for a, b in zip(self._past[2], self._past[0], strict=True)]).tobytes()


def blocks(count: int) -> list[bytes]:
    speech = babble()
    return [speech[(i * BLOCK_BYTES) % len(speech) :][:BLOCK_BYTES] for i in range(count)]


def run(
    canceller: Aec, count: int, *, delay: int = 6, underrun: Callable[[int], bool] = lambda _: False
) -> list[bytes]:
    """What is left of the echo of a talking speaker. Where it underruns, the speaker takes nothing for that block."""
    room, out, source = Room(delay), [], iter(blocks(count))
    for number in range(count):
        played = SILENCE
        if not underrun(number):
            played = next(source)
            canceller.played(played, 0, 0.0)
        out.append(canceller.process(room.heard(played), 0.0))
    return out


@needs_aec
def test_the_echo_of_a_voice_is_taken_out() -> None:
    canceller = Aec()
    out = run(canceller, 600)
    left = [loud(block) for block in out[300:]]
    assert sum(left) / len(left) < loud(b"".join(blocks(100))) / 2 / 10
    assert canceller.erle_db is not None
    assert canceller.erle_db > 15


@needs_aec
def test_an_underrun_is_matched_anew_and_the_echo_stays_out() -> None:
    canceller = Aec()
    out = run(canceller, 1200, underrun=lambda number: 400 <= number < 406)
    left = [loud(block) for block in out[700:]]
    assert sum(left) / len(left) < loud(b"".join(blocks(100))) / 2 / 10


@needs_aec
def test_the_user_alone_passes() -> None:
    canceller = Aec()
    out = []
    for block in blocks(300):
        canceller.played(SILENCE, 0, 0.0)
        out.append(canceller.process(block, 0.0))
    assert loud(b"".join(out[100:])) > 0.5 * loud(b"".join(blocks(300)[100:]))


def test_the_gate_is_shut_while_the_speaker_talks_and_a_tail_longer() -> None:
    gate, voice = Gate(), blocks(1)[0]
    assert gate.process(voice, 1.0) == voice
    gate.played(voice, 0, 1.0)
    assert gate.process(voice, 1.2) == SILENCE
    gate.played(SILENCE, 480, 1.3)
    assert gate.process(voice, 1.4) == voice


def test_auto_takes_the_canceller_where_it_is_and_half_duplex_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_canceller("off").name == "off"
    assert make_canceller("gate").name == "gate"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert make_canceller("auto").name == "gate"
    with pytest.raises(UsageError, match="echo canceller is not installed"):
        make_canceller("aec")


@needs_aec
def test_auto_is_the_canceller_here() -> None:
    assert make_canceller("auto").name == "aec"


def test_the_uplink_sends_what_the_canceller_leaves() -> None:
    class Half:
        name = "half"
        erle_db = None

        def played(self, pcm: bytes, position: int, now: float) -> None: ...

        def process(self, block: bytes, now: float) -> bytes:
            return array("h", [sample // 2 for sample in array("h", block)]).tobytes()

    class Microphone:
        name = "fake"
        ended = False

        def __init__(self) -> None:
            self.left = 2

        def start(self) -> None: ...

        def read(self) -> bytes | None:
            self.left -= 1
            return array("h", [1000] * BLOCK).tobytes() if self.left >= 0 else None

        def close(self) -> None: ...

    class Encoder:
        def encode(self, pcm: bytes) -> bytes:
            return pcm

    packet = Uplink(Microphone(), Encoder(), echo=Half()).next_packet()
    assert set(array("h", packet)) == {500}


def test_off_changes_nothing() -> None:
    assert Off().process(blocks(1)[0], 0.0) == blocks(1)[0]
    assert Off().erle_db is None
