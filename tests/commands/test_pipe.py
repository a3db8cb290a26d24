"""`talk --json --stdin events` and `send - --json` as a pipe, with what a pipe may bring and how it may break."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.program import rtcli, start


TALK = ("talk", "--text", "--input", "none", "--output", "none", "--json", "--stdin", "events")
SEND = ("send", "-", "--json")
PIPES = pytest.mark.parametrize("command", [TALK, SEND], ids=["talk", "send"])


def say(text: str) -> bytes:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return json.dumps({"type": "conversation.item.create", "item": item}, ensure_ascii=False).encode()


ASK = b'{"type":"response.create"}'


def piped(command: tuple[str, ...], home: Path, base_url: str, written: bytes) -> tuple[int, list[dict[str, Any]], str]:
    source = home / "input"
    source.write_bytes(written)
    with source.open("rb") as file:
        done = rtcli(*command, "--base-url", base_url, home=home, stdin=file)
    return done.status, [json.loads(line) for line in done.out.splitlines()], done.err


def texts(lines: list[dict[str, Any]]) -> list[str]:
    return [line["text"] for line in lines if line["type"] == "rtcli.turn" and line["speaker"] == "model"]


@PIPES
@pytest.mark.parametrize(
    "written",
    [
        say("what is two plus three") + b"\n" + ASK,
        say("what is two plus three") + b"\r\n" + ASK + b"\r\n",
        b"\xef\xbb\xbf" + say("what is two plus three") + b"\n\n  \n" + ASK + b"\n",
    ],
    ids=["no end of the last line", "CRLF", "BOM and empty lines"],
)
def test_lines_as_editors_and_systems_write_them(
    tmp_path: Path, base_url: str, command: tuple[str, ...], written: bytes
) -> None:
    status, lines, err = piped(command, tmp_path, base_url, written)
    assert (status, texts(lines)) == (0, ["2 plus 3 is 5."]), err
    assert [line["_rt"]["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["_rt"]["v"] for line in lines} == {1}
    assert {line["_rt"]["dir"] for line in lines} == {"in", "out", "local"}
    assert lines[-1] | {"_rt": None} == {"type": "rtcli.closed", "exit": 0, "reason": lines[-1]["reason"], "_rt": None}


@PIPES
@pytest.mark.parametrize(
    ("written", "says"),
    [
        (b'{"type":"a","x":"\x00"}\n', "not JSON"),
        (b"\x00\n", "not JSON"),
        (b"hello\n", "not JSON"),
        (b"[1]\n", "type"),
        (b'{"type":"a","x":"' + b"x" * 10_000_000, "more than 1048576 bytes"),
    ],
    ids=["NUL in an event", "NUL", "no JSON", "no event", "10 MB without a line's end"],
)
def test_what_is_no_event_ends_it_with_2_and_says_so(
    tmp_path: Path, base_url: str, command: tuple[str, ...], written: bytes, says: str
) -> None:
    status, lines, err = piped(command, tmp_path, base_url, written)
    assert (status, len(err.splitlines()), says in err) == (2, 1, True), err
    assert [line["type"] for line in lines][-2:] == ["rtcli.error", "rtcli.closed"]
    assert lines[-1]["exit"] == 2


@PIPES
def test_bytes_that_are_no_text_are_replaced(tmp_path: Path, base_url: str, command: tuple[str, ...]) -> None:
    written = say("two plus three HERE").replace(b"HERE", b"\xff\xfe") + b"\n" + ASK + b"\n"
    status, lines, err = piped(command, tmp_path, base_url, written)
    assert status == 0, err
    sent = [line for line in lines if line["type"] == "conversation.item.create"]
    assert sent[0]["item"]["content"][0]["text"] == "two plus three \ufffd\ufffd"


@PIPES
def test_a_reader_that_goes_ends_it_quietly(tmp_path: Path, base_url: str, command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    running = start(*command, "--base-url", base_url, home=tmp_path, stdin=reading)
    os.close(reading)
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    running.stdout = None
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(say("hi") + b"\n" + ASK + b"\n")
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (0, b"")


def test_input_that_ends_while_output_is_open_is_answered_first(tmp_path: Path, base_url: str) -> None:
    """Half closed: the writer has said all, and goes on reading."""
    running = start(*TALK, "--base-url", base_url, home=tmp_path, stdin=subprocess.PIPE)
    out, err = running.communicate(say("what is two plus three") + b"\n" + ASK + b"\n", timeout=30)
    assert running.returncode == 0, err
    assert texts([json.loads(line) for line in out.splitlines()]) == ["2 plus 3 is 5."]
