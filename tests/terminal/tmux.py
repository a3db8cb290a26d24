"""A terminal that a test types into and looks at: tmux, one server for each, a shell with job control in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.program import COMMAND, environment


LIMIT = 30.0
"""Seconds to wait for something to be seen; far more than it takes, on a busy machine too."""
LOOK = 0.05
PROMPT = "shell> "


def missing() -> str | None:
    """What of the system these tests lack."""
    absent = [program for program in ("tmux", "bash") if not shutil.which(program)]
    return " and ".join(absent) or None


class Terminal:
    """`columns` x `rows`, with `rtcli` on the path and an empty home."""

    def __init__(self, columns: int, rows: int, *, env: dict[str, str] | None = None) -> None:
        # A socket's path must be short (108 bytes), which pytest's own folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="tty-", ignore_cleanup_errors=True)
        self.home = Path(self._folder.name)
        self._socket = str(self.home / "tmux")
        self.write_program("rtcli", COMMAND[-1])
        inside = environment(self.home, **{"TERM": "xterm-256color", "LANG": "C.UTF-8", "PS1": PROMPT, **(env or {})})
        inside["PATH"] = f"{self.home}/bin:{inside['PATH']}"
        self._environment = {**inside, "SHELL": "/bin/sh"}
        kind = ("set", "-g", "default-terminal", inside["TERM"], ";")
        set_up = (
            "set",
            "-g",
            "status",
            "off",
            ";",
            "set",
            "-g",
            "history-limit",
            "5000",
            ";",
            "set",
            "-s",
            "escape-time",
        )
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux(
            "-f", "/dev/null", *kind, *set_up, "0", ";", "new-session", "-d", *size, "exec bash --norc --noprofile -i"
        )
        self.wait_for(PROMPT.strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(subprocess.CalledProcessError):
            self._tmux("kill-server")
        self._folder.cleanup()

    # ---- in ----

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def keys(self, *names: str) -> None:
        """By tmux's names: `Enter`, `C-c`, `Up`."""
        self._tmux("send-keys", *names)

    def line(self, text: str) -> None:
        self.type(text)
        self.keys("Enter")

    def paste(self, text: str) -> None:
        """As a terminal pastes: bracketed."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-r")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    # ---- out ----

    def screen(self) -> list[str]:
        """What is seen now, without blanks at the ends."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").split("\n")[:-1]]

    def scrollback(self) -> list[str]:
        """All that was printed, what is seen now included; a long line that the terminal wrapped is one."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip("\n").split("\n")]

    def colours(self) -> str:
        """What is seen, with escape sequences."""
        return self._tmux("capture-pane", "-p", "-e")

    def wait_for(self, wanted: str | Callable[[list[str]], object], limit: float = LIMIT) -> list[str]:
        """Wait until the text is seen on the screen (or the condition holds); gives the screen."""
        until = time.monotonic() + limit
        holds = wanted if callable(wanted) else lambda screen: any(wanted in line for line in screen)
        while not holds(screen := self.screen()):
            if time.monotonic() > until:
                raise AssertionError(f"not seen within {limit:g} s: {wanted}\n" + "\n".join(screen))
            time.sleep(LOOK)
        return screen

    def shell(self, command: str) -> str:
        """Run a command in the shell and give what it prints, in one line."""
        mark = f"m{time.monotonic_ns()}m"
        self.line(f"echo; echo {mark[:2]}''{mark[2:]} $({command}) end''ed")
        screen = "".join(self.wait_for(lambda screen: re.search(f"{mark}.* ended", "".join(screen))))
        found = re.search(f"{mark}(.*) ended", screen)
        assert found
        return found[1].strip()

    def settings(self) -> str:
        """What the terminal's driver is set to, as `stty` prints it for itself; asked from outside the shell."""
        with open(self._tmux("display", "-p", "#{pane_tty}").strip()) as terminal:  # noqa: PTH123 - a device
            return subprocess.run(["stty", "-g"], stdin=terminal, capture_output=True, text=True, check=True).stdout

    def shows_cursor(self) -> bool:
        return self._tmux("display", "-p", "#{cursor_flag}").strip() == "1"

    def foreground(self) -> int:
        """The process that the keys go to."""
        shell = self._tmux("display", "-p", "#{pane_pid}").strip()
        status = Path(f"/proc/{shell}/stat").read_text(encoding="utf-8")
        return int(status.rpartition(")")[2].split()[5])

    # ---- tmux ----

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-u", *arguments],
            capture_output=True,
            check=True,
            env=self._environment,
            timeout=LIMIT,
        )
        return done.stdout.decode("utf-8", "surrogateescape")

    def write_program(self, name: str, code: str) -> None:
        """A command in the terminal's shell, of Python code."""
        program = self.home / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
        program.chmod(0o755)


def is_required() -> bool:
    return os.environ.get("RTCLI_REQUIRE_ALL") == "1"
