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
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    unseen = [record.getMessage() for record in records if record.name == "asyncio" and record.levelno >= logging.ERROR]
    assert not unseen
