from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.text import Text

from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn
from rtcli.terminal.scroll import NEWEST, Detail, Line, Scroll


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def came(scroll: Scroll, kind: str, detail: Detail = "all", **fields: object) -> None:
    raw = json.dumps({"type": kind, "event_id": "e", **fields})
    scroll.add_events(EventIn(0.0, decode(raw), raw), NOON, detail)


def shown(scroll: Scroll) -> list[str]:
    scroll.end_run()
    return [line.text.plain for line in scroll.take()]


def test_of_a_flood_the_newest_events_are_shown_and_the_others_counted() -> None:
    scroll = Scroll()
    for number in range(5000):
        came(scroll, "test.event", number=number)
        assert len(scroll) <= 2 * NEWEST
    first, *others = shown(scroll)
    assert first.startswith(f"{5000 - NEWEST} events not shown")
    assert len(others) == NEWEST
    assert '{"number":4900}' in others[0]
    assert '{"number":4999}' in others[-1]
    assert shown(scroll) == []


def test_words_among_a_flood_are_all_kept_and_in_order() -> None:
    scroll = Scroll()
    scroll.add([Line(Text("model  first"))])
    for number in range(5 * NEWEST):
        came(scroll, "test.event", number=number)
    scroll.add([Line(Text("model  second"))])
    lines = shown(scroll)
    assert (lines[0], lines[-1], len(lines)) == ("model  first", "model  second", NEWEST + 3)


def test_a_hidden_run_counts_as_the_events_it_is_made_of() -> None:
    scroll = Scroll()
    for _ in range(10):
        came(scroll, "response.output_text.delta", response_id="r", item_id="i", delta="x")
    for number in range(NEWEST):
        came(scroll, "test.event", number=number)
    assert shown(scroll)[0].startswith("10 events not shown")


def test_deltas_make_one_line_across_prints() -> None:
    scroll = Scroll()
    for _ in range(2):
        came(scroll, "response.output_text.delta", response_id="r", item_id="i", delta="ab")
        assert scroll.take() == []
    came(scroll, "response.done", response={"id": "r"})
    delta, done = shown(scroll)
    assert '2 events  "abab"' in delta
    assert "response.done" in done


def test_the_level_of_detail_decides() -> None:
    scroll = Scroll()
    for detail in ("none", "key", "all"):
        came(scroll, "rate_limits.updated", detail, rate_limits=[])
        came(scroll, "response.done", detail, response={"id": "r"})
    assert [line.split()[2] for line in shown(scroll)] == ["response.done", "rate_limits.updated", "response.done"]
