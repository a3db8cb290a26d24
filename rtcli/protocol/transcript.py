"""The words of a call in the order they were spoken, whatever order the events come in.

Rules:
1. An item takes its place when it begins: the user's at `speech_started` or `committed`, the model's when its item is
   added. It is shown once, whole, when everything before it has been shown or given up.
2. The model's words wait until its voice is over (its text, when there is no voice).
3. The user's words come late: transcription runs beside the response. An answer that is over waits `PATIENCE` seconds
   for its question; then it is shown, and the question comes later, marked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rtcli.protocol.updates import Growing, Speaker, Words


PATIENCE = 3.0
"""Seconds an answer waits for its question's words."""
HOPE = 15.0
"""Seconds without news after which nobody waits any more for an item's words."""
_KEPT = 512
"""Items remembered; a call that leaves more of them unfinished loses the oldest."""


@dataclass(slots=True)
class _Entry:
    item_id: str
    speaker: Speaker
    response_id: str = ""
    parts: dict[int, str] = field(default_factory=dict)
    """Text by content index."""
    touched_at: float = 0.0
    """When the last news of it came."""
    over_at: float | None = None
    """When nothing more of it was to come."""
    typed: bool = False
    cut: bool = False
    shown: bool = False
    """Given up: what still comes is late."""

    @property
    def text(self) -> str:
        return "".join(self.parts[index] for index in sorted(self.parts)).strip()


class Transcript:
    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._ready: list[Words] = []

    def waiting(self, now: float) -> bool:
        """Something that began has not been shown, and there is still hope for it."""
        return any(not entry.shown and now < entry.touched_at + HOPE for entry in self._entries.values())

    # ---- the user ----

    def hear(self, item_id: str, now: float) -> None:
        """The user began to speak, or what was said became an item."""
        if item_id:
            self._place(item_id, "you", now)

    def hear_part(self, item_id: str, index: int, delta: str, now: float) -> Growing:
        entry = self._place(item_id, "you", now)
        entry.parts[index] = entry.parts.get(index, "") + delta
        return Growing("you", item_id, entry.text)

    def heard(self, item_id: str, index: int, text: str, now: float) -> None:
        """The transcript of what was said; empty when there is none to come."""
        entry = self._place(item_id, "you", now)
        entry.parts[index] = text
        self._over(entry, now)

    def wrote(self, item_id: str, text: str, now: float) -> None:
        entry = self._place(item_id, "you", now)
        entry.typed = True
        entry.parts[0] = text
        self._over(entry, now)

    # ---- the model ----

    def say(self, item_id: str, response_id: str, now: float) -> None:
        """The model began an item that will have words."""
        self._place(item_id, "model", now).response_id = response_id

    def say_part(self, item_id: str, response_id: str, index: int, delta: str, now: float) -> Growing:
        entry = self._place(item_id, "model", now)
        entry.response_id = response_id
        entry.parts[index] = entry.parts.get(index, "") + delta
        return Growing("model", item_id, entry.text)

    def said(self, item_id: str, response_id: str, index: int, text: str, now: float) -> None:
        entry = self._place(item_id, "model", now)
        entry.response_id = response_id
        entry.parts[index] = text

    def said_all(self, response_id: str, now: float, *, cut: bool) -> None:
        """The response is over, its voice included. Safe to repeat: `cut` sticks."""
        for entry in list(self._entries.values()):
            if entry.speaker == "model" and entry.response_id == response_id:
                entry.cut = entry.cut or cut
                self._over(entry, now)

    # ---- what may be shown ----

    def forget(self, item_id: str) -> None:
        self._entries.pop(item_id, None)

    def release(self, now: float) -> list[Words]:
        """What may be shown now, in order."""
        for entry in list(self._entries.values()):
            if entry.shown:
                continue
            if entry.over_at is None and not self._given_up(entry, now):
                break
            self._show(entry)
        ready, self._ready = self._ready, []
        return ready

    def release_all(self) -> list[Words]:
        """At the end of the call: what was begun counts as cut."""
        for entry in list(self._entries.values()):
            if not entry.shown:
                entry.cut = entry.cut or entry.over_at is None
                self._show(entry)
        ready, self._ready = self._ready, []
        return ready

    def _place(self, item_id: str, speaker: Speaker, now: float) -> _Entry:
        entry = self._entries.setdefault(item_id, _Entry(item_id, speaker))
        entry.touched_at = now
        if len(self._entries) > _KEPT:
            self._entries.pop(next(iter(self._entries)))
        return entry

    def _over(self, entry: _Entry, now: float) -> None:
        if entry.shown:  # it had been given up
            self._entries.pop(entry.item_id, None)
            if entry.text:
                self._ready.append(Words(entry.speaker, entry.item_id, entry.text, late=True))
        elif entry.over_at is None:
            entry.over_at = now

    def _show(self, entry: _Entry) -> None:
        if entry.over_at is None and entry.speaker == "you":
            entry.shown = True  # its words may still come, late
        else:
            self._entries.pop(entry.item_id, None)
        if entry.text:
            self._ready.append(Words(entry.speaker, entry.item_id, entry.text, typed=entry.typed, cut=entry.cut))

    def _given_up(self, entry: _Entry, now: float) -> bool:
        if entry.speaker == "model":
            return False
        answered = self._answer_over_at(entry)
        return answered is not None and now >= answered + PATIENCE

    def _answer_over_at(self, entry: _Entry) -> float | None:
        after = False
        for other in self._entries.values():
            if after and other.speaker == "model" and not other.shown and other.over_at is not None:
                return other.over_at
            after = after or other is entry
        return None
