"""The sandbox's checks against the official SDK's shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtcli.protocol import check
from rtcli.protocol.shapes import schemas
from rtcli.sandbox.client_events import CHECK_EVENT
from rtcli.sandbox.refusal import Refusal
from rtcli.sandbox.session_shapes import CHECK_SESSION
from rtcli.sandbox.shapes import anything, record


class Foreign:
    """A value of no JSON type."""


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = schemas()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def options(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The shapes a value may have."""
    whole = resolved(schema)
    for option in whole.get("anyOf", [whole]):
        inner = resolved(option)
        if "anyOf" in inner:
            yield from options(inner)
        else:
            yield inner


def tags(schema: dict[str, Any]) -> dict[str, Any]:
    """`type` and `role` as an object of this shape must have them."""
    found = {}
    for tag in ("type", "role"):
        inner = resolved(schema["properties"].get(tag, {}))
        choices = [word for option in inner.get("anyOf", [inner]) for word in option.get("enum", ())]
        if choices:
            found[tag] = choices[0]
    return found


def fields(schema: dict[str, Any], around: Callable[[Any], Any], depth: int = 8) -> Iterator[tuple[str, Any]]:
    """Every field of the SDK's shape, each with a value that has it: (dotted name, value)."""
    for shape in options(schema) if depth else ():
        if "items" in shape:
            yield from fields(shape["items"], lambda value: around([value]), depth - 1)
        required = dict.fromkeys(shape.get("required", ()), "x") | (tags(shape) if "properties" in shape else {})
        for name, inner in shape.get("properties", {}).items():
            yield name, around({**required, name: required.get(name, Foreign())})
            for deeper, value in fields(inner, _inside(around, required, name), depth - 1):
                yield f"{name}.{deeper}", value


def _inside(around: Callable[[Any], Any], required: dict[str, Any], name: str) -> Callable[[Any], Any]:
    return lambda value: around({**required, name: value})


def unknown_fields(schema: dict[str, Any], checked: Callable[[Any, str], None]) -> list[str]:
    found = []
    for name, value in fields(schema, lambda value: value):
        try:
            checked(value, "")
        except Refusal as no:
            if no.code == "unknown_parameter":
                found.append(name)
        except KeyError:  # a value of no JSON type has no name in a message: the field was known
            pass
    return found


def test_the_search_finds_a_field_that_is_not_known() -> None:
    no_speed = record({"type": anything}, {"audio": record({}, {"input": anything, "output": record({}, {})})})
    missing = unknown_fields(schemas()["objects"]["session.realtime"], no_speed)
    assert {"instructions", "audio.output.speed"} <= set(missing)
    assert len(list(fields(schemas()["objects"]["session.realtime"], lambda value: value))) > 60


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_every_field_of_the_sdk_s_session_is_known(kind: str) -> None:
    assert unknown_fields(schemas()["objects"][f"session.{kind}"], CHECK_SESSION) == []


@pytest.mark.parametrize("kind", sorted(schemas()["client_events"]))
def test_every_field_of_the_sdk_s_client_event_is_known(kind: str) -> None:
    assert unknown_fields(schemas()["client_events"][kind], CHECK_EVENT) == []


REFUSED = [
    {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
    {"type": "realtime", "audio": {"output": {"voice": {"name": "x"}}}},
    {"type": "realtime", "audio": {"output": {"voice": 3}}},
    {"type": "realtime", "audio": {"input": {"noise_reduction": {"type": "none"}}}},
    {"type": "realtime", "audio": {"input": {"transcription": {"model": None}}}},
    {"type": "realtime", "tools": [{"type": "function", "function": {"name": "x"}}]},
    {"type": "realtime", "tools": [{"type": "function", "name": "x", "strict": True}]},
    {"type": "realtime", "tools": {}},
    {"type": "realtime", "tool_choice": "sometimes"},
    {"type": "realtime", "tool_choice": {"type": "function"}},
    {"type": "realtime", "max_output_tokens": "many"},
    {"type": "realtime", "max_output_tokens": True},
    {"type": "realtime", "max_output_tokens": 0},
    {"type": "realtime", "truncation": {"type": "retention_ratio", "retention_ratio": 1.5}},
    {"type": "realtime", "tracing": "always"},
    {"type": "realtime", "reasoning": {"effort": "none"}},
    {"type": "realtime", "include": ["everything"]},
    {"type": "realtime", "output_modalities": []},
    {"type": "transcription", "audio": {"output": {}}},
    {"type": "transcription", "instructions": "x"},
    {"type": "translation"},
    {},
    [],
]


@pytest.mark.parametrize("session", REFUSED, ids=lambda session: str(session)[:60])
def test_a_session_the_service_would_refuse_is_refused(session: Any) -> None:
    with pytest.raises(Refusal) as refused:
        CHECK_SESSION(session, "session")
    assert refused.value.param is not None
    assert refused.value.param.startswith("session")
    assert refused.value.status == 400


ACCEPTED = [
    {"type": "realtime"},
    {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": None, "noise_reduction": None}}},
    {"type": "realtime", "audio": {"output": {"voice": {"id": "voice_1"}, "speed": 1}}},
    {"type": "realtime", "max_output_tokens": "inf", "tool_choice": {"type": "function", "name": "x"}},
    {"type": "realtime", "tools": [{"type": "function", "name": "x", "description": "d", "parameters": {"any": []}}]},
    {
        "type": "realtime",
        "tools": [{"type": "mcp", "server_label": "x", "require_approval": {"never": {"read_only": True}}}],
    },
    {"type": "realtime", "tracing": {"workflow_name": "w", "metadata": {"a": 1}}, "prompt": None},
    {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-transcribe", "keywords": ["x"]}}}},
]


@pytest.mark.parametrize("session", ACCEPTED, ids=lambda session: str(session)[:60])
def test_a_session_the_sdk_would_send_is_taken(session: Any) -> None:
    assert check.check_session(session) == ()
    CHECK_SESSION(session, "session")


def test_a_message_repeats_no_more_than_the_beginning_of_a_foreign_value() -> None:
    with pytest.raises(Refusal) as refused:
        CHECK_SESSION({"type": "x" * 100_000}, "session")
    assert len(str(refused.value)) < 300
    with pytest.raises(Refusal) as refused:
        CHECK_SESSION({"type": "realtime", "y" * 100_000: 1}, "session")
    assert len(str(refused.value)) < 300
