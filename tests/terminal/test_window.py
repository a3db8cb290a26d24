"""A window that is closed: the call ends, and the status does not depend on what the program heard of it first."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.program import COMMAND, environment
from tests.services import OpenAi
from tests.terminal.pseudo import PseudoTerminal


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
LIMIT = 30.0
TAKE = "import fcntl, signal, subprocess, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
"""What the leader of a session runs to be controlled by its standard input."""
LEADER = TAKE + "signal.signal(signal.SIGHUP, lambda *_: None); sys.exit(subprocess.call(sys.argv[1:]))"
"""Keeps SIGHUP, which comes to the leader alone until that ends, from the program that it runs."""
CONTROLLED = [sys.executable, "-c", TAKE + COMMAND[-1]]
IGNORING = [sys.executable, "-c", TAKE + "signal.signal(signal.SIGHUP, signal.SIG_IGN); " + COMMAND[-1]]
"""As under `nohup`."""


def close(terminal: PseudoTerminal) -> None:
    terminal.close()


def send_and_close(terminal: PseudoTerminal) -> None:
    terminal.process.send_signal(signal.SIGHUP)
    terminal.close()


def type_end(terminal: PseudoTerminal) -> None:
    terminal.type("\x04")


ENDS: dict[str, tuple[list[str], Callable[[PseudoTerminal], None], int]] = {
    "both at once": (CONTROLLED, close, 143),
    "the signal first": (CONTROLLED, send_and_close, 143),
    "the signal not before the program has ended": ([sys.executable, "-c", LEADER, *COMMAND], close, 143),
    "the signal ignored": (IGNORING, close, 0),
    "no signal, because another terminal controls it": (COMMAND, close, 0),
    "Ctrl-D": (CONTROLLED, type_end, 0),
}


@contextmanager
def talking(home: Path, program: list[str], kind: str, *more: str) -> Iterator[PseudoTerminal]:
    with OpenAi() as service:
        arguments = ("talk", "--text", "--input", "none", "--output", "none", "--log", str(home / "log"), *more)
        env = environment(home, TERM=kind, OPENAI_BASE_URL=f"{service.url}/v1")
        terminal = PseudoTerminal([*program, *arguments], env)
        try:
            terminal.wait_for("microphone: none" if kind == "dumb" else "ready")
            yield terminal
        finally:
            terminal.kill()


@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
@pytest.mark.parametrize("end", ENDS)
def test_a_window_that_is_closed_ends_the_call(tmp_path: Path, end: str, kind: str) -> None:
    program, act, status = ENDS[end]
    with talking(tmp_path, program, kind) as terminal:
        act(terminal)
        assert terminal.process.wait(LIMIT) == status
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminal_that_takes_nothing_more_is_given_back_all_the_same(tmp_path: Path, number: signal.Signals) -> None:
    with talking(tmp_path, CONTROLLED, "xterm-256color", "--events", "all") as terminal:
        assert not terminal.echoes(), "the prompt reads keys"
        terminal.reading.clear()
        for _ in range(100):  # each is answered, and every event of that is shown
            terminal.line("say " + "all work and no play " * 10)
            time.sleep(0.02)
        time.sleep(1)
        terminal.process.send_signal(number)
        assert terminal.process.wait(LIMIT) == (143 if number == signal.SIGTERM else 0)
        assert terminal.echoes()


def at_hidden_prompt(home: Path) -> PseudoTerminal:
    terminal = PseudoTerminal([*CONTROLLED, "auth", "login", "--no-check"], environment(home))
    try:
        terminal.wait_for("API key: ")
        assert not terminal.echoes(), "what is typed is hidden"
    except BaseException:
        terminal.kill()
        raise
    return terminal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_at_the_hidden_prompt_gives_the_terminal_back(tmp_path: Path, number: signal.Signals) -> None:
    terminal = at_hidden_prompt(tmp_path)
    try:
        terminal.process.send_signal(number)
        assert terminal.process.wait(LIMIT) == (130 if number == signal.SIGINT else 143)
        assert terminal.echoes()
        assert b"Traceback" not in terminal.seen
    finally:
        terminal.kill()


def test_a_window_that_is_closed_at_the_hidden_prompt_ends_it(tmp_path: Path) -> None:
    terminal = at_hidden_prompt(tmp_path)
    try:
        terminal.close()
        assert terminal.process.wait(LIMIT) == 143
    finally:
        terminal.kill()
