"""What holds for every test.

Examples have no deadline, because a busy machine is no counterexample. Whatever the sandbox sends, in this process or
in one that a test starts, is judged by the official SDK's types: the test that made it emit something else fails.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.judge import Court


settings.register_profile("rtcli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rtcli")

_COURT = pytest.StashKey[Court]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_COURT] = Court()
    # Under nohup, and behind `&` in a script, every program that a test starts would ignore these too; what is caught
    # is not inherited.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_COURT].close()


@pytest.fixture(autouse=True)
def _every_event_is_the_sdks(pytestconfig: pytest.Config) -> Iterator[None]:
    yield
    found = pytestconfig.stash[_COURT].judge()
    assert found == [], "the sandbox sent what the official SDK does not know"
