"""What ends a call, what it waits for before, and that it never waits for ever nor ends in mid-answer."""

from __future__ import annotations

from typing import Any

import pytest

from rtcli.errors import CallLost, DeviceError, RtcliError, ServiceError, WaitTimeout
from rtcli.protocol import acknowledgement
from rtcli.protocol.answers import STALLED, UNBEGUN, UNENDED, UNHEARD
from rtcli.protocol.conversation import (
    ANSWER_LIMIT,
    SESSION_LIMIT,
    SETTLE,
    SETTLE_FIRST,
    TAIL,
    UNNAMED_LIMIT,
    Plan,
)
from rtcli.protocol.intents import (
    Fail,
    Finish,
    HangUp,
    InputEnded,
    MicrophoneEnded,
    PlayMicrophone,
    Say,
    SendEvent,
    Talk,
    ToolOutput,
)
from rtcli.protocol.transcript import PATIENCE
from tests.protocol.scene import VAD, WHISPER, Scene, a_call, a_session, an_item


FILE = Plan(microphone_is_file=True)
HEARD = "the answer has been heard"


def error_of(scene: Scene) -> RtcliError | None:
    finish = scene.finish()
    assert finish is not None, "the call has not ended"
    return finish.error


# ---- at once --------------------------------------------------------------------------------------------------------


def test_hanging_up_ends_the_call_at_once_whatever_is_going_on() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"))
    scene.begins()
    scene.does(HangUp("interrupted", exit=130))
    assert scene.finish() == Finish("interrupted", exit=130)


def test_hanging_up_does_not_wait_for_the_session() -> None:
    scene = Scene()
    scene.does(HangUp())
    assert scene.finish() == Finish("hung up")


def test_a_part_that_broke_ends_the_call_with_its_error() -> None:
    scene = Scene()
    broken = DeviceError("the microphone is gone")
    scene.does(Fail(broken))
    assert scene.finish() == Finish("the microphone is gone", error=broken)


def test_a_call_ends_once() -> None:
    scene = Scene.ready()
    scene.does(InputEnded(), HangUp("interrupted", exit=130), Fail(DeviceError("gone")), HangUp())
    scene.loses_connection()
    scene.passes(1)
    assert scene.finish() == Finish("end of input", drain=True)


# ---- the session ----------------------------------------------------------------------------------------------------


def test_a_refused_session_ends_the_call_with_the_services_words() -> None:
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.does(Say("hello"))
    scene.refuses(scene.id_of("session.update"), "unknown_parameter", "Unknown parameter: 'session.voice'.")
    assert isinstance(error_of(scene), ServiceError)
    assert str(error_of(scene)) == "Unknown parameter: 'session.voice'."
    assert scene.sent_types == ["session.update"]


def test_a_refusal_that_names_no_event_counts_when_the_update_is_answered_by_nothing_else() -> None:
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.refuses(None, "unknown_parameter", "Unknown parameter")
    assert scene.finish() is None
    scene.passes(SESSION_LIMIT)
    assert str(error_of(scene)) == "Unknown parameter"


def test_an_error_that_was_about_something_else_does_not_end_a_call_whose_update_is_answered() -> None:
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.refuses(None, "server_error", "hiccup")
    scene.receives("session.updated", session=a_session())
    scene.passes(SESSION_LIMIT)
    assert scene.finish() is None


def test_a_later_update_by_the_user_that_is_refused_ends_nothing() -> None:
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.receives("session.updated", session=a_session())
    scene.does(SendEvent({"type": "session.update", "session": {}}))
    scene.refuses(scene.id_of("session.update"), "missing_required_parameter")
    assert scene.finish() is None


# ---- the end of input -----------------------------------------------------------------------------------------------


def test_the_end_of_input_with_nothing_pending_is_the_end_of_the_call() -> None:
    scene = Scene.ready()
    scene.does(InputEnded())
    assert scene.finish() == Finish("end of input", drain=True)


def test_the_end_of_input_before_the_session_is_ready_still_lets_every_line_be_answered() -> None:
    scene = Scene()
    scene.does(Say("one"), Say("two"), InputEnded())
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.answers_in_writing("resp_1", "item_1", "One.")
    assert scene.finish() is None
    scene.answers_in_writing("resp_2", "item_2", "Two.")
    assert scene.finish() == Finish(HEARD, drain=True)
    assert scene.words == [("model", "One."), ("model", "Two.")]


def test_the_end_of_input_waits_until_the_voice_is_over() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "A long poem.")
    scene.made()
    scene.passes(300, audible=True)
    assert scene.finish() is None
    scene.voice("stopped")
    assert scene.finish() == Finish(HEARD, drain=True)


def test_the_end_of_input_waits_for_a_voice_that_has_not_begun_when_its_response_is_done() -> None:
    scene = Scene.ready()
    scene.does(Say("hello"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Hello.")
    scene.made()
    scene.passes(4)
    assert scene.finish() is None
    scene.voice("started")
    scene.passes(3, audible=True)
    scene.voice("stopped")
    assert scene.finish() is not None


def test_a_pause_in_a_voice_is_not_its_end() -> None:
    scene = Scene.ready()
    scene.does(Say("count slowly"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "One. Two.")
    scene.made()
    for _ in range(3):
        scene.passes(1, audible=True)
        scene.passes(8)
    assert scene.finish() is None


def test_the_end_of_input_waits_for_the_outputs_of_functions_and_what_is_made_of_them() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.does(Say("look up tea"), InputEnded())
    scene.begins("resp_1")
    scene.made("resp_1", output=[a_call("call_1"), a_call("call_2")])
    scene.does(ToolOutput("call_1", "hot"))
    assert scene.finish() is None
    scene.does(ToolOutput("call_2", "cold"))
    assert scene.finish() is None
    scene.answers_in_writing("resp_2", "item_2", "Tea is hot.")
    assert scene.finish() is not None


def test_the_end_of_input_waits_for_speech_and_its_answer() -> None:
    scene = Scene.ready()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.does(InputEnded())
    scene.passes(5)
    assert scene.finish() is None
    scene.receives("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=900)
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    assert scene.finish() is None
    scene.answers_by_voice()
    assert scene.finish() is not None


def test_the_end_of_input_waits_a_little_for_the_last_words() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice(words="It is noon.")
    scene.does(InputEnded())
    scene.passes(PATIENCE - 0.5)
    assert scene.finish() is None
    scene.hears("item_u", "What time is it?")
    assert scene.finish() is not None
    assert scene.words == [("you", "What time is it?"), ("model", "It is noon.")]


def test_words_that_never_come_hold_up_the_end_for_their_patience_only() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice(words="It is noon.")
    scene.does(InputEnded())
    scene.passes(PATIENCE + 0.1)
    assert scene.words == [("model", "It is noon.")]
    assert scene.finish() is not None


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ({"type": "session.update", "session": {}}, ("session.updated", {"session": a_session()})),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}},
            ("conversation.item.added", {"item": an_item("item_1", "user")}),
        ),
        (
            {"type": "conversation.item.create", "item": {"id": "mine", "type": "message", "role": "system"}},
            ("conversation.item.created", {"item": an_item("mine", "system")}),
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c"}},
            ("conversation.item.added", {"item": {"id": "i", "type": "function_call_output"}}),
        ),
        (
            {"type": "conversation.item.retrieve", "item_id": "a"},
            ("conversation.item.retrieved", {"item": an_item("a")}),
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 1},
            ("conversation.item.truncated", {"item_id": "a"}),
        ),
        ({"type": "conversation.item.delete", "item_id": "a"}, ("conversation.item.deleted", {"item_id": "a"})),
        ({"type": "input_audio_buffer.clear"}, ("input_audio_buffer.cleared", {})),
    ],
)
def test_the_end_of_input_waits_until_each_given_event_is_answered(
    event: dict[str, Any], answer: tuple[str, dict[str, Any]]
) -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(SendEvent(event), InputEnded())
    scene.receives("conversation.item.added", item=an_item("item_of_the_model"))
    assert scene.finish() is None
    answer_type, fields = answer
    scene.receives(answer_type, **fields)
    assert scene.finish() == Finish("end of input", drain=True)


def test_a_given_event_that_is_refused_is_the_outcome_of_the_call() -> None:
    scene = Scene.ready()
    scene.does(SendEvent({"type": "no.such.event"}), InputEnded())
    assert scene.finish() is None
    scene.refuses(scene.sent[0]["event_id"], "invalid_value", "no such event")
    assert str(error_of(scene)) == "no such event"


def test_a_given_event_that_is_answered_by_nothing_holds_up_the_end_for_a_while_only() -> None:
    scene = Scene.ready()
    scene.does(SendEvent({"type": "no.such.event"}), InputEnded())
    scene.passes(acknowledgement.LIMIT - 0.1)
    assert scene.finish() is None
    scene.passes(0.2)
    assert scene.finish() == Finish("end of input", drain=True)


@pytest.mark.parametrize("event_type", ["response.cancel", "output_audio_buffer.clear", "input_audio_buffer.append"])
def test_events_that_nothing_answers_hold_up_nothing(event_type: str) -> None:
    scene = Scene.ready()
    scene.does(SendEvent({"type": event_type}), InputEnded())
    assert scene.finish() is not None


def test_push_to_talk_held_at_the_end_of_input_ends_the_turn() -> None:
    scene = Scene.ready(turn_detection=None)
    scene.does(Talk(on=True), InputEnded())
    scene.passes(TAIL + 0.1)
    assert scene.sent_types[-2:] == ["input_audio_buffer.commit", "response.create"]
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    scene.answers_by_voice()
    scene.receives("input_audio_buffer.cleared")
    assert scene.finish() == Finish(HEARD, drain=True)


# ---- what went wrong is the outcome ---------------------------------------------------------------------------------


def test_a_failed_response_is_the_outcome_even_when_later_ones_succeed() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"), InputEnded())
    scene.begins("resp_1")
    scene.made("resp_1", "failed", status_details={"error": {"type": "t", "code": "insufficient_quota"}})
    scene.answers_in_writing("resp_2")
    error = error_of(scene)
    assert isinstance(error, ServiceError)
    assert error.code == "insufficient_quota"


def test_a_refused_request_is_the_outcome() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.refuses(scene.id_of("response.create"), "invalid_value", "no")
    assert str(error_of(scene)) == "no"


def test_a_request_made_again_after_a_collision_leaves_no_error_behind() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response")
    scene.answers_in_writing("resp_vad")
    scene.answers_in_writing("resp_1")
    assert error_of(scene) is None


def test_a_request_answered_by_nothing_is_a_wait_that_ended_in_vain() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.passes(STALLED + 0.1)
    assert isinstance(error_of(scene), WaitTimeout)


@pytest.mark.parametrize("begun", [False, True])
def test_a_plan_may_wait_longer_for_an_answer_that_takes_its_time(*, begun: bool) -> None:
    scene = Scene.ready(Plan(patience=200.0))
    scene.does(Say("one"), InputEnded())
    if begun:
        scene.begins("resp_1")
    scene.passes(199.0)
    assert scene.finish() is None
    scene.passes(1.1)
    assert isinstance(error_of(scene), WaitTimeout)


def test_an_error_without_a_name_shortens_the_wait_for_a_response() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.refuses(None, "server_error", "the server had an error")
    scene.passes(UNNAMED_LIMIT - 0.1)
    assert scene.finish() is None
    scene.passes(0.2)
    assert str(error_of(scene)) == "the server had an error"


def test_a_response_that_goes_on_after_an_error_without_a_name_is_waited_for() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.refuses(None, "server_error", "something else")
    scene.passes(UNNAMED_LIMIT - 1)
    scene.receives("response.output_text.delta", response_id="resp_1", item_id="item_m", delta="Well")
    scene.passes(UNNAMED_LIMIT + 1)
    assert scene.finish() is None


def test_a_response_given_up_by_the_server_with_an_error_alone_is_given_up_here() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.refuses(None, "tts_error", "TTS generation failed")
    scene.passes(UNNAMED_LIMIT + 0.1)
    assert str(error_of(scene)) == "TTS generation failed"


# ---- nothing is waited for without a limit --------------------------------------------------------------------------


def test_a_response_that_never_ends_is_given_up() -> None:
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Well")
    scene.voice("started")
    scene.passes(100, audible=True)
    assert scene.finish() is None
    scene.passes(STALLED + 0.1)
    assert isinstance(error_of(scene), WaitTimeout)
    assert scene.words == [("model", "Well")]


def test_a_response_that_never_ends_does_not_hold_up_typed_lines_for_ever() -> None:
    scene = Scene.ready()
    scene.begins("resp_1")
    scene.does(Say("hello"))
    scene.passes(STALLED + 0.1)
    assert scene.warnings == ["response_stalled"]
    assert "response.create" in scene.sent_types


@pytest.mark.parametrize(("announced", "limit"), [(True, UNENDED), (False, UNBEGUN)])
def test_a_voice_whose_end_was_lost_is_given_up_after_silence(*, announced: bool, limit: float) -> None:
    scene = Scene.ready()
    scene.answers_by_voice("resp_0", "item_0")
    scene.does(Say("hello"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Hello.")
    if announced:
        scene.voice("started", "resp_1")
    scene.made("resp_1")
    scene.passes(1, audible=True)
    scene.passes(limit - 0.2)
    assert scene.finish() is None
    scene.passes(0.3)
    assert scene.finish() == Finish(HEARD, drain=True)


def test_a_voice_announced_after_it_was_given_up_is_waited_for() -> None:
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.speaks("resp_1", "item_m", "Hello.")
    scene.made()
    scene.passes(UNBEGUN)
    assert scene.idle()
    scene.voice("started")
    assert not scene.idle()
    scene.voice("stopped")
    assert scene.idle()
    assert scene.words == [("model", "Hello.")]


def test_outputs_that_nobody_gives_do_not_hold_up_the_end_for_ever() -> None:
    scene = Scene.ready(Plan(answers_functions=True))
    scene.does(Say("look up tea"), InputEnded())
    scene.begins()
    scene.made(output=[a_call("call_1")])
    scene.passes(STALLED + 0.1)
    assert isinstance(error_of(scene), WaitTimeout)


def test_speech_that_never_stops_does_not_hold_up_the_end_for_ever() -> None:
    scene = Scene.ready()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.does(InputEnded())
    scene.passes(STALLED + 0.1)
    assert isinstance(error_of(scene), WaitTimeout)


def test_events_that_mean_nothing_do_not_prolong_the_wait() -> None:
    scene = Scene.ready()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.does(InputEnded())
    for _ in range(7):
        scene.passes(10)
        scene.receives_raw('{"type":"keep.alive","event_id":"e"}')
        scene.receives("rate_limits.updated", rate_limits=[])
    assert scene.finish() is not None


def test_a_call_that_is_not_ending_waits_for_its_user_for_ever() -> None:
    scene = Scene.ready()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.passes(300)
    assert scene.finish() is None
    assert scene.warnings == []


# ---- a file as microphone -------------------------------------------------------------------------------------------


def test_a_call_with_a_file_ends_when_the_answer_to_it_has_been_heard() -> None:
    scene = Scene.ready(FILE, transcription=WHISPER)
    scene.passes(3)
    scene.user_speaks("item_u", words="What time is it?")
    scene.does(MicrophoneEnded())
    scene.passes(1)
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "Noon.")
    scene.made()
    scene.passes(10, audible=True)
    assert scene.finish() is None
    scene.voice("stopped")
    assert scene.finish() == Finish(HEARD, drain=True)


def test_a_file_is_played_to_its_end_whatever_was_answered_before() -> None:
    scene = Scene.ready(FILE)
    scene.user_speaks()
    scene.answers_by_voice()
    scene.passes(100)
    assert scene.finish() is None
    scene.does(MicrophoneEnded())
    scene.passes(SETTLE - 0.2)
    assert scene.finish() is None
    scene.passes(0.3)
    assert scene.finish() is not None


def test_speech_at_the_very_end_of_a_file_is_still_answered() -> None:
    scene = Scene.ready(FILE)
    scene.does(MicrophoneEnded())
    scene.passes(SETTLE_FIRST - 0.5)
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    scene.passes(8)  # semantic turn detection waits that long
    scene.receives("input_audio_buffer.speech_stopped", item_id="item_u", audio_end_ms=900)
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    assert scene.finish() is None
    scene.answers_by_voice()
    assert scene.finish() == Finish(HEARD, drain=True)


def test_a_file_without_speech_is_a_wait_in_vain() -> None:
    scene = Scene.ready(FILE)
    scene.does(MicrophoneEnded())
    scene.passes(SETTLE_FIRST + 0.1)
    assert isinstance(error_of(scene), WaitTimeout)
    assert str(error_of(scene)) == "no answer came: the service noticed no speech in the file"


def test_speech_in_a_file_that_is_not_answered_is_a_wait_in_vain_of_its_own() -> None:
    scene = Scene.ready(FILE)
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.passes(ANSWER_LIMIT + 0.1)
    assert str(error_of(scene)) == f"no answer came within {ANSWER_LIMIT:g} s"


def test_a_file_of_a_session_that_leaves_answering_to_the_client_ends_with_its_words() -> None:
    scene = Scene.ready(FILE, turn_detection={**VAD, "create_response": False}, transcription=WHISPER)
    scene.user_speaks("item_u", words="Hello.")
    scene.does(MicrophoneEnded())
    scene.passes(SETTLE_FIRST + 0.1)
    assert scene.finish() == Finish("end of input", drain=True)


def test_a_file_without_turn_detection_is_committed_after_its_tail_and_answered() -> None:
    scene = Scene.ready(FILE, turn_detection=None)
    scene.does(MicrophoneEnded())
    assert scene.sent == []
    scene.passes(TAIL)
    assert scene.sent_types == ["input_audio_buffer.commit", "response.create"]
    scene.passes(10)
    assert scene.finish() is None
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    scene.answers_by_voice()
    assert scene.finish() == Finish(HEARD, drain=True)


def test_an_empty_file_without_turn_detection_fails_with_the_services_words() -> None:
    scene = Scene.ready(FILE, turn_detection=None)
    scene.does(MicrophoneEnded())
    scene.passes(TAIL)
    scene.refuses(scene.id_of("input_audio_buffer.commit"), "input_audio_buffer_commit_empty", "buffer too small")
    scene.begins()
    scene.made(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"})
    scene.passes(SETTLE_FIRST)
    assert str(error_of(scene)) == "buffer too small"


def test_a_file_in_a_transcription_session_ends_with_its_words() -> None:
    scene = Scene.ready(FILE, kind="transcription", turn_detection=None, transcription=WHISPER)
    scene.does(MicrophoneEnded())
    scene.passes(TAIL)
    assert scene.sent_types == ["input_audio_buffer.commit"]
    scene.receives("input_audio_buffer.committed", item_id="item_u")
    scene.passes(5)
    assert scene.finish() is None
    scene.hears("item_u", "Hello.")
    assert scene.finish() == Finish("end of input", drain=True)


def test_a_file_in_a_transcription_session_that_has_no_words_is_a_wait_in_vain() -> None:
    scene = Scene.ready(FILE, kind="transcription", transcription=WHISPER)
    scene.user_speaks("item_u", words=" ")
    scene.does(MicrophoneEnded())
    scene.passes(SETTLE_FIRST + 0.1)
    assert str(error_of(scene)) == "no words came: nothing in the file was recognised"


def test_a_file_with_piped_lines_ends_with_the_lines() -> None:
    scene = Scene.ready(FILE)
    scene.does(Say("hello"))
    scene.answers_by_voice("resp_1")
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.answers_by_voice("resp_2")
    scene.passes(20)
    assert scene.finish() is None
    scene.does(InputEnded())
    assert scene.finish() == Finish(HEARD, drain=True)


def test_lines_that_ended_before_the_file_did_wait_for_the_file() -> None:
    scene = Scene.ready(FILE)
    scene.does(Say("hello"), InputEnded())
    scene.answers_by_voice("resp_1")
    scene.passes(90)
    assert scene.finish() is None
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.answers_by_voice("resp_2")
    assert scene.finish() == Finish(HEARD, drain=True)


# ---- the sample question --------------------------------------------------------------------------------------------

SAMPLE = Plan(microphone_is_file=True, microphone_waits=True)
"""Standard input is no terminal: the question waits until nothing else is asked."""
SAMPLE_ON_A_TERMINAL = Plan(microphone_is_file=True, ends_with_file=False)


def test_a_sample_question_asked_at_the_end_of_input_is_answered_before_the_call_ends() -> None:
    scene = Scene(SAMPLE)
    scene.does(PlayMicrophone(), InputEnded())
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.passes(2)
    assert scene.finish() is None
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.answers_by_voice()
    assert scene.finish() == Finish(HEARD, drain=True)


def test_a_sample_question_asked_after_silence_ends_the_call_although_input_never_ends() -> None:
    scene = Scene.ready(SAMPLE)
    scene.passes(2)
    scene.does(PlayMicrophone())
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.answers_by_voice()
    assert scene.finish() == Finish(HEARD, drain=True)


def test_a_sample_question_does_not_end_a_call_whose_lines_came_meanwhile() -> None:
    scene = Scene.ready(SAMPLE)
    scene.does(PlayMicrophone())
    scene.user_speaks()
    scene.does(Say("hello"), MicrophoneEnded())
    scene.answers_by_voice("resp_1")
    scene.answers_by_voice("resp_2")
    scene.passes(10)
    assert scene.finish() is None


def test_a_sample_question_that_was_never_asked_does_not_hold_up_the_end() -> None:
    scene = Scene.ready(SAMPLE)
    scene.does(Say("hello"), InputEnded())
    scene.answers_in_writing()
    assert scene.finish() == Finish(HEARD, drain=True)


def test_on_a_terminal_the_call_goes_on_after_the_sample_question() -> None:
    scene = Scene.ready(SAMPLE_ON_A_TERMINAL)
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.answers_by_voice()
    scene.passes(100)
    assert scene.finish() is None


# ---- the other side ends it -----------------------------------------------------------------------------------------


def test_a_call_that_the_service_ends_in_order_with_nothing_pending_is_no_error() -> None:
    scene = Scene.ready()
    scene.user_speaks()
    scene.answers_by_voice()
    scene.loses_connection()
    assert scene.finish() == Finish("the other side closed the call", drain=True)


def test_a_late_transcript_does_not_make_an_orderly_end_a_loss() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks()
    scene.answers_by_voice()
    assert not scene.idle()
    scene.loses_connection()
    assert error_of(scene) is None


@pytest.mark.parametrize("pending", ["session", "question", "answer", "voice", "line"])
def test_a_call_that_ends_in_the_middle_of_something_is_lost(pending: str) -> None:
    scene = Scene() if pending == "session" else Scene.ready()
    match pending:
        case "question":
            scene.user_speaks()
        case "answer":
            scene.begins()
        case "voice":
            scene.begins()
            scene.voice("started")
            scene.made()
        case "line":
            scene.does(Say("hello"))
        case _:
            scene.opens()
    scene.loses_connection()
    assert isinstance(error_of(scene), CallLost)


def test_a_call_that_was_not_ended_in_order_is_lost_even_when_nothing_was_pending() -> None:
    scene = Scene.ready()
    scene.loses_connection(orderly=False)
    assert isinstance(error_of(scene), CallLost)


def test_an_orderly_end_of_a_call_whose_input_had_failed_keeps_the_failure() -> None:
    scene = Scene.ready(FILE)
    scene.user_speaks()
    scene.does(MicrophoneEnded())
    scene.begins()
    scene.made(status="failed", status_details={"error": {"type": "t", "code": "c", "message": "no money"}})
    scene.loses_connection()
    assert str(error_of(scene)) == "the response is failed: no money"


@pytest.mark.parametrize(
    "part", [{"type": "output_text", "text": "Noon."}, {"type": "output_audio", "transcript": "Noon."}]
)
def test_the_words_that_only_the_end_of_a_response_tells_are_shown(part: dict[str, str]) -> None:
    scene = Scene.ready()
    scene.does(Say("What time is it?"))
    scene.receives("response.done", response={"id": "resp_1", "status": "completed",
                                              "output": [an_item("item_m", content=[part])]})  # fmt: skip
    scene.passes(UNHEARD + 0.1)
    assert ("model", "Noon.") in scene.words
