"""`rtcli send` as a test of a voice agent: what is expected, and what is said when it does not come."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.program import Done, ready_call, rtcli


FRANCE = "What is the capital of France?"


def run(tmp_path: Path, base_url: str, *arguments: str) -> Done:
    return rtcli("send", *arguments, home=tmp_path, env={"RTCLI_BASE_URL": base_url})


def test_what_comes_as_expected_is_0_and_the_answer_is_printed(tmp_path: Path, base_url: str) -> None:
    report = tmp_path / "report.xml"
    done = run(
        tmp_path, base_url, FRANCE,
        "--expect", "session.created session.model~^gpt-realtime",
        "--expect", "rate_limits.updated",
        "--expect-transcript", "(?i)paris", "--max-latency", "20000", "--max-cost", "1", "--junit", str(report),
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert "Paris" in done.out
    suite = ET.fromstring(report.read_text())[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("6", "0", "0")


def test_what_does_not_come_is_9_and_one_line_says_what_came_instead(tmp_path: Path, base_url: str) -> None:
    report = tmp_path / "report.xml"
    done = run(
        tmp_path, base_url, FRANCE,
        "--expect", "response.done response.status=failed", "--expect-transcript", "Rome",
        "--timeout", "3", "--junit", str(report),
    )  # fmt: skip
    assert done.status == 9
    (line,) = done.err.splitlines()
    assert "--expect response.done response.status=failed: instead came response.done with response.status" in line
    assert "--expect-transcript Rome: instead came" in line
    assert "Paris" in done.out
    suite = ET.fromstring(report.read_text())[0]
    assert (suite.get("failures"), suite.get("errors")) == ("2", "0")


def test_a_wrong_answer_is_known_at_its_end(tmp_path: Path, base_url: str) -> None:
    done = run(tmp_path, base_url, FRANCE, "--expect-transcript", "Rome", "--max-latency", "0", "--json")
    assert done.status == 9
    assert json.loads(done.out.splitlines()[-1])["exit"] == 9
    assert "--max-latency 0: it took" in done.err


def test_an_expected_refusal_is_no_failure(tmp_path: Path, base_url: str) -> None:
    done = run(tmp_path, base_url, "-e", '{"type":"nonsense"}', "--expect", "error error.message~nonsense")
    assert (done.status, done.out) == (0, ""), done.err
    unexpected = run(tmp_path, base_url, "-e", '{"type":"nonsense"}', "--expect", "error error.code=other")
    assert unexpected.status == 5


def test_an_answer_is_heard_or_it_is_not(tmp_path: Path, base_url: str) -> None:
    heard = run(tmp_path, base_url, "--expect-audio", "Hello")
    assert heard.status == 0, heard.err
    silent = run(tmp_path, base_url, "--expect-audio", "--no-response", "Hello")
    assert silent.status == 9
    assert "0 ms of sound" in silent.err


def test_a_call_that_never_came_up_is_an_error_in_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    done = run(tmp_path, "http://127.0.0.1:9/v1", "hi", "--expect", "response.done", "--junit", str(report))
    assert done.status == 4
    suite = ET.fromstring(report.read_text())[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--expect", "a/b"), "no type of an event"),
        (("--expect-transcript", "("), "no regular expression"),
        (("--junit", "/nonexistent/report.xml"), "no file can be written there"),
        (("--max-cost", "1", "--model", "mystery"), "no price is known for mystery"),
        (("--max-cost", "1", "--transcribe", "mystery"), "no price is known for mystery"),
        (("--voice-out", "/nonexistent/answer.wav"), "--voice-out /nonexistent/answer.wav: no file can be written"),
        (("--expect-audio", "--text"), "--expect-audio for one"),
        (("--expect-audio", "--call", "rtc_1"), "call of its own"),
    ],
)
def test_what_can_not_be_expected_is_a_usage_error(
    arguments: tuple[str, ...], told: str, tmp_path: Path, base_url: str
) -> None:
    done = run(tmp_path, base_url, *arguments, "hi")
    assert done.status == 2
    assert told in done.err


def test_a_pattern_that_takes_years_ends_the_call_with_a_line(tmp_path: Path, base_url: str) -> None:
    done = run(tmp_path, base_url, FRANCE, "--expect", r"session.created session.instructions~^(.*)*\d{9}$")
    assert done.status == 2
    assert "takes more than" in done.err


@pytest.mark.parametrize("way", ["attached", "by its id"])
def test_cost_and_delay_of_our_own_answers_are_judged_in_a_call_that_is_up(
    tmp_path: Path, base_url: str, way: str
) -> None:
    with ready_call("talk", "--base-url", base_url, "--text", home=tmp_path):
        (call,) = json.loads(rtcli("calls", "--json", home=tmp_path).out)
        joined = ("--live",) if way == "attached" else ("--call", call["call_id"], "--base-url", base_url)
        limits = ("--max-latency", "60000", "--max-cost", "1")
        assert rtcli("send", *joined, "hello", *limits, home=tmp_path).status == 0
        done = rtcli("send", *joined, "hello", "--max-latency", "0.001", "--max-cost", "0", home=tmp_path)
        assert done.status == 9
        assert "--max-latency 0.001: it took" in done.err
        assert "--max-cost 0: it cost" in done.err
        silent = rtcli("send", *joined, "hello", "--expect-audio", home=tmp_path)
        assert (silent.status, "goes elsewhere" in silent.err) == (2, True)
