"""Lines that the user typed and that do not stand among the words yet: they wait for the answer before them."""

from __future__ import annotations

from dataclasses import dataclass

from rtcli.protocol.codec import Json, NotJson, parse
from rtcli.protocol.updates import EventOut, Words


PATIENCE = 5.0
"""Seconds from sending in which a service says that it has the item; some servers never do."""


@dataclass(slots=True)
class _Line:
    text: str
    sent_at: float | None = None
    """Seconds, monotonic; None while it stands in line."""


class Typed:
    """Of one screen, in its thread."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """In the order in which they were typed."""
        return tuple(line.text for line in self._lines)

    def add(self, text: str) -> None:
        self._lines.append(_Line(text.strip()))

    def sent(self, event: EventOut, at: float) -> None:
        text = _said(event) if self._lines else None
        if line := next((each for each in self._lines if each.text == text and each.sent_at is None), None):
            line.sent_at = at

    def shown(self, words: Words) -> None:
        """It takes its place in the conversation."""
        if line := next((each for each in self._lines if words.typed and each.text == words.text.strip()), None):
            self._lines.remove(line)

    def take_overdue(self, now: float) -> list[str]:
        """What was sent and nobody acknowledged: it is shown where the conversation is now."""
        overdue = [each for each in self._lines if each.sent_at is not None and now - each.sent_at > PATIENCE]
        self._lines = [each for each in self._lines if each not in overdue]
        return [each.text for each in overdue]

    def take_all(self) -> list[str]:
        """At the end of the call."""
        left, self._lines = list(self.waiting), []
        return left


def _said(event: EventOut) -> str | None:
    """The text of a user's message that went out."""
    if event.type != "conversation.item.create":
        return None
    try:
        content: Json = parse(event.raw)["item"]["content"]
        return "".join(part["text"] for part in content if part["type"] == "input_text").strip()
    except (NotJson, KeyError, TypeError):
        return None
