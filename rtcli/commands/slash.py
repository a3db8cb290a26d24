"""What a typed line of `rtcli talk` means. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rtcli.errors import UsageError
from rtcli.protocol.codec import JsonObject, NotJson, parse
from rtcli.protocol.intents import HangUp, Intent, Interrupt, Mistyped, Mute, Say, SendEvent


@dataclass(frozen=True, slots=True)
class Local:
    """The screen does it; the call does not notice."""

    what: str
    """`help`, `stats`, `cost`, `events` or `events LEVEL`."""


COMMANDS: list[tuple[str, str]] = [
    ("/mute", "silence instead of the microphone, and back (Ctrl-T)"),
    ("/interrupt", "stop the answer (Ctrl-X)"),
    ("/event", "send a client event: /event {json}"),
    ("/vad", "turn detection: server, semantic or off"),
    ("/voice", "another voice; only before the first spoken answer"),
    ("/instructions", "what the model should be and do"),
    ("/stats", "how the wire and the sound are doing"),
    ("/cost", "tokens and money so far"),
    ("/events", "events between the words: none, key or all (Ctrl-E)"),
    ("/help", "this list"),
    ("/quit", "hang up (Ctrl-D)"),
]
_NAMES = [name for name, _ in COMMANDS]
_VAD: dict[str, JsonObject | None] = {
    "server": {"type": "server_vad"},
    "semantic": {"type": "semantic_vad"},
    "off": None,
}


def meaning_of(line: str) -> Intent | Local:
    """A line as typed. Raises UsageError for a command that is unknown or incomplete."""
    if not line.startswith("/"):
        return Say(line)
    command, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match command:
        case "/quit":
            return HangUp()
        case "/mute":
            return Mute()
        case "/interrupt":
            return Interrupt()
        case "/event":
            return event_of(rest)
        case "/vad" | "/voice" | "/instructions":
            return _session(command, rest)
        case "/help" | "/stats" | "/cost" | "/events":
            return Local(f"{command[1:]} {rest}".strip())
        case _:
            raise UsageError(f"no command {command}; there are: {' '.join(_NAMES)}")


def plain_meaning_of(line: str) -> Intent:
    """The same where no screen can show anything of its own."""
    meaning = meaning_of(line)
    if not isinstance(meaning, Local):
        return meaning
    if meaning.what == "help":
        return Mistyped("  ".join(f"{name}: {text}." for name, text in COMMANDS))
    raise UsageError(f"/{meaning.what} needs a terminal that can draw")


def event_of(text: str) -> SendEvent:
    """A client event as JSON. Raises UsageError."""
    try:
        event = parse(text)
    except NotJson as error:
        raise UsageError(f"no event: {error}") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise UsageError('no event: a JSON object with a "type" is expected')
    return SendEvent(event)


def _session(command: str, rest: str) -> SendEvent:
    if not rest:
        raise UsageError(f"{command} needs a value")
    if command == "/instructions":
        return _update({"instructions": rest})
    if command == "/voice":
        return _update({"audio": {"output": {"voice": rest}}})
    if rest not in _VAD:
        raise UsageError(f"/vad takes {', '.join(_VAD)}")
    return _update({"audio": {"input": {"turn_detection": _VAD[rest]}}})


def _update(session: JsonObject) -> SendEvent:
    return SendEvent({"type": "session.update", "session": {"type": "realtime", **session}})
