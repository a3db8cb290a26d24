"""A careless pattern ends with a line, not with a hang."""

from __future__ import annotations

import re
import signal
import time

import pytest

from rtcli.commands.searching import LIMIT, search
from rtcli.errors import UsageError


def test_a_pattern_is_found_or_not() -> None:
    assert search(re.compile("b+"), "abc")
    assert not search(re.compile("x"), "abc")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no alarm")
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*a){25}$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_catastrophic_pattern_is_given_up_within_the_limit(pattern: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError, match="takes more than"):
        search(re.compile(pattern), "a" * 5000 + "!")
    assert time.process_time() - began < LIMIT * 4
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
