"""What a test expects of a call: read, met, and told about when it is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.errors import UsageError
from rtcli.protocol import server_events
from rtcli.protocol.expectations import (
    LONGEST,
    Expectations,
    Expected,
    Heard,
    compile_pattern,
    parse_event_expectation,
    unmet,
)
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.updates import EventIn, Ready, Spent, TurnTimed, Update, Words
from rtcli.protocol.usage import Bill, Share, Tokens


def search(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text) is not None


def came(kind: str, **fields: Any) -> EventIn:
    raw = json.dumps({"type": kind, **fields})
    return EventIn(0.0, server_events.decode(raw), raw)


def after(expected: Expected, *updates: Update, heard: Heard | None = None) -> Expectations:
    expectations = Expectations(expected, search=search, heard=lambda: heard or Heard())
    for update in updates:
        _ = expectations.watch(update)
    return expectations


def told(expected: Expected, *updates: Update, heard: Heard | None = None) -> str:
    """What is said about what is not met; "" when everything is."""
    return str(unmet(after(expected, *updates, heard=heard).outcomes()) or "")


def events(*texts: str) -> Expected:
    return Expected(events=tuple(map(parse_event_expectation, texts)))


DONE = came("response.done", response={"id": "r", "status": "completed", "n": 1, "ok": True, "output": [{"type": "m"}]})


@pytest.mark.parametrize(
    "text",
    [
        "response.done",
        "response.*",
        "response.done response.status=completed",
        "response.done   response.status = completed ",
        'response.done response.status="completed"',
        "response.done response.status~^comp",
        "response.done response.n=1",
        "response.done response.ok=true",
        "response.done response.output.0.type=m",
        "response.done response.output[0].type=m",
        'response.done response.output=[{"type":"m"}]',
        'response.done response.output~"m"',
    ],
)
def test_an_event_that_fits_meets_an_expectation(text: str) -> None:
    assert told(events(text), DONE) == ""


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("response.done response.status=failed", "instead came response.done with response.status=completed"),
        ("response.done response.ok=1", "instead came response.done with response.ok=true"),
        ("response.done response.nothing=1", "instead came response.done without response.nothing"),
        ("response.done response.output.7=1", "instead came response.done without response.output.7"),
        ("response.don", "no event of this type came; the nearest were response.done (1)"),
        ("error", "no event of this type came; among those that came were response.done (1)"),
    ],
)
def test_an_expectation_that_is_not_met_says_what_came_instead(text: str, instead: str) -> None:
    assert told(events(text), DONE) == f"--expect {text}: {instead}"


def test_the_last_three_near_misses_are_told_once_each() -> None:
    misses = [came("error", error={"code": code}) for code in ("a", "b", "b", "c")]
    assert told(events("error error.code=x"), *misses).endswith(
        "instead came error with error.code=b, then error with error.code=c"
    )


def test_without_any_event_that_is_said() -> None:
    assert told(events("error")).endswith("no event came at all")


def test_an_expectation_is_waited_for_until_it_is_met() -> None:
    expectations = after(events("session.created", "response.done"), came("session.created"))
    waited = [expectations.waiting]
    assert expectations.watch(DONE)
    assert not expectations.watch(came("rate_limits.updated"))
    assert [*waited, expectations.waiting] == [True, False]


@pytest.mark.parametrize("text", ["", " ", "a/b", "error code", "error =x", "error ~x", "error a..b=1", "error a~("])
def test_what_can_not_be_an_expectation_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--expect"):
        parse_event_expectation(text)


@given(st.text(max_size=60))
def test_any_text_is_an_expectation_or_a_usage_error(text: str) -> None:
    try:
        expectation = parse_event_expectation(text)
    except UsageError:
        return
    assert (
        told(Expected(events=(expectation,)), DONE) == ""
        or "instead" in told(Expected((expectation,)), DONE)
        or ("no event" in told(Expected((expectation,)), DONE))
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_a_value_equals_itself_written_as_json(value: Any) -> None:
    written = json.dumps(value)
    expected = events(f"error x={written}")
    assert told(expected, came("error", x=value)) == ""


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_whatever_comes_meets_nothing_and_breaks_nothing(data: bytes | str) -> None:
    raw = data if isinstance(data, str) else data.decode("utf-8", "replace")
    assert told(events("response.done a=b"), EventIn(0.0, server_events.decode(data), raw))


# ---- the answer ------------------------------------------------------------------------------------------------------


def said(text: str, speaker: Any = "model") -> Words:
    return Words(speaker, "item", text)


def test_the_words_of_the_answer_are_searched() -> None:
    expected = Expected(transcript=compile_pattern("--expect-transcript", "(?i)paris"))
    assert told(expected, said("It is"), said("Paris.")) == ""
    assert told(expected, said("Paris", "you")) == "--expect-transcript (?i)paris: no words came"
    assert told(expected, said('Ly"on')) == '--expect-transcript (?i)paris: instead came "Ly\\"on"'


def test_in_a_transcription_session_the_words_that_were_heard_are_searched() -> None:
    expected = Expected(transcript=re.compile("hello"))
    assert told(expected, Ready({"type": "transcription"}), said("hello there", "you")) == ""


def test_a_pattern_is_searched_in_a_bounded_text() -> None:
    lengths: list[int] = []

    def note(pattern: re.Pattern[str], text: str) -> bool:
        lengths.append(len(text))
        return False

    expectations = Expectations(Expected((parse_event_expectation("error x~y"),), re.compile("y")), search=note)
    _ = expectations.watch(came("error", x="z" * (2 * LONGEST)))
    _ = expectations.watch(said("z" * (2 * LONGEST)))
    assert unmet(expectations.outcomes())
    assert lengths == [LONGEST, LONGEST]


def test_sound_is_enough_of_it_and_loud_enough() -> None:
    expected = Expected(audio=True)
    assert told(expected, heard=Heard(1200.0, -18.0)) == ""
    assert told(expected) == "--expect-audio: 0 ms of sound above -45 dBFS came (silence); 200 are needed"
    assert "90 ms of sound above -45 dBFS came (at most -30 dBFS)" in told(expected, heard=Heard(90.0, -30.2))


def timed(seconds: float | None) -> TurnTimed:
    return TurnTimed(TurnTimes(spoken=False, response_id="r", word=seconds))


def test_the_slowest_answer_counts() -> None:
    expected = Expected(latency_ms=500)
    assert told(expected, timed(0.2), timed(0.5)) == ""
    assert told(expected, timed(0.2), timed(0.75)) == "--max-latency 500: it took 750 ms"
    assert told(expected, timed(None)) == "--max-latency 500: no answer began"


def spent(model: str) -> Spent:
    return Spent(Bill({model: Share(model, Tokens(text_in=1_000_000))}))


def test_a_cost_is_judged_by_known_prices_only() -> None:
    expected = Expected(cost=0.01)
    assert told(Expected(cost=5.0), spent("gpt-realtime-2")) == ""
    assert told(expected, spent("gpt-realtime-2")) == "--max-cost 0.01: it cost ≈ $4.00"
    assert told(expected, spent("mystery")) == "--max-cost 0.01: the price of mystery is not known"
    assert told(expected) == ""


def test_nothing_expected_is_nothing_to_judge() -> None:
    assert not Expected()
    assert Expected(latency_ms=1)
    assert Expected(cost=0.0)
    assert after(Expected()).outcomes() == []


def test_everything_unmet_is_told_in_one_line() -> None:
    line = told(Expected(events("error").events, audio=True))
    assert line.count("; ") >= 1
    assert "\n" not in line
