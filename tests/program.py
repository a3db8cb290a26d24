"""Runs the command line as a user does: a process of its own, an empty home, streams that are what the test says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.judge import TOLD


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the machine's configuration: no key, no proxy, no profile, no sound card."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR", "VIRTUAL_ENV"}}
    hidden = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PULSE_SERVER": "unix:/nonexistent",
        "TERM": "dumb",
    }
    return {**kept, **hidden, **more}


ROOT = Path(__file__).parent.parent
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.judge import tell; tell({str(TOLD)!r}); "
    "from rtcli.entry import program; program()"
)
COMMAND = [sys.executable, "-c", _PROGRAM]
"""Where it holds a sandbox, the events of that are judged too (`tests/judge.py`)."""


def rtcli(
    *arguments: str,
    home: Path,
    stdin: str | IO[bytes] | int = "",
    limit: float = 60.0,
    env: dict[str, str] | None = None,
) -> Done:
    """Run to the end. `stdin`: a text (then end of file), or a descriptor."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else None,
        stdin=None if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment(home, **(env or {})),
        timeout=limit,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*arguments: str, home: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Run in the background, standard output and error as pipes."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
    )


def read_until_ready(running: subprocess.Popen[bytes]) -> None:
    """Its JSON lines up to `rtcli.ready`."""
    assert running.stdout is not None
    for line in running.stdout:
        if b"rtcli.ready" in line:
            break


def status_when_interrupted(*arguments: str, after: bytes, home: Path) -> tuple[int, int]:
    """Ctrl-C behind the line of --json that holds `after`: the exit status, and the one its last line says."""
    running = start(*arguments, "--json", home=home)
    assert running.stdout is not None
    try:
        for line in running.stdout:
            if after in line:
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert out, err
    return running.returncode, int(json.loads(out.splitlines()[-1])["exit"])


@contextmanager
def ready_call(*arguments: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A call that is up, held open by a pipe that says nothing; started with --json, its lines up to `ready` read."""
    silent, held_open = os.pipe()
    running = start(*arguments, "--json", home=home, stdin=silent)
    try:
        read_until_ready(running)
        yield running
    finally:
        running.kill()
        running.communicate()
        os.close(silent)
        os.close(held_open)
