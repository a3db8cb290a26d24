"""What people complained about in other clients, each by name: it must not happen here."""

from __future__ import annotations

from rtcli.errors import ServiceError
from rtcli.protocol.conversation import ENDING_SOON, LONGEST, Plan
from rtcli.protocol.intents import InputEnded, Interrupt, OpenMicrophone, Say, SilenceSpeaker
from rtcli.protocol.updates import Words
from tests.protocol.scene import WHISPER, Scene, a_session


def test_a_refused_update_does_not_go_unnoticed_while_the_model_goes_on_with_defaults() -> None:
    # TanStack/ai#586
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.does(Say("hello"))
    scene.refuses(scene.id_of("session.update"), "missing_required_parameter")
    assert scene.finish() is not None
    assert "response.create" not in scene.sent_types


def test_an_update_that_is_not_acknowledged_does_not_go_unnoticed() -> None:
    # TanStack/ai#586; huggingface/speech-to-speech never acknowledges one, so the call goes on
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    scene.passes(5)
    assert scene.warnings == ["session_silent"]


def test_hanging_up_does_not_cut_the_goodbye() -> None:
    # openclaw#155271: `response.done` is not the end of the sound
    scene = Scene.ready()
    scene.does(Say("say goodbye"), InputEnded())
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.speaks("resp_1", "item_m", "Goodbye!")
    scene.made()
    scene.passes(3, audible=True)
    assert scene.finish() is None
    scene.voice("stopped")
    finish = scene.finish()
    assert finish is not None
    assert finish.drain


def test_the_old_answer_is_not_heard_on_after_barge_in() -> None:
    # reachy_mini#376, fastrtc#24
    scene = Scene.ready()
    scene.begins()
    scene.voice("started")
    scene.forget()
    scene.receives("input_audio_buffer.speech_started", item_id="item_u", audio_start_ms=0)
    assert scene.effects == [SilenceSpeaker()]
    scene.voice("cleared")
    assert scene.effects == [SilenceSpeaker(), SilenceSpeaker()]


def test_no_truncation_is_sent_whatever_is_interrupted() -> None:
    # livekit/agents#6157: over WebRTC the service truncates by itself
    scene = Scene.ready()
    scene.begins("resp_1", "item_m")
    scene.voice("started")
    scene.does(Interrupt())
    scene.made(status="cancelled")
    scene.voice("cleared")
    scene.answers_by_voice("resp_2", "item_2")
    scene.does(Interrupt(), Say("x", interrupt=True))
    assert "conversation.item.truncate" not in scene.sent_types


def test_two_lines_in_quick_succession_never_ask_for_two_responses_at_once() -> None:
    # openai-agents-python#1466, pipecat#3960
    scene = Scene.ready()
    scene.does(Say("one"), Say("two"))
    assert scene.sent_types.count("response.create") == 1


def test_a_collision_with_the_services_own_response_is_no_error_and_loses_nothing() -> None:
    # pipecat#3960
    scene = Scene.ready()
    scene.does(Say("one"))
    scene.refuses(scene.id_of("response.create"), "conversation_already_has_active_response")
    scene.answers_by_voice("resp_vad", "item_1")
    assert scene.refusals == []
    assert scene.sent_types.count("response.create") == 2


def test_a_rejected_request_is_not_waited_for() -> None:
    # livekit/agents#6817
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.refuses(scene.id_of("response.create"))
    assert scene.finish() is not None


def test_a_quota_that_runs_out_in_mid_session_is_not_silent() -> None:
    # livekit/agents#2967: it comes as a failed response, not as an error
    scene = Scene.ready()
    scene.does(Say("one"), InputEnded())
    scene.begins()
    details = {
        "type": "failed",
        "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "Pay"},
    }
    scene.made(status="failed", status_details=details)
    finish = scene.finish()
    assert finish is not None
    assert isinstance(finish.error, ServiceError)
    assert finish.error.code == "insufficient_quota"
    assert scene.refusals == ["the response is failed: Pay"]


def test_the_end_of_the_hour_is_announced_five_minutes_before() -> None:
    # reachy_mini#134
    scene = Scene()
    scene.opens()
    scene.receives("session.created", session={**a_session(), "expires_at": 1_800_000_000})
    scene.passes(LONGEST - ENDING_SOON - 1)
    assert scene.warnings == []
    scene.passes(2)
    assert scene.warnings == ["session_ending"]
    scene.passes(100)
    assert scene.warnings == ["session_ending"]


def test_a_server_that_names_no_expiry_is_not_said_to_end() -> None:
    scene = Scene.ready()
    scene.passes(LONGEST)
    assert scene.warnings == []


def test_no_sound_is_taken_before_the_session_is_as_it_was_asked_for() -> None:
    # the service would hear it with its defaults
    scene = Scene(Plan(update={"type": "realtime"}))
    scene.opens()
    scene.receives("session.created", session=a_session())
    assert OpenMicrophone() not in scene.effects
    scene.receives("session.updated", session=a_session())
    assert OpenMicrophone() in scene.effects


def test_a_question_recognised_after_its_answer_is_still_shown_before_it() -> None:
    # the SDK's docstring: transcription runs beside the response
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice(words="It is noon.")
    scene.passes(2)
    scene.hears("item_u", "What time is it?")
    shown = [(u.text, u.late) for u in scene.updates if isinstance(u, Words)]
    assert shown == [("What time is it?", False), ("It is noon.", False)]


def test_a_question_recognised_much_too_late_is_shown_and_marked() -> None:
    scene = Scene.ready(transcription=WHISPER)
    scene.user_speaks("item_u")
    scene.answers_by_voice(words="It is noon.")
    scene.passes(4)
    scene.hears("item_u", "What time is it?")
    shown = [(u.text, u.late) for u in scene.updates if isinstance(u, Words)]
    assert shown == [("It is noon.", False), ("What time is it?", True)]
