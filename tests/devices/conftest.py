"""The virtual sound card, one for all tests here. PortAudio lists devices at import, so this comes before it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .card import Card, missing


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    """A running card; this process's environment leads PortAudio to it, and to nothing else."""
    with _running() as running:
        for name, value in running.settings.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def server_s_choice() -> Iterator[Card]:
    """A card whose default loudspeaker is the sound server's; for programs only, not for this process."""
    with _running(default="") as running:
        yield running


@contextmanager
def _running(**options: str) -> Iterator[Card]:
    lacking = missing()
    if lacking:
        if os.environ.get("RTCLI_REQUIRE_ALL") == "1":
            pytest.fail(f"the virtual sound card needs {lacking}")
        pytest.skip(f"NOT RUN: the virtual sound card needs {lacking}")
    # PulseAudio's socket path must be short (108 bytes), which pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="card-") as home:
        running = Card(Path(home), **options)
        running.start()
        try:
            yield running
        finally:
            running.stop()
