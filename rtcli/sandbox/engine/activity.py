"""From a row of frame scores to voice activity: the rules every detector of the sandbox shares. Pure, no clock.

A turn begins when 96 ms of frames within the last 192 ms reach the threshold, so that one click does not begin it.
It lives on while frames stay above a lower release level; once below, only a frame above the full threshold revives
it (two levels, as in Silero's own reference loop, so that a score hovering around one of them does not chatter).
160 ms of silence is a pause, the hangover (`silence_ms`) ends the turn. A shorter hangover ends it without a pause.
Pause and end are told in the middle of a frame too: waiting for its score would cost 16 ms of every answer, and
whatever it says, there was that much silence.
"""

from __future__ import annotations

from collections import deque

from rtcli.sandbox.engine.base import Paused, Resumed, SpeechStarted, SpeechStopped, VoiceActivity


START_MS = 96
"""Speech heard before a turn begins; Silero was measured with it: 106 ms from the first sample, no false start."""
PAUSE_MS = 160
"""Silence that is worth beginning the recognition for."""
RELEASE = 0.15
"""How far below the threshold a score may fall within speech (Silero's `neg_threshold`)."""


class TurnRules:
    """One call's hysteresis. Scores are 0 to 1, times milliseconds of sound since the call began.

    `lag_ms` is how long scores stay high after the last sound.
    """

    def __init__(self, *, threshold: float, silence_ms: int, frame_ms: int, lag_ms: int = 0) -> None:
        self._threshold = min(max(threshold, 0.01), 0.99)
        self._release = max(self._threshold - RELEASE, self._threshold / 2)
        self._silence_ms = max(silence_ms, frame_ms + lag_ms)
        self._frame_ms = frame_ms
        self._lag_ms = lag_ms
        self._needed = max(1, round(START_MS / frame_ms))
        self._recent: deque[float] = deque(maxlen=2 * self._needed)
        self._now = 0
        self._speech_end = 0
        self._speaking = False
        self._silent = False
        self._paused = False

    @property
    def speaking(self) -> bool:
        """Within a turn, pauses and hangover included."""
        return self._speaking

    def push(self, score: float) -> VoiceActivity | None:
        """Take the next frame's score."""
        self._now += self._frame_ms
        if not self._speaking:
            return self._before(score)
        if score < (self._threshold if self._silent else self._release):
            self._silent = True
            return None
        return self._go_on()

    def wait(self, now: int) -> VoiceActivity | None:
        """What the silence up to `now` (the sound that has come, scored or not) amounts to."""
        silence = now - self._speech_end
        if not self._speaking or not self._silent:
            return None
        if silence >= self._silence_ms:
            return self._stop()
        if silence >= PAUSE_MS and not self._paused:
            self._paused = True
            return Paused(at_ms=self._speech_end)
        return None

    def _before(self, score: float) -> VoiceActivity | None:
        self._recent.append(score)
        loud = sum(one >= self._threshold for one in self._recent)
        if score < self._threshold or loud < self._needed:
            return None
        self._speaking = True
        self._go_on()
        return SpeechStarted(at_ms=self._begin())

    def _begin(self) -> int:
        """Start of the earliest remembered frame that belongs to this speech."""
        first = next(at for at, one in enumerate(self._recent) if one >= self._threshold)
        while first > 0 and self._recent[first - 1] >= self._release:
            first -= 1
        return self._now - (len(self._recent) - first) * self._frame_ms

    def _go_on(self) -> VoiceActivity | None:
        self._speech_end = self._now - self._lag_ms
        self._silent = False
        if not self._paused:
            return None
        self._paused = False
        return Resumed(at_ms=self._now - self._frame_ms)

    def _stop(self) -> VoiceActivity:
        self._speaking = self._silent = self._paused = False
        self._recent.clear()
        return SpeechStopped(at_ms=self._speech_end)
