"""Names of the beta interface."""

from __future__ import annotations

from rtcli.protocol import beta, server_events, shapes
from rtcli.protocol.check import check_session
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.session_config import with_value


def test_a_beta_event_is_read_under_its_present_name() -> None:
    old = {"type": "response.audio_transcript.delta", "response_id": "r", "item_id": "i", "delta": "hi"}
    event = server_events.decode_object(beta.modern(old))
    assert isinstance(event, server_events.ResponseOutputAudioTranscriptDelta)
    assert event.delta == "hi"
    assert old["type"] == "response.audio_transcript.delta"


def test_a_present_event_stays_the_same_object() -> None:
    for event in ({"type": "session.created"}, {"type": ["x"]}, {}):
        assert beta.modern(event) is event


def test_every_present_name_is_in_the_catalogue_and_no_beta_name_is() -> None:
    assert set(beta.SERVER_EVENTS.values()) <= server_events.EVENTS.keys()
    assert not beta.SERVER_EVENTS.keys() & server_events.EVENTS.keys()
    assert not beta.CLIENT_EVENTS.keys() & shapes.schemas()["client_events"].keys()


def test_every_present_field_is_one_the_service_knows() -> None:
    for present in filter(None, beta.SESSION_FIELDS.values()):
        session = with_value({"type": "realtime"}, present.split()[0], None)
        assert check_session(session) == (), present


def test_a_flat_session_is_read_in_its_present_shape() -> None:
    flat = {
        "id": "sess_1",
        "modalities": ["audio", "text"],
        "voice": "af_heart",
        "turn_detection": None,
        "input_audio_transcription": {"model": "whisper"},
        "max_response_output_tokens": "inf",
        "temperature": 0.8,
    }
    old = {"type": "session.updated", "session": flat}
    assert beta.modern(old)["session"] == {
        "id": "sess_1",
        "output_modalities": ["audio"],
        "audio": {
            "output": {"voice": "af_heart"},
            "input": {"turn_detection": None, "transcription": {"model": "whisper"}},
        },
        "max_output_tokens": "inf",
        "temperature": 0.8,
    }
    assert old["session"] is flat
    assert flat["voice"] == "af_heart"


def test_a_session_that_is_half_one_and_half_the_other_or_neither_raises_nothing() -> None:
    for session in ({"voice": "x", "audio": 3}, {"voice": "x", "audio": {"output": []}}, {"modalities": 7}, 5, None):
        beta.modern({"type": "session.created", "session": session})


def test_a_session_goes_out_flat() -> None:
    present = {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"turn_detection": {"type": "server_vad"}, "transcription": None},
            "output": {"voice": "af_sky", "speed": 1.2},
        },
        "tools": [],
    }
    assert beta.old({"type": "session.update", "event_id": "e", "session": present}) == {
        "type": "session.update",
        "event_id": "e",
        "session": {
            "instructions": "Be brief.",
            "modalities": ["audio", "text"],
            "turn_detection": {"type": "server_vad"},
            "input_audio_transcription": None,
            "voice": "af_sky",
            "speed": 1.2,
            "tools": [],
        },
    }


def test_a_flat_session_stays_flat() -> None:
    """Somebody who knows the other side may write it so."""
    event = {"type": "session.update", "session": {"modalities": ["text"], "voice": "af_sky"}}
    assert beta.old(event) == event


def test_a_responses_own_options_go_out_under_beta_names() -> None:
    event = {"type": "response.create", "response": {"output_modalities": ["text"], "max_output_tokens": 50}}
    assert beta.old(event)["response"] == {"modalities": ["text"], "max_response_output_tokens": 50}


def test_words_put_into_the_models_mouth_have_the_beta_type() -> None:
    def item(role: str, *kinds: str) -> JsonObject:
        return {"type": "conversation.item.create", "item": {"role": role, "content": [{"type": k} for k in kinds]}}

    assert beta.old(item("assistant", "output_text", "output_audio")) == item("assistant", "text", "audio")
    assert beta.old(item("user", "input_text")) == item("user", "input_text")
    assert beta.old({"type": "response.create"}) == {"type": "response.create"}
