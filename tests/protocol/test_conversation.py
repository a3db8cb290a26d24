"""The orders of the protocol at the client: what is sent, shown and performed, and when.

What ends a call is in `test_endings`, servers that differ in `test_other_servers`. The file is long because the
protocol has many orders, and each stands here once.
"""

from __future__ import annotations

from typing import Any

import pytest

from rtcli.errors import EventTooLarge, ServiceError
from rtcli.protocol.answers import STALLED
from rtcli.protocol.conversation import (
    ANSWER_LIMIT,
    SESSION_LIMIT,
    TAIL,
    Plan,
)
from rtcli.protocol.intents import (
    Interrupt,
    MicrophoneEnded,
    Mistyped,
    Mute,
    OpenMicrophone,
    PhraseEnded,
    PlayMicrophone,
    ResumeSpeaker,
    Say,
    SendEvent,
    SetMuted,
    SilenceSpeaker,
    Talk,
    ToolOutput,
)
from rtcli.protocol.requests import COLLISION_PAUSE, COLLISIONS, ROUND_TRIP
from rtcli.protocol.updates import Activity, Growing, Ready, ToolWanted, Warned, Words
from tests.protocol.scene import VAD, WHISPER, Scene, a_call, a_session, an_item


UPDATE = {"type": "realtime", "instructions": "Be brief."}
TYPED = ["conversation.item.create", "response.create"]


# ---- the start ------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_and_no_microphone_opened_before_the_session_is_created() -> None:
    scene = Scene()
    scene.opens()
    scene.does(Say("hello"), Interrupt())
    scene.passes(SESSION_LIMIT - 0.2)
    assert (scene.sent, scene.effects, scene.idle()) == ([], [], False)
    scene.receives("session.created", session=a_session())
    assert scene.sent_types == TYPED
    assert scene.effects[0] == OpenMicrophone()
    assert Ready(a_session()) in scene.updates


def test_an_update_is_sent_after_the_session_is_created_and_awaited() -> None:
    scene = Scene(Plan(update=UPDATE))
    scene.opens()
    scene.does(Say("hello"))
    scene.receives("session.created", session=a_session())
    assert [event["type"] for event in scene.sent] == ["session.update"]
    assert scene.sent[0]["session"] == UPDATE
    scene.passes(SESSION_LIMIT - 0.2)
    assert scene.sent_types == ["session.update"]
    scene.receives("session.updated", session={**a_session(), **UPDATE})
    assert scene.sent_types == ["session.update", *TYPED]
    assert scene.conversation.session["instructions"] == "Be brief."


def test_a_server_that_says_nothing_of_its_session_is_given_up_twice_and_told_about() -> None:
    scene = Scene(Plan(update=UPDATE))
    scene.opens()
    scene.passes(SESSION_LIMIT)
    assert scene.sent_types == ["session.update"]
    scene.passes(SESSION_LIMIT)
    assert scene.warnings == ["session_silent", "session_silent"]
    assert Ready({}) in scene.updates
    assert OpenMicrophone() in scene.effects


def test_a_session_described_late_changes_what_is_known_and_nothing_else() -> None:
    scene = Scene(Plan(update=UPDATE))
    scene.opens()
    scene.passes(2 * SESSION_LIMIT)
    scene.forget()
    scene.receives("session.created", session=a_session())
    scene.receives("session.updated", session={**a_session(), **UPDATE})
    assert (scene.sent, scene.effects, scene.updates) == ([], [], [])
    assert scene.conversation.session["instructions"] == "Be brief."


def test_a_microphone_that_waits_is_opened_when_it_is_asked_for_and_only_once() -> None:
    scene = Scene.ready(Plan(microphone_waits=True))
    assert scene.effects == []
    scene.does(PlayMicrophone(), PlayMicrophone())
    assert scene.effects == [OpenMicrophone()]


# ---- (a) a voice turn -----------------------------------------------------------------------------------------------


def test_a_voice_turn_is_shown_in_the_order_it_was_spoken_and_ends_when_the_voice_does() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "It is noon.")
    scene.hears("item_u", "What time is it?")
    scene.made()
    assert scene.words == [("you", "What time is it?")]
    assert not scene.idle()
    scene.passes(20, audible=True)
    scene.voice("stopped")
    assert scene.words == [("you", "What time is it?"), ("model", "It is noon.")]
    assert scene.idle()
    assert scene.sent == []


def test_words_grow_while_they_are_spoken() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.receives("conversation.item.input_audio_transcription.delta", item_id="item_u", content_index=0, delta="Hel")
    scene.receives("conversation.item.input_audio_transcription.delta", item_id="item_u", content_index=0, delta="lo")
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Hi there")
    growing = [(u.speaker, u.text) for u in scene.updates if isinstance(u, Growing)]
    assert growing == [("you", "Hel"), ("you", "Hello"), ("model", "Hi"), ("model", "Hi there")]


def test_activity_tells_who_speaks_and_when_the_model_thinks() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.answers_by_voice()
    seen = [(u.user_speaking, u.thinking, u.model_speaking) for u in scene.updates if isinstance(u, Activity)]
    assert seen == [
        (True, False, False),
        (False, True, False),  # from the end of the speech, before any response is announced
        (False, False, True),
        (False, False, False),
    ]


def test_the_speaker_is_let_through_when_the_next_answer_is_announced() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.voice("started")
    assert scene.effects == [OpenMicrophone(), ResumeSpeaker()]


def test_the_voice_of_a_second_answer_is_waited_for_although_its_words_came_while_the_first_sounded() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_1")
    scene.voice("started", "resp_1")
    scene.speaks("resp_1", "item_1", "One.")
    scene.made("resp_1")
    scene.begins("resp_2", "item_2")
    scene.speaks("resp_2", "item_2", "Two.")
    scene.made("resp_2")
    scene.passes(40, audible=True)
    scene.voice("stopped", "resp_1")
    assert scene.words == [("model", "One.")]
    assert not scene.idle()
    scene.passes(1)
    scene.voice("started", "resp_2")
    scene.voice("stopped", "resp_2")
    assert scene.words == [("model", "One."), ("model", "Two.")]
    assert scene.idle()


def test_a_voice_that_stops_before_its_response_is_done_ends_with_the_response() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "Yes.")
    scene.voice("stopped")
    assert (scene.words, scene.idle()) == ([], False)
    scene.made()
    assert (scene.words, scene.idle()) == ([("model", "Yes.")], True)


def test_an_idle_timeout_becomes_a_turn_without_words_and_an_answer() -> None:
    scene = Scene.ready(turn_detection={**VAD, "idle_timeout_ms": 5000}, transcription=WHISPER)
    scene.receives("input_audio_buffer.timeout_triggered", item_id="item_u", audio_start_ms=0, audio_end_ms=5000)
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    scene.hears("item_u", "Thank you.")  # what recognisers make of silence
    assert not scene.idle()
    scene.answers_by_voice(words="Still there?")
    assert scene.words == [("model", "Still there?")]


# ---- (b) a text turn ------------------------------------------------------------------------------------------------


def test_a_typed_line_becomes_an_item_and_a_request_with_ids() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"))
    item, create = scene.sent
    assert item["item"] == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    assert create["type"] == "response.create"
    assert item["event_id"] != create["event_id"]


def test_a_typed_line_may_have_images_another_role_and_no_answer() -> None:
    scene = Scene.ready()
    scene.does(Say("", role="system", images=("data:image/png;base64,AA==",), respond=False))
    assert [event["item"]["role"] for event in scene.sent] == ["system"]
    assert scene.sent[0]["item"]["content"] == [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]


def test_a_text_turn_is_over_with_its_response() -> None:
    scene = Scene.ready()
    scene.does(Say("What time is it?"))
    assert not scene.idle()
    content = [{"type": "input_text", "text": "What time is it?"}]
    scene.receives("conversation.item.added", item=an_item("item_u", "user", content=content))
    scene.answers_in_writing(words="Noon.")
    assert scene.words == [("you", "What time is it?"), ("model", "Noon.")]
    assert [u.typed for u in scene.updates if isinstance(u, Words)] == [True, False]
    assert scene.idle()


def test_a_typed_question_answered_by_voice_waits_for_the_voice() -> None:
    scene = Scene.ready()
    scene.does(Say("What time is it?"))
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "Noon.")
    scene.made()
    assert (scene.words, scene.idle()) == ([], False)
    scene.voice("stopped")
    assert (scene.words, scene.idle()) == ([("model", "Noon.")], True)


def test_a_line_typed_during_an_answer_waits_with_its_item_until_the_answer_is_made() -> None:
    scene = Scene.ready()
    scene.does(Say("one"))
    scene.begins("resp_1", "item_1")
    scene.does(Say("two"), Say("three"))
    assert scene.sent_types == TYPED
    assert scene.conversation.backlog == 2
    scene.voice("started")
    scene.speaks("resp_1", "item_1", "One.")
    scene.made()
    assert scene.sent_types == TYPED * 2  # while the first answer still sounds
    scene.begins("resp_2", "item_2")
    scene.made("resp_2")
    assert scene.sent_types == TYPED * 3
    texts = [event["item"]["content"][0]["text"] for event in scene.sent if "item" in event]
    assert texts == ["one", "two", "three"]


def test_an_item_typed_with_interruption_stops_the_answer_and_follows_it() -> None:
    scene = Scene.ready()
    scene.does(Say("one"))
    scene.begins("resp_1", "item_1")
    scene.voice("started")
    scene.forget()
    scene.does(Say("stop, rather two", interrupt=True))
    assert scene.sent_types == ["response.cancel", "output_audio_buffer.clear"]
    assert scene.effects == [SilenceSpeaker(untold=True)]
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})
    assert scene.sent_types == ["response.cancel", "output_audio_buffer.clear", *TYPED]
    assert scene.refusals == []


# ---- events as the user wrote them ----------------------------------------------------------------------------------


def test_given_events_go_out_as_they_are_with_an_id_where_they_had_none() -> None:
    scene = Scene.ready()
    scene.does(
        SendEvent({"type": "conversation.item.delete", "item_id": "a", "event_id": "mine"}),
        SendEvent({"type": "of.tomorrow", "field": [1]}),
        SendEvent({"type": "response.create", "response": "malformed"}),
    )
    assert scene.sent[0] == {"type": "conversation.item.delete", "item_id": "a", "event_id": "mine"}
    assert scene.sent[1]["field"] == [1]
    assert scene.sent[2]["response"] == "malformed"
    assert all(event["event_id"] for event in scene.sent)


@pytest.mark.parametrize("event", [{}, {"type": 7}, {"type": ["response.create"]}, {"type": None, "event_id": [1]}])
def test_given_objects_that_are_no_events_are_the_services_to_refuse(event: dict[str, Any]) -> None:
    scene = Scene.ready()
    scene.does(SendEvent(event))
    assert scene.sent[0]["event_id"].startswith("rt_")
    assert not scene.idle()


def test_given_requests_keep_their_fields_and_stand_in_line() -> None:
    scene = Scene.ready()
    first = {"type": "response.create", "response": {"instructions": "Sing."}, "event_id": "first", "new_field": 1}
    scene.does(SendEvent(first), SendEvent({**first, "event_id": "second"}))
    assert scene.sent == [first]
    scene.answers_in_writing()
    assert [event["event_id"] for event in scene.sent] == ["first", "second"]


def test_what_was_given_after_a_waiting_request_waits_behind_it() -> None:
    scene = Scene.ready()
    item = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}}
    create = {"type": "response.create"}
    for event in (item, create, item, create, item):
        scene.does(SendEvent(event))
    assert scene.sent_types == ["conversation.item.create", "response.create", "conversation.item.create"]
    scene.answers_in_writing("resp_1")
    assert scene.sent_types[3:] == ["response.create", "conversation.item.create"]


@pytest.mark.parametrize("event_type", ["response.cancel", "output_audio_buffer.clear"])
def test_given_events_about_this_moment_do_not_wait(event_type: str) -> None:
    scene = Scene.ready()
    scene.does(Say("one"))
    scene.begins()
    scene.does(Say("two"), SendEvent({"type": event_type}))
    assert scene.sent_types == [*TYPED, event_type]


# ---- (c) barge-in and stopping by hand ------------------------------------------------------------------------------


def test_barge_in_while_generating_silences_the_speaker_at_once_and_marks_the_words() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "One, two, three,")
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    assert scene.effects == [SilenceSpeaker()]
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    assert scene.words == []  # its voice is cut, not over
    scene.voice("cleared")
    scene.receives("conversation.item.truncated", item_id="item_m", content_index=0, audio_end_ms=480)
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("One, two, three,", True)]
    assert scene.sent == []
    assert scene.refusals == []


def test_barge_in_after_the_response_was_made_ends_with_the_buffer_cleared() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "One, two, three.")
    scene.made()
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.voice("cleared")
    assert scene.effects == [SilenceSpeaker(), SilenceSpeaker()]
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("One, two, three.", True)]


def test_barge_in_before_the_first_sample_is_over_without_a_word_about_the_voice() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Well")
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    assert scene.words == [("model", "Well")]
    scene.receives("input_audio_buffer.cleared")
    assert scene.idle()


def test_an_answer_made_and_not_begun_to_sound_is_dropped_by_barge_in() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_1")
    scene.voice("started", "resp_1")
    scene.made("resp_1")
    scene.begins("resp_2", "item_2")
    scene.speaks("resp_2", "item_2", "Two.")
    scene.made("resp_2")
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.voice("cleared", "resp_1")
    assert scene.words == [("model", "Two.")]
    assert not scene.conversation._answers


@pytest.mark.parametrize("how", ["key", "speech"])
def test_of_an_interrupted_answer_what_was_heard_until_then_is_known(how: str) -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "At the end of a long pier stood a house.")
    scene.passes(1.0, audible=True)
    if how == "key":
        scene.does(Interrupt())
    else:
        scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.passes(0.5)  # the other side hears of it later, and says so later still
    scene.made(status="cancelled")
    scene.voice("cleared")
    scene.closes()
    (words,) = [update for update in scene.updates if isinstance(update, Words) and update.speaker == "model"]
    assert (words.heard, words.cut) == ("At the end of a", True)


def test_of_an_answer_that_had_not_begun_to_sound_nothing_was_heard() -> None:
    scene = Scene.ready()
    scene.answers_by_voice()
    scene.begins("resp_2", "item_2")
    scene.speaks("resp_2", "item_2", "Never said.")
    scene.made("resp_2")
    scene.does(Interrupt())
    assert [update.heard for update in scene.updates if isinstance(update, Words)] == [None, ""]


@pytest.mark.parametrize("interrupts", [True, False])
def test_the_users_speech_silences_the_speaker_only_where_it_interrupts(*, interrupts: bool) -> None:
    scene = Scene.ready(turn_detection={**VAD, "interrupt_response": interrupts})
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    assert (SilenceSpeaker() in scene.effects) is interrupts


def test_a_turn_that_was_refused_an_answer_because_one_may_not_be_interrupted_is_a_warning() -> None:
    scene = Scene.ready(turn_detection={**VAD, "interrupt_response": False})
    scene.begins("resp_1", "item_m")
    scene.user_speaks()
    scene.refuses(None, "conversation_already_has_active_response")
    assert scene.warnings == ["conversation_already_has_active_response"]
    assert scene.refusals == []
    scene.made()
    assert scene.idle()


def test_a_stop_by_hand_cancels_then_clears() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.forget()
    scene.does(Interrupt())
    assert scene.sent_types == ["response.cancel", "output_audio_buffer.clear"]
    assert scene.effects == [SilenceSpeaker(untold=True)]


def test_a_stop_by_hand_of_a_made_response_only_clears() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.made()
    scene.does(Interrupt())
    assert scene.sent_types == ["output_audio_buffer.clear"]


def test_a_stop_by_hand_of_nothing_sends_nothing() -> None:
    scene = Scene.ready()
    scene.does(Interrupt())
    assert scene.sent == []
    assert SilenceSpeaker() in scene.effects


def test_an_answer_cleared_before_it_sounded_is_over() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "One.")
    scene.made()
    scene.does(Interrupt())
    assert scene.sent_types == ["output_audio_buffer.clear"]
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("One.", True)]
    assert scene.idle()


def test_a_stop_while_asked_and_not_begun_cancels_the_response_when_it_begins() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), Interrupt())
    assert scene.sent_types == TYPED
    scene.begins()
    assert scene.sent_types == [*TYPED, "response.cancel"]
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})
    assert scene.refusals == []
    scene.does(Say("again"))
    scene.begins("resp_2")
    assert scene.sent_types == [*TYPED, "response.cancel", *TYPED]


def test_a_stop_between_the_users_turn_and_its_answer_cancels_the_answer() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Interrupt())
    scene.begins()
    assert scene.sent_types == ["response.cancel"]


def test_a_stop_whose_response_never_begins_does_not_stop_a_later_one() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Interrupt())
    scene.passes(ANSWER_LIMIT + 1)
    scene.begins()
    assert scene.sent == []


def test_a_stop_that_came_too_late_is_no_error() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.does(Interrupt())
    scene.made()
    scene.refuses(scene.id_of("response.cancel"), "response_cancel_not_active")
    assert (scene.refusals, scene.warnings) == ([], [])


def test_a_stop_that_found_nothing_running_frees_the_line_from_a_response_whose_end_was_lost() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.does(Interrupt(), Say("hello"))
    scene.forget()
    scene.refuses("somebody else's", "response_cancel_not_active")
    assert scene.sent == []
    scene.does(Interrupt())
    scene.refuses(scene.id_of("response.cancel"), "response_cancel_not_active")
    assert scene.sent_types[-2:] == TYPED


# ---- push to talk, turns by hand ------------------------------------------------------------------------------------


def test_push_to_talk_clears_opens_and_after_the_tail_commits_and_asks() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(Mute(on=True))
    scene.forget()
    scene.does(Talk(on=True))
    assert scene.sent_types == ["input_audio_buffer.clear"]
    assert scene.effects == [SilenceSpeaker(), SetMuted(on=False)]
    scene.does(Talk(on=False))
    scene.passes(TAIL - 0.1)
    assert scene.sent_types == ["input_audio_buffer.clear"]
    assert not scene.idle()
    scene.passes(0.2)
    assert scene.sent_types == ["input_audio_buffer.clear", "input_audio_buffer.commit", "response.create"]
    assert scene.effects[-1] == SetMuted(on=True)


def test_push_to_talk_stops_a_running_answer_and_waits_for_its_end() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.does(Talk())
    assert scene.sent_types == ["input_audio_buffer.clear", "response.cancel", "output_audio_buffer.clear"]
    scene.does(Talk())
    scene.passes(1)
    assert "response.create" not in scene.sent_types
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})
    assert scene.sent_types[-2:] == ["input_audio_buffer.commit", "response.create"]


def test_push_to_talk_pressed_again_within_the_tail_goes_on_with_one_turn() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(Talk(on=True), Talk(on=True), Talk(on=False), Talk(on=False), Talk(on=True))
    scene.passes(1)
    assert scene.sent_types == ["input_audio_buffer.clear"] * 2


def test_a_turn_too_short_to_be_committed_is_not_answered() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(Talk(on=True), Talk(on=False))
    scene.passes(1)
    scene.refuses(scene.id_of("input_audio_buffer.commit"), "input_audio_buffer_commit_empty", "buffer too small")
    assert scene.refusals == ["buffer too small"]
    scene.begins()
    assert scene.sent_types[-1] == "response.cancel"


def test_turns_by_hand_are_not_expected_to_be_answered_unasked() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(SendEvent({"type": "input_audio_buffer.commit"}))
    assert not scene.idle()
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    assert scene.idle()


@pytest.mark.parametrize(
    ("turn_detection", "expected"),
    [(VAD, True), ({**VAD, "create_response": False}, False), ({"type": "semantic_vad"}, True)],
)
def test_an_answer_is_expected_after_speech_where_the_service_makes_one_by_itself(
    turn_detection: dict[str, Any], *, expected: bool
) -> None:
    scene = Scene.ready(turn_detection=turn_detection)
    scene.user_speaks()
    assert scene.idle() is not expected
    scene.passes(ANSWER_LIMIT + 0.1)
    assert scene.idle()


def test_mute_toggles_and_sets_before_the_session_is_ready() -> None:
    scene = Scene()
    scene.opens()
    scene.does(Mute(), Mute(), Mute(on=True), Mute(on=True))
    assert scene.effects == [SetMuted(on=True), SetMuted(on=False), SetMuted(on=True), SetMuted(on=True)]


def test_a_mistyped_line_is_told_and_sends_nothing() -> None:
    scene = Scene()
    scene.does(Mistyped("no command /foo"))
    assert scene.updates == [Warned("no command /foo", "mistyped")]


# ---- (d) function calls ---------------------------------------------------------------------------------------------


def test_function_calls_are_wanted_when_the_response_is_done_and_not_before() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.begins()
    scene.receives("response.output_item.added", response_id="resp_1", item=a_call("call_1", arguments=""))
    scene.receives(
        "response.function_call_arguments.done",
        response_id="resp_1", item_id="item_call_1", call_id="call_1", name="look_up", arguments='{"q":"tea"}',
    )  # fmt: skip
    assert not [u for u in scene.updates if isinstance(u, ToolWanted)]
    scene.made(output=[a_call("call_1", arguments='{"q":"tea"}')])
    assert [u for u in scene.updates if isinstance(u, ToolWanted)] == [ToolWanted("call_1", "look_up", '{"q":"tea"}')]
    assert not scene.idle()


def test_several_function_calls_are_followed_by_one_request_after_the_last_output() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.begins()
    scene.made(output=[a_call("call_1"), a_call("call_2")])
    scene.does(ToolOutput("call_2", "cold"))
    assert scene.sent_types == ["conversation.item.create"]
    scene.does(ToolOutput("call_1", "hot"))
    assert scene.sent_types == ["conversation.item.create"] * 2 + ["response.create"]
    assert [event["item"] for event in scene.sent[:2]] == [
        {"type": "function_call_output", "call_id": "call_2", "output": "cold"},
        {"type": "function_call_output", "call_id": "call_1", "output": "hot"},
    ]


def test_an_output_that_nobody_asked_for_makes_no_response() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.does(ToolOutput("call_9", "late"))
    assert scene.sent_types == ["conversation.item.create"]


def test_the_request_after_an_output_waits_for_a_response_that_began_meanwhile() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.begins()
    scene.made(output=[a_call("call_1")])
    scene.user_speaks()
    scene.begins("resp_2")
    scene.does(ToolOutput("call_1", "hot"))
    assert scene.sent_types == ["conversation.item.create"]
    scene.made("resp_2")
    assert scene.sent_types == ["conversation.item.create", "response.create"]


@pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
def test_functions_of_a_response_that_ended_badly_are_not_called(status: str) -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.begins()
    scene.made(status=status, output=[a_call("call_1")])
    assert not [u for u in scene.updates if isinstance(u, ToolWanted)]
    assert scene.idle()


def test_a_response_told_twice_as_done_calls_its_functions_once() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.begins()
    for _ in range(2):
        scene.made(output=[a_call("call_1")])
    assert len([u for u in scene.updates if isinstance(u, ToolWanted)]) == 1


def test_functions_that_nobody_answers_hold_up_nothing() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.made(output=[a_call("call_1")])
    assert [u for u in scene.updates if isinstance(u, ToolWanted)]
    assert scene.idle()


# ---- (e) transcription sessions -------------------------------------------------------------------------------------


def test_a_transcription_session_expects_no_answers_and_keeps_the_order_of_speaking() -> None:
    scene = Scene.ready(kind="transcription", transcription=WHISPER)
    scene.user_speaks("item_1")
    scene.user_speaks("item_2")
    scene.hears("item_2", "second")
    assert scene.words == []
    scene.hears("item_1", "first")
    assert scene.words == [("you", "first"), ("you", "second")]
    assert scene.idle()


def test_words_recognised_while_speaking_without_turn_detection_grow_before_any_commit() -> None:
    scene = Scene.ready(kind="transcription", turn_detection=None, transcription={"model": "gpt-live-transcribe"})
    for delta in ("Hello", " world"):
        scene.receives("conversation.item.input_audio_transcription.delta", item_id="item_1", delta=delta)
    assert [u.text for u in scene.updates if isinstance(u, Growing)] == ["Hello", "Hello world"]
    scene.does(SendEvent({"type": "input_audio_buffer.commit"}))
    scene.receives("input_audio_buffer.committed", item_id="item_1")
    scene.hears("item_1", "Hello world.")
    assert scene.words == [("you", "Hello world.")]


def test_a_pause_commits_what_was_said_where_nobody_else_finds_turns() -> None:
    live = {"model": "gpt-live-transcribe"}
    scene = Scene.ready(kind="transcription", turn_detection=None, transcription=live)
    scene.does(PhraseEnded())
    assert [event["type"] for event in scene.sent] == ["input_audio_buffer.commit"]
    for other in (
        Scene.ready(kind="transcription", transcription=WHISPER),
        Scene.ready(turn_detection=None, transcription=WHISPER),
    ):
        other.does(PhraseEnded())
        assert other.sent == []


# ---- (f) errors -----------------------------------------------------------------------------------------------------


def test_an_error_is_told_and_changes_nothing_else() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.does(Say("hello"))
    scene.forget()
    scene.refuses("nobody's", "invalid_value", "no such item")
    assert scene.refusals == ["no such item"]
    assert (scene.sent, scene.effects) == ([], [])


def test_a_refused_request_releases_the_next_one() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    scene.refuses(scene.id_of("response.create"), "invalid_value", "no")
    assert scene.refusals == ["no"]
    assert scene.sent_types == TYPED * 2


def test_an_error_that_names_another_event_does_not_release_the_line() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    scene.refuses("another", "invalid_value")
    scene.refuses(None, "server_error")
    assert scene.sent_types == TYPED


def test_a_refused_item_is_not_answered_by_something_else() -> None:
    scene = Scene.ready()
    scene.does(Say("look", images=("data:,",)))
    scene.refuses(scene.sent[0]["event_id"], "invalid_value", "no image")
    scene.begins()
    assert scene.sent_types == [*TYPED, "response.cancel"]
    assert scene.refusals == ["no image"]


def test_an_item_refused_when_the_response_has_begun_stops_it() -> None:
    scene = Scene.ready()
    scene.does(Say("look", images=("data:,",)))
    scene.begins()
    scene.refuses(scene.sent[0]["event_id"], "invalid_value", "no image")
    assert scene.sent_types == [*TYPED, "response.cancel"]


def test_a_request_that_met_a_response_of_the_service_is_made_again_when_that_is_done() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"))
    scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response")
    scene.begins("resp_vad")
    assert (scene.sent_types, scene.refusals) == (TYPED, [])
    scene.made("resp_vad")
    assert scene.sent_types == [*TYPED, "response.create"]
    scene.answers_in_writing("resp_2")
    assert scene.idle()


def test_a_request_whose_refusal_comes_after_the_services_own_response_began_is_not_lost() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Say("hello"))
    scene.begins("resp_vad")  # taken for the answer to the line
    scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response")
    assert scene.refusals == []
    scene.made("resp_vad")
    assert scene.sent_types == [*TYPED, "response.create"]


def test_a_line_is_not_believed_to_be_answered_by_a_response_that_the_service_began_by_itself() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Say("one"), Say("two"))
    scene.answers_in_writing("resp_vad")  # before the service can have seen the line
    assert not scene.idle()
    assert scene.sent_types == TYPED
    scene.passes(0.5)
    scene.answers_in_writing("resp_1")
    assert scene.sent_types == TYPED * 2


def test_a_line_that_was_answered_instead_of_the_users_turn_is_waited_for_a_round_trip_only() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Say("one"))
    scene.answers_in_writing("resp_1")
    scene.passes(ROUND_TRIP)
    assert scene.idle()


def test_a_refusal_that_comes_two_responses_late_still_finds_its_request() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    scene.user_speaks("item_u1")
    scene.begins("resp_vad_1")  # taken for the answer to the first line
    scene.passes(ROUND_TRIP)
    scene.made("resp_vad_1")
    second = scene.id_of("response.create")
    scene.begins("resp_1")  # taken for the answer to the second line
    scene.made("resp_1")
    scene.begins("resp_vad_2")
    scene.refuses(second, "conversation_already_has_active_response")
    assert scene.refusals == []
    scene.made("resp_vad_2")
    assert scene.sent_types == [*TYPED, *TYPED, "response.create"]


def test_a_request_refused_after_the_services_own_response_began_is_told() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.does(Say("hello"), Say("two"))
    scene.begins("resp_vad")
    scene.refuses(scene.id_of("response.create"), "invalid_value", "bad")
    assert scene.refusals == ["bad"]
    assert scene.sent_types == TYPED
    scene.made("resp_vad")
    assert scene.sent_types == TYPED * 2


def test_a_request_that_keeps_meeting_a_response_nobody_announced_is_given_up() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"))
    for _ in range(COLLISIONS):
        scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response", "busy")
        assert scene.refusals == []
        scene.passes(COLLISION_PAUSE)
    assert scene.sent_types == [*TYPED, *["response.create"] * COLLISIONS]
    scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response", "busy")
    assert scene.refusals == ["busy"]
    assert scene.idle()


@pytest.mark.parametrize(
    ("status", "details", "told"),
    [
        ("failed", {"error": {"type": "invalid_request_error", "code": "insufficient_quota", "message": "No money"}},
         ["the response is failed: No money"]),
        ("failed", None, ["the response is failed: no reason given"]),
        ("incomplete", {"reason": "max_output_tokens"}, ["the response is incomplete: max_output_tokens"]),
        ("incomplete", {"reason": "content_filter"}, ["the response is incomplete: content_filter"]),
        ("cancelled", {"reason": "turn_detected"}, []),
        ("cancelled", {"reason": "client_cancelled"}, ["the response is cancelled: client_cancelled"]),
    ],
)  # fmt: skip
def test_a_response_that_ended_badly_says_why_and_shows_its_words_as_cut(
    status: str, details: dict[str, Any] | None, told: list[str]
) -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.receives("response.output_text.delta", response_id="resp_1", item_id="item_m", delta="Well, I")
    scene.made(status=status, status_details=details)
    assert scene.refusals == told
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("Well, I", True)]
    assert scene.idle()


def test_a_cancellation_by_the_users_own_event_is_no_failure() -> None:
    scene = Scene.ready()
    scene.begins()
    scene.does(SendEvent({"type": "response.cancel"}))
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})
    assert scene.refusals == []


def test_a_request_answered_by_nothing_is_told_and_holds_up_the_next_one_no_longer() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    scene.passes(STALLED - 0.5)
    assert scene.sent_types == TYPED
    scene.passes(1)
    assert scene.warnings == ["response_silent"]
    assert scene.sent_types == TYPED * 2


def test_a_response_done_that_can_not_be_read_ends_the_response() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    scene.begins("resp_1", "item_1")
    scene.receives_raw('{"type":"response.done","event_id":"e","response":{"id":7}}')
    assert scene.sent_types == TYPED * 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"type":7}', '{"type":"of.tomorrow"}', '{"type":"session.created"}', "\u202e\x00"]
)
def test_messages_that_are_no_events_change_nothing(text: str) -> None:
    scene = Scene.ready()
    scene.forget()
    scene.receives_raw(text)
    assert (scene.updates, scene.sent, scene.effects) == ([], [], [])


# ---- out of band ----------------------------------------------------------------------------------------------------

ASIDE = {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}}


def begins_outside(scene: Scene, response: str) -> None:
    scene.receives("response.created", response={"id": response, "status": "in_progress", "conversation_id": None})


def test_a_response_outside_the_conversation_runs_beside_another() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"))
    scene.begins("resp_1", "item_1")
    scene.does(SendEvent(ASIDE))
    assert scene.sent_types == [*TYPED, "response.create"]
    begins_outside(scene, "resp_x")
    scene.does(Say("two"))
    scene.made("resp_1")
    assert scene.sent_types == [*TYPED, "response.create", *TYPED]  # the line does not wait for the aside
    scene.begins("resp_2")
    scene.made("resp_2")
    assert not scene.idle()
    scene.writes("resp_x", "item_x", "polite")
    scene.receives("response.done", response={"id": "resp_x", "status": "completed", "conversation_id": None})
    assert ("model", "polite") in scene.words
    assert scene.idle()


def test_the_answer_to_a_line_is_not_taken_for_one_outside_the_conversation() -> None:
    scene = Scene.ready()
    scene.does(SendEvent(ASIDE), Say("hello"))
    scene.begins("resp_1")
    begins_outside(scene, "resp_x")
    scene.made("resp_1")
    assert not scene.idle()
    scene.receives("response.done", response={"id": "resp_x", "status": "completed", "conversation_id": None})
    assert scene.idle()


def test_a_stop_by_hand_does_not_cancel_for_an_aside_alone() -> None:
    scene = Scene.ready()
    scene.does(SendEvent(ASIDE))
    begins_outside(scene, "resp_x")
    scene.does(Interrupt())
    assert scene.sent_types == ["response.create"]


def test_a_refused_aside_is_told_and_waited_for_no_longer() -> None:
    scene = Scene.ready()
    scene.does(SendEvent({**ASIDE, "event_id": "aside"}))
    assert not scene.idle()
    scene.refuses("aside", "invalid_value", "no such item")
    assert scene.refusals == ["no such item"]
    assert scene.idle()


def test_functions_called_outside_the_conversation_are_nobodys() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.does(SendEvent(ASIDE))
    begins_outside(scene, "resp_x")
    scene.receives(
        "response.done",
        response={"id": "resp_x", "status": "completed", "conversation_id": None, "output": [a_call("call_1")]},
    )
    assert not [u for u in scene.updates if isinstance(u, ToolWanted)]
    assert scene.idle()


# ---- events that can not be sent ------------------------------------------------------------------------------------


def test_events_that_belong_together_are_one_group() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), SendEvent({"type": "of.tomorrow"}))
    assert [len(group) for group in scene.groups] == [2, 1]


def test_a_line_too_large_to_be_sent_is_told_and_the_next_one_goes_out() -> None:
    scene = Scene.ready()
    scene.does(Say("x"), Say("two"))
    scene.can_not_send(scene.sent[0]["event_id"], EventTooLarge(300_000, 262_144))
    assert scene.refusals == ["the event has 300000 bytes, the other side takes at most 262144"]
    assert scene.sent_types == TYPED * 2


def test_an_event_too_large_to_be_sent_is_not_waited_for() -> None:
    scene = Scene.ready()
    scene.does(SendEvent({"type": "session.update", "session": {}, "event_id": "a"}))
    assert not scene.idle()
    scene.can_not_send("a", EventTooLarge(300_000, 262_144))
    assert scene.idle()


def test_a_session_too_large_to_be_sent_ends_the_call() -> None:
    scene = Scene(Plan(update=UPDATE))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.can_not_send(scene.sent[0]["event_id"], EventTooLarge(300_000, 262_144))
    finish = scene.finish()
    assert finish is not None
    assert isinstance(finish.error, EventTooLarge)


# ---- the user's words -----------------------------------------------------------------------------------------------


def test_without_transcription_an_answer_waits_for_no_question() -> None:
    scene = Scene.ready(transcription=None)
    scene.user_speaks()
    scene.answers_by_voice(words="It is noon.")
    assert scene.words == [("model", "It is noon.")]
    assert scene.idle()


def test_words_that_come_although_transcription_was_said_to_be_off_are_not_lost() -> None:
    scene = Scene.ready(transcription=None)
    scene.user_speaks("item_u")
    scene.answers_by_voice(words="It is noon.")
    scene.hears("item_u", "What time is it?")
    assert scene.words == [("model", "It is noon."), ("you", "What time is it?")]


def test_a_failed_transcript_is_told_and_holds_up_nothing() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice()
    assert scene.words == []
    scene.receives(
        "conversation.item.input_audio_transcription.failed",
        item_id="item_u", content_index=0, error={"message": "audio unintelligible", "code": "audio_unintelligible"},
    )  # fmt: skip
    assert [(u.message, u.code) for u in scene.updates if isinstance(u, Warned)] == [
        ("no transcript: audio unintelligible", "audio_unintelligible")
    ]
    assert scene.words == [("model", "It is noon.")]


def test_speech_that_was_cleared_away_is_waited_for_no_longer() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.receives("input_audio_buffer.cleared")
    assert scene.idle()


def test_a_deleted_item_is_not_waited_for() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice()
    scene.receives("conversation.item.deleted", item_id="item_u")
    assert scene.words == [("model", "It is noon.")]


def test_at_the_end_of_the_call_what_was_begun_is_shown_as_cut() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Well, I")
    scene.closes()
    assert [(u.text, u.cut) for u in scene.updates if isinstance(u, Words)] == [("Well, I", True)]


def test_a_microphone_that_is_no_file_never_ends_a_turn() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(MicrophoneEnded())
    scene.passes(10)
    assert (scene.sent, scene.finish()) == ([], None)


def test_a_service_error_is_what_the_refusal_carries() -> None:
    scene = Scene.ready()
    scene.receives("error", error={"type": "t", "code": "c", "message": "m", "param": "p", "event_id": None})
    error = next(update.error for update in scene.updates if hasattr(update, "error"))
    assert isinstance(error, ServiceError)
    assert (str(error), error.kind, error.code, error.param) == ("m", "t", "c", "p")
