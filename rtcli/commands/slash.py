"""What a typed line of `rtcli talk` means. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from difflib import get_close_matches

from rtcli.errors import UsageError
from rtcli.protocol.codec import JsonObject, NotJson, parse
from rtcli.protocol.intents import (
    HangUp,
    Intent,
    Interrupt,
    Mistyped,
    Mute,
    Say,
    SendEvent,
    SetVolume,
    UseDevice,
)
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class Local:
    """The screen does it; the call does not notice."""

    what: str
    """`help`, `stats`, `cost`, `devices`, `ptt`, `events` or `events LEVEL`."""


@dataclass(frozen=True, slots=True)
class ShowImage:
    """A picture to read, make small enough and send: too slow for whoever reads keys."""

    file: str
    words: str


COMMANDS: list[tuple[str, str]] = [
    ("/mute", "silence instead of the microphone, and back (Ctrl-T)"),
    ("/ptt", "push to talk, and back: Ctrl-T begins and ends your turn"),
    ("/interrupt", "stop the answer (Ctrl-X)"),
    ("/devices", "another microphone or speaker: pick a number"),
    ("/volume", "how loud the model is: 0 to 100"),
    ("/image", "show a picture: /image FILE [words]"),
    ("/vad", "turn detection: server, semantic or off"),
    ("/voice", "another voice; only before the first spoken answer"),
    ("/instructions", "what the model should be and do"),
    ("/event", "send a client event: /event {json}"),
    ("/stats", "how the wire and the sound are doing"),
    ("/cost", "tokens and money so far"),
    ("/events", "events between the words: none, key or all (Ctrl-E)"),
    ("/help", "this list"),
    ("/quit", "hang up (Ctrl-D)"),
]
_NAMES = [name for name, _ in COMMANDS]
VAD: dict[str, JsonObject | None] = {
    "server": {"type": "server_vad"},
    "semantic": {"type": "semantic_vad"},
    "off": None,
}


def meaning_of(line: str, kind: str = "realtime") -> Intent | Local | ShowImage:
    """A line as typed, in a session of this kind. Raises UsageError for a command that is unknown or incomplete."""
    if not line.startswith("/"):
        return Say(line)
    command, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if kind == "transcription" and command in _ANSWERS:
        raise UsageError(f"{command} is of no use here: {ANSWERS_NOTHING}")
    if command in _SESSION:
        return _session(command, rest, kind)
    if command in _LOCAL and not (command == "/devices" and rest):
        return Local(f"{command[1:]} {rest}".strip())
    if read := _READ.get(command):
        return read(rest)
    raise UsageError(f"no command {command}; {_nearest(command)}/help lists them all")


def _nearest(command: str) -> str:
    begun = [name for name in _NAMES if name.startswith(command)]
    near = begun if len(begun) == 1 else get_close_matches(command, _NAMES, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""


def plain_meaning_of(line: str) -> Intent:
    """The same where no screen can show anything of its own."""
    meaning = meaning_of(line)
    if isinstance(meaning, ShowImage):
        raise UsageError("/image needs a terminal that can draw")
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


def _device(rest: str) -> UseDevice:
    kind, _, device = rest.partition(" ")
    if kind not in {"input", "output"} or not device.strip():
        raise UsageError("/devices takes input or output, and a device's number or a part of its name")
    return UseDevice("input" if kind == "input" else "output", device.strip())


def _volume(rest: str) -> SetVolume:
    if not rest.isdecimal() or int(rest) > 100:
        raise UsageError("/volume takes a number from 0 to 100")
    return SetVolume(int(rest) / 100)


def _image(rest: str) -> ShowImage:
    try:
        file, *words = shlex.split(rest)
    except ValueError:
        raise UsageError("/image takes a file (in quotation marks when it has blanks), then words") from None
    return ShowImage(file, " ".join(words))


def turns_by_hand(kind: str, *, on: bool) -> SendEvent:
    """Push to talk in a session of this kind: nobody but the user says when a turn ends."""
    return _update({"audio": {"input": {"turn_detection": None if on else VAD["server"]}}}, kind)


def _session(command: str, rest: str, kind: str) -> SendEvent:
    if not rest:
        raise UsageError(f"{command} needs a value")
    if command == "/instructions":
        return _update({"instructions": rest}, kind)
    if command == "/voice":
        return _update({"audio": {"output": {"voice": rest}}}, kind)
    if rest not in VAD:
        raise UsageError(f"/vad takes {', '.join(VAD)}")
    return _update({"audio": {"input": {"turn_detection": VAD[rest]}}}, kind)


def _update(session: JsonObject, kind: str) -> SendEvent:
    return SendEvent({"type": "session.update", "session": {"type": kind, **session}})


ANSWERS_NOTHING = "a transcription session writes down what is said and answers nothing"
_ANSWERS = frozenset({"/voice", "/instructions", "/image", "/interrupt"})
"""What there must be an answer for."""
_SESSION = frozenset({"/vad", "/voice", "/instructions"})
_LOCAL = frozenset({"/help", "/stats", "/cost", "/events", "/devices", "/ptt"})
_READ: dict[str, Callable[[str], Intent | ShowImage]] = {
    "/quit": lambda _: HangUp(),
    "/mute": lambda _: Mute(),
    "/interrupt": lambda _: Interrupt(),
    "/event": event_of,
    "/devices": _device,
    "/volume": _volume,
    "/image": _image,
}
