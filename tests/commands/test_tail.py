"""`rtcli tail --new` as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.program import rtcli, status_when_interrupted


def test_the_events_of_a_call_of_its_own_are_lines_with_time_direction_and_type(tmp_path: Path, base_url: str) -> None:
    done = rtcli("tail", "--new", "--base-url", base_url, "--until", "conversation.created", home=tmp_path)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} [←→·] [a-z_.]+", line) for line in lines)
    (created,) = [line for line in lines if "session.created" in line]
    assert "gpt-realtime-2 · voice marin" in created


def test_json_and_its_filter_leave_the_last_line_and_count_without_a_gap(tmp_path: Path, base_url: str) -> None:
    done = rtcli(
        "tail", "--new", "--base-url", base_url, "--json", "--type", "session.*", "--until", "session.created",
        home=tmp_path,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["type"], line["_rt"]["seq"]) for line in lines] == [("session.created", 1), ("rtcli.closed", 2)]
    assert (done.status, lines[-1]["exit"]) == (0, 0)


def test_raw_is_what_came(tmp_path: Path, base_url: str) -> None:
    done = rtcli("tail", "--new", "--base-url", base_url, "--raw", "--until", "session.created", home=tmp_path)
    assert json.loads(done.out.splitlines()[0])["type"] == "session.created"
    assert "_rt" not in done.out


def test_what_was_hidden_is_counted(tmp_path: Path, base_url: str) -> None:
    done = rtcli("tail", "--new", "--base-url", base_url, "--errors", "--until", "session.created", home=tmp_path)
    assert (done.status, done.out) == (0, "")
    assert re.search(r"\d+ more events were not shown", done.err)


def test_ctrl_c_is_130(tmp_path: Path, base_url: str) -> None:
    command = ("tail", "--new", "--base-url", base_url)
    assert status_when_interrupted(*command, after=b"rtcli.ready", home=tmp_path) == (130, 130)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--new", "--to", "1"), "--to"),
        (("--since", "yesterday"), "--since"),
        (("--new", "--grep", "("), "--grep"),
        (("--new", "--json", "--raw"), "--raw"),
        (("--new", "--once"), "--once"),
        (("--new", "-n", "5"), "-n"),
        (("--voice", "cedar"), "--new"),
        (("--call", "rtc_1", "--voice", "cedar"), "--new"),
        (("--sandbox",), "--new"),
        ((__file__,), "no line of it is an event"),
    ],
)
def test_a_wrong_wish_is_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = rtcli("tail", *arguments, home=tmp_path)
    assert done.status == 2
    assert says in done.err
    assert len(done.err.splitlines()) == 1
