"""A program on a pseudo-terminal whose other end is the test's: read, left unread, closed as a window is."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence


LOOK = 0.05


class PseudoTerminal:
    """100 x 30, read only while `reading` is set; the program leads a session of its own."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.reading = threading.Event()
        self.reading.set()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=dict(env)
        )
        os.close(slave)
        self.seen = bytearray()
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._closing.is_set():
            self.reading.wait()
            if not select.select([self._master], [], [], LOOK)[0]:
                continue
            try:
                read = os.read(self._master, 65_536)
                os.write(self._master, b"\x1b[1;1R" * read.count(b"\x1b[6n"))  # the cursor is in the first row
            except OSError:  # the other end is closed
                return
            self.seen += read

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def line(self, text: str) -> None:
        self.type(f"{text}\r")

    def wait_for(self, text: str, limit: float = 30.0) -> None:
        until = time.monotonic() + limit
        while text.encode() not in self.seen:
            assert time.monotonic() < until, f"not seen: {text}\n{self.seen[-2000:].decode('utf-8', 'replace')}"
            time.sleep(LOOK)

    def echoes(self) -> bool:
        """What is typed is shown by the terminal itself, as it is for a shell."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def close(self) -> None:
        """The window is closed: at once, which it would not be while something reads it."""
        self._closing.set()
        self._reader.join()
        os.close(self._master)

    def kill(self) -> None:
        self.reading.set()
        self.process.kill()
        self.process.wait()
