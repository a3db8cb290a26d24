"""Findings about sessions and client events before they are sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.check import READ_ONLY, check_event, check_session


BETA = "a name of the beta interface"
OLD_EVENT = "transcription_session.update"
USER_CONTENT = '"input_text" or "input_audio" or "input_image"'


def lines(found: tuple[Any, ...]) -> list[str]:
    return [str(finding) for finding in found]


@pytest.mark.parametrize(
    "session",
    [
        {"type": "realtime"},
        {
            "type": "realtime",
            "model": "gpt-realtime-2",
            "instructions": "",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "noise_reduction": {"type": "near_field"},
                    "transcription": {"model": "a-model-of-tomorrow", "language": "en"},
                    "turn_detection": {"type": "semantic_vad", "eagerness": "low", "interrupt_response": False},
                },
                "output": {"voice": {"id": "voice_1"}, "speed": 1.5},
            },
            "tools": [
                {"type": "function", "name": "f", "description": "", "parameters": {"type": "object"}},
                {"type": "mcp", "server_label": "s", "server_url": "https://x", "require_approval": "never"},
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "max_output_tokens": 100_000,
            "tracing": None,
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        },
        {"type": "realtime", "max_output_tokens": "inf", "tool_choice": "none", "tracing": "auto"},
        {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-live-transcribe"},
                                                      "turn_detection": None}}},
    ],
)  # fmt: skip
def test_a_session_the_service_takes_has_no_findings(session: dict[str, Any]) -> None:
    assert lines(check_session(session)) == []


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"voice": "marin"}, "session.voice: a name of the beta interface; now audio.output.voice"),
        ({"modalities": ["text"]}, "session.modalities: a name of the beta interface; now output_modalities"),
        (
            {"turn_detection": None},
            "session.turn_detection: a name of the beta interface; now audio.input.turn_detection",
        ),
        (
            {"max_response_output_tokens": 5},
            "session.max_response_output_tokens: a name of the beta interface; now max_output_tokens",
        ),
        ({"temperature": 0.8}, "session.temperature: a name of the beta interface, gone without a successor"),
        (
            {"audio": {"input": {"format": "pcm16"}}},
            'session.audio.input.format: expected object, got "pcm16"; now {"type": "audio/pcm", "rate": 24000}',
        ),
        (
            {"audio": {"output": {"format": "g711_ulaw"}}},
            'session.audio.output.format: expected object, got "g711_ulaw"; now {"type": "audio/pcmu"}',
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            f"session.tools[0].function: {BETA}; now name, description and parameters directly in the tool",
        ),
        (
            {"tools": [{"type": "function", "name": "f", "strict": True}]},
            "session.tools[0].strict: a name of the beta interface, gone without a successor",
        ),
        ({"instrutcions": "x"}, "session.instrutcions: unknown field"),
        ({"instructions": 3}, "session.instructions: expected string, got 3"),
        ({"output_modalities": "text"}, 'session.output_modalities: expected list, got "text"'),
        ({"output_modalities": ["texts"]}, 'session.output_modalities[0]: expected "text" or "audio", got "texts"'),
        ({"audio": {"output": {"speed": 2}}}, "session.audio.output.speed: must be between 0.25 and 1.5, is 2"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1000}}}},
            "session.audio.input.turn_detection.idle_timeout_ms: must be between 5000 and 30000, is 1000",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
            "session.audio.input.turn_detection.threshold: unknown field",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "vad"}}}},
            'session.audio.input.turn_detection.type: expected "server_vad" or "semantic_vad", got "vad"',
        ),
        ({"max_output_tokens": 0}, "session.max_output_tokens: must be at least 1, is 0"),
        ({"expires_at": 1}, "session.expires_at: written by the service, not sent to it"),
        (
            {"model": "gpt-live-1"},
            'session.model: "gpt-live-1" belongs to another API (Live), which rtcli does not speak',
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_present_form(fields: dict[str, Any], finding: str) -> None:
    assert lines(check_session({"type": "realtime", **fields})) == [finding]


@pytest.mark.parametrize(
    ("session", "finding"),
    [
        ([], "session: expected object, got a list"),
        ({}, "session.type: missing"),
        ({"type": "conversation"}, 'session.type: expected "realtime" or "transcription", got "conversation"'),
        ({"type": "transcription", "model": "gpt-transcribe"}, "session.model: unknown field"),
        (
            {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-live-transcribe"},
                                                          "turn_detection": {"type": "server_vad"}}}},
            "session.audio.input.turn_detection: must be null with gpt-live-transcribe",
        ),
    ],
)  # fmt: skip
def test_a_session_of_no_or_the_wrong_kind_is_found(session: Any, finding: str) -> None:
    assert lines(check_session(session)) == [finding]


def test_what_the_service_answers_is_told_apart_from_what_one_sends() -> None:
    answered = {"type": "realtime", **dict.fromkeys(READ_ONLY, "x")}
    assert {finding.problem for finding in check_session(answered)} == {"written by the service, not sent to it"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "event_id": "e", "session": {"type": "realtime", "instructions": "Be brief."}},
        {"type": "response.create"},
        {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "item_1"}],
                                                 "conversation": "none", "metadata": {"a": "b"}}},
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user",
                                                      "content": [{"type": "input_text", "text": "hi"}]}},
        {"type": "conversation.item.create", "previous_item_id": "root",
         "item": {"type": "function_call_output", "call_id": "c", "output": ""}},
        {"type": "input_audio_buffer.commit"},
        {"type": "output_audio_buffer.clear"},
    ],
)  # fmt: skip
def test_an_event_the_service_takes_has_no_findings(event: dict[str, Any]) -> None:
    assert lines(check_event(event)) == []


@pytest.mark.parametrize(
    ("event", "findings"),
    [
        (3, ["event: expected object, got 3"]),
        ({}, ["type: missing"]),
        ({"type": None}, ["type: expected string, got null"]),
        ({"type": "sesion.update"}, ['type: unknown event "sesion.update"']),
        (
            {"type": OLD_EVENT, "session": {}},
            [f'type: unknown event "{OLD_EVENT}"; now session.update with session.type "transcription"'],
        ),
        ({"type": "session.update"}, ["session: missing"]),
        ({"type": "session.update", "session": {"voice": "marin"}}, ["session.type: missing"]),
        ({"type": "response.cancel", "id": "x"}, ["id: unknown field"]),
        ({"type": "response.cancel", "event_id": 5}, ["event_id: expected string, got 5"]),
        ({"type": "response.cancel", "event_id": "x" * 513}, ["event_id: longer than 512 characters"]),
        (
            {"type": "response.create", "response": {"modalities": ["text"], "temperature": 1}},
            [
                "response.modalities: a name of the beta interface; now output_modalities",
                "response.temperature: a name of the beta interface, gone without a successor",
            ],
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user",
                                                          "content": [{"type": "text", "text": "x"}]}},
            [f'item.content[0].type: expected {USER_CONTENT}, got "text"; now input_text'],
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant",
                                                          "content": [{"type": "text", "text": "x"}]}},
            ['item.content[0].type: expected "output_text" or "output_audio", got "text"; now output_text'],
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "content": []}},
            ['item.role: expected "system" or "user" or "assistant", got nothing'],
        ),
    ],
)  # fmt: skip
def test_a_wrong_event_says_where_and_what(event: Any, findings: list[str]) -> None:
    assert lines(check_event(event)) == findings


leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
keys = st.sampled_from(
    ["type", "a\x1b", "session", "item", "content", "role", "audio", "input", "tools", "response", "x"]
)
words = st.sampled_from(
    ["session.update", "response.create", "conversation.item.create", "realtime", "message", "user"]
)


@given(st.recursive(leaf | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner)))
def test_checking_never_raises(value: Any) -> None:
    for finding in (*check_event(value), *check_session(value)):
        assert str(finding).isprintable()
