"""A live `talk`, and other commands that follow it, send into it and hang it up: processes, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gush import COUNT, Gush
from tests.program import Done, read_until_ready, ready_call, rtcli, start


@contextmanager
def live(home: Path, base_url: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    with ready_call("talk", "--base-url", base_url, "--text", *more, home=home) as running:
        yield running


@contextmanager
def following(home: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `tail --json` that has begun to follow."""
    running = start("tail", "--json", "--since", "start", *more, home=home)
    try:
        read_until_ready(running)
        yield running
    finally:
        running.kill()
        running.communicate()


@contextmanager
def waiting_to_follow(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A `tail --json` that has said that there is no call yet."""
    running = start("tail", "--json", home=home)
    try:
        assert running.stderr is not None
        assert b"no live call" in running.stderr.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


def read_all(running: subprocess.Popen[bytes]) -> None:
    assert running.stdout is not None
    for _ in running.stdout:
        pass


def resident(pid: int) -> int:
    """Kilobytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def ask(home: Path, text: str, *more: str) -> Done:
    return rtcli("send", "--live", text, *more, home=home)


def documents(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def answers(out: bytes) -> list[str]:
    found = [line for line in documents(out) if line["type"] == "rtcli.turn" and line["speaker"] == "model"]
    return [line["text"] for line in found]


def test_two_follow_a_call_while_a_third_is_killed_and_a_fourth_stopped_in_mid_stream(
    tmp_path: Path, base_url: str
) -> None:
    with (
        live(tmp_path, base_url) as call,
        following(tmp_path, "--once") as one,
        following(tmp_path, "--once") as two,
        following(tmp_path) as killed,
        following(tmp_path) as stopped,
    ):
        assert ask(tmp_path, "what is two plus one").out == "2 plus 1 is 3.\n"
        killed.send_signal(signal.SIGKILL)
        stopped.send_signal(signal.SIGSTOP)
        assert ask(tmp_path, "what is two plus two").out == "2 plus 2 is 4.\n"
        done = rtcli("calls", "hangup", home=tmp_path)
        assert (done.status, done.err) == (0, "")
        seen = [each.communicate(timeout=20)[0] for each in (one, two)]
        out, err = call.communicate(timeout=20)
    assert (call.returncode, err) == (0, b"")
    assert seen[0].count(b"\n") > 30
    for each in seen:
        assert answers(each) == answers(out) == ["2 plus 1 is 3.", "2 plus 2 is 4."]
        assert [line["type"] for line in documents(each)][-2:] == ["rtcli.call_closed", "rtcli.closed"]
        assert [line["_rt"]["sid"] for line in documents(each)[:-1]] == ["1"] * (len(documents(each)) - 1)
    assert (one.returncode, two.returncode) == (0, 0)


def test_what_an_attached_sender_gets_wrong_is_its_own_outcome_and_not_the_calls(tmp_path: Path, base_url: str) -> None:
    with live(tmp_path, base_url) as call:
        assert rtcli("send", "--live", "-e", '{"type":"nonsense"}', home=tmp_path).status == 5
        rtcli("calls", "hangup", home=tmp_path)
        out, err = call.communicate(timeout=20)
    assert (call.returncode, err) == (0, b"")
    assert [line["code"] for line in documents(out) if line["type"] == "rtcli.warning"] == ["guest_refused"]


def test_without_a_call_there_is_a_way_out_and_with_several_their_names(tmp_path: Path, base_url: str) -> None:
    none = ask(tmp_path, "hi")
    assert (none.status, "rtcli talk" in none.err) == (2, True)
    with live(tmp_path, base_url, "--name", "alice"), live(tmp_path, base_url):
        several = ask(tmp_path, "hi")
        assert (several.status, "1, alice; choose one with --to NAME" in several.err) == (2, True)
        unnamed = rtcli("calls", "hangup", home=tmp_path)
        assert (unnamed.status, "choose one with `rtcli calls hangup NAME`" in unnamed.err) == (2, True)
        assert rtcli("send", "--to", "bob", "hi", home=tmp_path).status == 2
        assert rtcli("send", "--to", "alice", "what is two plus three", home=tmp_path).out == "2 plus 3 is 5.\n"
        listed = json.loads(rtcli("calls", "--json", home=tmp_path).out)
        assert [(call["name"], call["command"], call["answers"]) for call in listed] == [
            ("1", "talk", True),
            ("alice", "talk", True),
        ]
        taken = rtcli("talk", "--name", "alice", "--base-url", base_url, "--text", home=tmp_path)
        assert (taken.status, "alice" in taken.err) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="its memory is read from /proc")
def test_a_follower_whose_output_nobody_reads_loses_the_oldest_counts_them_and_stays_small(tmp_path: Path) -> None:
    with (
        Gush() as service,
        waiting_to_follow(tmp_path) as follower,
        ready_call("talk", "--base-url", f"{service.url}/v1", "--text", home=tmp_path) as call,
    ):
        threading.Thread(target=read_all, args=(call,), daemon=True).start()
        before = resident(follower.pid)
        assert Gush.over.wait(60)
        grown = resident(follower.pid) - before
        assert follower.stdout is not None
        seen, lost = [], 0
        for raw in follower.stdout:
            line = json.loads(raw)
            seen += [line["number"]] if line["type"] == "test.event" else []
            lost += line["lost"] if line.get("code") == "lagged" else 0
            if line.get("number") == COUNT - 1:
                break
    assert grown < 40 * 1024
    assert lost > COUNT / 4
    assert seen == sorted(seen)
    assert COUNT <= len(seen) + lost <= COUNT + 100  # the call's own lines are counted too


def test_a_killed_call_leaves_nothing_and_who_follows_goes_on_to_the_next(tmp_path: Path, base_url: str) -> None:
    with live(tmp_path, base_url) as first, following(tmp_path) as tail:
        first.kill()
        first.wait()
        assert rtcli("calls", "--json", home=tmp_path).out == "[]\n"
        assert tail.stdout is not None
        with live(tmp_path, base_url) as second:
            read = []
            for line in tail.stdout:
                read.append(json.loads(line)["type"])
                if read[-1] == "rtcli.ready":
                    break
            assert "rtcli.call_closed" in read
            assert second.poll() is None
        tail.send_signal(signal.SIGINT)
        out, _ = tail.communicate(timeout=20)
    assert tail.returncode == 130
    assert documents(out)[-1]["type"] == "rtcli.closed"


def test_calls_of_which_several_are_followed_are_marked(tmp_path: Path, base_url: str) -> None:
    with live(tmp_path, base_url, "--name", "alice"), live(tmp_path, base_url, "--name", "bob"):
        running = start("tail", home=tmp_path)
        try:
            until = time.monotonic() + 20
            while "following" not in _so_far(running) and time.monotonic() < until:
                pass
            rtcli("send", "--to", "alice", "hi", home=tmp_path)
            rtcli("send", "--to", "bob", "hi", home=tmp_path)
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=20)
        finally:
            running.kill()
            running.communicate()
    assert b"[alice]" in out
    assert b"[bob]" in out


def _so_far(running: subprocess.Popen[bytes]) -> str:
    assert running.stderr is not None
    return running.stderr.readline().decode()


# ---- what was saved -------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path, base_url: str) -> Path:
    done = rtcli("send", "--base-url", base_url, "--json", "what is two plus three", home=tmp_path)
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "events.ndjson").write_text(done.out, encoding="utf-8")
    return recording


def test_a_saved_call_is_read_like_a_live_one(tmp_path: Path, saved: Path) -> None:
    whole = rtcli("tail", str(saved), home=tmp_path)
    assert (whole.status, "2 plus 3 is 5." in whole.out) == (0, True)
    last = rtcli("tail", str(saved / "events.ndjson"), "-n", "1", "--type", "response.*", home=tmp_path)
    assert [line.split()[2] for line in last.out.splitlines()[:1]] == ["response.done"]
    raw = rtcli("tail", str(saved), "--raw", home=tmp_path)
    assert json.loads(raw.out.splitlines()[0])["type"] == "session.created"
    assert "_rt" not in raw.out
    times = [
        json.loads(line)["_rt"]["t"] for line in rtcli("tail", str(saved), "--json", home=tmp_path).out.splitlines()
    ]
    told = [json.loads(line)["_rt"]["t"] for line in (saved / "events.ndjson").read_text("utf-8").splitlines()]
    assert times[: len(told)] == told


def test_a_line_that_is_no_event_is_told_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").write_bytes(b'{"type":"a"}\nnonsense\n\xff\xfe\n{"type":"b"}\n')
    done = rtcli("tail", str(tmp_path / "x.ndjson"), "--raw", home=tmp_path)
    assert (done.status, done.out) == (0, '{"type":"a"}\n{"type":"b"}\n')
    shown = rtcli("tail", str(tmp_path / "x.ndjson"), home=tmp_path)
    assert "line 2" in shown.out
    assert "line 3" in shown.out


def test_a_file_that_is_not_there_is_2(tmp_path: Path) -> None:
    done = rtcli("tail", str(tmp_path / "none"), home=tmp_path)
    assert (done.status, len(done.err.splitlines())) == (2, 1)


def test_a_reader_that_goes_ends_it_quietly(tmp_path: Path, saved: Path) -> None:
    running = start("tail", str(saved), "--no-fold", home=tmp_path)
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (0, b"")


def test_a_reader_that_goes_ends_what_follows_a_live_call_too(tmp_path: Path, base_url: str) -> None:
    with live(tmp_path, base_url):
        running = start("tail", "--since", "start", "--no-fold", home=tmp_path)
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        running.stdout = None
        assert ask(tmp_path, "what is two plus one").status == 0
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, b"")


# ---- completion -----------------------------------------------------------------------------------------------------


def test_names_of_live_calls_complete(tmp_path: Path, base_url: str) -> None:
    words = {"_RTCLI_COMPLETE": "complete_bash", "COMP_WORDS": "rtcli send --to al", "COMP_CWORD": "3"}
    with live(tmp_path, base_url, "--name", "alice"):
        done = rtcli(home=tmp_path, env={**words, "PATH": os.environ["PATH"]})
    assert done.out.split() == ["alice"]
