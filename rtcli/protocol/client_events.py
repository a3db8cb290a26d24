"""The 11 client events of the Realtime API, and the conversation items they carry.

Names and fields are those of the official SDK (`openai/types/realtime/*_event.py`, 3.54). Sessions, items and response
parameters stay JSON objects: users write them, the service judges them, `session_config` checks them beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import ClassVar, Literal, TypeVar, dataclass_transform

from rtcli.protocol.codec import (
    Json,
    JsonObject,
    Mismatch,
    NotJson,
    Record,
    from_object,
    parse,
    record,
    shown,
    text_of,
    to_object,
)
from rtcli.records import dataclass


MAX_EVENT_ID = 512
"""Characters (openapi.yaml)."""


@record
class ClientEvent(Record):
    """Base of the events. `event_id` comes back as `error.event_id` when the event fails, so every sent one has it."""

    type: ClassVar[str]
    event_id: str | None = None
    extra: JsonObject = field(default_factory=dict)


E = TypeVar("E", bound=ClientEvent)
EVENTS: dict[str, type[ClientEvent]] = {}
"""Wire type -> class."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _event(name: str) -> Callable[[type[E]], type[E]]:
    def declare(cls: type[E]) -> type[E]:
        made = record(cls)
        made.type = name
        EVENTS[name] = made
        return made

    return declare


@_event("session.update")
class SessionUpdate(ClientEvent):
    """Answered by `session.updated`, or by `error` and then nothing of it is in force."""

    session: JsonObject
    """Only what changes, and always `type`."""


@_event("conversation.item.create")
class ConversationItemCreate(ClientEvent):
    """Answered by `conversation.item.added` and `.done`; makes no response by itself."""

    item: JsonObject
    previous_item_id: str | None = None
    """An id, or `root` for the beginning."""


@_event("conversation.item.retrieve")
class ConversationItemRetrieve(ClientEvent):
    item_id: str


@_event("conversation.item.truncate")
class ConversationItemTruncate(ClientEvent):
    """For WebSocket connections; over WebRTC the service truncates by itself."""

    item_id: str
    content_index: int
    audio_end_ms: int


@_event("conversation.item.delete")
class ConversationItemDelete(ClientEvent):
    item_id: str


@_event("input_audio_buffer.append")
class InputAudioBufferAppend(ClientEvent):
    """For WebSocket connections; over WebRTC the sound is on the track."""

    audio: str
    """Base64, at most 15 MiB."""


@_event("input_audio_buffer.commit")
class InputAudioBufferCommit(ClientEvent):
    """Answered by `input_audio_buffer.committed`, or `error` when the buffer is empty; makes no response by itself."""


@_event("input_audio_buffer.clear")
class InputAudioBufferClear(ClientEvent):
    pass


@_event("output_audio_buffer.clear")
class OutputAudioBufferClear(ClientEvent):
    """Stop the voice at once (WebRTC and SIP only); after `response.cancel` when a response is active."""


@_event("response.create")
class ResponseCreate(ClientEvent):
    response: JsonObject | None = None
    """Overrides of the session for this response alone."""


@_event("response.cancel")
class ResponseCancel(ClientEvent):
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A client event of a type the service's catalogue does not have."""

    type: str
    event_id: str | None
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Malformed:
    """No event, or an event with a wrong shape."""

    reason: str
    """Printable, short: `$.session: expected object, got 3`."""
    type: str | None
    event_id: str | None
    """Of the offending event, for `error.event_id`."""


def encode(event: ClientEvent) -> str:
    """The event as compact JSON text that UTF-8 can carry."""
    return text_of(to_object(event))


def decode(data: str | bytes) -> ClientEvent | Unknown | Malformed:
    """Read what a client sent. Never raises, whatever it is."""
    try:
        value = parse(data)
    except NotJson as error:
        return Malformed(str(error), None, None)
    return decode_object(value)


def decode_object(value: Json) -> ClientEvent | Unknown | Malformed:
    """Read an event that is parsed already."""
    if not isinstance(value, dict):
        return Malformed(f"$: expected object, got {shown(value)}", None, None)
    given = value.get("event_id")
    event_id = given if isinstance(given, str) else None
    name = value.get("type")
    if not isinstance(name, str):
        problem = f"expected string, got {shown(name)}" if "type" in value else "missing"
        return Malformed(f"$.type: {problem}", None, event_id)
    cls = EVENTS.get(name)
    if cls is None:
        return Unknown(name, event_id, value)
    try:
        return from_object(cls, value)
    except Mismatch as mismatch:
        return Malformed(str(mismatch), name, event_id)


# ---- conversation items ---------------------------------------------------------------------------------------------


def text_item(text: str, *, role: Literal["user", "system", "assistant"] = "user", id: str | None = None) -> JsonObject:  # noqa: A002 - the wire's name
    kind = "output_text" if role == "assistant" else "input_text"
    return _message(role, [{"type": kind, "text": text}], id)


def image_item(data_uri: str, *, text: str | None = None, detail: str | None = None) -> JsonObject:
    """A picture the user shows, with a caption or question if given.

    `data_uri`: `data:image/png;base64,...` or JPEG. `detail`: `auto`, `low` or `high`.
    """
    picture: JsonObject = {"type": "input_image", "image_url": data_uri}
    if detail is not None:
        picture["detail"] = detail
    caption: list[JsonObject] = [] if text is None else [{"type": "input_text", "text": text}]
    return _message("user", [*caption, picture], None)


def function_output_item(call_id: str, output: str) -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _message(role: str, content: list[JsonObject], id: str | None) -> JsonObject:  # noqa: A002 - the wire's name
    item: JsonObject = {"type": "message", "role": role, "content": content}
    return item if id is None else {"id": id, **item}
