"""What a guest believes of a call that somebody else holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtcli.errors import CallLost, ServiceError
from rtcli.protocol.conversation import Step
from rtcli.protocol.guest import UNANNOUNCED, Guest
from rtcli.protocol.intents import Finish, InputEnded, Say, SendEvent, ToolOutput
from rtcli.protocol.server_events import decode
from rtcli.protocol.updates import Refused, ToolWanted, Words


class Scene:
    """A guest, and whoever holds the call: what goes out is told, as both kinds of channels do."""

    def __init__(self, *, keeps_line: bool) -> None:
        self.guest = Guest("g_", keeps_line=keeps_line)
        self.keeps_line = keeps_line
        self.now = 10.0
        self.out: list[dict[str, Any]] = []
        self.updates: list[Any] = []
        self.finish: Finish | None = None

    def do(self, *intents: Any) -> None:
        for intent in intents:
            self.take(self.guest.handle(intent, self.now))

    def come(self, name: str, **fields: Any) -> None:
        self.take(self.guest.receive(decode(json.dumps({"type": name, "event_id": "e", **fields})), self.now))

    def goes_out(self, event: dict[str, Any]) -> bool:
        ours, step = self.guest.sent(event, self.now)
        self.take(step)
        return ours

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.guest.tick(self.now))

    def take(self, step: Step) -> None:
        self.updates += step.updates
        self.finish = next((each for each in step.effects if isinstance(each, Finish)), self.finish)
        for (event,) in step.events:
            self.out.append(event)
            if not self.keeps_line:
                self.goes_out(event)

    def begin(self, response_id: str) -> None:
        self.come("response.created", response={"id": response_id, "status": "in_progress", "output": []})

    def end(self, response_id: str, text: str, status: str = "completed", kind: str = "output_text") -> None:
        content = [{"type": kind, "text" if kind == "output_text" else "transcript": text}]
        item = {"id": f"item_{response_id}", "type": "message", "role": "assistant", "content": content}
        self.come("response.done", response={"id": response_id, "status": status, "output": [item]})

    def added(self) -> None:
        self.come("conversation.item.added", item={"id": "i", "type": "message", "role": "user", "content": []})

    @property
    def words(self) -> list[str]:
        return [update.text for update in self.updates if isinstance(update, Words)]


@pytest.fixture(params=[True, False], ids=["kept line", "no line"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(keeps_line=request.param)


def asked(scene: Scene, text: str = "hi") -> None:
    scene.do(Say(text), InputEnded())
    if scene.keeps_line:
        for event in scene.out:
            assert scene.goes_out(event)
    scene.added()


def test_the_answer_to_it_ends_the_errand_and_its_words_alone_are_told(scene: Scene) -> None:
    scene.begin("theirs")
    scene.end("theirs", "not for us")
    asked(scene)
    scene.begin("ours")
    assert scene.finish is None
    scene.end("ours", "for us")
    assert scene.words == ["for us"]
    assert scene.finish == Finish("everything is answered")


def test_a_voice_is_waited_for_to_its_end(scene: Scene) -> None:
    asked(scene)
    scene.begin("ours")
    scene.come("output_audio_buffer.started", response_id="ours")
    scene.end("ours", "aloud", kind="output_audio")
    assert not scene.words
    scene.come("output_audio_buffer.stopped", response_id="theirs")
    assert not scene.words
    scene.come("output_audio_buffer.stopped", response_id="ours")
    assert (scene.words, scene.finish) == (["aloud"], Finish("everything is answered"))


def test_a_voice_that_nobody_announces_is_not_waited_for_without_end(scene: Scene) -> None:
    asked(scene)
    scene.begin("ours")
    scene.end("ours", "aloud", kind="output_audio")
    scene.wait(UNANNOUNCED - 0.1)
    assert scene.finish is None
    scene.wait(0.2)
    assert scene.finish


def test_a_request_that_met_another_response_is_made_again(scene: Scene) -> None:
    asked(scene)
    create = scene.out[-1]
    scene.begin("theirs")
    collision = "conversation_already_has_active_response"
    scene.come("error", error={"type": "x", "code": collision, "message": "busy", "event_id": create["event_id"]})
    scene.end("theirs", "not for us")
    scene.wait(6)
    if scene.keeps_line:
        scene.goes_out(create)
    assert scene.out.count(create) == (1 if scene.keeps_line else 2)
    scene.begin("ours")
    scene.end("ours", "for us")
    assert scene.words == ["for us"]
    assert scene.finish == Finish("everything is answered")


def test_without_a_kept_line_a_request_waits_for_the_response_that_runs() -> None:
    scene = Scene(keeps_line=False)
    scene.begin("theirs")
    scene.do(Say("hi"))
    assert [event["type"] for event in scene.out] == ["conversation.item.create"]
    scene.end("theirs", "not for us")
    assert [event["type"] for event in scene.out] == ["conversation.item.create", "response.create"]


def test_with_a_kept_line_the_answer_is_the_first_after_the_request_went_out() -> None:
    scene = Scene(keeps_line=True)
    scene.do(Say("hi"), InputEnded())
    scene.begin("theirs, asked for before")
    scene.end("theirs, asked for before", "not for us")
    for event in scene.out:
        scene.goes_out(event)
    scene.added()
    scene.begin("ours")
    scene.end("ours", "for us")
    assert scene.words == ["for us"]


def test_an_error_about_somebody_else_is_none_of_our_business(scene: Scene) -> None:
    asked(scene)
    scene.come("error", error={"type": "x", "message": "no", "event_id": "theirs_1"})
    scene.begin("ours")
    scene.end("ours", "for us")
    assert not [update for update in scene.updates if isinstance(update, Refused)]
    assert scene.finish == Finish("everything is answered")


def test_an_error_about_one_of_ours_is_the_outcome(scene: Scene) -> None:
    scene.do(SendEvent({"type": "session.update", "session": {}}), InputEnded())
    (event,) = scene.out
    if scene.keeps_line:
        scene.goes_out(event)
    scene.come("error", error={"type": "x", "message": "no", "code": "bad", "event_id": event["event_id"]})
    assert scene.finish is not None
    assert isinstance(scene.finish.error, ServiceError)


@pytest.mark.parametrize("status", ["failed", "incomplete", "cancelled"])
def test_a_response_that_ends_badly_is_the_outcome(scene: Scene, status: str) -> None:
    asked(scene)
    scene.begin("ours")
    scene.end("ours", "for", status=status)
    assert scene.finish is not None
    assert status in str(scene.finish.error)


def test_functions_are_wanted_and_after_the_last_output_one_response_is_asked_for(scene: Scene) -> None:
    scene.guest = Guest("g_", keeps_line=scene.keeps_line, answers_functions=True)
    asked(scene)
    scene.begin("ours")
    calls = [{"id": i, "type": "function_call", "call_id": i, "name": "f", "arguments": "{}"} for i in ("a", "b")]
    scene.come("response.done", response={"id": "ours", "status": "completed", "output": calls})
    assert [update.call_id for update in scene.updates if isinstance(update, ToolWanted)] == ["a", "b"]
    before = len(scene.out)
    scene.do(ToolOutput("a", "1"), ToolOutput("b", "2"))
    names = [event["type"] for event in scene.out[before:]]
    assert names == ["conversation.item.create", "conversation.item.create", "response.create"]


def test_a_call_that_ends_before_its_answer_is_lost(scene: Scene) -> None:
    asked(scene)
    scene.take(scene.guest.went_down("hung up", scene.now, orderly=True))
    assert scene.finish is not None
    assert isinstance(scene.finish.error, CallLost)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_call_with_nothing_pending_is_lost_only_without_a_goodbye(scene: Scene, orderly: bool) -> None:
    scene.take(scene.guest.went_down("gone", scene.now, orderly=orderly))
    assert scene.finish is not None
    assert isinstance(scene.finish.error, CallLost) is not orderly
