from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.updates import (
    Activity,
    Closed,
    Connecting,
    Growing,
    Ready,
    Stats,
    TurnTimed,
    Update,
    Vitals,
    Words,
)
from rtcli.protocol.usage import Bill, Price, Share, Tokens
from rtcli.terminal.status import Status, growing_lines, meter, status_line


def text(status: Status, columns: int, now: float = 100.0) -> str:
    return "".join(part for _, part in status_line(status, columns, now))


def after(*updates: Update) -> Status:
    status = Status()
    for update in updates:
        status = status.after(update, 10.0)
    return status


STATS = Stats(round_trip=0.042, lost=0.1, jitter=0.001, playout={"depth_ms": 41.0}, unsent=0, echo="aec", erle_db=34.2)
BUSY = after(
    Ready({}),
    Vitals(0.5, muted=False, listening=True),
    Activity(user_speaking=False, model_speaking=True, thinking=False),
    STATS,
    TurnTimed(TurnTimes(spoken=True, response_id="r", announced=0.3, sound=0.412)),
)
BUSY = replace(BUSY, bill=Bill({"own": Share("own", Tokens(text_in=12_345))}, {"own": Price(text_in=1.0)}))


def test_a_wide_terminal_shows_everything() -> None:
    assert text(BUSY, 200) == (
        "speaking · mic ██▁▁▁ · answer 412 ms · 12.3k tokens ≈ $0.0123 · echo aec -34 dB · rtt 42 ms 10% lost"
        " · buffer 41 ms"
    ).replace("██▁▁▁", meter(0.5))


@pytest.mark.parametrize("columns", [100, 80, 50, 30, 12])
def test_a_narrow_terminal_shows_what_matters_most(columns: int) -> None:
    shown = text(BUSY, columns)
    assert cell_len(shown) <= columns
    assert shown.startswith("speaking")
    assert "$" in shown or columns < 50


@given(st.integers(0, 120), st.builds(Vitals, st.floats(0, 1), st.booleans(), st.booleans()))
def test_the_line_is_never_wider_than_the_terminal(columns: int, vitals: Vitals) -> None:
    status = replace(BUSY, vitals=vitals)
    assert cell_len(text(status, columns)) <= columns


def test_muted_is_said_instead_of_a_level() -> None:
    assert "muted" in text(after(Ready({}), Vitals(0.9, muted=True, listening=True)), 80)


def test_without_a_microphone_it_does_not_pretend_to_listen() -> None:
    assert text(after(Ready({})), 80) == "ready · no mic"


def test_each_step_of_connecting_is_named() -> None:
    assert text(after(Connecting("token", 1.0)), 80).startswith("asking for a key")


def test_the_time_left_shows_in_the_last_five_minutes_alone() -> None:
    status = after(Ready({"expires_at": 1}))
    assert "left" not in text(status, 80, now=10.0 + 54 * 60)
    assert "4:30 left" in text(status, 80, now=10.0 + 55 * 60 + 30)
    assert "0:00 left" in text(status, 80, now=10.0 + 70 * 60)


def test_a_service_that_sets_no_limit_has_no_countdown() -> None:
    assert "left" not in text(after(Ready({})), 80, now=10.0 + 59 * 60)


def test_what_was_typed_waits_under_the_words_that_are_growing() -> None:
    status = replace(after(Growing("model", "b", "The answer")), typed=("and then?",))
    assert ["".join(part for _, part in line) for line in growing_lines(status, 30)] == [
        "model  The answer",
        "  you  and then?",
    ]


def test_unfinished_turns_show_their_end_until_they_are_whole() -> None:
    status = after(Growing("you", "a", "what is"), Growing("model", "b", "The answer to all of this is long"))
    status = status.after(Growing("you", "a", "what is it"), 1.0)
    assert [[part for _, part in line] for line in growing_lines(status, 30)] == [
        ["  you  ", "what is it"],
        ["model  ", "…all of this is long"],
    ]
    whole = status.after(Words("you", "a", "what is it?"), 2.0)
    assert [each.item_id for each in whole.growing] == ["b"]
    assert whole.after(Closed(3.0, "hung up"), 3.0).growing == ()


def test_hostile_words_reach_the_bottom_escaped() -> None:
    status = after(Growing("model", "b", "\x1b[2J\u202ehi"))
    assert growing_lines(status, 40)[0][1][1] == "\\x1b[2J\\u202ehi"


@pytest.mark.parametrize(("level", "bar"), [(0.0, "▁▁▁▁▁"), (1.0, "█████"), (0.003, "▁▁▁▁▁")])
def test_the_meter_runs_from_minus_50_db_to_full(level: float, bar: str) -> None:
    assert meter(level) == bar
