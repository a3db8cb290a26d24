"""An errand is told what happens in a call and says when to end it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtcli.errors import ServiceError, WaitTimeout
from rtcli.protocol.errand import UNBEGUN, Errand
from rtcli.protocol.intents import Fail, HangUp, Intent
from rtcli.protocol.server_events import decode_object
from rtcli.protocol.updates import EventIn, EventOut, Ready, Refused


ITEM = {"type": "message", "role": "user", "content": []}


class Watched:
    """An errand in a call that is ready."""

    def __init__(self, *, given: int | None, **how: Any) -> None:
        self.errand = Errand(**how)
        self.now = 100.0
        self.asked: list[Intent] = []
        self.asked += self.errand.tick(self.now)
        self.asked += self.errand.watch(Ready({}), self.now)
        if given is not None:
            self.errand.all_given(given)

    def sends(self, name: str, **fields: Any) -> None:
        raw = json.dumps({"type": name, "event_id": "rt_1", **fields})
        self.asked += self.errand.watch(EventOut(self.now, name, raw), self.now)

    def receives(self, name: str, **fields: Any) -> None:
        raw = {"type": name, "event_id": "event_1", **fields}
        self.asked += self.errand.watch(EventIn(self.now, decode_object(raw), json.dumps(raw)), self.now)

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.asked += self.errand.tick(self.now)


def test_what_is_awaited_ends_the_call_when_everything_is_acknowledged() -> None:
    watched = Watched(given=1, until="session.updated")
    watched.sends("session.update", session={"type": "realtime"})
    assert watched.asked == []
    watched.receives("session.updated", session={})
    assert watched.asked == [HangUp("session.updated came")]


def test_it_does_not_end_before_the_last_event_is_out() -> None:
    watched = Watched(given=None, until="session.updated")
    watched.sends("session.update", session={"type": "realtime"})
    watched.receives("session.updated", session={})
    assert watched.asked == []
    watched.errand.all_given(2)
    watched.sends("input_audio_buffer.clear")
    assert watched.asked == []
    watched.receives("input_audio_buffer.cleared")
    assert watched.asked == [HangUp("session.updated came")]


def test_what_is_awaited_must_come_after_the_last_answer_asked_for() -> None:
    watched = Watched(given=2, until="response.*")
    watched.sends("response.create")
    watched.receives("response.created", response={"id": "resp_1"})
    watched.receives("response.done", response={"id": "resp_1"})
    watched.sends("response.create")
    assert watched.asked == []
    watched.receives("response.created", response={"id": "resp_2"})
    assert watched.asked == [HangUp("response.* came")]


def test_acknowledgements_alone_can_be_awaited() -> None:
    watched = Watched(given=2, until="")
    watched.sends("conversation.item.create", item=ITEM)
    watched.sends("response.create")
    watched.receives("conversation.item.added", item={"id": "item_1", **ITEM})
    assert watched.asked == []
    watched.receives("response.created", response={"id": "resp_1"})
    assert watched.asked == [HangUp("everything is acknowledged")]


def test_a_response_whose_beginning_is_hidden_does_not_hold_it_up_for_ever() -> None:
    watched = Watched(given=1, until="")
    watched.sends("response.create")
    watched.waits(UNBEGUN - 0.1)
    assert watched.asked == []
    watched.waits(0.2)
    assert watched.asked == [HangUp("everything is acknowledged")]


def test_the_first_refusal_ends_the_call_and_only_the_first() -> None:
    watched = Watched(given=1)
    first, second = ServiceError("no"), ServiceError("no again")
    watched.asked += watched.errand.watch(Refused(first), watched.now)
    watched.asked += watched.errand.watch(Refused(second), watched.now)
    assert watched.asked == [Fail(first)]


@pytest.mark.parametrize("how", [{"until": "error"}, {"refusal_ends": False}])
def test_a_refusal_that_is_looked_for_ends_nothing(how: dict[str, Any]) -> None:
    watched = Watched(given=1, **how)
    assert watched.errand.watch(Refused(ServiceError("no")), watched.now) == []


@pytest.mark.parametrize(("until", "missing"), [(None, "no end of the answer"), ("response.done", "no response.done")])
def test_the_time_is_limited_from_the_beginning_and_what_is_missing_is_named(until: str | None, missing: str) -> None:
    watched = Watched(given=1, until=until, limit=30.0)
    watched.sends("response.create")
    watched.waits(29.9)
    assert watched.asked == []
    watched.waits(0.2)
    (ended,) = watched.asked
    assert isinstance(ended, Fail)
    assert isinstance(ended.error, WaitTimeout)
    assert str(ended.error) == f"{missing} within 30 s"


def test_a_call_that_never_gets_ready_is_given_up() -> None:
    errand = Errand(limit=10.0)
    assert errand.tick(0.0) == []
    (ended,) = errand.tick(10.0)
    assert isinstance(ended, Fail)
    assert "no session within 10 s" in str(ended.error)


def test_updates_of_the_session_are_counted_once_it_is_ready() -> None:
    errand = Errand()
    updated = EventIn(1.0, decode_object({"type": "session.updated", "session": {}}), "{}")
    errand.watch(updated, 1.0)
    errand.watch(Ready({}), 1.0)
    assert errand.updated == 0
    errand.watch(updated, 2.0)
    assert errand.updated == 1
