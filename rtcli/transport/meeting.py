"""Where live calls of this user meet: one listening socket a call, in a folder that is the user's alone.

A Unix domain socket (0600 in a folder of 0700), and both ends look who the other one is. What a killed process left is
found by asking it, under a lock, and taken away. On Windows, whose Python has no such sockets, a port on loopback and a
file that holds it and a secret; that half has never been run.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rtcli.errors import UsageError
from rtcli.records import dataclass


END = ".sock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_PATIENCE = 1.0
"""Seconds for the lock, and for a process to take a connection."""


class NoPlace(OSError):
    """There is no folder that only this user can reach."""


@dataclass(frozen=True, slots=True)
class Place:
    """A call's own: where it listens, under which name."""

    name: str
    listening: socket.socket
    path: Path
    secret: str = ""
    """Whoever comes must know it; "" where the system says who comes."""

    def leave(self) -> None:
        self.listening.close()
        with suppress(OSError):
            self.path.unlink()


def check_name(name: str) -> str:
    """Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"a call's name is of letters, digits, dots and dashes, at most 32: not {name[:40]!r}")
    return name


def names(folder: Path) -> list[str]:
    """Of calls that may be live, numbers first."""
    try:
        found = [path.name.removesuffix(END) for path in folder.iterdir() if path.name.endswith(END)]
    except OSError:
        return []
    return sorted((name for name in found if _NAME.fullmatch(name)), key=_order)


def take(folder: Path, name: str | None) -> Place:
    """Listen under `name`, else under the smallest free number.

    Raises UsageError when a live call has that name, OSError where there can be no such place.
    """
    _make_private(folder)
    with _locked(folder):
        if name is not None:
            if not _is_free(folder, check_name(name)):
                raise UsageError(f"a live call is called {name} already")
            return _listen(folder, name)
        number = 1
        while not _is_free(folder, str(number)):
            number += 1
        return _listen(folder, str(number))


def is_gone(folder: Path, name: str) -> bool:
    """Whoever had the name is no more; what was left of it is taken away."""
    try:
        with _locked(folder):
            return _is_free(folder, name)
    except OSError:
        return False


def _order(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _is_free(folder: Path, name: str) -> bool:
    path = folder / f"{name}{END}"
    if not path.exists():
        return True
    try:
        connect(folder, name)[0].close()
    except (ConnectionRefusedError, FileNotFoundError):
        with suppress(OSError):
            path.unlink()
        return True
    except OSError:  # it is there, and too busy (or stopped)
        return False
    return False


if sys.platform == "win32":

    def connect(folder: Path, name: str) -> tuple[socket.socket, str]:
        """A connection to the call of that name, and the secret to say. Raises OSError."""
        written = json.loads((folder / f"{name}{END}").read_text(encoding="utf-8"))
        return socket.create_connection(("127.0.0.1", int(written["port"])), _PATIENCE), str(written["secret"])

    def is_ours(_: socket.socket) -> bool:
        """The secret says it."""
        return True

    def _make_private(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # below the user's profile, whose access lists hold

    def _listen(folder: Path, name: str) -> Place:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        secret = secrets.token_hex(32)
        path = folder / f"{name}{END}"
        path.write_text(json.dumps({"port": listening.getsockname()[1], "secret": secret}), encoding="utf-8")
        return Place(name, listening, path, secret)

    @contextmanager
    def _locked(folder: Path) -> Iterator[None]:
        import msvcrt

        with (folder / ".lock").open("ab") as file:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def connect(folder: Path, name: str) -> tuple[socket.socket, str]:
        """A connection to the call of that name, and the secret to say. Raises OSError."""
        _check_private(folder)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_PATIENCE)
            with _reachable(folder, name) as address:
                connection.connect(address)
            if not is_ours(connection):
                raise NoPlace(f"{folder / name} belongs to somebody else")
        except OSError:
            connection.close()
            raise
        return connection, ""

    def is_ours(connection: socket.socket) -> bool:
        """The other end runs as this user, where the system tells; else the folder says it."""
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return True
        held = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
        return bool(struct.unpack("3i", held)[1] == os.getuid())

    def _make_private(folder: Path) -> None:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _check_private(folder)

    def _check_private(folder: Path) -> None:
        own, above = folder.lstat(), folder.parent.stat()
        if not stat.S_ISDIR(own.st_mode) or own.st_uid != os.getuid() or above.st_uid not in {0, os.getuid()}:
            raise NoPlace(f"{folder} is not this user's own folder")
        if own.st_mode & 0o077:
            raise NoPlace(f"{folder} is open to others")

    def _listen(folder: Path, name: str) -> Place:
        listening = socket.socket(socket.AF_UNIX)
        path = folder / f"{name}{END}"
        try:
            with _reachable(folder, name) as address:
                listening.bind(address)
            path.chmod(0o600)
            listening.listen(64)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        return Place(name, listening, path)

    @contextmanager
    def _reachable(folder: Path, name: str) -> Iterator[str]:
        """The socket's address: a path may have about 100 bytes, a folder of a user may be deeper."""
        path = str(folder / f"{name}{END}")
        if len(path.encode()) < 100 or not Path("/proc/self/fd").is_dir():
            yield path
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}/{name}{END}"
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(folder: Path) -> Iterator[None]:
        import fcntl

        with (folder / ".lock").open("ab") as file:
            until = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:  # somebody was stopped in the middle
                        raise
                    time.sleep(0.01)
            yield
