from __future__ import annotations

import json

import pytest

from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import EventIn, EventOut, Growing, Words
from rtcli.terminal.typed import PATIENCE, Typed


def created(text: str) -> EventOut:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return EventOut(1.0, "conversation.item.create", json.dumps({"type": "conversation.item.create", "item": item}))


def typed(*texts: str) -> Typed:
    lines = Typed()
    for text in texts:
        lines.add(text)
    return lines


def test_a_line_waits_until_it_stands_among_the_words() -> None:
    lines = typed("first ", "second")
    lines.shown(Words("you", "i", "first", typed=True))
    assert lines.waiting == ("second",)


def test_words_that_were_spoken_are_no_typed_line() -> None:
    lines = typed("hello")
    lines.shown(Words("you", "i", "hello"))
    assert lines.waiting == ("hello",)


def test_a_service_that_acknowledges_nothing_does_not_keep_it_for_ever() -> None:
    lines = typed("sent", "in line")
    lines.sent(created("sent"), 10.0)
    assert lines.take_overdue(10.0 + PATIENCE) == []
    assert lines.take_overdue(10.1 + PATIENCE) == ["sent"]
    assert lines.waiting == ("in line",)


def test_the_same_line_twice_is_two() -> None:
    lines = typed("again", "again")
    lines.sent(created("again"), 1.0)
    lines.shown(Words("you", "i", "again", typed=True))
    assert lines.waiting == ("again",)
    assert lines.take_all() == ["again"]


@pytest.mark.parametrize("raw", ["{", "{}", '{"item":3}', '{"item":{"content":[3]}}', '{"item":{"content":[{}]}}'])
def test_an_event_written_by_hand_may_have_any_shape(raw: str) -> None:
    lines = typed("x")
    lines.sent(EventOut(1.0, "conversation.item.create", raw), 1.0)
    assert lines.take_overdue(1e9) == []


def test_a_line_that_was_sent_stands_before_the_answer_that_began_after_it() -> None:
    lines = typed("and now?", "later")
    before, after = Growing("model", "a", "Once"), Growing("model", "b", "Now")
    lines.sent(created("and now?"), 10.0)
    shown = lines.among((before,))
    assert [each.text for each in lines.among((*shown, after))] == ["Once", "and now?", "Now"]
    assert lines.waiting == ("later",)
    lines.shown(Words("you", "i", "and now?", typed=True))
    assert lines.among((*shown, after)) == (before, after)


def test_what_the_service_has_waits_for_its_place_as_long_as_the_answer_before_it_takes() -> None:
    lines = typed("and now?")
    out = created("and now?")
    lines.sent(out, 10.0)
    raw = out.raw.replace("item.create", "item.added")
    lines.came(EventIn(10.1, decode(raw), raw))
    assert lines.take_overdue(100.0) == []
    assert lines.take_all() == ["and now?"]
