"""Reading what a client sends: the shapes of the eleven client events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from rtcli.sandbox.items import CHECK_ITEM, ITEM_VARIANTS
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.session_shapes import (
    CHECK_SESSION,
    OUTPUT_TOKENS,
    REASONING,
    RESPONSE_AUDIO,
    STORED_PROMPT,
    TOOL_CHOICE,
    TOOLS,
    metadata,
    modalities,
)
from rtcli.sandbox.shapes import Check, anything, flag, listing, nullable, record, tagged, text, whole


_EVENT_ID = text(longest=512)
_ITEM_ID = text(longest=512)
_RESPONSE = record(
    {},
    {
        "conversation": text("auto", "none"),
        "input": listing(
            tagged("type", {**ITEM_VARIANTS, "item_reference": record({"type": anything, "id": _ITEM_ID})}), most=1000
        ),
        "instructions": text(),
        "output_modalities": modalities,
        "audio": RESPONSE_AUDIO,
        "tools": TOOLS,
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "reasoning": nullable(REASONING),
        "max_output_tokens": OUTPUT_TOKENS,
        "metadata": metadata,
        "prompt": STORED_PROMPT,
    },
)


def _event(required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None) -> Check:
    return record({"type": anything, **(required or {})}, {"event_id": _EVENT_ID, **(optional or {})})


CHECK_EVENT: Check = tagged(
    "type",
    {
        "session.update": _event({"session": CHECK_SESSION}),
        "conversation.item.create": _event({"item": CHECK_ITEM}, {"previous_item_id": nullable(_ITEM_ID)}),
        "conversation.item.retrieve": _event({"item_id": _ITEM_ID}),
        "conversation.item.truncate": _event(
            {"item_id": _ITEM_ID, "content_index": whole(0, 10**6), "audio_end_ms": whole(0, 10**9)}
        ),
        "conversation.item.delete": _event({"item_id": _ITEM_ID}),
        "input_audio_buffer.append": _event({"audio": text()}),
        "input_audio_buffer.commit": _event(),
        "input_audio_buffer.clear": _event(),
        "output_audio_buffer.clear": _event(),
        "response.create": _event(optional={"response": _RESPONSE}),
        "response.cancel": _event(optional={"response_id": _ITEM_ID}),
    },
)


def parse(data: str | bytes) -> dict[str, Any]:
    """One JSON object. Raises Refusal."""
    try:
        event = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal("The event is not valid JSON.", code="invalid_json") from error
    if not isinstance(event, dict):
        raise Refusal("An event is a JSON object.", code="invalid_type")
    return event


def event_id(event: Mapping[str, Any]) -> str | None:
    """The id to echo, also of an event that is wrong otherwise."""
    given = event.get("event_id")
    return given if isinstance(given, str) and len(given) <= 512 else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
