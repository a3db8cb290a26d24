"""Which server event answers which client event, and what has not been answered yet.

A service works events off in order, so an answer, or an error, to one of them settles those before it too.
`response.create` is not here, because a whole response answers it; nor are `response.cancel` and
`output_audio_buffer.clear`, whose effect is that something else ends. An event of a type that nobody knows can only be
answered by an error, and that is worth the same wait.
"""

from __future__ import annotations

from collections import deque

from rtcli.protocol import server_events as ev
from rtcli.protocol.codec import JsonObject
from rtcli.records import dataclass


LIMIT = 5.0
"""Seconds to wait for an answer; some servers give none."""
_MOST = 1024

_UNANSWERED = frozenset(
    {"response.create", "response.cancel", "output_audio_buffer.clear", "input_audio_buffer.append"},
)

_ITEM = "conversation.item.create"
_ANSWERS: dict[str, frozenset[str]] = {
    "session.update": frozenset({"session.updated"}),
    _ITEM: frozenset({"conversation.item.added", "conversation.item.created"}),
    "conversation.item.retrieve": frozenset({"conversation.item.retrieved"}),
    "conversation.item.truncate": frozenset({"conversation.item.truncated"}),
    "conversation.item.delete": frozenset({"conversation.item.deleted"}),
    "input_audio_buffer.commit": frozenset({"input_audio_buffer.committed"}),
    "input_audio_buffer.clear": frozenset({"input_audio_buffer.cleared"}),
}


@dataclass(frozen=True, slots=True)
class _Sent:
    event: JsonObject
    place: int
    """In the order of sending."""
    until: float


class Unanswered:
    """Client events that wait for their answer, the oldest first."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque(maxlen=_MOST)
        self.newest = 0
        """Place of the event sent last."""

    def sent(self, event: JsonObject, now: float) -> None:
        if str(event.get("type")) not in _UNANSWERED:
            self.newest += 1
            self._sent.append(_Sent(event, self.newest, now + LIMIT))

    def answered(self, event: ev.ServerEvent) -> None:
        self.settled(next((sent.place for sent in self._sent if _answers(event, sent.event)), 0))

    def refused(self, event_id: str) -> None:
        self.settled(next((sent.place for sent in self._sent if sent.event.get("event_id") == event_id), 0))

    def settled(self, place: int) -> None:
        """Everything up to this place is done with, if only because something after it is."""
        while self._sent and self._sent[0].place <= place:
            self._sent.popleft()

    def waiting(self, now: float) -> bool:
        while self._sent and now >= self._sent[0].until:
            self._sent.popleft()
        return bool(self._sent)


def is_item(event: JsonObject) -> bool:
    return event.get("type") == _ITEM


def _answers(event: ev.ServerEvent, sent: JsonObject) -> bool:
    if event.type not in _ANSWERS.get(str(sent.get("type")), frozenset()):
        return False
    if isinstance(event, (ev.ConversationItemAdded, ev.ConversationItemCreated)):
        return _is_the_item(event.item, sent.get("item"))
    return True


def _is_the_item(item: ev.Item, sent: object) -> bool:
    """Spoken turns and answers become items too, and come as the same events."""
    if not isinstance(sent, dict):
        return False
    if isinstance(sent.get("id"), str):
        return item.id == str(sent["id"])
    return item.type == sent.get("type") and item.role == sent.get("role")
