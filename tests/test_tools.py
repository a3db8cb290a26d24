"""Programs as function tools: their schemas, one run, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from rtcli import tools
from rtcli.errors import UsageError
from rtcli.tools import Tool, ToolFailed, environment, load, run


SCHEMA = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}


def program(folder: Path, body: str, name: str = "tool") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def tool(folder: Path, body: str) -> Tool:
    return Tool(program(folder, body), "get_weather", {})


def test_a_schema_stands_beside_the_program_or_the_program_prints_it(tmp_path: Path) -> None:
    beside = program(tmp_path, "exit 1", "one")
    (tmp_path / "one.json").write_text(json.dumps(SCHEMA))
    printing = program(
        tmp_path, f"echo '{json.dumps({'type': 'function', 'function': {**SCHEMA, 'name': 'two'}})}'", "two"
    )
    first, second = load([str(beside), str(printing)])
    assert first.schema == {"type": "function", **SCHEMA}
    assert second.name == "two"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("[]", "is no object"),
        ("{", "not JSON"),
        ('{"name":"a b"}', "the name"),
        ('{"name":"a","parameters":[]}', "JSON Schema"),
    ],
)
def test_a_bad_schema_is_a_usage_error_that_names_its_place(schema: str, told: str, tmp_path: Path) -> None:
    path = program(tmp_path, "exit 0")
    (tmp_path / "tool.json").write_text(schema)
    with pytest.raises(UsageError, match=told):
        load([str(path)])


def test_what_is_no_program_is_a_usage_error(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    silent = program(tmp_path, "exit 3", "silent")
    for path, told in ((tmp_path / "none", "no such file"), (plain, "not executable"), (silent, "--schema")):
        with pytest.raises(UsageError, match=told):
            load([str(path)])
    (tmp_path / "silent.json").write_text(json.dumps(SCHEMA))
    with pytest.raises(UsageError, match="two tools"):
        load([str(silent), str(silent)])


def test_arguments_go_in_and_what_is_printed_comes_out(tmp_path: Path) -> None:
    assert asyncio.run(run(tool(tmp_path, "cat; echo; echo done"), '{"city":"Paris"}')) == '{"city":"Paris"}\ndone'


def test_a_tool_that_does_not_read_its_arguments_answers_all_the_same(tmp_path: Path) -> None:
    assert asyncio.run(run(tool(tmp_path, "exec <&-; echo ok"), "x" * 300_000)) == "ok"


@pytest.mark.parametrize(
    ("body", "told"),
    [("echo oops; exit 3", "ended with status 3"), ("sleep 60", "took more than"), ("yes", "printed more than")],
)
def test_a_run_that_fails_says_how(body: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=told):
        asyncio.run(run(tool(tmp_path, body), "{}", limit=1.0 if "sleep" in body else 20.0))


def test_a_program_that_can_not_start_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_text("#!/nonexistent/interpreter\n")
    path.chmod(0o700)
    with pytest.raises(ToolFailed, match="can not be run"):
        asyncio.run(run(Tool(path, "x", {}), "{}"))


def test_a_cancelled_run_leaves_nothing_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    async def whole() -> None:
        body = f"sleep 60 & echo $! > {pids}.new; mv {pids}.new {pids}; wait"
        running = asyncio.create_task(run(tool(tmp_path, body), "{}"))
        async with asyncio.timeout(20):
            while not pids.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(whole())
    until = time.monotonic() + 10
    while Path(f"/proc/{pids.read_text().strip()}/cmdline").exists() and time.monotonic() < until:
        if not Path(f"/proc/{pids.read_text().strip()}/cmdline").read_bytes():
            break  # a zombie that init has not met yet
        time.sleep(0.01)
    else:
        assert time.monotonic() < until


def test_a_tool_gets_no_key_by_name_or_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "OPENAI_API_KEY": "sk-1",
        "RTCLI_EPHEMERAL_KEY": "ek_1",
        "COPY": "sk-1",
        "WEATHER_API_KEY": "w",
        "PATH": "p",
    }
    assert environment(given) == {"WEATHER_API_KEY": "w", "PATH": "p"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert "very-secret" not in asyncio.run(run(tool(tmp_path, "env"), "{}"))
    assert os.environ["OPENAI_API_KEY"]
    assert json.loads(tools.failure('a"b')) == {"error": 'a"b'}
