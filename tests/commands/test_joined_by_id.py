"""`--call rtc_…`: a call that another process opened, watched, spoken into and ended through the service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.program import rtcli, start


@dataclass
class Opened:
    """A call in a process of its own, which only listens."""

    process: subprocess.Popen[bytes]
    call_id: str

    def until(self, kind: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["type"] == kind:
                return event
        raise AssertionError(f"no {kind} came")


@pytest.fixture
def opened(tmp_path: Path, base_url: str) -> Iterator[Opened]:
    process = start("tail", "--new", "--text", "--json", "--base-url", base_url, home=tmp_path)
    call = Opened(process, "")
    try:
        call.call_id = call.until("rtcli.connected")["call_id"]
        call.until("rtcli.ready")
        yield call
    finally:
        process.kill()
        process.communicate()


def test_a_call_is_watched_spoken_into_and_ended_by_its_id(opened: Opened, tmp_path: Path, base_url: str) -> None:
    there = ("--call", opened.call_id, "--base-url", base_url)
    tail = start("tail", *there, "--json", home=tmp_path)
    assert tail.stdout is not None
    first = [json.loads(tail.stdout.readline()) for _ in range(3)]
    assert [event["type"] for event in first] == ["rtcli.connected", "rtcli.ready", "session.created"]
    assert first[1]["session"]["type"] == "realtime"

    sent = rtcli("send", *there, "What is the capital of France?", home=tmp_path)
    assert (sent.status, sent.err) == (0, "")
    assert "Paris" in sent.out
    assert opened.until("response.done")["response"]["status"] == "completed"

    ended = rtcli("send", *there, "--hangup", "--json", home=tmp_path)
    assert ended.status == 0, ended.err
    out, _ = tail.communicate(timeout=20)
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert "response.done" in types
    assert types[-1] == "rtcli.closed"
    assert tail.returncode == 0
    opened.process.communicate(timeout=20)
    assert opened.process.returncode == 0


def test_what_the_service_refuses_there_is_refused_to_who_sent_it(
    opened: Opened, tmp_path: Path, base_url: str
) -> None:
    done = rtcli("send", "--call", opened.call_id, "-e", '{"type":"nonsense"}', "--base-url", base_url, home=tmp_path)
    assert done.status == 5
    assert opened.until("error")["error"]["code"]
    again = rtcli("send", "--call", opened.call_id, "Hello", "--base-url", base_url, home=tmp_path)
    assert again.status == 0, again.err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("tail", "--call", "rtc_gone"), 5, "No call with id 'rtc_gone'"),
        (("send", "--call", "rtc_gone", "hi"), 5, "No call with id 'rtc_gone'"),
        (("send", "--call", "a/b", "hi"), 2, "not the id of a call"),
        (("send", "--call", "rtc_1", "--audio", "x.wav"), 2, "call of its own"),
        (("send", "--call", "rtc_1", "--model", "m", "hi"), 2, "exists"),
        (("send", "--call", "rtc_1", "--server", "http://localhost:1", "hi"), 2, "--server"),
        (("send", "--hangup"), 2, "--hangup"),
        (("tail", "--new", "--call", "rtc_1"), 2, "exclude"),
    ],
)
def test_what_can_not_be_joined_is_one_line(
    arguments: tuple[str, ...], status: int, told: str, tmp_path: Path, base_url: str
) -> None:
    done = rtcli(*arguments, home=tmp_path, env={"RTCLI_BASE_URL": base_url})
    assert done.status == status, done.err
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
