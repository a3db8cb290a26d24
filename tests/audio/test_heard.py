"""How much of what is played is sound, and how loud."""

from __future__ import annotations

from array import array

from rtcli.audio.base import BLOCK, Pull
from rtcli.audio.heard import MeteredSpeaker
from rtcli.protocol.expectations import Heard


class Hand:
    """A speaker whose blocks the test asks for."""

    name = "hand"
    closed = False

    def start(self, pull: Pull) -> None:
        self.pull = pull

    def close(self) -> None:
        self.closed = True


def test_sound_is_counted_and_silence_and_noise_are_not() -> None:
    inside = Hand()
    speaker = MeteredSpeaker(inside)
    loud = array("h", [8192, -8192] * (BLOCK // 2)).tobytes()
    faint = array("h", [20, -20] * (BLOCK // 2)).tobytes()
    blocks = [bytes(BLOCK * 2), faint, loud, loud]
    given = list(blocks)
    speaker.start(lambda samples: given.pop(0))
    assert speaker.heard == Heard(0.0, None)
    assert [inside.pull(BLOCK) for _ in blocks] == blocks
    assert speaker.heard.sound_ms == 20.0
    assert speaker.heard.loudest is not None
    assert round(speaker.heard.loudest, 1) == -12.0
    speaker.close()
    assert inside.closed
