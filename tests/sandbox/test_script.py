"""Scripts: what they say comes out, call after call, and a wrong one is told in one line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from rtcli.errors import UsageError
from rtcli.sandbox.engine.base import (
    AnyEvent,
    Failed,
    Filtered,
    FunctionCall,
    McpCall,
    McpQuestion,
    Piece,
    Prompt,
    Turn,
)
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.script import Script, ScriptEngine, parse, read


SCRIPT = b"""
heard = ["first", "second"]
[[answers]]
to = "What is the weather?"
steps = [ { wait_ms = 300 }, { call = "get_weather", arguments = { city = "Oslo" } } ]
[[answers]]
steps = [ { say = "One." } ]
[[answers]]
steps = [ { say = "Two." }, { fail = "No credit.", code = "insufficient_quota", type = "insufficient_quota" } ]
[mcp.docs]
tools = [ { name = "search" } ]
"""


class Stage:
    """An engine of one call, and how long its waits were."""

    def __init__(self, script: Script) -> None:
        self.waits: list[float] = []
        self.engine = ScriptEngine(script, ScriptedEngine(heard=["beneath"]), sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def answer(self, said: str) -> list[Piece]:
        async def whole() -> list[Piece]:
            return [piece async for piece in self.engine.reply(Prompt("", [Turn("user", said)]))]

        return asyncio.run(whole())


def steps(*these: str) -> Script:
    return parse(f"answers = [{{ steps = [{', '.join(these)}] }}]".encode())


def test_an_answer_with_to_serves_every_time_and_others_once_in_their_order() -> None:
    stage = Stage(parse(SCRIPT))
    weather = [FunctionCall("get_weather", {"city": "Oslo"})]
    assert stage.answer("what is the weather") == weather
    assert stage.answer("anything") == ["One."]
    assert stage.answer("  What is  the Weather!") == weather
    assert stage.answer("anything") == ["Two.", Failed("No credit.", "insufficient_quota", "insufficient_quota")]
    assert stage.waits == [0.3, 0.3]


def test_what_the_script_does_not_say_is_the_engines() -> None:
    stage = Stage(parse(b'heard = ["first"]'))
    assert asyncio.run(stage.engine.transcribe(b"")) == "first"
    assert asyncio.run(stage.engine.transcribe(b"")) == "beneath"
    assert stage.answer("what is two plus three") != []


def test_an_utterance_with_a_pause_in_it_uses_up_one_line_only() -> None:
    engine = Stage(parse(b'heard = ["first", "second"]')).engine
    assert asyncio.run(engine.transcribe(b"")) == "first"
    engine.unhear("first")
    assert asyncio.run(engine.transcribe(b"")) == "first"
    assert asyncio.run(engine.transcribe(b"")) == "second"
    assert asyncio.run(engine.transcribe(b"")) == "beneath"
    engine.unhear("beneath")
    assert asyncio.run(engine.transcribe(b"")) != "beneath"


def test_every_call_begins_at_the_beginning() -> None:
    script = parse(SCRIPT)
    assert [Stage(script).answer("x") for _ in range(2)] == [["One."], ["One."]]


def test_each_step_becomes_a_piece() -> None:
    stage = Stage(
        steps(
            '{ mcp = "docs", tool = "search", arguments = { q = 1 }, output = "3" }',
            '{ mcp = "docs", tool = "search", error = "gone" }',
            '{ ask = "docs", tool = "search" }',
            '{ event = { type = "something.new" } }',
            "{ filter = true }",
        )
    )
    assert stage.answer("x") == [
        McpCall("docs", "search", {"q": 1}, "3", None),
        McpCall("docs", "search", {}, None, "gone"),
        McpQuestion("docs", "search", {}),
        AnyEvent({"type": "something.new"}),
        Filtered(),
    ]


def test_json_is_taken_as_well(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"heard": ["x"], "answers": [{"to": "A.", "steps": [{"say": "B."}]}]}))
    assert Stage(read(file)).answer("a") == ["B."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("answers = 3", "answers"),
        ("answers = [{ steps = [{ shout = 'x' }] }]", "answers[0].steps[0]"),
        ("answers = [{ steps = [{ say = 3 }] }]", "answers[0].steps[0].say"),
        ("answers = [{ steps = [{ say = 'a', wait_ms = 1 }] }]", "answers[0].steps[0]"),
        ("anwsers = []", "anwsers"),
        ("[", "neither TOML nor JSON"),
        ("{", "neither TOML nor JSON"),
    ],
)
def test_a_wrong_script_is_one_line_that_names_the_place(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text.encode(), "s.toml")
    assert words in str(refused.value)
    assert str(refused.value).startswith("s.toml")
    assert "\n" not in str(refused.value)


def test_a_script_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can not be read"):
        read(tmp_path / "none.toml")
