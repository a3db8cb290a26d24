"""How long an answer takes, measured to the ear. Pure: events and times in, one record a turn out.

A spoken turn begins when the service says that speech has stopped (its own silence, `silence_duration_ms`, lies before
that), a typed one when its `response.create` goes out. A voice answer is there with its first sample at the
loudspeaker, an answer in text with its first word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any, ClassVar

from rtcli.protocol import server_events as ev
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """Seconds from the beginning of the turn's wait; None where the step was not seen."""

    spoken: bool
    """The user spoke; else typed."""
    response_id: str
    committed: float | None = None
    created: float | None = None
    announced: float | None = None
    """`output_audio_buffer.started`: the service begins to send sound."""
    word: float | None = None
    """The first word of text or transcript."""
    packet: float | None = None
    """The packet with the first audible sample came."""
    sound: float | None = None
    """The first audible sample at the loudspeaker."""

    @property
    def total(self) -> float | None:
        """What the user waited: to the first sound of a voice, or to the first word."""
        return self.sound if self.announced is not None or self.sound is not None else self.word


class TurnTimer:
    """Of one call. `receive` and `asked` as things happen, `sounded` with what the playout says."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._spoken = False
        self._times = TurnTimes(spoken=False, response_id="")
        self._done: list[TurnTimes] = []

    def asked(self, now: float) -> None:
        """A `response.create` goes out. After speech that waits for its answer it begins no new turn."""
        if self._began is None or not self._spoken or self._times.response_id:
            self._begin(now, spoken=False)

    def receive(self, event: ev.ServerEvent | ev.Unknown | ev.Malformed, now: float) -> None:
        rule = self._rules.get(type(event))
        if rule:
            rule(self, event, now)

    @property
    def listens_from(self) -> float | None:
        """The moment after which audible sound belongs to the turn's answer; None while none is expected."""
        if self._began is None or self._times.announced is None or self._times.sound is not None:
            return None
        return self._began + self._times.announced

    def sounded(self, at: float, came: float | None = None) -> None:
        """The first audible sample after `listens_from` was played; `came`: when its packet had come."""
        if self._began is not None:
            packet = None if came is None else came - self._began
            self._times = replace(self._times, packet=packet, sound=at - self._began)
            self._finish()

    def take(self) -> list[TurnTimes]:
        """The turns that are complete since the last call."""
        done, self._done = self._done, []
        return done

    def _begin(self, now: float, *, spoken: bool) -> None:
        self._began = now
        self._spoken = spoken
        self._times = TurnTimes(spoken=spoken, response_id="")

    def _finish(self) -> None:
        self._done.append(self._times)
        self._began = None

    def _since(self, now: float) -> float:
        assert self._began is not None
        return now - self._began

    # ---- the events ----

    def _stopped(self, _: ev.InputAudioBufferSpeechStopped, now: float) -> None:
        self._begin(now, spoken=True)

    def _started(self, _: ev.InputAudioBufferSpeechStarted, _now: float) -> None:
        self._began = None  # the user goes on speaking: whatever was awaited is another turn's

    def _committed(self, _: ev.InputAudioBufferCommitted, now: float) -> None:
        if self._began is None:  # push to talk: nothing told that speech had stopped
            self._begin(now, spoken=True)
        self._times = replace(self._times, committed=self._since(now))

    def _created(self, event: ev.ResponseCreated, now: float) -> None:
        if self._began is not None and not self._times.response_id:
            self._times = replace(self._times, response_id=event.response.id, created=self._since(now))

    def _announced(self, event: ev.OutputAudioBufferStarted, now: float) -> None:
        if self._began is not None and self._is_ours(event.response_id) and self._times.announced is None:
            self._times = replace(self._times, response_id=event.response_id, announced=self._since(now))

    def _word(self, event: ev.ResponseOutputTextDelta | ev.ResponseOutputAudioTranscriptDelta, now: float) -> None:
        if self._began is not None and self._is_ours(event.response_id) and self._times.word is None:
            self._times = replace(self._times, response_id=event.response_id, word=self._since(now))

    def _done_with(self, event: ev.ResponseDone, _now: float) -> None:
        """Without a voice the words were all there is to wait for."""
        if self._began is None or event.response.id != self._times.response_id or self._times.announced is not None:
            return
        if self._times.word is not None:
            self._finish()
        else:
            self._began = None  # a function call, or nothing at all: not an answer

    def _is_ours(self, response_id: str) -> bool:
        return self._times.response_id in {"", response_id}

    _rules: ClassVar[dict[type, Callable[[TurnTimer, Any, float], None]]] = {
        ev.InputAudioBufferSpeechStarted: _started,
        ev.InputAudioBufferSpeechStopped: _stopped,
        ev.InputAudioBufferCommitted: _committed,
        ev.ResponseCreated: _created,
        ev.OutputAudioBufferStarted: _announced,
        ev.ResponseOutputTextDelta: _word,
        ev.ResponseOutputAudioTranscriptDelta: _word,
        ev.ResponseDone: _done_with,
    }


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the turns of a call; seconds."""

    p50: float
    p95: float
    most: float


def spread(values: list[float]) -> Spread | None:
    """Median, 95th percentile (nearest rank) and maximum; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(0, -(-95 * len(ordered) // 100) - 1)
    return Spread(median(ordered), ordered[rank], ordered[-1])
