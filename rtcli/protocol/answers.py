"""The responses of a call, each from its first event to the end of its voice: which runs, which sounds, which is over.

A response is *made* at `response.done`, but a voice goes on: it is over at `output_audio_buffer.stopped` or `cleared`.
Some servers announce neither, some lose an event, and a call must not wait for ever: `expired` names what nobody
should wait for any more, by what has been audible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from math import inf
from typing import Literal

from rtcli.protocol.updates import ToolWanted
from rtcli.records import dataclass


QUIET = 2.0
"""Seconds without audible sound after which a voice is over that was never announced."""
UNHEARD = 5.0
"""Seconds that a voice may let wait for its first sound where voices are not announced."""
UNBEGUN = 10.0
"""Seconds that a voice may let wait for its announcement where voices are announced."""
UNENDED = 30.0
"""Seconds of silence in an announced voice after which its end has been lost."""
STALLED = 60.0
"""Seconds without news of a response, and without sound, after which its end has been lost, unless told otherwise."""
DOUBTED = 15.0
"""The same after an error that named nobody: some servers give up a response with nothing else."""
AUDIBLE = 0.5
"""Seconds since the last sound within which somebody is speaking."""
_REMEMBERED = 64

Voice = Literal["none", "due", "sounding", "over"]
"""`due`: its words have come, its sound was not announced yet, or never is."""


@dataclass(slots=True)
class Answer:
    """One response."""

    response_id: str
    begun_at: float
    touched_at: float
    """When something of it came last."""
    aside: bool = False
    """Outside the conversation (`conversation: none`): runs beside the others."""
    made: bool = False
    voice: Voice = "none"
    stopped: bool = False
    """We cancelled it."""
    cut: bool = False
    """Not said to the end."""
    doubted: bool = False
    sounds_from: float | None = None
    """When its voice was announced."""
    silent_from: float | None = None
    """When an interruption silenced it."""
    calls: dict[str, ToolWanted] = field(default_factory=dict)
    """Function calls by `call_id`."""

    @property
    def over(self) -> bool:
        return self.made and self.voice in {"none", "over"}

    def touch(self, now: float) -> None:
        self.touched_at = now
        self.doubted = False

    def speaks(self) -> None:
        """It has sound, or will have."""
        if self.voice == "none":
            self.voice = "due"

    def interrupt(self, now: float) -> None:
        if self.silent_from is None:
            self.silent_from = now

    def silence(self) -> None:
        """Nothing more of it will be heard."""
        if self.voice != "none":
            self.voice = "over"


class Answers:
    """Those that are not over, in the order they began."""

    def __init__(self, stalled: float) -> None:
        """`stalled`: see `STALLED`."""
        self._stalled = stalled
        self._open: dict[str, Answer] = {}
        self._over: dict[str, None] = {}
        self._announced = False

    def __iter__(self) -> Iterator[Answer]:
        return iter(list(self._open.values()))

    def __bool__(self) -> bool:
        return bool(self._open)

    def get(self, response_id: str) -> Answer | None:
        return self._open.get(response_id)

    def is_over(self, response_id: str) -> bool:
        """Whether it was here and is gone: what still comes of it means nothing."""
        return response_id in self._over

    def add(self, answer: Answer) -> None:
        self._open[answer.response_id] = answer
        self._over.pop(answer.response_id, None)

    def remove(self, answer: Answer, *, for_good: bool = True) -> None:
        """`for_good`: whatever else comes of it belongs to the past."""
        self._open.pop(answer.response_id, None)
        if not for_good or not answer.response_id:
            return
        self._over[answer.response_id] = None
        if len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]

    @property
    def running(self) -> list[Answer]:
        """Being made in the conversation: at most one, if the service keeps its own rule."""
        return [answer for answer in self._open.values() if not answer.made and not answer.aside]

    @property
    def interruptible(self) -> list[Answer]:
        """What the user's speech stops: the conversation's, made or not."""
        return [answer for answer in self._open.values() if not answer.aside]

    def sounds(self, answer: Answer, now: float) -> None:
        """Its voice was announced."""
        self._announced = True
        answer.voice = "sounding"
        answer.sounds_from = now

    def sounded(self, answer: Answer, now: float) -> float | None:
        """Seconds of its voice until now, or until it was interrupted; None where no voice, or none is announced."""
        if answer.voice == "none" or not self._announced:
            return None
        until = now if answer.silent_from is None else answer.silent_from
        return 0.0 if answer.sounds_from is None else max(0.0, until - answer.sounds_from)

    def speaking(self, now: float, sounded_at: float | None) -> bool:
        """A voice is heard, as far as announcements and the loudspeaker tell."""
        audible = sounded_at is not None and now - sounded_at < AUDIBLE
        voices = {answer.voice for answer in self._open.values()}
        return "sounding" in voices or ("due" in voices and audible)

    def expired(self, now: float, sounded_at: float | None) -> list[Answer]:
        """What nobody should wait for any more. `sounded_at`: when the last audible sample was played."""
        return [answer for answer in self._open.values() if self._is_expired(answer, now, sounded_at)]

    def _is_expired(self, answer: Answer, now: float, sounded_at: float | None) -> bool:
        heard = sounded_at is not None and sounded_at >= answer.begun_at
        since = max(answer.touched_at, sounded_at or 0.0) if heard else answer.touched_at
        return now - since >= self._limit(answer, heard=heard)

    def _limit(self, answer: Answer, *, heard: bool) -> float:
        if not answer.made:
            return DOUBTED if answer.doubted else self._stalled
        if answer.voice == "sounding":
            return UNENDED
        if any(other.voice == "sounding" for other in self._open.values()):
            return inf  # one voice at a time: its turn comes
        if self._announced:
            return UNBEGUN
        return QUIET if heard else UNHEARD
