"""Whatever a server sends and a user does, in any order: the rules of the conversation hold and the call ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcli.protocol.conversation import Plan, Step
from rtcli.protocol.intents import (
    Finish,
    InputEnded,
    Intent,
    Interrupt,
    MicrophoneEnded,
    Mute,
    PlayMicrophone,
    Say,
    SendEvent,
    Talk,
    ToolOutput,
)
from rtcli.protocol.updates import Words
from tests.protocol.scene import VAD, WHISPER, Scene, a_call, a_session, an_item


Move = Callable[[Scene], None]

ENOUGH = 200.0
"""Seconds after which a call whose input has ended, and to which nothing more happens, has ended too."""


def event(event_type: str, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Move]:
    def move(given: dict[str, Any]) -> Move:
        return lambda scene: scene.receives(event_type, **given)

    return st.fixed_dictionaries(fields).map(move)


def answers_to_us(scene: Scene, code: str) -> None:
    """An error that names the event sent last."""
    scene.refuses(scene.sent[-1]["event_id"] if scene.sent else None, code)


responses = st.sampled_from(["resp_1", "resp_2", "resp_3", ""])
items = st.sampled_from(["item_1", "item_2", "item_3"])
spoken_items = st.sampled_from(["item_u1", "item_u2", ""])
codes = st.sampled_from(["invalid_value", "conversation_already_has_active_response", "response_cancel_not_active"])
words = st.sampled_from(["", "Hello.", "One, two."])
sessions = st.sampled_from(
    [
        {},
        {"audio": {"input": None}},
        a_session(transcription=WHISPER),
        a_session(turn_detection=None),
        a_session(turn_detection={**VAD, "interrupt_response": False, "create_response": False}),
        a_session(kind="transcription"),
    ]
)
output = st.lists(st.sampled_from([a_call("call_1"), a_call("call_2"), an_item("item_1")]), max_size=2)

SERVER: st.SearchStrategy[Move] = st.one_of(
    event("session.created", session=sessions),
    event("session.updated", session=sessions),
    event("input_audio_buffer.speech_started", item_id=spoken_items),
    event("input_audio_buffer.speech_stopped", item_id=spoken_items),
    event("input_audio_buffer.committed", item_id=spoken_items),
    event("input_audio_buffer.cleared"),
    event("input_audio_buffer.timeout_triggered", item_id=spoken_items),
    event("conversation.item.input_audio_transcription.delta", item_id=spoken_items, delta=words),
    event("conversation.item.input_audio_transcription.completed", item_id=spoken_items, transcript=words),
    event("conversation.item.added", item=st.builds(an_item, items, st.sampled_from(["user", "assistant"]))),
    event("conversation.item.deleted", item_id=items),
    event(
        "response.created",
        response=st.builds(
            lambda response, outside: {"id": response, **({"conversation_id": None} if outside else {})},
            responses,
            st.booleans(),
        ),
    ),
    event("response.output_item.added", response_id=responses, item=st.builds(an_item, items)),
    event("response.output_item.done", response_id=responses, item=st.just(a_call("call_1"))),
    event("response.content_part.added", response_id=responses, item_id=items, part=st.just({"type": "audio"})),
    event("response.output_text.delta", response_id=responses, item_id=items, delta=words),
    event("response.output_text.done", response_id=responses, item_id=items, text=words),
    event("response.output_audio_transcript.delta", response_id=responses, item_id=items, delta=words),
    event("response.output_audio_transcript.done", response_id=responses, item_id=items, transcript=words),
    event("response.output_audio.done", response_id=responses, item_id=items),
    event(
        "response.done",
        response=st.fixed_dictionaries(
            {
                "id": responses,
                "status": st.sampled_from(["completed", "failed", "cancelled", "incomplete"]),
                "output": output,
            }
        ),
    ),
    event("output_audio_buffer.started", response_id=responses),
    event("output_audio_buffer.stopped", response_id=responses),
    event("output_audio_buffer.cleared", response_id=responses),
    codes.map(lambda code: lambda scene: answers_to_us(scene, code)),
    codes.map(lambda code: lambda scene: scene.refuses(None, code)),
    st.sampled_from(["", "[]", '{"type":"x"}', '{"type":"response.done"}', '{"type":"error"}']).map(
        lambda text: lambda scene: scene.receives_raw(text)
    ),
)

given_events = st.sampled_from(
    [
        {"type": "response.create"},
        {"type": "response.create", "event_id": "mine", "response": {"conversation": "none"}},
        {"type": "response.create", "response": 7},
        {"type": "response.cancel"},
        {"type": "session.update", "session": {}},
        {"type": "conversation.item.create", "item": {"type": "message"}},
        {"type": "input_audio_buffer.commit", "event_id": ""},
        {"type": "of.tomorrow", "event_id": 5},
    ]
)
intents = st.one_of(
    st.builds(Say, words, respond=st.booleans(), interrupt=st.booleans()),
    st.builds(SendEvent, given_events),
    st.builds(ToolOutput, st.sampled_from(["call_1", "call_2", "call_9"]), words),
    st.builds(Talk, st.sampled_from([True, False, None])),
    st.sampled_from([Interrupt(), Mute(), PlayMicrophone(), MicrophoneEnded(), InputEnded()]),
)
USER: st.SearchStrategy[Move] = intents.map(lambda intent: lambda scene: scene.does(cast("Intent", intent)))

TIME: st.SearchStrategy[Move] = st.builds(
    lambda seconds, audible: lambda scene: scene.passes(seconds, audible=audible),
    st.sampled_from([0.1, 0.4, 2.1, 6.0, 16.0, 61.0]),
    st.booleans(),
)

plans = st.builds(
    Plan,
    update=st.sampled_from([None, {"type": "realtime"}]),
    filtered=st.booleans(),
    answers_functions=st.booleans(),
    microphone_is_file=st.booleans(),
    ends_with_file=st.booleans(),
    microphone_waits=st.booleans(),
)


class Watched(Scene):
    """Checks each step."""

    def _took(self, step: Step) -> None:
        super()._took(step)
        events = [event for group in step.events for event in group]
        assert all(isinstance(event["event_id"], str) and event["event_id"] for event in events)
        assert all(event["type"] != "conversation.item.truncate" for event in events)
        assert sum(map(asks, events)) <= 1, "two responses asked for at once"
        running = self.conversation._answers.running
        assert not (self.conversation._requests.asked and running), "another response asked for while one is running"


def asks(event: dict[str, Any]) -> bool:
    """A request for a response in the conversation that the service would take."""
    response = event.get("response", {})
    return event["type"] == "response.create" and isinstance(response, dict) and response.get("conversation") != "none"


@settings(deadline=None, max_examples=150)
@given(plans, st.lists(st.one_of(SERVER, SERVER, SERVER, USER, TIME), max_size=40))
def test_the_rules_hold_whatever_happens_and_the_call_ends(plan: Plan, moves: list[Move]) -> None:
    scene = Watched(plan)
    scene.opens()
    for move in moves:
        move(scene)
    scene.does(PlayMicrophone(), MicrophoneEnded(), InputEnded())
    scene.passes(ENOUGH)
    assert isinstance(scene.finish(), Finish)
    scene.closes()
    shown = [update.item_id for update in scene.updates if isinstance(update, Words) and update.item_id]
    assert len(set(shown)) == len(shown), "an item is shown once"
