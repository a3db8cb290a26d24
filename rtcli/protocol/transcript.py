"""The words of a call in the order they were spoken, whatever order the events come in.

Rules:
1. An item takes its place when it begins: the user's at `speech_started` or `committed`, the model's when its item is
   added. It is shown once, whole, when everything before it has been shown or given up.
2. The model's words wait until its voice is over (its text, when there is no voice).
3. The user's words come late: transcription runs beside the response. An answer that is over behind them waits
   `PATIENCE` seconds (other words of the user `CAPTIONS`); then it is shown without them, and they come when they come,
   marked as late.
4. Of a voice that was interrupted the words have come and were not all heard. No event says how far it came in them:
   the time it sounded tells, at the pace of the answers before it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TypeVar

from rtcli.protocol.updates import Growing, Speaker, Words
from rtcli.records import dataclass


PATIENCE = 3.0
"""Seconds that an answer which is over waits for the words spoken before it."""
CAPTIONS = 6.0
"""Seconds that what the user said waits for what the user had said before it."""
HOPE = 15.0
"""Seconds without news after which nobody waits any more for what the user said."""
_KEPT = 512
"""Items remembered of each kind; a call that leaves more of them unfinished loses the oldest."""

PACE = 15.0
"""Letters a second of a voice that has not been heard yet; a character of East Asia counts as `_WIDE`."""
_WIDE, _FIRST_WIDE = 3, 0x2E80
_SLOWEST, _FASTEST = 5.0, 40.0
"""A pace outside tells of a lost event, not of a voice."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Voice:
    """Of a response that is over."""

    seconds: float | None = None
    """How long it sounded; None where there was none."""
    interrupted: bool = False


NO_VOICE = Voice()


@dataclass(slots=True)
class _Entry:
    item_id: str
    speaker: Speaker
    response_id: str = ""
    parts: dict[int, str] = field(default_factory=dict)
    """Text by content index."""
    final: set[int] = field(default_factory=set)
    """Parts of the model that nothing is added to any more."""
    touched_at: float = 0.0
    """When the last news of it came."""
    over_at: float | None = None
    """When nothing more of it was to come."""
    speaking: bool = False
    """The user has not stopped yet."""
    typed: bool = False
    cut: bool = False
    heard: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts[index] for index in sorted(self.parts)).strip()


class Transcript:
    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        """Begun and not shown, in the order of rule 1."""
        self._given_up: dict[str, _Entry] = {}
        """What the user said, where nobody waits for the words any more."""
        self._told: dict[str, None] = {}
        """Items that were shown, or that need not be."""
        self._ready: list[Words] = []
        self._pace = PACE

    @property
    def waiting(self) -> bool:
        """Something that began has neither been shown nor given up."""
        return bool(self._entries)

    # ---- the user ----

    def hear(self, item_id: str, now: float) -> None:
        """The user began to speak."""
        if item_id and (entry := self._place(item_id, "you", now)):
            entry.speaking = True

    def committed(self, item_id: str, now: float) -> None:
        """What was said became an item."""
        if item_id and (entry := self._place(item_id, "you", now)):
            entry.speaking = False

    def no_words(self, item_id: str, now: float) -> None:
        """Nothing will be recognised there, as far as anybody knows."""
        if item_id and (entry := self._place(item_id, "you", now)):
            self._give_up(entry)

    def hear_part(self, item_id: str, index: int, delta: str, now: float) -> Growing | None:
        entry = self._given_up.get(item_id) or self._place(item_id, "you", now)
        return _grown(entry, index, delta) if entry else None

    def heard(self, item_id: str, index: int, text: str, now: float) -> None:
        """The transcript of what was said; empty when there is none to come."""
        if late := self._given_up.pop(item_id, None):
            late.parts[index] = text
            self._tell(late, late=True)
        elif entry := self._place(item_id, "you", now):
            entry.parts[index] = text
            _over(entry, now)

    def wrote(self, item_id: str, text: str, now: float) -> None:
        if entry := self._place(item_id, "you", now):
            entry.typed = True
            entry.parts[0] = text
            _over(entry, now)

    def thrown_away(self) -> None:
        """What the user is saying will not become an item."""
        for entry in list(self._entries.values()):
            if entry.speaking:
                self._give_up(entry)

    # ---- the model ----

    def say(self, item_id: str, response_id: str, now: float) -> None:
        """The model began an item that will have words."""
        if entry := self._place(item_id, "model", now):
            entry.response_id = response_id

    def say_part(self, item_id: str, response_id: str, index: int, delta: str, now: float) -> Growing | None:
        self.say(item_id, response_id, now)
        entry = self._entries.get(item_id)
        return _grown(entry, index, delta) if entry and index not in entry.final else None

    def said(self, item_id: str, response_id: str, index: int, text: str, now: float) -> None:
        self.say(item_id, response_id, now)
        if entry := self._entries.get(item_id):
            entry.parts[index] = text
            entry.final.add(index)

    def said_after_all(self, item_id: str, response_id: str, index: int, text: str, now: float) -> None:
        """The words of a finished response: they count where no other news of the part came."""
        self.say(item_id, response_id, now)
        entry = self._entries.get(item_id)
        if entry and not entry.parts.get(index):
            self.said(item_id, response_id, index, text, now)

    def said_all(self, response_id: str, now: float, *, cut: bool, voice: Voice = NO_VOICE) -> None:
        """The response is over, its voice included."""
        said = [each for each in self._entries.values() if each.speaker == "model" and each.response_id == response_id]
        for entry in said:
            entry.cut = entry.cut or cut
            _over(entry, now)
        if voice.seconds is not None and voice.interrupted:
            self._note_heard(said, voice.seconds)
        elif voice.seconds and not cut:
            pace = sum(_weight(entry.text) for entry in said) / voice.seconds
            self._pace = pace if _SLOWEST <= pace <= _FASTEST else self._pace

    def _note_heard(self, said: list[_Entry], seconds: float) -> None:
        """Rule 4."""
        left = seconds * self._pace
        for entry in said:
            entry.heard = _beginning(entry.text, left)
            left = max(0.0, left - _weight(entry.text))

    # ---- what may be shown ----

    def forget(self, item_id: str) -> None:
        self._entries.pop(item_id, None)
        self._given_up.pop(item_id, None)

    def release(self, now: float) -> list[Words]:
        """What may be shown now, in order."""
        for entry in list(self._entries.values()):
            if entry.over_at is not None:
                self._tell(entry)
            elif self._is_hopeless(entry, now):
                self._give_up(entry)
            else:
                break
        return self._taken()

    def release_all(self) -> list[Words]:
        """At the end of the call: what was begun counts as cut."""
        for entry in [*self._given_up.values(), *self._entries.values()]:
            entry.cut = entry.cut or entry.over_at is None
            self._tell(entry, late=entry.item_id in self._given_up)
        self._given_up.clear()
        return self._taken()

    def _taken(self) -> list[Words]:
        ready, self._ready = self._ready, []
        return ready

    def _place(self, item_id: str, speaker: Speaker, now: float) -> _Entry | None:
        """The item's entry; None for one that was shown, given up, or is known as the other speaker's."""
        if item_id in self._told or item_id in self._given_up:
            return None
        entry = self._entries.get(item_id)
        if entry is None:
            entry = _Entry(item_id, speaker)
            _keep(self._entries, item_id, entry)
        entry.touched_at = now
        return entry if entry.speaker == speaker else None

    def _tell(self, entry: _Entry, *, late: bool = False) -> None:
        self._entries.pop(entry.item_id, None)
        if entry.item_id:  # some servers name no items: the next one must not be taken for this one
            _keep(self._told, entry.item_id, None)
        if entry.text:
            self._ready.append(
                Words(
                    entry.speaker,
                    entry.item_id,
                    entry.text,
                    typed=entry.typed,
                    cut=entry.cut,
                    late=late,
                    heard=entry.heard,
                )
            )

    def _give_up(self, entry: _Entry) -> None:
        self._entries.pop(entry.item_id, None)
        _keep(self._given_up, entry.item_id, entry)

    def _is_hopeless(self, entry: _Entry, now: float) -> bool:
        """Whether nobody should wait for what the user said. The model's words always end: see `answers`."""
        if entry.speaker == "model":
            return False
        if not entry.speaking and now >= entry.touched_at + HOPE:
            return True
        return any(
            other.over_at is not None and now >= other.over_at + _patience(other) for other in self._entries.values()
        )


def _patience(entry: _Entry) -> float:
    """What was spoken later than words that have not come stays behind them: a captioner's lines keep their order."""
    return PATIENCE if entry.speaker == "model" or entry.typed else CAPTIONS


def _grown(entry: _Entry, index: int, delta: str) -> Growing:
    entry.parts[index] = entry.parts.get(index, "") + delta
    return Growing(entry.speaker, entry.item_id, entry.text)


def _weight(text: str) -> int:
    return sum(_WIDE if ord(letter) >= _FIRST_WIDE else 1 for letter in text)


def _beginning(text: str, weight: float) -> str:
    """As much of a text as weighs that, in whole words."""
    for at, letter in enumerate(text):
        weight -= _weight(letter)
        if weight < 0:
            splits = letter.isspace() or _weight(letter) == _WIDE
            return (text[:at] if splits else text[:at].rpartition(" ")[0]).rstrip()
    return text


def _over(entry: _Entry, now: float) -> None:
    entry.speaking = False
    if entry.over_at is None:
        entry.over_at = now


def _keep(kept: dict[str, V], key: str, value: V) -> None:
    """Put in as the newest; the oldest goes when there are too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _KEPT:
        del kept[next(iter(kept))]
