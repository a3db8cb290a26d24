"""Lines that the user typed and that do not stand among the words yet: they wait for the answer before them."""

from __future__ import annotations

from itertools import count

from rtcli.protocol.codec import Json, NotJson, parse
from rtcli.protocol.server_events import ConversationItemAdded, ConversationItemCreated
from rtcli.protocol.updates import EventIn, EventOut, Growing, Words
from rtcli.records import dataclass


PATIENCE = 5.0
"""Seconds from sending in which a service says that it has the item; some servers never do."""
_NAME = "typed here: "
"""No item of a service is named like this."""


@dataclass(slots=True)
class _Line:
    text: str
    name: str
    """Among the unfinished turns."""
    sent_at: float | None = None
    """Seconds, monotonic; None while it stands in line."""
    taken: bool = False
    """The service has the item: its words come, however long the answer before it takes."""

    def is_overdue(self, now: float) -> bool:
        return self.sent_at is not None and not self.taken and now - self.sent_at > PATIENCE


class Typed:
    """Of one screen, in its thread."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._numbers = count(1)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Not sent yet, in the order in which they were typed."""
        return tuple(line.text for line in self._lines if line.sent_at is None)

    def among(self, growing: tuple[Growing, ...]) -> tuple[Growing, ...]:
        """The unfinished turns with what was sent among them: before the answers that began after it."""
        sent = {line.name: line.text for line in self._lines if line.sent_at is not None}
        kept = tuple(each for each in growing if each.item_id in sent or not each.item_id.startswith(_NAME))
        known = {each.item_id for each in kept}
        return kept + tuple(Growing("you", name, text) for name, text in sent.items() if name not in known)

    def add(self, text: str) -> None:
        self._lines.append(_Line(text.strip(), f"{_NAME}{next(self._numbers)}"))

    def sent(self, event: EventOut, at: float) -> None:
        text = _said(event) if self._lines else None
        if line := next((each for each in self._lines if each.text == text and each.sent_at is None), None):
            line.sent_at = at

    def came(self, event: EventIn) -> None:
        if not self._lines or not isinstance(event.event, (ConversationItemAdded, ConversationItemCreated)):
            return
        text = _text_of(event.raw)
        if line := next((each for each in self._lines if each.text == text and not each.taken), None):
            line.taken = True

    def shown(self, words: Words) -> None:
        """It takes its place in the conversation."""
        if line := next((each for each in self._lines if words.typed and each.text == words.text.strip()), None):
            self._lines.remove(line)

    def take_overdue(self, now: float) -> list[str]:
        """What was sent and nobody acknowledged: it is shown where the conversation is now."""
        overdue = [each for each in self._lines if each.is_overdue(now)]
        self._lines = [each for each in self._lines if each not in overdue]
        return [each.text for each in overdue]

    def take_all(self) -> list[str]:
        """At the end of the call."""
        left, self._lines = [line.text for line in self._lines], []
        return left


def _said(event: EventOut) -> str | None:
    """The text of a user's message that went out."""
    return _text_of(event.raw) if event.type == "conversation.item.create" else None


def _text_of(raw: str) -> str | None:
    try:
        content: Json = parse(raw)["item"]["content"]
        return "".join(part["text"] for part in content if part["type"] == "input_text").strip()
    except (NotJson, KeyError, TypeError):
        return None
