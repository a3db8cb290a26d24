from __future__ import annotations

import json

import pytest

from rtcli.protocol.updates import EventOut, Words
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
