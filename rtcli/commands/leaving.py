"""The end of the program: the signals that ask for it, and its last step."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import NoReturn


LIMIT = 2.0
"""Seconds to give back a terminal and the like. Closing a log would wait for ever where its reader takes nothing."""


def terminations() -> tuple[signal.Signals, ...]:
    """The signals that ask the program to end, beside Ctrl-C."""
    return (signal.SIGTERM, signal.SIGHUP) if hears_of_hangup() else (signal.SIGTERM,)


def hears_of_hangup() -> bool:
    """SIGHUP ends this process; not under `nohup`, and not on Windows."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def leave(status: int) -> NoReturn:
    """End the process at once, with what was registered at exit. Taking everything else apart takes 15 ms more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the end already
    # The one way to what was registered but the interpreter's own end, which joins threads that may never end.
    giving_back = threading.Thread(target=atexit._run_exitfuncs, daemon=True)  # noqa: SLF001
    giving_back.start()
    giving_back.join(LIMIT)
    os._exit(status)
