"""How a server's command waits for its end."""

from __future__ import annotations

import signal
import threading

from rtcli.commands.leaving import terminations


def wait_for_signal() -> None:
    """Until SIGINT, SIGTERM or SIGHUP."""
    stop = threading.Event()
    for number in (signal.SIGINT, *terminations()):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
