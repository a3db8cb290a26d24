"""Names of the beta interface (removed from the service in May 2026) and their present form.

Old examples, other servers and many configurations still use them; one such field makes the service drop a whole
`session.update`.
"""

from __future__ import annotations

from rtcli.protocol.codec import Json, JsonObject


SESSION_FIELDS: dict[str, str | None] = {
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "modalities": "output_modalities",
    "turn_detection": "audio.input.turn_detection",
    "input_audio_format": "audio.input.format (an object; not needed over WebRTC)",
    "output_audio_format": "audio.output.format (an object; not needed over WebRTC)",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "max_response_output_tokens": "max_output_tokens",
    "temperature": None,
}
"""Fields of a session or of a response's parameters; None: gone without a successor."""

FORMATS: dict[str, str] = {
    "pcm16": '{"type": "audio/pcm", "rate": 24000}',
    "g711_ulaw": '{"type": "audio/pcmu"}',
    "g711_alaw": '{"type": "audio/pcma"}',
}
"""Audio formats that were words and are objects."""

CONTENT_TYPES: dict[str, dict[str, str]] = {
    "user": {"text": "input_text", "audio": "input_audio", "image": "input_image"},
    "system": {"text": "input_text"},
    "assistant": {"text": "output_text", "audio": "output_audio"},
}
"""Types of a message's content, by role."""

CLIENT_EVENTS: dict[str, str] = {
    "transcription_session.update": 'session.update with session.type "transcription"',
}

SERVER_EVENTS: dict[str, str] = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}


def modern(event: JsonObject) -> JsonObject:
    """A server event under its present name; an event that has it already is returned as it is."""
    name: Json = event.get("type")
    present = SERVER_EVENTS.get(name) if isinstance(name, str) else None
    return event if present is None else {**event, "type": present}
