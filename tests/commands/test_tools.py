"""`--tool FILE`: the model calls a program, and the program's output is in the answer."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from tests.program import ready_call, rtcli, start


SCHEMA = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK = "What is the weather in Paris?"


def weather(folder: Path, body: str) -> str:
    path = folder / "weather"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    (folder / "weather.json").write_text(json.dumps(SCHEMA))
    return str(path)


def test_a_tool_answers_the_model_and_the_model_the_user(tmp_path: Path, base_url: str) -> None:
    path = weather(tmp_path, 'cat > "$0.arguments"; echo \'{"weather": "rainy"}\'')
    done = rtcli(
        "send", ASK, "--tool", path, "--json", "--until", "response.done", home=tmp_path,
        env={"RTCLI_BASE_URL": base_url},
    )  # fmt: skip
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    types = [line["type"] for line in lines]
    assert "rtcli.tool" in types
    outputs = [line["item"] for line in lines if line.get("item", {}).get("type") == "function_call_output"]
    assert outputs[0]["output"] == '{"weather": "rainy"}'
    creates = [line for line in lines if line["type"] == "response.create"]
    assert len(creates) == 2
    assert types.count("response.done") == 2


def test_several_calls_of_one_response_are_all_answered_before_one_more_is_asked_for(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(
        """
        [[answers]]
        to = "two cities"
        steps = [
          { call = "get_weather", arguments = { city = "Oslo" } },
          { call = "get_weather", arguments = { city = "Rome" } },
        ]

        [[answers]]
        steps = [{ say = "Both are sunny." }]
        """
    )
    path = weather(tmp_path, 'said=$(cat); case "$said" in *Oslo*) sleep 0.5;; esac; echo "$said"')
    sandbox = start("sandbox", "--script", str(script), "--engine", "scripted", "--port", "0", home=tmp_path)
    assert sandbox.stdout is not None
    try:
        base_url = sandbox.stdout.readline().decode().strip()
        done = rtcli(
            "send", "two cities", "--tool", path, "--json", "--yes-tools", "--base-url", base_url, home=tmp_path
        )
    finally:
        sandbox.kill()
        sandbox.communicate()
    assert done.status == 0, done.err
    sent = [line for line in map(json.loads, done.out.splitlines()) if line["_rt"]["dir"] == "out"]
    assert [line["type"] for line in sent] == [
        "conversation.item.create",
        "response.create",
        "conversation.item.create",
        "conversation.item.create",
        "response.create",
    ]
    assert sorted(json.loads(line["item"]["output"])["city"] for line in sent[2:4]) == ["Oslo", "Rome"]
    assert '"text":"Both are sunny."' in done.out


def test_a_tool_that_fails_is_told_in_one_line_and_to_the_model(tmp_path: Path, base_url: str) -> None:
    path = weather(tmp_path, "exit 3")
    done = rtcli("send", ASK, "--tool", path, home=tmp_path, env={"RTCLI_BASE_URL": base_url})
    assert done.status == 0, done.err
    assert done.err.splitlines() == ["warning: get_weather ended with status 3"]
    assert done.out.strip()


def test_talk_in_a_pipe_answers_functions_too(tmp_path: Path, base_url: str) -> None:
    path = weather(tmp_path, "echo sunny")
    done = rtcli(
        "talk", "--text", "--input", "none", "--output", "none", "--tool", path, "--json",
        home=tmp_path, stdin=f"{ASK}\n", env={"RTCLI_BASE_URL": base_url},
    )  # fmt: skip
    assert done.status == 0, done.err
    assert '"output":"sunny"' in done.out


def test_a_bad_tool_is_a_usage_error_before_any_call(tmp_path: Path) -> None:
    done = rtcli("send", "hi", "--tool", str(tmp_path / "none"), home=tmp_path)
    assert done.status == 2
    assert "no such file" in done.err


def test_a_tool_is_killed_with_its_call(tmp_path: Path, base_url: str) -> None:
    path = weather(tmp_path, f"sleep 600 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait")
    running = start("send", ASK, "--tool", path, "--base-url", base_url, home=tmp_path)
    pid = tmp_path / "pid"
    try:
        until = time.monotonic() + 30
        while not pid.exists() and time.monotonic() < until:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    command = Path(f"/proc/{pid.read_text().strip()}/cmdline")
    until = time.monotonic() + 10
    while command.exists() and command.read_bytes() and time.monotonic() < until:  # a zombie's is empty
        time.sleep(0.02)
    assert not command.exists() or not command.read_bytes()


def test_in_a_call_that_is_up_a_tool_answers_the_function_of_its_session(tmp_path: Path, base_url: str) -> None:
    path = weather(tmp_path, 'cat > "$0.arguments"; echo \'{"weather": "rainy"}\'')
    update = {"type": "session.update", "session": {"type": "realtime", "tools": [{"type": "function", **SCHEMA}]}}
    with ready_call("talk", "--base-url", base_url, "--text", home=tmp_path):
        assert rtcli("send", "--live", "-e", json.dumps(update), home=tmp_path).status == 0
        (call,) = json.loads(rtcli("calls", "--json", home=tmp_path).out)
        for joined in (("--live",), ("--call", call["call_id"], "--base-url", base_url)):
            done = rtcli("send", *joined, ASK, "--tool", path, "--json", home=tmp_path)
            assert done.status == 0, done.err
            lines = [json.loads(line) for line in done.out.splitlines()]
            types = [line["type"] for line in lines]
            outputs = [line["item"] for line in lines if line.get("item", {}).get("type") == "function_call_output"]
            assert outputs[0]["output"] == '{"weather": "rainy"}'
            assert (types.count("response.create"), types.count("response.done")) == (2, 2)
