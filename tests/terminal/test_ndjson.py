from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from rtcli.errors import ServiceError
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import Closed, EventIn, EventOut, Growing, Refused, Update, Words
from rtcli.terminal.ndjson import documents, stamped


def lines(update: Update) -> list[dict[str, object]]:
    wall = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)
    found = [stamped(document, seq=7, wall=wall, ms=1234.56, sid="1") for document in documents(update)]
    assert not any("\n" in line or "\r" in line for line in found)
    return [json.loads(line) for line in found]


def received(raw: str) -> EventIn:
    return EventIn(1.0, decode(raw), raw)


def test_a_service_event_keeps_its_own_keys_at_top_level() -> None:
    (line,) = lines(received('{"type":"response.done","event_id":"e","response":{"id":"r"}}'))
    assert line.pop("_rt") == {
        "v": 1,
        "seq": 7,
        "t": "2026-01-31T12:00:00.123Z",
        "ms": 1234.6,
        "dir": "in",
        "sid": "1",
    }
    assert line == {"type": "response.done", "event_id": "e", "response": {"id": "r"}}


def test_an_event_over_several_lines_becomes_one() -> None:
    (line,) = lines(received('{\r\n "type": "x.y",\n "n": 1\n}\n'))
    assert (line["type"], line["n"]) == ("x.y", 1)


def test_an_event_with_our_own_key_can_not_forge_it() -> None:
    (line,) = lines(received('{"type":"x.y","_rt":{"seq":1}}'))
    assert isinstance(line["_rt"], dict)
    assert line["_rt"]["seq"] == 7


def test_what_is_no_event_is_a_warning_with_what_came() -> None:
    (line,) = lines(received("<html>"))
    assert (line["type"], line["code"], line["raw"]) == ("rtcli.warning", "protocol_error", "<html>")


def test_an_event_of_a_wrong_shape_is_shown_and_warned_of() -> None:
    shown, warning = lines(received('{"type":"response.done","response":3}'))
    assert (shown["type"], shown["response"], warning["type"]) == ("response.done", 3, "rtcli.warning")


def test_a_sent_event_goes_out() -> None:
    (line,) = lines(EventOut(1.0, "response.create", '{"type":"response.create","event_id":"rt_1"}'))
    assert isinstance(line["_rt"], dict)
    assert (line["event_id"], line["_rt"]["dir"]) == ("rt_1", "out")


def test_the_last_line_says_how_it_ended() -> None:
    (line,) = lines(Closed(1.0, "the service said no", error=ServiceError("no")))
    assert (line["type"], line["exit"], line["reason"]) == ("rtcli.closed", 5, "the service said no")


def test_a_refusal_names_its_code() -> None:
    (line,) = lines(Refused(ServiceError("too much", code="slow_down")))
    assert (line["type"], line["code"], line["exit"]) == ("rtcli.error", "slow_down", 5)


def test_growing_words_are_for_people_alone() -> None:
    assert lines(Growing("model", "i", "wor")) == []
    assert lines(Words("model", "i", "words"))[0]["text"] == "words"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_whatever_an_event_holds_the_line_is_json(value: object) -> None:
    raw = json.dumps({"type": "x.y", "value": value}, indent=1)
    (line,) = lines(received(raw))
    assert line["value"] == value
