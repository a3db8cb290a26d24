"""The shapes of session objects and of what a response may override.

Fields and ranges: the official SDK's `RealtimeSessionCreateRequest`, `RealtimeTranscriptionSessionCreateRequest` and
`RealtimeResponseCreateParams`, and OpenAI's specification where the SDK names no range.
"""

from __future__ import annotations

from typing import Any

from rtcli.sandbox.shapes import (
    Check,
    anything,
    either,
    flag,
    invalid,
    listing,
    mapping,
    nullable,
    number,
    record,
    tagged,
    text,
    whole,
)


MAX_OUTPUT_TOKENS = 4096
_MAX_TOOLS = 128

_FORMAT = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything}, {"rate": whole(24_000, 24_000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_TURN_DETECTION = tagged(
    "type",
    {
        "server_vad": record(
            {"type": anything},
            {
                "threshold": number(0, 1),
                "prefix_padding_ms": whole(0, 10_000),
                "silence_duration_ms": whole(0, 10_000),
                "idle_timeout_ms": nullable(whole(5000, 30_000)),
                "create_response": flag,
                "interrupt_response": flag,
            },
        ),
        "semantic_vad": record(
            {"type": anything},
            {
                "eagerness": text("low", "medium", "high", "auto"),
                "create_response": flag,
                "interrupt_response": flag,
            },
        ),
    },
)
_TRANSCRIPTION = record(
    {},
    {
        "model": text(longest=128),
        "language": text(longest=16),
        "languages": listing(text(longest=16), most=32),
        "keywords": listing(text(longest=256), most=1000),
        "prompt": text(),
        "delay": text("minimal", "low", "medium", "high", "xhigh"),
    },
)
_INPUT = record(
    {},
    {
        "format": _FORMAT,
        "noise_reduction": nullable(
            record({}, {"type": text("near_field", "far_field"), "strength": number(0)}),
        ),
        "transcription": nullable(_TRANSCRIPTION),
        "turn_detection": nullable(_TURN_DETECTION),
    },
)
VOICE = either(text(longest=128), or_record=record({"id": text(longest=128)}))
_OUTPUT = record({}, {"format": _FORMAT, "voice": VOICE, "speed": number(0.25, 1.5)})
RESPONSE_AUDIO = record({}, {"output": record({}, {"format": _FORMAT, "voice": VOICE})})


def modalities(value: Any, path: str) -> None:
    """`["audio"]` or `["text"]`; both at once was the beta's way."""
    listing(text("text", "audio"), most=2)(value, path)
    if len(set(value)) != 1:
        raise invalid(path, value, "Supported combinations are: ['text'] and ['audio'].")


_APPROVAL_FILTER = record({}, {"read_only": flag, "tool_names": listing(text(), most=1000)})
_TOOL = tagged(
    "type",
    {
        "function": record(
            {"type": anything, "name": text(longest=128)}, {"description": text(), "parameters": mapping}
        ),
        "mcp": record(
            {"type": anything, "server_label": text(longest=128)},
            {
                "server_url": text(),
                "connector_id": text(),
                "tunnel_id": text(),
                "authorization": text(),
                "headers": nullable(mapping),
                "allowed_tools": anything,
                "require_approval": either(
                    text("always", "never"),
                    or_record=record({}, {"always": _APPROVAL_FILTER, "never": _APPROVAL_FILTER}),
                ),
                "server_description": text(),
                "allowed_callers": listing(text("direct", "programmatic"), most=2),
                "defer_loading": flag,
            },
        ),
    },
)
TOOLS = listing(_TOOL, most=_MAX_TOOLS)
TOOL_CHOICE = either(
    text("none", "auto", "required"),
    or_record=tagged(
        "type",
        {
            "function": record({"type": anything, "name": text(longest=128)}),
            "mcp": record({"type": anything, "server_label": text()}, {"name": nullable(text())}),
        },
    ),
)
OUTPUT_TOKENS = either(text("inf"), or_whole=whole(1, MAX_OUTPUT_TOKENS))
REASONING = record({}, {"effort": text("minimal", "low", "medium", "high", "xhigh")})
STORED_PROMPT = nullable(
    record({"id": text(longest=256)}, {"version": nullable(text()), "variables": nullable(mapping)})
)


def metadata(value: Any, path: str) -> None:
    """At most 16 pairs of strings, 64 and 512 characters long."""
    nullable(mapping)(value, path)
    for key, entry in (value or {}).items():
        text(longest=64)(key, path)
        text(longest=512)(entry, f"{path}.{key}"[:128])
    if len(value or {}) > 16:
        raise invalid(path, len(value), "Expected at most 16 pairs.")


_REALTIME = record(
    {"type": anything},
    {
        "model": text(longest=256),
        "instructions": text(),
        "output_modalities": modalities,
        "audio": record({}, {"input": _INPUT, "output": _OUTPUT}),
        "include": nullable(listing(text("item.input_audio_transcription.logprobs"), most=1)),
        "max_output_tokens": OUTPUT_TOKENS,
        "tools": TOOLS,
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "reasoning": nullable(REASONING),
        "tracing": nullable(
            either(
                text("auto"), or_record=record({}, {"workflow_name": text(), "group_id": text(), "metadata": anything})
            )
        ),
        "truncation": either(
            text("auto", "disabled"),
            or_record=record(
                {"type": text("retention_ratio"), "retention_ratio": number(0, 1)},
                {"token_limits": record({}, {"post_instructions": whole(0, 10**9)})},
            ),
        ),
        "prompt": STORED_PROMPT,
    },
)
_TRANSCRIPTION_SESSION = record(
    {"type": anything},
    {
        "audio": record({}, {"input": _INPUT}),
        "include": nullable(listing(text("item.input_audio_transcription.logprobs"), most=1)),
    },
)
CHECK_SESSION: Check = tagged("type", {"realtime": _REALTIME, "transcription": _TRANSCRIPTION_SESSION})
"""A whole session object or the change of one: `type` is required in both."""
