"""The session object from what the user chose."""

from __future__ import annotations

from typing import Any

import pytest

from rtcli.errors import UsageError
from rtcli.protocol.check import check_session
from rtcli.protocol.session_config import (
    SessionOptions,
    build_session,
    merge,
    parse_override,
    session_changes,
    turn_detection,
    value_at,
    with_value,
)


def test_without_choices_a_session_names_model_voice_and_transcriber_only() -> None:
    session = build_session(SessionOptions())
    assert session == {
        "type": "realtime",
        "model": "gpt-realtime-2",
        "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}, "output": {"voice": "marin"}},
    }
    assert check_session(session) == ()


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        (SessionOptions(model="m"), "model", "m"),
        (SessionOptions(voice="cedar"), "audio.output.voice", "cedar"),
        (SessionOptions(instructions=""), "instructions", ""),
        (SessionOptions(text=True), "output_modalities", ["text"]),
        (SessionOptions(text=True), "audio.output", None),
        (SessionOptions(vad="server"), "audio.input.turn_detection", {"type": "server_vad"}),
        (SessionOptions(vad="semantic"), "audio.input.turn_detection", {"type": "semantic_vad"}),
        (SessionOptions(eagerness="high"), "audio.input.turn_detection", {"type": "semantic_vad", "eagerness": "high"}),
        (SessionOptions(vad_threshold=0.0), "audio.input.turn_detection", {"type": "server_vad", "threshold": 0.0}),
        (
            SessionOptions(vad="server", vad_silence_ms=700, interrupt=False),
            "audio.input.turn_detection",
            {"type": "server_vad", "silence_duration_ms": 700, "interrupt_response": False},
        ),
        (SessionOptions(noise_reduction="far"), "audio.input.noise_reduction", {"type": "far_field"}),
        (SessionOptions(transcribe="whisper-1"), "audio.input.transcription.model", "whisper-1"),
        (SessionOptions(language="de"), "audio.input.transcription", {"model": "gpt-transcribe", "language": "de"}),
        (SessionOptions(tools=({"type": "function", "name": "f"},)), "tools[0].name", "f"),
        (SessionOptions(overrides=(("audio.output.speed", 1.2),)), "audio.output.speed", 1.2),
        (SessionOptions(voice="a", overrides=(("audio.output.voice", "b"),)), "audio.output.voice", "b"),
    ],
)
def test_a_choice_stands_where_the_service_reads_it(options: SessionOptions, path: str, value: Any) -> None:
    session = build_session(options)
    assert value_at(session, path) == value
    assert check_session(session) == ()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (SessionOptions(vad="off"), "turn_detection"),
        (SessionOptions(noise_reduction="off"), "noise_reduction"),
        (SessionOptions(transcribe="off"), "transcription"),
        (SessionOptions(transcribe="gpt-live-transcribe"), "turn_detection"),
    ],
)
def test_off_is_null_and_not_absence(options: SessionOptions, field: str) -> None:
    assert build_session(options)["audio"]["input"][field] is None


def test_a_transcription_session_has_no_model_of_its_own() -> None:
    session = build_session(SessionOptions(transcription=True, vad="server", language="en"))
    assert session == {
        "type": "transcription",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-transcribe", "language": "en"},
                "turn_detection": {"type": "server_vad"},
            }
        },
    }
    assert check_session(session) == ()


def test_a_whole_session_gets_type_and_model_and_nothing_else() -> None:
    assert build_session(SessionOptions(whole={"instructions": "x"})) == {
        "type": "realtime",
        "model": "gpt-realtime-2",
        "instructions": "x",
    }
    given = {"type": "transcription", "audio": {"input": {}}}
    assert build_session(SessionOptions(whole=given)) == given


def test_options_win_over_a_whole_session() -> None:
    whole = {
        "type": "realtime",
        "model": "a",
        "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}, "output": {"speed": 1}},
    }
    session = build_session(SessionOptions(whole=whole, model="b", voice="ash", vad="server", vad_silence_ms=300))
    assert session["model"] == "b"
    assert session["audio"]["output"] == {"speed": 1, "voice": "ash"}
    # Another kind of turn detection replaces: a semantic one with a silence would be refused.
    assert session["audio"]["input"]["turn_detection"] == {"type": "server_vad", "silence_duration_ms": 300}
    kept = build_session(SessionOptions(whole=whole, interrupt=False))
    assert kept["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "interrupt_response": False,
    }
    assert whole["model"] == "a", "the user's object stays as it was"


def test_a_session_made_elsewhere_gets_only_what_was_chosen() -> None:
    assert session_changes(SessionOptions()) is None
    assert session_changes(SessionOptions(transcription=True)) is None
    assert session_changes(SessionOptions(voice="ash", overrides=(("instructions", "x"),))) == {
        "type": "realtime",
        "audio": {"output": {"voice": "ash"}},
        "instructions": "x",
    }
    with pytest.raises(UsageError, match="model"):
        session_changes(SessionOptions(model="m"))


@pytest.mark.parametrize(
    "options",
    [
        SessionOptions(vad="off", vad_threshold=0.3),
        SessionOptions(vad="off", interrupt=False),
        SessionOptions(vad="server", eagerness="low"),
        SessionOptions(vad="semantic", vad_silence_ms=300),
        SessionOptions(eagerness="low", vad_threshold=0.3),
        SessionOptions(transcribe="off", language="en"),
        SessionOptions(transcribe="gpt-live-transcribe", vad="server"),
        SessionOptions(transcription=True, voice="ash"),
        SessionOptions(transcription=True, model="gpt-transcribe"),
        SessionOptions(transcription=True, text=True),
    ],
)
def test_options_that_contradict_are_a_usage_error(options: SessionOptions) -> None:
    with pytest.raises(UsageError):
        build_session(options)


def test_who_finds_the_turns_can_be_read_from_a_session() -> None:
    assert turn_detection({"audio": {"input": {"turn_detection": None}}}) is False
    assert turn_detection({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}) is True
    assert turn_detection({"audio": {"input": {}}}) is None
    assert turn_detection({"audio": 3}) is None


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("audio.output.speed=1.2", ("audio.output.speed", 1.2)),
        ("tracing=null", ("tracing", None)),
        ('include=["a"]', ("include", ["a"])),
        ("audio.output.voice=cedar", ("audio.output.voice", "cedar")),
        ("instructions=a = b", ("instructions", "a = b")),
        ("instructions=", ("instructions", "")),
    ],
)
def test_an_override_is_a_path_and_json_or_a_bare_word(text: str, override: tuple[str, Any]) -> None:
    assert parse_override(text) == override


@pytest.mark.parametrize("text", ["speed", "=1", 'a={"b"', "a=[1", 'a="x'])
def test_a_broken_override_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_override(text)


def test_a_dotted_path_makes_the_objects_on_its_way_and_reaches_into_lists() -> None:
    target = {"a": {"b": 1}, "tools": [{"name": "f"}, {"name": "g"}]}
    assert with_value(target, "a.c.d", 2) == {**target, "a": {"b": 1, "c": {"d": 2}}}
    assert with_value(target, "tools.1.name", "h")["tools"] == [{"name": "f"}, {"name": "h"}]
    assert target["a"] == {"b": 1}


@pytest.mark.parametrize("path", ["", "a..b", "tools.2.name", "tools.x", "a.b.c", "tools.²"])
def test_a_path_that_leads_nowhere_is_a_usage_error(path: str) -> None:
    with pytest.raises(UsageError):
        with_value({"a": {"b": 1}, "tools": [{}]}, path, 1)


def test_merging_goes_field_by_field_and_null_wins() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": None}, "d": 3}) == {"a": {"b": 1, "c": None}, "d": 3}
