"""Names of the beta interface."""

from __future__ import annotations

from rtcli.protocol import beta, server_events, shapes
from rtcli.protocol.check import check_session
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
