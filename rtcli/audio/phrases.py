"""Where a phrase ends in the microphone's sound, for sessions in which nobody else looks for it.

Models that write down speech as it comes take no turn detection (SDK, `realtime_transcription_session_create_request`):
the client commits. By loudness alone, against a floor that follows the room's noise: a commit a little early or late
costs a line break in a transcript, so a model of speech is not worth its weight here.
"""

from __future__ import annotations


LOUD = 0.02
"""Least peak (of 1) that can be speech: -34 dBFS."""
ABOVE = 4.0
"""Times the floor from which a frame counts as speech: 12 dB."""
BEGIN = 120
"""Loud milliseconds of late that begin a phrase: a click is none."""
END = 800
"""Quiet milliseconds that end it: longer than a stop for breath."""
_FLOOR_RISES = 1.01
"""In 20 ms: the floor doubles in 1.4 s, so steady noise is speech for a few seconds at the most."""
_FLOOR_LEAST = 0.001


class Phrases:
    """Fed with the peak of each frame."""

    def __init__(self, frame_ms: int = 20) -> None:
        self._begin, self._end = BEGIN // frame_ms, END // frame_ms
        self._rises = _FLOOR_RISES ** (frame_ms / 20)
        self.ended = 0
        """Phrases that are over."""
        self._floor = LOUD
        self._loud = 0
        self._quiet = 0
        self._speaking = False

    def note(self, level: float) -> None:
        """`level`: peak of one frame, 0 to 1; 0 while muted."""
        self._floor = max(_FLOOR_LEAST, min(level, self._floor * self._rises))
        if level > max(LOUD, ABOVE * self._floor):
            self._loud = min(self._begin, self._loud + 1)
            self._quiet = 0
        else:
            self._loud = max(0, self._loud - 1) if not self._speaking else self._loud
            self._quiet += 1
        if self._loud >= self._begin:
            self._speaking = True
        if self._speaking and self._quiet >= self._end:
            self.ended += 1
            self._speaking = False
            self._loud = 0
