"""The end of the terminal: its window was closed, or its line was cut.

A program hears of it in two ways at once, and either may be first: what it reads or writes there fails, and if the
terminal is the one that controls it SIGHUP comes. Its exit status must not depend on which was first.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

from rtcli.commands.leaving import hears_of_hangup
from rtcli.protocol.intents import HangUp
from rtcli.terminal.exits import TERMINATED


class Window:
    """The terminal that controls this process, found when this is made: one that is gone can not be asked any more."""

    def __init__(self) -> None:
        self._descriptor = _controlling() if hears_of_hangup() else None

    def end(self, reason: str) -> HangUp:
        """What to do when a stream has ended. Where the window is gone, what SIGHUP does, which is on its way."""
        return HANGUP if self.is_gone() else HangUp(reason)

    def is_gone(self) -> bool:
        """False for a terminal on which Ctrl-D was typed, and for one that lets a background process write no more."""
        if self._descriptor is None:
            return False
        poll = select.poll()
        poll.register(self._descriptor, 0)  # hang-ups are told unasked
        return any(found & select.POLLHUP for _, found in poll.poll(0))


HANGUP = HangUp("terminated", exit=TERMINATED)


def _controlling() -> int | None:
    """A descriptor of the terminal that sends us SIGHUP when it goes; None where none does."""
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            os.tcgetpgrp(descriptor)  # no other terminal answers this
            return descriptor
    return None
