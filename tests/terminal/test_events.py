"""Events as lines: what stands in them, which are shown, which make one line."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol import client_events, server_events
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn, Stats
from rtcli.terminal.events import Entry, Filter, Run, about, entries, line, lines_of, session_words
from rtcli.terminal.ndjson import Direction


AT = datetime(2026, 1, 31, 12, 34, 56, 789_000, tzinfo=UTC)


def entry(event_type: str, direction: Direction = "in", /, **fields: Any) -> Entry:
    event = {"type": event_type, **fields}
    return Entry(direction, event_type, event, json.dumps(event))


def shown(*all_of_a_run: Entry) -> str:
    run = Run.of(all_of_a_run[0], AT)
    for each in all_of_a_run[1:]:
        grown = run.grown(each)
        assert grown is not None
        run = grown
    return line(run).plain


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (entry("conversation.created", conversation={"id": "conv_1"}), ""),
        (
            entry(
                "conversation.item.create", "out", item={"type": "message", "role": "user", "content": [{"text": "hi"}]}
            ),
            'user "hi"',
        ),
        (
            entry("conversation.item.input_audio_transcription.completed", item_id="i", transcript="two plus"),
            '"two plus"',
        ),
        (entry("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=1230), "at 1.23 s · item_1"),
        (
            entry(
                "response.done",
                response={"id": "resp_1", "status": "completed", "usage": {"input_tokens": 12, "output_tokens": 34}},
            ),
            "completed · 12 tokens in, 34 out · resp_1",
        ),
        (
            entry("response.function_call_arguments.done", name="look_up", arguments='{"q":1}', call_id="c"),
            'look_up({"q":1})',
        ),
        (
            entry("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 40, "remaining": 39}]),
            "tokens 39 of 40",
        ),
        (
            entry("error", error={"message": "No.", "code": "bad", "param": "x", "event_id": "rt_1"}),
            "No. · bad · param x · for rt_1",
        ),
        (entry("response.cancel", "out"), ""),
        (entry("rtcli.closed", "local", reason="hung up", exit=0), "hung up · exit 0"),
        (entry("rtcli.turn", "local", speaker="model", text="5.", cut=True), 'model "5." · cut'),
        (entry("vendor.news", mood="good", event_id="e"), '{"mood":"good"}'),
    ],
)
def test_the_words_that_matter(event: Entry, words: str) -> None:
    assert about(event) == words


def test_a_line_is_time_direction_type_and_words() -> None:
    assert shown(entry("error", error={"message": "No."})) == "12:34:56.789 ← error  No."
    assert shown(entry("response.create", "out")) == "12:34:56.789 → response.create"


def test_a_run_of_deltas_is_one_line_with_its_count_and_what_they_add_up_to() -> None:
    deltas = [
        entry("response.output_text.delta", item_id="i", response_id="r", delta=part) for part in ("2 plus", " 3")
    ]
    assert shown(*deltas) == '12:34:56.789 ← response.output_text.delta  2 events  "2 plus 3"'


def test_sound_in_events_is_one_line_without_the_sound() -> None:
    """A WebSocket carries it so."""
    deltas = [entry("response.output_audio.delta", item_id="i", delta="UklGR" * 1000) for _ in range(3)]
    line_of_it = shown(*deltas)
    assert "3 events" in line_of_it
    assert "UklGR" not in line_of_it


def test_another_item_or_type_begins_another_line() -> None:
    run = Run.of(entry("response.output_text.delta", item_id="i", delta="a"), AT)
    assert run.grown(entry("response.output_text.delta", item_id="j", delta="a")) is None
    assert run.grown(entry("response.output_audio_transcript.delta", item_id="i", delta="a")) is None
    assert Run.of(entry("error", error={}), AT).grown(entry("error", error={})) is None


def test_a_long_run_stays_a_short_line() -> None:
    run = Run.of(entry("response.output_text.delta", delta="x" * 1000), AT)
    for _ in range(100):
        grown = run.grown(entry("response.output_text.delta", delta="x" * 1000))
        assert grown is not None
        run = grown
    assert len(line(run).plain) < 500


def test_full_is_the_whole_event_under_its_line() -> None:
    lines = [each.plain for each in lines_of(Run.of(entry("vendor.news", mood="good\x1b[2J"), AT), full=True)]
    assert "\x1b" not in "".join(lines)
    assert any('"mood": "good\\u001b[2J"' in each for each in lines[1:])


@pytest.mark.parametrize(
    ("keep", "types"),
    [
        (Filter(), {"response.created", "response.output_text.delta", "response.done", "error", "rtcli.closed"}),
        (Filter(types=("response.*",)), {"response.created", "response.output_text.delta", "response.done"}),
        (Filter(types=("response.*",), excluded=("*.delta",)), {"response.created", "response.done"}),
        (Filter(types=("error", "rtcli.*")), {"error", "rtcli.closed"}),
        (Filter(direction="local"), {"rtcli.closed"}),
        (Filter(errors=True), {"error", "response.done"}),
        (Filter(words=re.compile("plus")), {"response.output_text.delta"}),
    ],
)
def test_a_filter_says_which_are_shown(keep: Filter, types: set[str]) -> None:
    events = [
        entry("response.created", response={"id": "r"}),
        entry("response.output_text.delta", delta="2 plus 3"),
        entry("response.done", response={"id": "r", "status": "failed"}),
        entry("error", error={"message": "No."}),
        entry("rtcli.closed", "local", reason="hung up", exit=0),
    ]
    assert {each.type for each in events if keep(each)} == types


def test_a_session_in_a_line() -> None:
    hearing = {"turn_detection": None, "transcription": {"model": "gpt-transcribe"}}
    session = {"type": "realtime", "model": "m", "output_modalities": ["text"], "audio": {"input": hearing}}
    assert session_words(session) == "realtime · m · text · turns by hand · written down by gpt-transcribe"
    assert session_words("nonsense") == ""


def test_a_message_that_is_no_event_is_a_warning_with_what_came() -> None:
    (warned,) = entries(EventIn(1.0, decode("{]"), "{]"))
    assert (warned.direction, warned.type, warned.is_error) == ("local", "rtcli.warning", True)
    assert "not JSON" in about(warned)


def test_the_figures_of_every_second_are_no_lines() -> None:
    assert entries(Stats(None, None, None, {}, 0)) == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted(
    {*server_events.EVENTS, *client_events.EVENTS, "rtcli.turn", "rtcli.closed", "rtcli.tool", "rtcli.stats"}
)
FIELDS = ["session", "item", "response", "error", "delta", "text", "transcript", "arguments", "name", "audio", "part"]
FIELDS += ["rate_limits", "audio_start_ms", "audio_end_ms", "item_id", "reason", "exit", "speaker", "round_trip"]


@given(name=st.sampled_from(NAMES), fields=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5))
def test_whatever_comes_makes_one_safe_line(name: str, fields: dict[str, Any]) -> None:
    plain = shown(entry(name, **fields))
    assert plain.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)
