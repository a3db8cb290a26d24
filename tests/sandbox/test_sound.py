"""The two sound buffers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtcli.sandbox.sound import BYTES_PER_MS, InputBuffer, OutputBuffer


FRAME = 20 * BYTES_PER_MS


def ms(count: int, value: int = 1) -> bytes:
    return bytes([value, 0]) * (48 * count)


class Told:
    """An output buffer with the record of what it reported."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.buffer = OutputBuffer(
            started=lambda name: self.log.append(f"started {name}"),
            drained=lambda name: self.log.append(f"drained {name}"),
        )


def test_the_input_s_clock_goes_on_when_old_sound_is_forgotten() -> None:
    buffer = InputBuffer()
    buffer.append(ms(30, 1) + ms(30, 2))
    buffer.forget_before(30)
    assert buffer.clock_ms == 60
    assert buffer.cut(20, 40) == ms(10, 2)
    assert buffer.cut(0, 20) == b""


def test_the_input_holds_no_more_than_its_bound() -> None:
    buffer = InputBuffer(most_ms=100)
    for value in range(10):
        buffer.append(ms(50, value))
    assert buffer.clock_ms == 500
    assert buffer.cut(0, 500) == ms(50, 8) + ms(50, 9)


def test_the_output_is_filled_up_with_silence_and_reports_its_ends() -> None:
    told = Told()
    told.buffer.put("a", ms(25))
    told.buffer.end("a")
    assert told.buffer.take(FRAME) == ms(20)
    assert told.log == ["started a"]
    assert told.buffer.take(FRAME) == ms(5) + ms(15, 0)
    assert told.log == ["started a", "drained a"]
    assert told.buffer.take(FRAME) is None


def test_sound_that_is_late_is_no_end() -> None:
    told = Told()
    told.buffer.put("a", ms(5))
    told.buffer.take(FRAME)
    assert told.buffer.take(FRAME) is None
    told.buffer.put("a", ms(20))
    assert told.buffer.take(FRAME) == ms(20)
    told.buffer.end("a")
    assert told.log == ["started a", "drained a"]


def test_one_answer_follows_another_without_a_gap() -> None:
    told = Told()
    told.buffer.put("a", ms(10, 1))
    told.buffer.put("b", ms(30, 2))
    told.buffer.end("a")
    assert told.buffer.take(FRAME) == ms(10, 1) + ms(10, 2)
    assert told.log == ["started a", "drained a", "started b"]


def test_clearing_says_how_much_of_each_answer_went_out() -> None:
    told = Told()
    told.buffer.put("a", ms(100))
    told.buffer.put("b", ms(100))
    for _ in range(3):
        told.buffer.take(FRAME)
    assert told.buffer.waiting_ms == 140
    assert told.buffer.clear() == [("a", 60), ("b", 0)]
    assert told.buffer.take(FRAME) is None
    assert told.log == ["started a"]


def test_an_answer_without_sound_is_never_reported() -> None:
    told = Told()
    told.buffer.end("a")
    told.buffer.put("b", ms(1))
    told.buffer.end("b")
    told.buffer.take(FRAME)
    assert told.log == ["started b", "drained b"]


@given(st.lists(st.integers(1, 90), max_size=20), st.integers(1, 50))
def test_nothing_is_lost_or_changed_on_its_way(lengths: list[int], frame_ms: int) -> None:
    told = Told()
    pieces = [ms(length, number % 250) for number, length in enumerate(lengths, start=1)]
    for piece in pieces:
        told.buffer.put("a", piece)
    told.buffer.end("a")
    taken = b""
    while (frame := told.buffer.take(frame_ms * BYTES_PER_MS)) is not None:
        taken += frame
    whole = b"".join(pieces)
    assert taken[: len(whole)] == whole
    assert not taken[len(whole) :].strip(b"\0")
