"""The 46 server events of the Realtime API, and what every other message becomes.

Names and fields are those of the official SDK (`openai/types/realtime/*_event.py`, 3.54); the class is the wire type in
CamelCase. Which fields may be missing follows what servers in the wild leave out, so a default here is leniency, not
the specification. `decode` never raises: a type it does not know becomes `Unknown`, a wrong shape `Malformed`.

The file is long because it is the catalogue; there is no logic beyond `decode` and `encode`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import ClassVar, TypeVar, dataclass_transform

from rtcli.protocol.codec import (
    Json,
    JsonArray,
    JsonObject,
    LooseText,
    Mismatch,
    NotJson,
    Record,
    from_object,
    parse,
    record,
    shown,
    to_object,
)
from rtcli.records import dataclass


# ---- values inside events -------------------------------------------------------------------------------------------


@record
class Content(Record):
    """One part of a message item, or of a response (`response.content_part.*`)."""

    type: str = ""
    """`input_text`, `input_audio`, `input_image`, `output_text`, `output_audio`; `text` or `audio` in a `part`."""
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None
    """Base64; only in `conversation.item.retrieved`."""
    image_url: str | None = None
    """A data URI."""
    detail: str | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class Item(Record):
    """One entry of the conversation, whatever its kind; fields of other kinds are empty."""

    id: str = ""
    type: str = ""
    """`message`, `function_call`, `function_call_output`, `mcp_call`, `mcp_list_tools`, `mcp_approval_request`, ..."""
    role: str | None = None
    """`user`, `assistant`, `system`: messages only."""
    status: str | None = None
    """`in_progress`, `completed`, `incomplete`."""
    content: tuple[Content, ...] = ()
    name: str | None = None
    """Of the function or the MCP tool."""
    call_id: str | None = None
    arguments: str | None = None
    """JSON as text."""
    output: str | None = None
    server_label: str | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class ErrorDetail(Record):
    """The inside of an `error` event, of a failed response and of a failed transcription."""

    type: str = ""
    code: LooseText | None = None
    message: str = ""
    param: LooseText | None = None
    event_id: str | None = None
    """Of the client event that failed."""
    extra: JsonObject = field(default_factory=dict)


@record
class StatusDetails(Record):
    type: str | None = None
    reason: str | None = None
    """`turn_detected`, `client_cancelled`, `max_output_tokens`, `content_filter`."""
    error: ErrorDetail | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class TokenDetails(Record):
    """How many tokens of each kind; None where nothing was said."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    """A subset of the others."""
    cached_tokens_details: TokenDetails | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class Usage(Record):
    """What a response or a transcription used; None where nothing was said.

    A transcription is billed by tokens or by duration: `type` is `tokens` or `duration` there, absent in a response.
    """

    type: str | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: TokenDetails | None = None
    output_token_details: TokenDetails | None = None
    seconds: float | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class Response(Record):
    id: str = ""
    status: str | None = None
    """`in_progress`, `completed`, `cancelled`, `failed`, `incomplete`."""
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    usage: Usage | None = None
    conversation_id: str | None = None
    metadata: JsonObject | None = None
    extra: JsonObject = field(default_factory=dict)


@record
class RateLimit(Record):
    name: str = ""
    """`requests` or `tokens`."""
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
    extra: JsonObject = field(default_factory=dict)


# ---- the events -----------------------------------------------------------------------------------------------------


@record
class ServerEvent(Record):
    """Base of the events; `type` is the wire's name."""

    type: ClassVar[str]
    event_id: str = ""
    extra: JsonObject = field(default_factory=dict)


E = TypeVar("E", bound=ServerEvent)
EVENTS: dict[str, type[ServerEvent]] = {}
"""Wire type -> class."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _event(name: str) -> Callable[[type[E]], type[E]]:
    def declare(cls: type[E]) -> type[E]:
        made = record(cls)
        made.type = name
        EVENTS[name] = made
        return made

    return declare


@_event("error")
class ErrorEvent(ServerEvent):
    """Something failed; the session goes on."""

    error: ErrorDetail


# session and conversation


@_event("session.created")
class SessionCreated(ServerEvent):
    session: JsonObject


@_event("session.updated")
class SessionUpdated(ServerEvent):
    session: JsonObject
    """Full and effective."""


@_event("conversation.created")
class ConversationCreated(ServerEvent):
    conversation: JsonObject


@record
class _PlacedItem(ServerEvent):
    item: Item
    previous_item_id: str | None = None


@_event("conversation.item.added")
class ConversationItemAdded(_PlacedItem):
    pass


@_event("conversation.item.done")
class ConversationItemDone(_PlacedItem):
    pass


@_event("conversation.item.created")
class ConversationItemCreated(_PlacedItem):
    """The old name of `conversation.item.added`; other servers and Azure's filter still send it."""


@_event("conversation.item.retrieved")
class ConversationItemRetrieved(ServerEvent):
    item: Item


@_event("conversation.item.deleted")
class ConversationItemDeleted(ServerEvent):
    item_id: str


@_event("conversation.item.truncated")
class ConversationItemTruncated(ServerEvent):
    item_id: str
    content_index: int = 0
    audio_end_ms: int | None = None


# the transcript of what the user said


@record
class _Transcription(ServerEvent):
    item_id: str
    content_index: int = 0


@_event("conversation.item.input_audio_transcription.delta")
class ConversationItemInputAudioTranscriptionDelta(_Transcription):
    delta: str = ""
    logprobs: JsonArray | None = None


@_event("conversation.item.input_audio_transcription.completed")
class ConversationItemInputAudioTranscriptionCompleted(_Transcription):
    transcript: str
    usage: Usage | None = None
    languages: JsonArray | None = None
    logprobs: JsonArray | None = None


@_event("conversation.item.input_audio_transcription.failed")
class ConversationItemInputAudioTranscriptionFailed(_Transcription):
    error: ErrorDetail


@_event("conversation.item.input_audio_transcription.segment")
class ConversationItemInputAudioTranscriptionSegment(_Transcription):
    id: str
    text: str
    speaker: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""


# the buffer of the user's sound


@_event("input_audio_buffer.speech_started")
class InputAudioBufferSpeechStarted(ServerEvent):
    item_id: str = ""
    """Some servers leave it out."""
    audio_start_ms: int | None = None


@_event("input_audio_buffer.speech_stopped")
class InputAudioBufferSpeechStopped(ServerEvent):
    item_id: str = ""
    audio_end_ms: int | None = None


@_event("input_audio_buffer.committed")
class InputAudioBufferCommitted(ServerEvent):
    item_id: str
    previous_item_id: str | None = None


@_event("input_audio_buffer.cleared")
class InputAudioBufferCleared(ServerEvent):
    pass


@_event("input_audio_buffer.timeout_triggered")
class InputAudioBufferTimeoutTriggered(ServerEvent):
    item_id: str
    audio_start_ms: int | None = None
    audio_end_ms: int | None = None


@_event("input_audio_buffer.dtmf_event_received")
class InputAudioBufferDtmfEventReceived(ServerEvent):
    """A key of the telephone (SIP only); the one event without an `event_id`."""

    event: str
    received_at: int
    """Seconds since the epoch."""


# the buffer of the model's sound (WebRTC and SIP only)


@record
class _OutputBuffer(ServerEvent):
    response_id: str


@_event("output_audio_buffer.started")
class OutputAudioBufferStarted(_OutputBuffer):
    pass


@_event("output_audio_buffer.stopped")
class OutputAudioBufferStopped(_OutputBuffer):
    """Drained: the voice is over. Comes after `response.done`."""


@_event("output_audio_buffer.cleared")
class OutputAudioBufferCleared(_OutputBuffer):
    """Emptied by barge-in or by the client."""


# responses


@_event("response.created")
class ResponseCreated(ServerEvent):
    response: Response


@_event("response.done")
class ResponseDone(ServerEvent):
    """The end of a response, whatever the end."""

    response: Response


@record
class _OutputItem(ServerEvent):
    response_id: str
    output_index: int = 0
    item: Item


@_event("response.output_item.added")
class ResponseOutputItemAdded(_OutputItem):
    pass


@_event("response.output_item.done")
class ResponseOutputItemDone(_OutputItem):
    pass


@record
class _OfItem(ServerEvent):
    response_id: str
    item_id: str
    output_index: int = 0


@record
class _OfPart(_OfItem):
    content_index: int = 0


@_event("response.content_part.added")
class ResponseContentPartAdded(_OfPart):
    part: Content


@_event("response.content_part.done")
class ResponseContentPartDone(_OfPart):
    part: Content


@_event("response.output_text.delta")
class ResponseOutputTextDelta(_OfPart):
    delta: str


@_event("response.output_text.done")
class ResponseOutputTextDone(_OfPart):
    text: str


@_event("response.output_audio_transcript.delta")
class ResponseOutputAudioTranscriptDelta(_OfPart):
    delta: str


@_event("response.output_audio_transcript.done")
class ResponseOutputAudioTranscriptDone(_OfPart):
    transcript: str


@_event("response.output_audio.delta")
class ResponseOutputAudioDelta(_OfPart):
    """Base64 sound of a WebSocket connection; over WebRTC the sound is on the track."""

    delta: str


@_event("response.output_audio.done")
class ResponseOutputAudioDone(_OfPart):
    """Generation is over, playback is not."""


@_event("response.function_call_arguments.delta")
class ResponseFunctionCallArgumentsDelta(_OfItem):
    call_id: str
    delta: str


@_event("response.function_call_arguments.done")
class ResponseFunctionCallArgumentsDone(_OfItem):
    call_id: str
    arguments: str
    """JSON as text."""
    name: str | None = None
    """Older servers leave it out; the item has it."""


@_event("response.mcp_call_arguments.delta")
class ResponseMcpCallArgumentsDelta(_OfItem):
    delta: str
    obfuscation: str | None = None


@_event("response.mcp_call_arguments.done")
class ResponseMcpCallArgumentsDone(_OfItem):
    arguments: str


@record
class _McpCall(ServerEvent):
    item_id: str
    output_index: int = 0


@_event("response.mcp_call.in_progress")
class ResponseMcpCallInProgress(_McpCall):
    pass


@_event("response.mcp_call.completed")
class ResponseMcpCallCompleted(_McpCall):
    pass


@_event("response.mcp_call.failed")
class ResponseMcpCallFailed(_McpCall):
    pass


@record
class _McpListTools(ServerEvent):
    item_id: str


@_event("mcp_list_tools.in_progress")
class McpListToolsInProgress(_McpListTools):
    pass


@_event("mcp_list_tools.completed")
class McpListToolsCompleted(_McpListTools):
    pass


@_event("mcp_list_tools.failed")
class McpListToolsFailed(_McpListTools):
    pass


@_event("rate_limits.updated")
class RateLimitsUpdated(ServerEvent):
    """Comes at the beginning of a response or after its end."""

    rate_limits: tuple[RateLimit, ...]


# ---- everything else ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a type that is not in the catalogue, whole."""

    type: str
    event_id: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is no event, or an event of a known type with a wrong shape."""

    reason: str
    """Printable, short: `$.response.id: expected string, got 3`."""
    type: str | None
    """The wire type, when the message had one."""


def decode(data: str | bytes) -> ServerEvent | Unknown | Malformed:
    """Read one message of the data channel. Never raises, whatever the message."""
    try:
        value = parse(data)
    except NotJson as error:
        return Malformed(str(error), None)
    return decode_object(value)


def decode_object(value: Json) -> ServerEvent | Unknown | Malformed:
    """Read an event that is parsed already."""
    if not isinstance(value, dict):
        return Malformed(f"$: expected object, got {shown(value)}", None)
    name = value.get("type")
    if not isinstance(name, str):
        problem = f"expected string, got {shown(name)}" if "type" in value else "missing"
        return Malformed(f"$.type: {problem}", None)
    cls = EVENTS.get(name)
    if cls is None:
        event_id = value.get("event_id")
        return Unknown(name, event_id if isinstance(event_id, str) else "", value)
    try:
        return from_object(cls, value)
    except Mismatch as mismatch:
        return Malformed(str(mismatch), name)


def encode(event: ServerEvent | Unknown) -> JsonObject:
    """The event as the wire's object; `encode(decode(text))` is what the text said (see `codec` for the exception)."""
    return event.data if isinstance(event, Unknown) else to_object(event)
