"""What the service would refuse, said before it is sent.

One unknown or beta field makes the service drop a whole event, often unnoticed. A finding is advice: the service may
know more than the SDK this was generated from, so the user can send anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rtcli.protocol import beta, shapes
from rtcli.protocol.client_events import MAX_EVENT_ID
from rtcli.protocol.codec import Json, JsonObject, shown
from rtcli.protocol.session_config import COMMIT_BY_CLIENT, value_at
from rtcli.protocol.shapes import Finding


READ_ONLY = frozenset({"id", "object", "expires_at", "client_secret"})
"""Fields of a session the service writes: in what it answered, not in what one sends."""

RANGES: dict[str, tuple[float, float]] = {
    "audio.output.speed": (0.25, 1.5),
    "audio.input.turn_detection.threshold": (0.0, 1.0),
    "audio.input.turn_detection.prefix_padding_ms": (0, float("inf")),
    "audio.input.turn_detection.silence_duration_ms": (0, float("inf")),
    "audio.input.turn_detection.idle_timeout_ms": (5000, 30000),
    "truncation.retention_ratio": (0.0, 1.0),
    # The SDK says 4096; the pages of the newer models say more.
    "max_output_tokens": (1, float("inf")),
}
"""Numbers the SDK names in prose only, by path in a session."""


def check_session(session: Json, path: str = "session") -> tuple[Finding, ...]:
    """Findings about a session object as it would be sent: for a key, a call or `session.update`."""
    if not isinstance(session, dict):
        return (Finding(path, f"expected object, got {shown(session)}"),)
    kind = session.get("type")
    if kind not in ("realtime", "transcription"):  # no set: a list would raise
        wanted = 'expected "realtime" or "transcription"'
        return (Finding(f"{path}.type", f"{wanted}, got {shown(kind)}" if "type" in session else "missing"),)
    found = shapes.findings(session, shapes.object_schema(f"session.{kind}"), path)
    return (*(_explained(f, session, path) for f in found), *_ranges(session, path), *_models(session, path))


def check_event(event: Json) -> tuple[Finding, ...]:
    """Findings about a client event."""
    if not isinstance(event, dict):
        return (Finding("event", f"expected object, got {shown(event)}"),)
    name = event.get("type")
    if not isinstance(name, str):
        return (Finding("type", f"expected string, got {shown(name)}" if "type" in event else "missing"),)
    schema = shapes.client_event_schema(name)
    if schema is None:
        return (Finding("type", f"unknown event {shown(name)}", beta.CLIENT_EVENTS.get(name)),)
    return tuple(_event_findings(event, name, schema))


def _event_findings(event: JsonObject, name: str, schema: JsonObject) -> Iterator[Finding]:
    has_session = name == "session.update" and "session" in event
    rest = {key: value for key, value in event.items() if not (has_session and key == "session")}
    for finding in shapes.findings(rest, schema, ""):
        trimmed = replace(finding, path=finding.path.removeprefix("."))
        if not (has_session and trimmed.path == "session"):
            yield _explained_in_event(trimmed, event)
    if has_session:
        yield from check_session(event["session"])
    event_id = event.get("event_id")
    if isinstance(event_id, str) and len(event_id) > MAX_EVENT_ID:
        yield Finding("event_id", f"longer than {MAX_EVENT_ID} characters")


def _explained(finding: Finding, session: JsonObject, path: str) -> Finding:
    """The finding with the present form of a beta name, or the reason of a field that is never sent."""
    inner = finding.path.removeprefix(f"{path}.")
    if finding.problem == "unknown field" and inner in READ_ONLY:
        return replace(finding, problem="written by the service, not sent to it")
    if finding.problem == "unknown field" and session["type"] == "realtime" and inner in beta.SESSION_FIELDS:
        return _beta(finding, beta.SESSION_FIELDS[inner])
    if inner in {"audio.input.format", "audio.output.format"}:
        return _format_explained(finding, value_at(session, inner))
    return _tool_explained(finding, inner)


def _beta(finding: Finding, present: str | None) -> Finding:
    gone = "" if present else ", gone without a successor"
    return replace(finding, problem=f"a name of the beta interface{gone}", instead=present)


def _format_explained(finding: Finding, written: Json) -> Finding:
    present = beta.FORMATS.get(written) if isinstance(written, str) else None
    return replace(finding, instead=present)


def _tool_explained(finding: Finding, inner: str) -> Finding:
    if inner.startswith("tools[") and finding.problem == "unknown field":
        if inner.endswith("].function"):
            return _beta(finding, "name, description and parameters directly in the tool")
        if inner.endswith("].strict"):
            return _beta(finding, None)
    return finding


def _explained_in_event(finding: Finding, event: JsonObject) -> Finding:
    head, _, inner = finding.path.partition(".")
    if head == "response" and finding.problem == "unknown field" and inner in beta.SESSION_FIELDS:
        return _beta(finding, beta.SESSION_FIELDS[inner])
    item = event.get("item")
    if head == "item" and isinstance(item, dict) and finding.path.endswith("].type"):
        old = value_at(event, finding.path)
        by_role = beta.CONTENT_TYPES.get(str(item.get("role")), {})
        return replace(finding, instead=by_role.get(old) if isinstance(old, str) else None)
    return finding


def _ranges(session: JsonObject, path: str) -> Iterator[Finding]:
    for inner, (least, most) in RANGES.items():
        value = value_at(session, inner)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not least <= value <= most:
            bounds = f"at least {least:g}" if most == float("inf") else f"between {least:g} and {most:g}"
            yield Finding(f"{path}.{inner}", f"must be {bounds}, is {shown(value)}")


def _models(session: JsonObject, path: str) -> Iterator[Finding]:
    model = session.get("model")
    if isinstance(model, str) and model.startswith("gpt-live-"):
        yield Finding(f"{path}.model", f"{shown(model)} belongs to another API (Live), which rtcli does not speak")
    transcriber = value_at(session, "audio.input.transcription.model")
    detection = value_at(session, "audio.input.turn_detection")
    if isinstance(transcriber, str) and transcriber in COMMIT_BY_CLIENT and isinstance(detection, dict):
        yield Finding(f"{path}.audio.input.turn_detection", f"must be null with {transcriber}")
