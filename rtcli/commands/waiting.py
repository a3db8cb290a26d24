"""How a server's command waits for its end."""

from __future__ import annotations

import signal
import threading

from rtcli.commands.window import hears_of_hangup


def wait_for_signal() -> None:
    """Until SIGINT, SIGTERM or SIGHUP."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hears_of_hangup() else ())):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
