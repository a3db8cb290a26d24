"""Every exit status of the contract, produced by a process that a script would run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcli.terminal.exits import BUG, INTERRUPTED, OK, STATUS, TERMINATED
from tests.program import COMMAND, Done, environment, read_until_ready, ready_call, rtcli


NOBODY = "http://127.0.0.1:9/v1"


def send(*arguments: str, home: Path, base_url: str, env: dict[str, str] | None = None) -> int:
    return one_line(rtcli("send", *arguments, home=home, env={"RTCLI_BASE_URL": base_url, **(env or {})}))


def one_line(done: Done) -> int:
    """An error is one line, and never a traceback."""
    assert len(done.err.splitlines()) == (1 if done.status else 0), done.err
    assert "Traceback" not in done.err
    return done.status


def ok(home: Path, base_url: str) -> int:
    return send("hi", home=home, base_url=base_url)


def bug(home: Path, base_url: str) -> int:
    """A fault put into the program from outside."""
    fault = "import rtcli.wiring as w; w.settings_for = lambda *_: 1 // 0; from rtcli.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", fault, "send", "hi"], env=environment(home), capture_output=True, check=False
    )
    return one_line(Done(done.returncode, done.stdout.decode(), done.stderr.decode()))


def usage(home: Path, base_url: str) -> int:
    return send(home=home, base_url=base_url)


def authentication(home: Path, base_url: str) -> int:
    return send("hi", home=home, base_url="https://api.openai.com/v1")


def network(home: Path, base_url: str) -> int:
    return send("hi", home=home, base_url=NOBODY)


def refused(home: Path, base_url: str) -> int:
    return send("-e", '{"type":"nonsense"}', home=home, base_url=base_url)


def device(home: Path, base_url: str) -> int:
    done = rtcli("talk", "--sandbox", "--input", "no such microphone", home=home)
    assert "Traceback" not in done.err
    return done.status


def timed_out(home: Path, base_url: str) -> int:
    return send("hi", "--until", "never", "--timeout", "2", home=home, base_url=base_url)


def budget(home: Path, base_url: str) -> int:
    done = rtcli(
        "talk", "--text", "--input", "none", "--output", "none", "--on-eof", "stay", "--max-duration", "1",
        home=home, env={"RTCLI_BASE_URL": base_url},
    )  # fmt: skip
    assert "Traceback" not in done.err
    return done.status


def unmet(home: Path, base_url: str) -> int:
    return send("hi", "--expect-transcript", "[0-9]{9}", home=home, base_url=base_url)


def stopped_by(number: int) -> Callable[[Path, str], int]:
    def stop(home: Path, base_url: str) -> int:
        with ready_call("send", "-", "--base-url", base_url, home=home) as running:
            running.send_signal(number)
            _, err = running.communicate(timeout=20)
            assert b"Traceback" not in err
            return running.returncode

    return stop


WAYS: list[tuple[int, Callable[[Path, str], int]]] = [
    (0, ok),
    (1, bug),
    (2, usage),
    (3, authentication),
    (4, network),
    (5, refused),
    (6, device),
    (7, timed_out),
    (8, budget),
    (9, unmet),
    (130, stopped_by(signal.SIGINT)),
    (143, stopped_by(signal.SIGTERM)),
]


def test_no_status_of_the_contract_is_left_out_here() -> None:
    assert [status for status, _ in WAYS] == [OK, BUG, *(status for _, status in STATUS), INTERRUPTED, TERMINATED]


@pytest.mark.parametrize(("status", "run"), WAYS)
def test_each_status_of_the_contract_is_the_status_of_a_process(
    status: int, run: Callable[[Path, str], int], tmp_path: Path, base_url: str
) -> None:
    assert run(tmp_path, base_url) == status


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send", "--timeout", "0", "hi"), "--timeout must be at least 0.1"),
        (("send", "--timeout", "soon", "hi"), "--timeout takes a number"),
        (("sandbox", "--port", "70000"), "--port must be at most 65535"),
        (("tail", "--dir", "up"), "--dir takes one of 'in', 'out', 'local', not 'up'"),
        (("send", "-e", '{"type":"response.create"}', "-e", "{}"), "-e (2 of 2): no event"),
        (("send", "-e", "{"), "-e: no event: not JSON"),
        (("tail", "nowhere"), "nowhere: No such file or directory"),
    ],
)
def test_a_bad_value_is_told_in_one_line_of_our_own(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = rtcli(*arguments, home=tmp_path)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"rtcli: {said}")
    assert done.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(
    "arguments", [("send", "--sandbox", "hi"), ("send", "--sandbox", "--json", "hi"), ("token", "--help")]
)
def test_an_answer_that_could_not_be_written_is_no_success(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(tmp_path),
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr.decode()) == (
        2,
        "rtcli: the output can not be written: No space left on device\n",
    )


def test_a_standard_output_that_is_closed_is_no_bug(tmp_path: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "send", "--dry-run", "-q", "hi"]
    done = subprocess.run(shell, stderr=subprocess.PIPE, env=environment(tmp_path), timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_pipe_gets_utf_8_whatever_the_locale(encoding: str, tmp_path: Path, base_url: str) -> None:
    here = {"RTCLI_BASE_URL": base_url, "PYTHONIOENCODING": encoding}
    done = rtcli("send", "say שלום", home=tmp_path, env=here)
    assert (done.status, done.err) == (0, "")
    assert "שלום" in done.out


def test_a_text_that_is_no_utf_8_is_sent_with_replacements(tmp_path: Path) -> None:
    done = rtcli("send", "--dry-run", "-q", "caf\udce9", home=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert "caf\ufffd" in done.out


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 143), ("SIGINT", 130)])
def test_terminated_while_it_starts_the_status_is_the_documented_one(tmp_path: Path, name: str, status: int) -> None:
    early = f"from rtcli import cli; cli.app = lambda **_: os.kill(os.getpid(), signal.{name}); cli.main()"
    done = subprocess.run([sys.executable, "-c", f"import os, signal; {early}"], env=environment(tmp_path), check=False)
    assert done.returncode == status


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
@pytest.mark.parametrize(("command", "status"), [("talk", 0), ("send", 130)])
@pytest.mark.parametrize("module", ["typer", "rtcli.wiring", "rtcli.commands.{}", "rtcli.commands.running"])
def test_interrupted_while_it_starts_it_ends_without_a_traceback(
    tmp_path: Path, module: str, command: str, status: int
) -> None:
    """Ctrl-C comes when this module is looked for."""
    early = f"""
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module.format(command)!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["rtcli", {command!r}, "--sandbox", "hello"][: 4 if {command!r} == "send" else 3]
from rtcli.entry import program
program()
"""
    done = subprocess.run(
        [sys.executable, "-c", early],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
@pytest.mark.parametrize(
    ("arguments", "number", "status"),
    [
        (("talk", "--text", "--input", "none", "--on-eof", "hangup"), signal.SIGTERM, 143),
        (("send", "tell me a story"), signal.SIGINT, 130),
    ],
    ids=["the input ends", "the reader of the output ends"],
)
def test_a_signal_says_the_status_although_a_stream_ends_with_it(
    arguments: tuple[str, ...], number: signal.Signals, status: int, tmp_path: Path, base_url: str
) -> None:
    """The program is stopped meanwhile, so that both wait for it; whichever it takes first, it was the signal."""
    environ = environment(tmp_path, OPENAI_BASE_URL=base_url)
    running = subprocess.Popen(
        [*COMMAND, *arguments, "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    )
    try:
        read_until_ready(running)
        assert running.stdin is not None
        assert running.stdout is not None
        running.send_signal(signal.SIGSTOP)
        running.stdin.close()
        running.stdout.close()
        running.send_signal(number)
        running.send_signal(signal.SIGCONT)
        assert running.wait(20) == status
    finally:
        running.kill()
        running.wait()
