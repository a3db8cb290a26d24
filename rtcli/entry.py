"""Where the installed script begins: nothing is imported before Ctrl-C has a meaning, which else is a traceback."""

from __future__ import annotations

import os
import signal
import sys


def program() -> None:
    """Load the command line and run it. The first Ctrl-C in `talk` is a good end, whenever it comes."""
    talks = sys.argv[1:2] == ["talk"]
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # ignored behind `&` in a script
    if heard:
        signal.signal(signal.SIGINT, lambda *_: os._exit(0 if talks else 130))
    from rtcli import cli

    if heard and not talks:  # there it holds until the call takes it over
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.program()
