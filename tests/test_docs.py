"""What the README and the help tell a user to type is typed here, as it stands, against the offline stand-in."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from rtcli.cli import app
from tests.program import environment, start


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- run -->\n```console\n(.*?)```", README, re.DOTALL)
QUESTION = ROOT / "rtcli/sandbox/engine/sample_question.wav"
SAY = '{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}'
EVENTS = f'{{"type":"conversation.item.create","item":{SAY}}}\n{{"type":"response.create"}}\n'
WEATHER = {
    "name": "get_weather",
    "description": "weather in a city",
    "parameters": {"type": "object", "properties": {}},
}


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = start("sandbox", "--engine", "scripted", "--port", "0", home=tmp_path_factory.mktemp("sandbox"))
    assert running.stdout is not None
    try:
        yield running.stdout.readline().decode().strip()
    finally:
        running.kill()
        running.communicate()


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user would be: rtcli on the path, and the files that the examples speak of."""
    commands = tmp_path / "bin"
    commands.mkdir()
    program(commands / "rtcli", f'#!/bin/sh\nexec {sys.executable} -c "from rtcli.cli import main; main()" "$@"\n')
    program(commands / "generate", f"#!/bin/sh\ncat <<'END'\n{EVENTS}END\n")
    (tmp_path / "events.ndjson").write_text(EVENTS)
    program(tmp_path / "weather", "#!/bin/sh\necho sunny\n")
    (tmp_path / "weather.json").write_text(json.dumps(WEATHER))
    return tmp_path


def test_there_are_examples_to_run() -> None:
    assert len(BLOCKS) >= 5


needs_a_shell = pytest.mark.skipif(
    not os.environ.get("RTCLI_REQUIRE_ALL") and (shutil.which("jq") is None or shutil.which("bash") is None),
    reason="jq or bash is not installed",
)


def run_in_shell(lines: str, folder: Path, base_url: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder, RTCLI_BASE_URL=base_url, PYTHONPATH=str(ROOT))
    env["PATH"] = f"{folder / 'bin'}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", lines],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@needs_a_shell
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][2:40])
def test_an_example_of_the_readme_works_as_it_stands(block: str, folder: Path, base_url: str) -> None:
    lines = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    done = run_in_shell("\n".join(lines), folder, base_url)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^(rtcli|warning|error):|Traceback", done.stderr, re.MULTILINE), done.stderr


def _examples() -> list[str]:
    """Each command line that some help shows."""
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    helps = [command.help or "" for command in group.commands.values()]
    lines = [line.strip() for text in helps for line in text.splitlines()]
    return [line for line in lines if re.match(r"(\w.* \| )?rtcli \w", line)]


ENDLESS = re.compile(
    r"rtcli (talk|talk --input \"USB\".*|tail|tail --(type|json|call|since) .*|serve .*|sandbox.*|calls hangup.*)"
    r"|rtcli send .*--(call|live|base-url) .*"
)
"""Examples that follow something, wait for a user, or are about a call or a service that is there already."""
ENDING = [line for line in _examples() if not ENDLESS.fullmatch(line)]


@needs_a_shell
@pytest.mark.parametrize("line", ENDING)
def test_an_example_of_the_help_that_ends_by_itself_works_as_it_stands(line: str, folder: Path, base_url: str) -> None:
    shutil.copy(QUESTION, folder / "question.wav")
    (folder / "recording").mkdir()
    shutil.copy(folder / "events.ndjson", folder / "recording")
    done = run_in_shell(line, folder, base_url)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", _examples())
def test_an_example_of_the_help_is_understood(line: str) -> None:
    words = shlex.split(line[line.index("rtcli ") :].partition(" | ")[0])
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    command: object = group
    arguments = words[1:]
    while isinstance(command, typer.core.TyperGroup) and arguments and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]
    assert isinstance(command, (typer.core.TyperCommand, typer.core.TyperGroup))
    assert command is not group, line
    with command.make_context("rtcli", arguments):
        pass


def test_each_example_of_the_help_is_a_paragraph_because_typer_joins_neighbours() -> None:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for command in group.commands.values():
        for paragraph in (command.help or "").split("\n\n"):
            assert len(re.findall(r"^ *(?:\w.* \| )?rtcli \w", paragraph, re.MULTILINE)) <= 1, paragraph
