"""Faults: what was asked for happens to a real client, and a wrong one is told in one line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rtcli.errors import UsageError
from rtcli.sandbox.engine.scripted import ScriptedEngine
from rtcli.sandbox.faults import _JUNK, Faults, parse, sample_like
from rtcli.wiring import sandbox_server
from tests.program import Done, rtcli


@contextmanager
def faulty(*faults: str) -> Iterator[str]:
    server = sandbox_server(ScriptedEngine({"hi": "Hello to you."}), faults=parse(faults), seed=1)
    try:
        yield server.start()
    finally:
        server.stop()


def send(home: Path, *faults: str, how: tuple[str, ...] = ()) -> Done:
    with faulty(*faults) as base:
        return rtcli("send", "--base-url", base, *how, "hi", home=home)


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("secrets=401", 3, "401"),
        ("calls=429:insufficient_quota", 5, "insufficient_quota"),
        ("body=html", 5, "web page"),
        ("body=empty", 5, "empty answer"),
        ("quota=yes", 5, "insufficient_quota"),
        ("key=0", 3, "expired"),
    ],
)
def test_a_client_is_refused_as_it_was_asked_for(tmp_path: Path, fault: str, status: int, words: str) -> None:
    done = send(tmp_path, fault)
    assert (done.status, done.out) == (status, "")
    (line,) = done.err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("faults", "how"),
    [
        (("sdp=sample", "junk=5"), ()),
        (("drop=10", "delay=20", "jitter=40", "reorder=10"), ("--voice-out", "answer.wav")),
        (("dialect=azure",), ("--dialect", "azure")),
        (("dialect=sdp",), ("--dialect", "sdp")),
        (("dialect=localai",), ("--dialect", "localai")),
        (("dialect=speaches",), ("--dialect", "speaches")),
    ],
)
def test_a_client_gets_its_answer_in_spite_of(tmp_path: Path, faults: tuple[str, ...], how: tuple[str, ...]) -> None:
    how = tuple(str(tmp_path / word) if word.endswith(".wav") else word for word in how)
    done = send(tmp_path, *faults, how=how)
    assert (done.status, done.out) == (0, "Hello to you.\n"), done.err


def test_a_death_is_noticed_as_a_lost_call(tmp_path: Path) -> None:
    done = send(tmp_path, "death=0.5", how=("--until", "never.comes"))
    assert done.status == 4
    assert "nothing arrived" in done.err


def test_a_frozen_sandbox_is_waited_for_no_longer_than_was_said(tmp_path: Path) -> None:
    done = send(tmp_path, "freeze=0", how=("--timeout", "2"))
    assert done.status == 7


def test_a_short_session_ends_with_the_services_own_error(tmp_path: Path) -> None:
    done = send(tmp_path, "session=0.5", how=("--until", "never.comes"))
    assert done.status == 5
    assert "session_expired" in done.err


def test_the_fate_of_packets_is_the_share_that_was_asked_for_and_the_same_for_a_seed() -> None:
    faults = parse(["drop=10", "delay=20", "jitter=40", "reorder=5"])
    fates = [[faults.fate(chance) for _ in range(5000)] for chance in (random.Random(7), random.Random(7))]
    assert fates[0] == fates[1]
    assert fates[0].count(None) / 5000 == pytest.approx(0.1, rel=0.2)
    late = [delay for delay in fates[0] if delay is not None]
    assert min(late) >= 0.02
    assert max(late) <= 0.02 + 0.04 + 0.03


def test_junk_comes_after_every_so_many_events_and_the_events_are_whole() -> None:
    one = parse(["junk=2"]).messages()
    said = [list(one("x", f"event {number}")) for number in range(4)]
    assert said == [["event 0"], ["event 1", _JUNK[0]], ["event 2"], ["event 3", _JUNK[1]]]


def test_an_answer_like_the_sample_keeps_the_first_sections_lines() -> None:
    answer = "m=audio\r\na=ice-ufrag:a\r\nm=application\r\na=ice-ufrag:a\r\na=mid:1\r\na=max-message-size:9\r\n"
    assert sample_like(answer) == "m=audio\r\na=ice-ufrag:a\r\nm=application\r\na=mid:1\r\n"


def test_without_a_fault_nothing_is_wrapped() -> None:
    assert parse([]) == Faults()
    assert not Faults().harms_the_call


@pytest.mark.parametrize(
    "fault",
    ["", "drop", "nonsense=1", "drop=101", "drop=nan", "calls=200", "calls=x", "body=xml", "dialect=x", "key=-1"],
)
def test_a_wrong_fault_is_one_line_and_exit_2(fault: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse([fault])
    assert "\n" not in str(refused.value)


def test_the_command_takes_script_seed_and_faults_and_names_what_is_wrong(tmp_path: Path) -> None:
    for option, value in (("--fault", "nonsense=1"), ("--script", str(tmp_path / "none.toml"))):
        done = rtcli("sandbox", "--port", "0", "--engine", "scripted", option, value, home=tmp_path)
        assert (done.status, done.out) == (2, "")
        assert len(done.err.splitlines()) == 1
    (tmp_path / "bad.json").write_text(json.dumps({"answers": [{"steps": [{"shout": 1}]}]}))
    done = rtcli("sandbox", "--port", "0", "--script", str(tmp_path / "bad.json"), home=tmp_path)
    assert done.status == 2
    assert "answers[0].steps[0]" in done.err
