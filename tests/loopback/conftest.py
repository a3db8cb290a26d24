"""Nothing may fail behind a test's back."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_exception_goes_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A task that dies alone, or a callback that raises, is told by asyncio's logger only."""
    yield
    gc.collect(1)
    records = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    unseen = [record.getMessage() for record in records if record.name == "asyncio" and record.levelno >= logging.ERROR]
    assert not unseen


@pytest.fixture(autouse=True)
def _bare_peers_use_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that these tests run where nothing but `lo` is up: aioice leaves 127.0.0.1 out."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
