"""The rows of events in the bench of the pipe, shortened: figures are for the bench, order is a promise."""

from __future__ import annotations

import re
from pathlib import Path

from . import pipe


def test_no_event_is_lost_or_moved_on_its_way_through_tail(tmp_path: Path) -> None:
    lines = list(pipe.events(tmp_path, 3000))
    assert len(lines) == 3
    assert all(re.search(r"\d+ a second", line) for line in lines)
