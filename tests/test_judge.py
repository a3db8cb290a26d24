"""The judge of the sandbox's events finds what it is there for."""

from __future__ import annotations

from pathlib import Path

from tests import judge
from tests.program import rtcli


CLEARED = {"type": "input_audio_buffer.cleared", "event_id": "event_1"}


def test_an_event_of_the_sdk_has_no_complaint() -> None:
    assert judge.complaints(CLEARED) == []


def test_an_unknown_field_a_missing_one_and_a_wrong_type_are_complained_about() -> None:
    assert judge.complaints({**CLEARED, "more": 1}) == ["$.more: unknown field"]
    assert judge.complaints({"type": "input_audio_buffer.cleared"}) != []
    assert judge.complaints({**CLEARED, "event_id": 7}) != []


def test_a_field_that_is_unknown_deep_inside_is_found() -> None:
    item = {"id": "i", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x", "more": 1}]}
    event = {"type": "conversation.item.added", "event_id": "event_1", "item": item}
    assert judge.complaints(event) == ["$.item.content[].more: unknown field"]


def test_events_that_differ_in_ids_only_have_one_shape_and_others_have_not() -> None:
    assert judge.shape(CLEARED) == judge.shape({**CLEARED, "event_id": "event_2"})
    assert judge.shape(CLEARED) != judge.shape({**CLEARED, "type": "input_audio_buffer.committed"})


def test_the_sandbox_in_another_process_is_heard_too(tmp_path: Path) -> None:
    before = set(judge.TOLD.glob("*.ndjson"))
    assert rtcli("send", "--sandbox", "--json", "hello", home=tmp_path).status == 0
    (told,) = set(judge.TOLD.glob("*.ndjson")) - before
    assert "response.done" in told.read_text()
