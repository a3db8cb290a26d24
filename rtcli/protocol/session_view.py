"""What a session object means for a call. Fields that are missing mean the service's default, or that nobody knows."""

from __future__ import annotations

from rtcli.protocol.codec import JsonObject
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class SessionView:
    session: JsonObject

    @property
    def only_transcribes(self) -> bool:
        return self.session.get("type") == "transcription"

    @property
    def turns_by_hand(self) -> bool:
        """Turn detection is off: the client commits."""
        return self._input.get("turn_detection", {}) is None

    @property
    def interrupts(self) -> bool:
        """The user's speech stops the answer that is running."""
        return bool(self._turn_detection.get("interrupt_response", True))

    @property
    def answers_by_itself(self) -> bool:
        """The end of the user's speech makes a response."""
        if self.only_transcribes or self.turns_by_hand:
            return False
        return bool(self._turn_detection.get("create_response", True))

    @property
    def models(self) -> list[str]:
        """What is paid for: the model and the transcriber, as far as they are named."""
        transcription = self._input.get("transcription")
        transcriber = transcription.get("model") if isinstance(transcription, dict) else None
        return [name for name in (self.session.get("model"), transcriber) if isinstance(name, str)]

    @property
    def is_without_words(self) -> bool:
        """Nobody recognises what the user says. Where a server does not say, words may come."""
        return "transcription" in self._input and self._input["transcription"] is None

    @property
    def _input(self) -> JsonObject:
        audio = self.session.get("audio")
        given = audio.get("input") if isinstance(audio, dict) else None
        return given if isinstance(given, dict) else {}

    @property
    def _turn_detection(self) -> JsonObject:
        given = self._input.get("turn_detection")
        return given if isinstance(given, dict) else {}


def merged(session: JsonObject, update: JsonObject) -> JsonObject:
    """What a session is after an update: objects are merged, everything else is replaced."""
    both = {**session, **update}
    for key, value in update.items():
        before = session.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            both[key] = merged(before, value)
    return both
