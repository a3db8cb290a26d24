"""One offline service for all the commands that only need some service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import start


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a scripted sandbox in a process of its own."""
    home: Path = tmp_path_factory.mktemp("sandbox")
    running = start("sandbox", "--engine", "scripted", "--port", "0", home=home)
    assert running.stdout is not None
    try:
        yield running.stdout.readline().decode().strip()
    finally:
        running.kill()
        running.communicate()
