"""Names of the beta interface (removed from the service in May 2026) and their present form.

Old examples, other servers and many configurations still use them; one such field makes the service drop a whole
`session.update`. `modern` and `old` translate events for a server that never learned the present names.
"""

from __future__ import annotations

from copy import deepcopy

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


_MOVED = {name: path for name, path in SESSION_FIELDS.items() if path and " " not in path}
"""Fields whose value is the same in both; `modalities` nearly."""
_SPOKEN = ["audio", "text"]
"""The beta's way to ask for a voice, whose transcript came along in both."""


def modern(event: JsonObject) -> JsonObject:
    """A server event under its present names; an event that has them already is returned as it is."""
    name: Json = event.get("type")
    present = SERVER_EVENTS.get(name) if isinstance(name, str) else None
    renamed = event if present is None else {**event, "type": present}
    session = event.get("session")
    if not isinstance(session, dict) or session.keys().isdisjoint(_MOVED):
        return renamed
    return {**renamed, "session": _modern_session(session)}


def old(event: JsonObject) -> JsonObject:
    """A client event under its beta names."""
    match event:
        case {"type": "session.update", "session": dict(session)}:
            return {**event, "session": _old_session(session)}
        case {"type": "response.create", "response": dict(response)}:
            return {**event, "response": _old_session(response)}
        case {"type": "conversation.item.create", "item": {"role": "assistant", "content": list(content)}}:
            return {**event, "item": {**event["item"], "content": [_old_content(part) for part in content]}}
        case _:
            return event


def _modern_session(session: JsonObject) -> JsonObject:
    changed = deepcopy({name: value for name, value in session.items() if name not in _MOVED})
    for name, path in _MOVED.items():
        if name in session:
            spoken = name == "modalities" and isinstance(session[name], list) and "audio" in session[name]
            _put(changed, path.split("."), ["audio"] if spoken else session[name])
    return changed


def _old_session(session: JsonObject) -> JsonObject:
    """Of a session or a response. Its `type` and what has no beta name are left out: the beta had no such fields."""
    changed = {name: value for name, value in session.items() if name not in {"type", "audio", *_MOVED.values()}}
    for name, path in _MOVED.items():
        holder = _holder(session, path.split("."))
        if holder is not None:
            value = holder[path.split(".")[-1]]
            changed[name] = _SPOKEN if name == "modalities" and value == ["audio"] else value
    return changed


def _old_content(part: Json) -> Json:
    names = {present: name for name, present in CONTENT_TYPES["assistant"].items()}
    match part:
        case {"type": str(kind)}:
            return {**part, "type": names.get(kind, kind)}
        case _:
            return part


def _put(target: JsonObject, path: list[str], value: Json) -> None:
    """Place a value, unless something that is no object is in its way."""
    for step in path[:-1]:
        below = target.setdefault(step, {})
        if not isinstance(below, dict):
            return
        target = below
    target[path[-1]] = value


def _holder(value: Json, path: list[str]) -> JsonObject | None:
    """The object that holds the last step of a path; None when there is no such value."""
    for step in path[:-1]:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) and path[-1] in value else None
