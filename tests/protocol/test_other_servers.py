"""Servers that hide, leave out or rename what the service announces: a call with them must be held and ended rightly.

What each of them does stands in its code or documentation: Azure OpenAI with `webrtcfilter=on`,
huggingface/speech-to-speech, LocalAI.
"""

from __future__ import annotations

from typing import Any

import pytest

from rtcli.errors import WaitTimeout
from rtcli.protocol.answers import QUIET, STALLED, UNENDED, UNHEARD
from rtcli.protocol.conversation import SESSION_LIMIT, UNSEEN_PAUSE, Plan
from rtcli.protocol.dialects import AZURE
from rtcli.protocol.intents import (
    Finish,
    InputEnded,
    Interrupt,
    MicrophoneEnded,
    OpenMicrophone,
    Say,
    SendEvent,
    SilenceSpeaker,
    ToolOutput,
)
from rtcli.protocol.updates import Activity, Ready, ToolWanted, Words
from tests.protocol.scene import Scene, a_call, a_session, an_item


HEARD = Finish("the answer has been heard", drain=True)
TYPED = ["conversation.item.create", "response.create"]


# ---- Azure's filter -------------------------------------------------------------------------------------------------


class Filtered(Scene):
    """Whatever the filter hides does not arrive."""

    def receives(self, event_type: str, /, **fields: Any) -> None:
        if AZURE.carries(event_type):
            super().receives(event_type, **fields)


def filtered(**plan: Any) -> Filtered:
    scene = Filtered(Plan(filtered=True, **plan))
    scene.opens()
    return scene


def test_a_filtered_call_is_ready_when_its_channel_is_open() -> None:
    scene = filtered()
    assert Ready({}) in scene.updates
    assert scene.effects == [OpenMicrophone()]


def test_a_filtered_call_sends_its_update_first_and_waits_for_no_answer() -> None:
    scene = Filtered(Plan(filtered=True, update={"type": "realtime"}))
    scene.does(Say("hello"))
    scene.opens()
    assert scene.sent_types == ["session.update", *TYPED]
    scene.passes(10)
    assert scene.warnings == []


def test_a_filtered_spoken_turn_ends_with_its_voice() -> None:
    scene = filtered(microphone_is_file=True)
    scene.user_speaks("item_u", words="What time is it?")
    scene.does(MicrophoneEnded())
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "It is noon.")
    scene.made()
    scene.passes(9, audible=True)
    assert scene.finish() is None
    scene.voice("stopped")
    assert scene.finish() == HEARD
    assert scene.words == [("you", "What time is it?"), ("model", "It is noon.")]


def test_a_filtered_answer_in_writing_ends_with_its_words() -> None:
    scene = filtered()
    scene.does(Say("one"), Say("two"), InputEnded())
    assert scene.sent_types == TYPED
    scene.answers_in_writing("resp_1", "item_1", "One.")
    scene.passes(UNSEEN_PAUSE)  # its `response.done` is on the way
    assert scene.sent_types == TYPED * 2
    scene.answers_in_writing("resp_2", "item_2", "Two.")
    assert scene.finish() == HEARD
    assert scene.words == [("model", "One."), ("model", "Two.")]


def test_a_filtered_answer_of_two_parts_loses_no_words() -> None:
    scene = filtered()
    scene.does(Say("one"))
    scene.writes("resp_1", "item_1", "One.")
    scene.writes("resp_1", "item_2", "And more.")
    assert scene.words == [("model", "One."), ("model", "And more.")]
    assert scene.idle()


def test_a_filtered_barge_in_is_over_with_the_users_speech() -> None:
    scene = filtered()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "One, two,")
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    assert SilenceSpeaker() in scene.effects
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("One, two,", True)]
    scene.speaks("resp_1", "item_m", "three")  # was on its way
    scene.receives("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=900)
    scene.does(InputEnded())
    assert scene.finish() is None
    scene.begins("resp_2", "item_2")
    scene.voice("started", "resp_2")
    scene.speaks("resp_2", "item_2", "All right.")
    scene.voice("stopped", "resp_2")
    scene.hears("item_u", "Stop.")
    assert scene.finish() == HEARD


def test_a_filtered_stop_by_hand_ends_the_answer_and_frees_the_line_after_a_pause() -> None:
    scene = filtered()
    scene.does(Say("one"))
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.does(Interrupt(), Say("two"))
    assert scene.sent_types == [*TYPED, "response.cancel", "output_audio_buffer.clear"]
    scene.passes(UNSEEN_PAUSE)
    assert scene.sent_types[-2:] == TYPED


def test_a_filtered_request_that_nothing_answers_is_a_wait_in_vain() -> None:
    scene = filtered()
    scene.does(Say("one"), InputEnded())
    scene.passes(STALLED + 0.1)
    finish = scene.finish()
    assert finish is not None
    assert isinstance(finish.error, WaitTimeout)


def test_a_filtered_call_waits_for_the_answers_it_can_see_and_no_others() -> None:
    scene = filtered()
    scene.does(SendEvent({"type": "session.update", "session": {}}), InputEnded())
    assert scene.finish() is not None
    scene = filtered()
    item = {"type": "message", "role": "user", "content": []}
    scene.does(SendEvent({"type": "conversation.item.create", "item": item}), InputEnded())
    assert scene.finish() is None
    scene.receives("conversation.item.added", item=an_item("item_1", "user"))
    assert scene.finish() is not None


def test_a_filtered_file_without_turn_detection_is_committed_by_hand_as_was_asked_for() -> None:
    update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    scene = filtered(update=update, microphone_is_file=True)
    scene.does(MicrophoneEnded())
    scene.passes(1)
    assert scene.sent_types == ["session.update", "input_audio_buffer.commit", "response.create"]


def test_a_stream_that_was_thought_to_be_filtered_and_is_not_is_held_like_any_other() -> None:
    scene = Scene(Plan(filtered=True, update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.receives("session.updated", session=a_session())
    scene.does(Say("one"), Say("two"))
    scene.begins("resp_1", "item_1")
    scene.writes("resp_1", "item_1", "One.")
    scene.passes(5)
    assert scene.sent_types == ["session.update", *TYPED]
    scene.made("resp_1")
    assert scene.sent_types == ["session.update", *TYPED, *TYPED]


def test_an_update_refused_on_a_stream_that_was_thought_to_be_filtered_ends_the_call() -> None:
    scene = Scene(Plan(filtered=True, update={"type": "realtime"}))
    scene.opens()
    scene.refuses(scene.id_of("session.update"), "unknown_parameter", "no such parameter")
    finish = scene.finish()
    assert finish is not None
    assert str(finish.error) == "no such parameter"


# ---- no announcements of the voice ----------------------------------------------------------------------------------


def unannounced(scene: Scene, *, item: str = "item_m") -> None:
    """An answer as speech-to-speech sends it: no items, words at the end, nothing about the buffer."""
    scene.receives("response.created", response={"id": "resp_1", "status": "in_progress"})
    scene.receives("response.output_audio.done", response_id="resp_1", item_id=item)
    scene.receives(
        "response.output_audio_transcript.done", response_id="resp_1", item_id=item, transcript="It is noon."
    )
    scene.receives("response.done", response={"id": "resp_1", "status": "completed"})


def test_a_voice_that_is_never_announced_is_waited_for_while_it_is_audible() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    unannounced(scene)
    scene.passes(60, audible=True)
    assert scene.finish() is None
    scene.passes(QUIET - 0.2)
    assert (scene.finish(), scene.words) == (None, [])
    scene.passes(0.3)
    assert scene.finish() == HEARD
    assert scene.words == [("model", "It is noon.")]


def test_a_voice_that_is_never_announced_may_let_wait_for_its_first_sound() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    unannounced(scene)
    scene.passes(UNHEARD - 0.2)
    assert scene.finish() is None
    scene.passes(1, audible=True)
    scene.passes(QUIET - 0.2)
    assert scene.finish() is None
    scene.passes(0.3)
    assert scene.finish() == HEARD


def test_a_voice_that_is_neither_announced_nor_audible_is_given_up() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    unannounced(scene)
    scene.passes(UNHEARD + 0.1)
    assert scene.finish() == HEARD


def test_the_sound_of_an_earlier_answer_is_not_taken_for_the_next_one() -> None:
    scene = Scene.ready()
    scene.passes(1, audible=True)
    scene.passes(3)
    scene.does(Say("hello"), InputEnded())
    unannounced(scene)
    scene.passes(QUIET + 1)
    assert scene.finish() is None


def test_an_unannounced_voice_that_is_audible_is_the_model_speaking() -> None:
    scene = Scene.ready()
    unannounced(scene)
    scene.passes(1, audible=True)
    assert [u.model_speaking for u in scene.updates if isinstance(u, Activity)][-1] is True
    scene.passes(1)
    assert [u.model_speaking for u in scene.updates if isinstance(u, Activity)][-1] is False


def test_barge_in_into_an_unannounced_voice_silences_it_at_once() -> None:
    scene = Scene.ready()
    unannounced(scene)
    scene.passes(1, audible=True)
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u")
    assert SilenceSpeaker() in scene.effects
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("It is noon.", True)]


def test_a_voice_announced_but_not_ended_is_given_up_after_long_silence() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.voice("started")
    scene.made()
    scene.passes(3, audible=True)
    scene.passes(UNENDED - 1)
    assert not scene.idle()
    scene.passes(1.1)
    assert scene.idle()


# ---- no acknowledgement of updates, functions told only by their arguments ------------------------------------------


def test_a_session_that_was_asked_for_and_never_acknowledged_is_believed() -> None:
    update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    scene = Scene(Plan(update=update, microphone_is_file=True))
    scene.opens()
    scene.receives("session.created", session={"type": "realtime", "audio": {"input": {"format": {}}, "output": {}}})
    scene.passes(SESSION_LIMIT)
    scene.does(MicrophoneEnded())
    scene.passes(1)
    assert scene.sent_types == ["session.update", "input_audio_buffer.commit", "response.create"]
    assert scene.conversation.session["audio"]["input"] == {"format": {}}


def test_functions_told_by_their_arguments_alone_are_called() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.receives("response.created", response={"id": "resp_1", "status": "in_progress"})
    scene.receives("response.output_item.added", response_id="resp_1", item=a_call("call_1", "look_up", '{"q":1}'))
    scene.receives(
        "response.function_call_arguments.done",
        response_id="resp_1", item_id="item_call_1", call_id="call_1", arguments='{"q":1}',
    )  # fmt: skip
    scene.receives(
        "response.function_call_arguments.done",
        response_id="resp_1", item_id="item_2", call_id="call_2", name="weather", arguments="{}",
    )  # fmt: skip
    scene.receives("response.done", response={"id": "resp_1", "status": "completed"})
    assert [u for u in scene.updates if isinstance(u, ToolWanted)] == [
        ToolWanted("call_1", "look_up", '{"q":1}'),
        ToolWanted("call_2", "weather", "{}"),
    ]
    scene.does(ToolOutput("call_1", "a"), ToolOutput("call_2", "b"))
    assert scene.sent_types == ["conversation.item.create"] * 2 + ["response.create"]


def test_a_cancellation_without_a_reason_is_taken_for_the_users() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.receives("response.done", response={"id": "resp_1", "status": "cancelled"})
    assert scene.refusals == []


def test_a_response_without_status_is_complete() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.receives("response.done", response={"id": "resp_1", "output": [a_call("call_1")]})
    assert [u for u in scene.updates if isinstance(u, ToolWanted)]
    assert scene.refusals == []


@pytest.mark.parametrize("conversation", [{}, {"conversation_id": None}])
def test_an_aside_is_recognised_where_conversations_have_no_names(conversation: dict[str, Any]) -> None:
    scene = Scene.ready()
    scene.does(SendEvent({"type": "response.create", "response": {"conversation": "none"}}), InputEnded())
    scene.receives("response.created", response={"id": "resp_x", "status": "in_progress", **conversation})
    scene.receives("response.done", response={"id": "resp_x", "status": "completed"})
    assert scene.finish() is not None


def test_a_response_known_by_its_words_before_it_was_announced_is_one_response() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), Say("two"))
    scene.speaks("resp_1", "item_m", "Well")
    scene.begins("resp_1", "item_m")
    assert scene.sent_types == TYPED
    scene.made("resp_1")
    assert scene.sent_types == TYPED * 2


def test_what_still_comes_of_a_response_that_is_over_means_nothing() -> None:
    scene = Scene.ready()
    scene.answers_by_voice()
    scene.forget()
    scene.receives("response.output_audio_transcript.delta", response_id="resp_1", item_id="item_m", delta="x")
    scene.receives("response.output_text.done", response_id="resp_1", item_id="item_m", text="x")
    scene.receives("response.output_item.added", response_id="resp_1", item=an_item("item_m"))
    scene.made()
    scene.voice("stopped")
    assert (scene.updates, scene.sent) == ([], [])
    assert scene.idle()


def test_responses_without_ids_follow_one_another() -> None:
    scene = Scene.ready()
    for _ in range(2):
        scene.does(Say("hello"))
        scene.begins("", "")
        scene.writes("", "", "Hello.")
        scene.made("")
    assert scene.words == [("model", "Hello.")] * 2
    assert scene.idle()


def test_items_added_and_created_under_both_names_are_shown_once() -> None:
    scene = Scene.ready()
    item = an_item("item_u", "user", content=[{"type": "input_text", "text": "hello"}])
    scene.receives("conversation.item.added", item=item)
    scene.receives("conversation.item.created", item=item)
    assert scene.words == [("you", "hello")]


def test_a_response_that_only_thinks_for_long_is_waited_for() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    scene.begins("resp_1")
    scene.passes(STALLED - 1)
    assert scene.finish() is None
    scene.answers_in_writing("resp_1")
    assert scene.finish() == HEARD
