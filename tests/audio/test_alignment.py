"""Reference and microphone held together: late callbacks, underruns, lost blocks, a room that did not change."""

from __future__ import annotations

import random
from array import array
from importlib.util import find_spec
from itertools import pairwise

import pytest

from rtcli.audio import alignment
from rtcli.audio.alignment import MARGIN, PATIENCE, PROOF, WINDOW, Aligner, Matcher, Reference
from rtcli.audio.base import BLOCK, BLOCK_BYTES, SILENCE

from .streams import babble


needs_numpy = pytest.mark.skipif(find_spec("numpy") is None, reason="NOT RUN: needs the extra `aec`")


def marked(number: int) -> bytes:
    """A block that says which one it is."""
    return array("h", [number + 1] * BLOCK).tobytes()


def number_of(block: bytes) -> int | None:
    """Which block this is; None for silence."""
    first = array("h", block)[0]
    return first - 1 if first else None


def taken(reference: Reference, arrivals: list[int]) -> list[int | None]:
    """Blocks given to a microphone that delivers one each time; `arrivals`: blocks the speaker took before each."""
    given, count = [], 0
    for come in arrivals:
        for _ in range(come):
            reference.add(marked(count))
            count += 1
        given.append(number_of(reference.take()))
    return given


def distances(given: list[int | None]) -> set[int]:
    return {number - place for place, number in enumerate(given) if number is not None}


def test_callbacks_that_come_in_bunches_cost_neither_a_block_nor_the_place() -> None:
    given = taken(Reference(), [3, 0, 0] * 200)
    assert {(b or 0) - (a or 0) for a, b in pairwise(given[2 * WINDOW :])} == {1}


def test_a_speaker_that_is_late_and_catches_up_leaves_the_reference_where_it_was() -> None:
    late = [1] * 300 + [0] * 10 + [11] + [1] * 300
    given = taken(Reference(), late)
    assert len(distances(given[WINDOW:])) == 1
    assert given[WINDOW:].count(None) <= 10


def test_what_the_speaker_never_played_takes_no_place_for_long() -> None:
    reference = Reference()
    given = taken(reference, [1] * 300 + [0] * 2 * PATIENCE + [1] * 600)
    before, after = given[299], given[-1]
    assert before is not None
    assert after is not None
    assert len(given) - 1 - after <= 299 - before + 2 * PATIENCE
    assert None not in given[-300:]
    assert reference.matched_anew >= 1


def test_blocks_that_the_microphone_lost_are_left_out_of_the_reference_too() -> None:
    given = taken(Reference(), [1] * 300 + [41] + [1] * 300)
    assert given[-1] is not None
    assert 640 - given[-1] <= MARGIN // BLOCK + 1


def test_the_reference_is_behind_the_speaker_by_its_margin() -> None:
    given = taken(Reference(), [1] * 300)
    assert given[-1] == 299 - MARGIN // BLOCK


def test_what_is_older_than_the_memory_is_silence() -> None:
    reference = Reference()
    for number in range(1000):
        reference.add(marked(number))
    assert reference.played(0, BLOCK) == SILENCE
    assert number_of(reference.played(999 * BLOCK, 1000 * BLOCK)) == 999


class Scene:
    """A speaker that talks, a microphone that hears it `delay` samples later, and a canceller that does as told."""

    def __init__(self, delay: int, *, seed: int = 1) -> None:
        chance = random.Random(seed)
        voice = array("h", babble() * 12)
        # What repeats every second could be found in several places.
        self.played = array("h", [sample + int(chance.gauss(0, 900)) for sample in voice])
        self.reference = Reference()
        self.aligner = Aligner(self.reference)
        self.delay = delay
        self.bunch = 1
        """Blocks that the speaker takes at once."""
        self._at = 0

    def run(self, blocks: int, *, left: float, user: bytes | None = None) -> list[bool]:
        """`left`: the share of the microphone's level that the canceller leaves. `user`: heard instead of the echo."""
        return [self._step(left, user) for _ in range(blocks)]

    def _step(self, left: float, user: bytes | None) -> bool:
        start = self._at
        self._at += BLOCK
        if start // BLOCK % self.bunch == 0:
            for at in range(start, start + self.bunch * BLOCK, BLOCK):
                self.reference.add(self.played[at : at + BLOCK].tobytes())
        self.reference.take()
        begin = start - self.delay
        echo = self.played[begin : begin + BLOCK] if begin >= 0 else array("h", SILENCE)
        heard = array("h", user[2 * start % len(user) :][:BLOCK_BYTES]) if user else echo
        return self.aligner.leaks(heard.tobytes(), array("h", [int(sample * left) for sample in heard]).tobytes())


@needs_numpy
@pytest.mark.parametrize("delay", [1000, 4801, 20_000])
def test_the_echo_is_found_to_the_sample(delay: int) -> None:
    scene, matcher = Scene(delay), Matcher()
    for start in range(0, 96_000, BLOCK):
        scene.reference.add(scene.played[start : start + BLOCK].tobytes())
        heard = scene.played[max(0, start - delay) :][:BLOCK].tobytes()
        matcher.add(heard, heard)
    assert matcher.look(scene.reference) == -delay


@needs_numpy
def test_where_there_is_no_echo_none_is_found() -> None:
    scene, matcher, chance = Scene(0), Matcher(), random.Random(2)
    for start in range(0, 96_000, BLOCK):
        scene.reference.add(scene.played[start : start + BLOCK].tobytes())
        noise = array("h", [int(chance.gauss(0, 3000)) for _ in range(BLOCK)]).tobytes()
        matcher.add(noise, noise)
    assert matcher.look(scene.reference) is None


@needs_numpy
def test_an_echo_that_moved_is_followed_to_the_sample_and_not_heard_meanwhile() -> None:
    scene = Scene(4800)
    assert not any(scene.run(200, left=0.01))
    before = scene.reference.base
    scene.delay = 5400
    shut = scene.run(40, left=1.0)
    assert before is not None
    assert scene.reference.base == before - 600
    assert shut.index(True) <= 15
    assert all(shut[shut.index(True) : 30])
    assert not any(scene.run(100, left=0.01)[20:])


@needs_numpy
def test_a_user_who_speaks_over_the_speaker_is_heard_and_moves_nothing() -> None:
    scene, chance = Scene(4800), random.Random(3)
    scene.run(200, left=0.01)
    before = scene.reference.base
    user = array("h", [int(chance.gauss(0, 4000)) for _ in range(96_000)]).tobytes()
    assert not any(scene.run(100, left=1.0, user=user))
    assert scene.reference.base == before


@needs_numpy
def test_a_canceller_that_fails_where_the_echo_has_not_moved_moves_nothing_and_is_not_believed() -> None:
    scene = Scene(4800)
    scene.run(200, left=0.01)
    before = scene.reference.base
    assert all(scene.run(200, left=1.0)[10:])
    assert scene.reference.base == before


@needs_numpy
@pytest.mark.parametrize("left", [0.2, 0.3, 0.5])
def test_what_a_proven_canceller_leaves_of_the_speaker_is_not_taken_for_a_user(left: float) -> None:
    """It had learned its room, and then takes out but 6 to 14 dB, which is enough of a voice to be taken for one."""
    scene = Scene(4800)
    assert not any(scene.run(200, left=0.01))
    assert all(scene.run(200, left=left)[5:])
    assert not any(scene.run(100, left=0.01)[10:])


@needs_numpy
def test_a_canceller_that_has_not_shown_what_it_can_lets_nothing_through_while_the_speaker_is_heard() -> None:
    scene = Scene(4800)
    shut = scene.run(100, left=1.0)
    assert all(shut[4800 // BLOCK + 2 :])


@needs_numpy
def test_a_user_who_is_nothing_like_the_speaker_is_heard_before_it_has_shown_anything() -> None:
    scene, chance = Scene(4800), random.Random(8)
    user = array("h", [int(chance.gauss(0, 4000)) for _ in range(96_000)]).tobytes()
    scene.run(30, left=1.0)
    assert not any(scene.run(100, left=1.0, user=user)[15:])


@pytest.fixture
def a_user_like_the_speaker(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Of whom it can not be made out whether it is the echo."""
    monkeypatch.setattr(alignment, "UNLIKE", 0.0)
    chance = random.Random(4)
    return array("h", [int(chance.gauss(0, 4000)) for _ in range(96_000)]).tobytes()


@needs_numpy
def test_it_is_not_distrusted_for_ever(a_user_like_the_speaker: bytes) -> None:
    shut = Scene(4800).run(300, left=1.0, user=a_user_like_the_speaker)
    assert all(shut[10:PROOF])
    assert not any(shut[PROOF + 5 :])


@needs_numpy
def test_after_a_jump_of_the_speaker_it_has_to_show_it_again(a_user_like_the_speaker: bytes) -> None:
    scene = Scene(4800)
    scene.run(200, left=0.01)
    assert not any(scene.run(10, left=1.0, user=a_user_like_the_speaker))
    scene.run(50, left=0.01)
    for _ in range(10):
        scene.reference.add(SILENCE)
    assert all(scene.run(10, left=1.0, user=a_user_like_the_speaker)[2:])


@needs_numpy
def test_a_speaker_that_takes_its_blocks_in_bunches_makes_no_user_go_unheard() -> None:
    scene, chance = Scene(4800), random.Random(7)
    user = array("h", [int(chance.gauss(0, 4000)) for _ in range(96_000)]).tobytes()
    scene.bunch = 10
    scene.run(400, left=0.01)
    assert not any(scene.run(100, left=1.0, user=user))


@needs_numpy
def test_what_is_said_while_nothing_was_played_is_never_kept_back() -> None:
    aligner, chance = Aligner(Reference()), random.Random(5)
    user = array("h", [int(chance.gauss(0, 4000)) for _ in range(BLOCK)]).tobytes()
    assert not any(aligner.leaks(user, user) for _ in range(200))


@needs_numpy
def test_an_echo_that_comes_before_its_reference_moves_the_reference() -> None:
    scene = Scene(4800)
    scene.run(200, left=0.01)
    assert scene.reference.base is not None
    scene.reference.shift(9600)
    scene.run(60, left=1.0)
    found = scene.aligner._matcher.look(scene.reference)
    assert found is not None
    assert scene.reference.base - found > 0
