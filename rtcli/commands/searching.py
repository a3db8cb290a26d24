"""Searching with a user's regular expression, which may be one that takes years.

Python's search can not be given a limit and holds the interpreter, so no thread could stop it; it does look for signals
on its way. In the main thread an alarm ends it. Windows has no alarm: there only the text is bounded.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rtcli.errors import UsageError


LIMIT = 0.5
"""Seconds for one search."""


def search(pattern: re.Pattern[str], text: str) -> bool:
    """Whether `text` holds `pattern`. Raises UsageError when telling takes longer than LIMIT."""
    try:
        with _alarm(LIMIT):
            return pattern.search(text) is not None
    except _TooLong:
        raise UsageError(
            f"the pattern {pattern.pattern[:80]!r} takes more than {LIMIT:g} s on {len(text)} characters: "
            "repeat nothing that repeats itself"
        ) from None


class _TooLong(Exception):
    pass


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
