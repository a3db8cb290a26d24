"""On a terminal the user is asked before the model's call runs a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import start
from tests.terminal.tmux import Terminal, is_required, missing


SCHEMA = {"name": "get_weather", "description": "weather in a city", "parameters": {"type": "object"}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = start("sandbox", "--engine", "scripted", "--port", "0", home=tmp_path_factory.mktemp("sandbox"))
    assert process.stdout is not None
    yield process.stdout.readline().decode().strip()
    process.kill()
    process.communicate()


@pytest.fixture
def terminal(url: str) -> Iterator[Terminal]:
    if lacking := missing():
        if is_required():
            pytest.fail(f"the question's tests need {lacking}")
        pytest.skip(f"NOT RUN: the question's tests need {lacking}")
    with Terminal(80, 24, env={"OPENAI_BASE_URL": url}) as terminal:
        program = Path(terminal.home) / "weather"
        program.write_text(f"#!/bin/sh\ntouch {terminal.home}/ran\necho sunny\n")
        program.chmod(0o700)
        (terminal.home / "weather.json").write_text(json.dumps(SCHEMA))
        yield terminal


def test_in_talk_the_next_line_is_the_answer_and_only_y_runs_the_tool(terminal: Terminal) -> None:
    terminal.line(f"rtcli talk --text --input none --output none --tool {terminal.home}/weather")
    terminal.wait_for(lambda screen: screen[-1].startswith("ready"))
    terminal.line("What is the weather in Paris?")
    terminal.wait_for("run weather with")
    terminal.line("n")
    terminal.wait_for("warning: the user did not allow get_weather")
    assert not (terminal.home / "ran").exists()
    terminal.line("What is the weather in Rome?")
    terminal.wait_for(lambda screen: "".join(screen).count("run weather with") == 2)
    terminal.line("y")
    terminal.wait_for(lambda screen: (terminal.home / "ran").exists())


def test_send_asks_on_its_terminal(terminal: Terminal) -> None:
    terminal.line(f"rtcli send --tool {terminal.home}/weather 'What is the weather in Paris?'; echo \"status=$?\"")
    terminal.wait_for("[y/N]")
    terminal.line("y")
    terminal.wait_for("status=0")
    assert (terminal.home / "ran").exists()
