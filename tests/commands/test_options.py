"""From a command line to the session that is sent."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from rtcli.commands.options import Session, Way
from rtcli.commands.session import one_reader, wish_of
from rtcli.errors import UsageError
from rtcli.protocol.session_config import SessionOptions, build_session
from rtcli.sessions import changes_for, session_for, speaks_of_session
from rtcli.settings import Settings, resolve
from tests.program import rtcli


Line = dict[str, Any]
"""Fields of the option group, as the command line fills them."""


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    def settings(line: Line, config: str = "", **environ: str) -> Settings:
        file = tmp_path / "config.toml"
        file.write_text(config, encoding="utf-8")
        return resolve(Session(**line).flags(), environ=environ, config_file=file)

    return settings


@pytest.fixture
def sent(settings_of: Callable[..., Settings]) -> Callable[..., Any]:
    """The session a call is opened with."""

    def session(line: Line, config: str = "", *, prefers_text: bool = False, **environ: str) -> Any:
        return session_for(settings_of(line, config, **environ), wish_of(Session(**line), prefers_text=prefers_text))

    return session


@pytest.fixture
def changed(settings_of: Callable[..., Settings]) -> Callable[..., Any]:
    """What is asked of a session that was made elsewhere."""

    def changes(line: Line, config: str = "", *, prefers_text: bool = False) -> Any:
        return changes_for(settings_of(line, config), wish_of(Session(**line), prefers_text=prefers_text))

    return changes


def test_without_a_wish_it_is_the_default_session(sent: Callable[..., Any]) -> None:
    assert sent({}) == build_session(SessionOptions())


@pytest.mark.parametrize(
    ("line", "path", "value"),
    [
        ({"model": "gpt-realtime"}, "model", "gpt-realtime"),
        ({"voice": "cedar"}, "audio.output.voice", "cedar"),
        ({"instructions": "Be brief."}, "instructions", "Be brief."),
        ({"text": True}, "output_modalities", ["text"]),
        ({"overrides": ["audio.output.speed=1.2"]}, "audio.output.speed", 1.2),
        ({"overrides": ["tool_choice=none"]}, "tool_choice", "none"),
        ({"vad": "off"}, "audio.input.turn_detection", None),
        ({"vad": "semantic", "eagerness": "low"}, "audio.input.turn_detection.eagerness", "low"),
        ({"vad_threshold": 0.7}, "audio.input.turn_detection.threshold", 0.7),
        ({"vad_silence_ms": 300}, "audio.input.turn_detection.silence_duration_ms", 300),
        ({"no_interrupt": True}, "audio.input.turn_detection.interrupt_response", False),
        ({"noise_reduction": "far"}, "audio.input.noise_reduction.type", "far_field"),
        ({"transcribe": "whisper-1"}, "audio.input.transcription.model", "whisper-1"),
        ({"transcribe": "off"}, "audio.input.transcription", None),
        ({"language": "de"}, "audio.input.transcription.language", "de"),
    ],
)
def test_each_option_has_its_place_in_the_session(
    sent: Callable[..., Any], line: Line, path: str, value: object
) -> None:
    found: Any = sent(line)
    for step in path.split("."):
        found = found[step]
    assert found == value


def test_a_flag_wins_against_a_variable_and_that_against_the_file(sent: Callable[..., Any]) -> None:
    config = 'voice = "ash"\nmodel = "gpt-realtime-mini"'
    session = sent({"voice": "cedar"}, config, RTCLI_MODEL="gpt-realtime-1.5", RTCLI_VOICE="sage")
    assert (session["audio"]["output"]["voice"], session["model"]) == ("cedar", "gpt-realtime-1.5")


def test_instructions_can_stand_in_a_file(sent: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "pirate.txt"
    file.write_text("\ufeffSpeak like a pirate.\n", encoding="utf-8")
    assert sent({"instructions": f"@{file}"})["instructions"] == "Speak like a pirate."
    with pytest.raises(UsageError, match=r"absent\.txt"):
        sent({"instructions": f"@{tmp_path}/absent.txt"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("session.json", '{"type": "realtime", "audio": {"output": {"voice": "ash"}}}'),
        ("session.toml", 'type = "realtime"\n[audio.output]\nvoice = "ash"'),
        ("session", '\ufeff {"session": {"type": "realtime", "audio": {"output": {"voice": "ash"}}}}'),
        ("other", '[audio.output]\nvoice = "ash"'),
    ],
)
def test_a_whole_session_is_taken_as_it_is_and_options_win(
    sent: Callable[..., Any], tmp_path: Path, name: str, text: str
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    config = 'voice = "sage"\nmodel = "gpt-realtime-mini"\ninstructions = "Be long."'
    assert sent({"session_file": str(file)}, config) == {
        "type": "realtime",
        "model": "gpt-realtime-mini",
        "audio": {"output": {"voice": "ash"}},
    }
    assert sent({"session_file": str(file), "voice": "cedar"})["audio"]["output"]["voice"] == "cedar"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "[1]", "a list"),
        ("a.toml", "=", "not TOML"),
        ("a.toml", "expires = 2026-01-31", "a date"),
        ("a.json", '{"type":"realtime","turn_detection":{}}', "now audio.input.turn_detection"),
        ("a.json", '{"type":"realtime","nonsense":1}', "unknown field"),
    ],
)
def test_a_file_that_is_no_session_is_refused_with_the_reason(
    sent: Callable[..., Any], tmp_path: Path, name: str, text: str, says: str
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        sent({"session_file": str(file)})


def test_a_session_can_come_from_standard_input(sent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"type":"realtime","instructions":"Hi."}')))
    assert sent({"session_file": "-"})["instructions"] == "Hi."


def test_every_wrong_field_is_named_and_force_sends_it_anyway(sent: Callable[..., Any]) -> None:
    wrong = ["temperature=0.8", "voice=x", "audio.output.speed=9"]
    with pytest.raises(UsageError) as refused:
        sent({"overrides": wrong})
    for part in ("session.temperature", "now audio.output.voice", "between 0.25 and 1.5", "--force"):
        assert part in str(refused.value)
    assert sent({"overrides": wrong, "force": True})["temperature"] == 0.8


@pytest.mark.parametrize("line", [{"model": "gpt-live-1"}, {"overrides": ["model=gpt-live-1"], "force": True}])
def test_a_model_of_the_other_api_is_refused_whatever_is_forced(sent: Callable[..., Any], line: Line) -> None:
    with pytest.raises(UsageError, match="another API"):
        sent(line)


def test_a_transcription_session_ignores_what_the_file_says_of_conversations(sent: Callable[..., Any]) -> None:
    session = sent({"transcription": True}, 'voice = "ash"\nmodel = "gpt-realtime"\ninstructions = "x"\ntext = true')
    assert session == {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
    with pytest.raises(UsageError, match="--voice"):
        sent({"transcription": True, "voice": "ash"})


def test_a_command_about_text_gets_text_unless_somebody_says_otherwise(sent: Callable[..., Any]) -> None:
    audio = 'output_modalities=["audio"]'
    assert sent({}, prefers_text=True)["output_modalities"] == ["text"]
    assert sent({"overrides": [audio]}, prefers_text=True)["output_modalities"] == ["audio"]
    assert "output_modalities" not in sent({}, "text = false", prefers_text=True)
    assert "output_modalities" not in sent({"transcription": True}, prefers_text=True)


def test_of_a_session_made_elsewhere_only_what_was_said_is_changed(changed: Callable[..., Any]) -> None:
    assert changed({}) is None
    assert changed({"voice": "cedar"}) == {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
    assert changed({}, prefers_text=True) == {"type": "realtime", "output_modalities": ["text"]}


@pytest.mark.parametrize("line", [{"model": "gpt-realtime"}, {"overrides": ["model=gpt-realtime"]}])
def test_the_model_of_a_session_made_elsewhere_can_not_be_changed(changed: Callable[..., Any], line: Line) -> None:
    with pytest.raises(UsageError, match="model"):
        changed(line)


def test_a_configured_voice_is_no_wish_of_the_command_line(settings_of: Callable[..., Settings]) -> None:
    assert not speaks_of_session(settings_of({}, 'voice = "ash"'))
    assert speaks_of_session(settings_of({"language": "de"}))
    assert speaks_of_session(settings_of({}), wish_of(Session(overrides=["tools=[]"])))


def test_standard_input_has_one_reader() -> None:
    assert one_reader(Way(), Session()) is False
    assert one_reader(Way(token_stdin=True), Session()) is True
    for way, session, more in (
        (Way(token_stdin=True), Session(session_file="-"), {}),
        (Way(token_stdin=True), Session(), {"-": True}),
        (Way(), Session(session_file="-"), {"-": True}),
    ):
        with pytest.raises(UsageError, match="one reader"):
            one_reader(way, session, **more)


def test_rare_options_show_with_help_all_only(tmp_path: Path) -> None:
    short = rtcli("send", "--help", home=tmp_path).out
    whole = rtcli("send", "--help-all", home=tmp_path).out
    for option in ("--session FILE", "--set PATH=VALUE", "--vad KIND", "RTCLI_VOICE"):
        assert option in short
    for option in ("--eagerness LEVEL", "--vad-threshold 0..1", "--transcription", "--force"):
        assert option not in short
        assert option in whole


def test_help_names_what_is_taken_and_no_types() -> None:
    from rtcli.cli import app

    def helps(command: Any, context: Any) -> Iterator[str]:
        for parameter in command.params:
            parameter.hidden = False
        yield command.get_help(context)
        for name, each in getattr(command, "commands", {}).items():
            yield from helps(each, typer.Context(each, info_name=name, parent=context))

    command = typer.main.get_command(app)
    shown = list(helps(command, typer.Context(command, info_name="rtcli")))
    assert len(shown) > 15
    assert any("TEXT  What to say" in text for text in shown)
    assert any("--on-eof wait|hangup|stay" in text for text in shown)
    assert [found for text in shown for found in re.findall(r"<[^\s=]+>", text)] == []


def test_the_session_goes_to_the_service_as_the_options_say(tmp_path: Path) -> None:
    """From the command line to the wire, once."""
    from tests.services import OpenAi

    file = tmp_path / "session.toml"
    file.write_text('instructions = "Be brief."\n[audio.input.turn_detection]\ntype = "semantic_vad"', encoding="utf-8")
    with OpenAi() as service:
        done = rtcli(
            *("token", "--base-url", f"{service.url}/v1", "--json"),
            *("--session", str(file), "--no-interrupt"),
            home=tmp_path,
        )
    assert json.loads(done.out)["value"] == "ek_minted"
    assert service.asked[0].document["session"] == {
        "type": "realtime",
        "model": "gpt-realtime-2",
        "instructions": "Be brief.",
        "audio": {"input": {"turn_detection": {"type": "semantic_vad", "interrupt_response": False}}},
    }
