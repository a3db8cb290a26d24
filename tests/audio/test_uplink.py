"""The uplink against microphones of every temper."""

from __future__ import annotations

from array import array
from collections import deque

from rtcli.audio import opus
from rtcli.audio.base import BLOCK_BYTES
from rtcli.audio.uplink import BACKLOG, Uplink


FRAME_BYTES = 2 * BLOCK_BYTES
LOUD = array("h", [8000, -8000] * 240).tobytes()


class FakeMicrophone:
    name = "fake"

    def __init__(self, blocks: int = 0, *, ended: bool = False) -> None:
        self.blocks = deque([LOUD] * blocks)
        self._ended = ended

    def start(self) -> None: ...

    def read(self) -> bytes | None:
        return self.blocks.popleft() if self.blocks else None

    @property
    def ended(self) -> bool:
        return self._ended and not self.blocks

    def close(self) -> None: ...


class FakeEncoder:
    """Keeps the PCM it is asked to encode."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def encode(self, pcm: bytes) -> bytes:
        self.frames.append(pcm)
        return b"packet"


class BrokenMicrophone(FakeMicrophone):
    def read(self) -> bytes | None:
        raise OSError


def test_blocks_of_the_microphone_become_frames() -> None:
    encoder = FakeEncoder()
    uplink = Uplink(FakeMicrophone(2), encoder)
    assert uplink.next_packet() == b"packet"
    assert encoder.frames == [LOUD * 2]
    assert uplink.level > 0.2


def test_without_a_microphone_silence_goes_out() -> None:
    encoder = FakeEncoder()
    uplink = Uplink(None, encoder)
    for _ in range(3):
        uplink.next_packet()
    assert encoder.frames == [bytes(FRAME_BYTES)] * 3
    assert not uplink.ended


def test_a_starved_frame_is_whole_silence_and_the_half_that_came_is_kept() -> None:
    encoder, microphone = FakeEncoder(), FakeMicrophone(1)
    uplink = Uplink(microphone, encoder)
    uplink.next_packet()
    microphone.blocks.append(LOUD)
    uplink.next_packet()
    assert encoder.frames == [bytes(FRAME_BYTES), LOUD * 2]
    assert uplink.stats().starved == 1


def test_muted_sends_silence_while_the_microphone_s_clock_goes_on() -> None:
    encoder, microphone = FakeEncoder(), FakeMicrophone(4)
    uplink = Uplink(microphone, encoder)
    uplink.muted = True
    uplink.next_packet()
    uplink.next_packet()
    assert encoder.frames == [bytes(FRAME_BYTES)] * 2
    assert not microphone.blocks
    assert uplink.level > 0.2


def test_a_backlog_after_a_stall_is_thrown_away_and_counted() -> None:
    uplink = Uplink(FakeMicrophone(250), FakeEncoder())
    uplink.next_packet()
    assert uplink.stats().dropped == 250 - 2 - BACKLOG


def test_delay_left_over_from_a_stall_is_given_back_in_a_quiet_moment() -> None:
    microphone, encoder = FakeMicrophone(), FakeEncoder()
    uplink = Uplink(microphone, encoder)
    microphone.blocks.extend([bytes(BLOCK_BYTES)] * 8)
    for _ in range(600):
        uplink.next_packet()
        microphone.blocks.extend([bytes(BLOCK_BYTES)] * 2)
    assert len(uplink._pcm) < 2 * BLOCK_BYTES + BLOCK_BYTES


def test_an_exception_in_the_microphone_or_the_encoder_is_a_packet_all_the_same() -> None:
    class BrokenEncoder:
        def encode(self, pcm: bytes) -> bytes:
            raise RuntimeError

    broken = (Uplink(BrokenMicrophone(), FakeEncoder()), Uplink(FakeMicrophone(2), BrokenEncoder()))
    for uplink in broken:
        assert opus.packet_samples(uplink.next_packet()) == 960
        assert uplink.stats().failed == 1


def test_the_microphone_is_replaced_in_mid_call() -> None:
    first, second, encoder = FakeMicrophone(1), FakeMicrophone(2), FakeEncoder()
    uplink = Uplink(first, encoder)
    uplink.next_packet()
    assert uplink.replace(second) is first
    uplink.next_packet()
    assert encoder.frames[-1] == LOUD * 2


def test_a_file_is_ended_when_its_last_sample_was_sent() -> None:
    encoder = FakeEncoder()
    uplink = Uplink(FakeMicrophone(3, ended=True), encoder)
    uplink.next_packet()
    before = uplink.ended
    uplink.next_packet()
    assert (before, uplink.ended) == (False, True)
    assert encoder.frames[-1] == LOUD + bytes(BLOCK_BYTES)


def test_blocks_of_a_wrong_length_do_not_shift_the_frames() -> None:
    microphone, encoder = FakeMicrophone(), FakeEncoder()
    microphone.blocks.extend([b"odd", LOUD])
    Uplink(microphone, encoder).next_packet()
    assert encoder.frames == [bytes(BLOCK_BYTES) + LOUD]


def test_packets_of_10_ms_hold_one_block_each() -> None:
    encoder = FakeEncoder()
    uplink = Uplink(FakeMicrophone(2), encoder, frame_ms=10)
    for _ in range(3):
        uplink.next_packet()
    assert encoder.frames == [LOUD, LOUD, bytes(BLOCK_BYTES)]
