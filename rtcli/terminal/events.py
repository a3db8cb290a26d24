"""Events as lines for people: direction, type, the words that matter. Pure.

An entry is a line of the JSON view (`ndjson`), so what is shown here and what a pipe reads are the same things.
Over 400 lines by the table of what matters in each type of event, which is best read in one place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from rich.text import Text

from rtcli.protocol.codec import Json, JsonObject, NotJson, parse, text_of
from rtcli.protocol.updates import Relayed, Stats, Update
from rtcli.protocol.usage import dollars
from rtcli.records import dataclass
from rtcli.terminal.ndjson import Direction, Document, documents
from rtcli.terminal.text import safe, safe_lines


LONGEST = 300
"""Characters of one value that are shown."""
ARROWS: dict[Direction, str] = {"in": "←", "out": "→", "local": "·"}
INDENT = len("HH:MM:SS.mmm ← ")
"""Columns before an event's type, under which a terminal's further rows of it stand."""
FOLDED = ".delta"
"""End of the types that come in runs."""
_ENDED_BADLY = frozenset({"failed", "incomplete"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of either direction, or one of rtcli's own."""

    direction: Direction
    type: str
    event: JsonObject
    text: str
    """The event as JSON."""
    mark: str = ""
    """The call it belongs to, where there are several."""

    @property
    def folds_into(self) -> tuple[str, Direction, str, Json, Json] | None:
        """What a run has in common; None: stands alone."""
        if not self.type.endswith(FOLDED):
            return None
        return self.mark, self.direction, self.type, self.event.get("item_id"), self.event.get("response_id")

    @property
    def is_error(self) -> bool:
        if self.type == "response.done":
            return _at(self.event, "response", "status") in _ENDED_BADLY
        return self.type in {"error", "rtcli.error", "rtcli.warning"} or self.type.endswith(".failed")


def entries(update: Update) -> list[Entry]:
    """What an update is for the eyes: none, one, or (a bad event) two. Figures of every second are no events."""
    if isinstance(update, Relayed):
        entry = entry_of(Document(update.direction, update.raw))
        quiet = entry.type == "rtcli.stats"
        return [] if quiet else [replace(entry, mark=update.name) if update.several else entry]
    return [] if isinstance(update, Stats) else [entry_of(document) for document in documents(update)]


def entry_of(document: Document) -> Entry:
    try:
        event = parse(document.text)
    except NotJson:  # an event that is malformed in a way only `Malformed` could name
        event = {}
    name = event.get("type")
    return Entry(document.direction, name if isinstance(name, str) else "?", event, document.text)


# ---- which ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are shown. Empty: all."""

    types: tuple[str, ...] = ()
    """Globs; one must match."""
    excluded: tuple[str, ...] = ()
    """Globs; none may match."""
    direction: Direction | None = None
    errors: bool = False
    words: re.Pattern[str] | None = None
    """Must be found in the event's JSON."""

    def __call__(self, entry: Entry) -> bool:
        if self.types and not _is_any(entry.type, self.types):
            return False
        if _is_any(entry.type, self.excluded) or self.direction not in {None, entry.direction}:
            return False
        if self.errors and not entry.is_error:
            return False
        return self.words is None or self.words.search(entry.text) is not None


def _is_any(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


# ---- how ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """Entries that make one line: a single one, or deltas of the same thing in a row."""

    first: Entry
    wall: datetime
    """Of the first."""
    count: int = 1
    words: str = ""
    """What the deltas add up to."""

    @classmethod
    def of(cls, entry: Entry, wall: datetime) -> Run:
        return cls(entry, wall, words=_delta(entry))

    def grown(self, entry: Entry) -> Run | None:
        """The run with one more; None when that begins another."""
        if entry.folds_into is None or entry.folds_into != self.first.folds_into:
            return None
        return Run(self.first, self.wall, self.count + 1, (self.words + _delta(entry))[-4 * LONGEST :])


def line(run: Run) -> Text:
    """Time, arrow, type, what matters; a run with its count."""
    words = quoted(run.words) if run.words else about(run.first)
    counted = f"{run.count} events" if run.count > 1 else ""
    error = "rt.error" if run.first.is_error else ""
    text = Text(f"{run.wall:%H:%M:%S}.{run.wall.microsecond // 1000:03d} ", style="rt.quiet")
    if run.first.mark:
        text.append(f"[{safe(run.first.mark)}] ", style="rt.quiet")
    text.append(f"{ARROWS[run.first.direction]} ", style=f"rt.{run.first.direction}")
    text.append(safe(run.first.type), style=error or "bold")
    for part in (counted, words):
        if part:
            text.append(f"  {part}", style="rt.quiet" if part == counted else "")
    return text


def whole(entry: Entry) -> list[str]:
    """The event as indented JSON, line by line, each safe for a terminal."""
    return safe_lines(json.dumps(entry.event, ensure_ascii=False, indent=2))


def quoted(value: Json) -> str:
    """A text in quotation marks, on one line and not endless."""
    text = value if isinstance(value, str) else text_of(value)
    return f'"{safe(_short(text))}"'


def about(entry: Entry) -> str:
    """The words that matter of an event, safe for a terminal; "" when its type says it all."""
    say = _ABOUT.get(entry.type) or next((said for end, said in _BY_END if entry.type.endswith(end)), _fields)
    try:
        return say(entry.event)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError):  # a shape nobody expected
        return _fields(entry.event)


def session_words(session: Json) -> str:
    """A session in a line: kind, model, voice, how turns end, what writes them down."""
    if not isinstance(session, dict):
        return ""
    hearing = _at(session, "audio", "input")
    hearing = hearing if isinstance(hearing, dict) else {}
    detection = hearing.get("turn_detection", {})
    facts = (
        session.get("type"),
        session.get("model"),
        _voice(session),
        "turns by hand" if detection is None else _at(detection, "type"),
        _prefixed("written down by ", _at(hearing, "transcription", "model")),
    )
    return _joined(*facts)


def _voice(session: JsonObject) -> Json:
    if session.get("output_modalities") == ["text"]:
        return "text"
    return _prefixed("voice ", _at(session, "audio", "output", "voice"))


def _delta(entry: Entry) -> str:
    delta = entry.event.get("delta")
    return delta if entry.type.endswith(".delta") and isinstance(delta, str) and not _is_sound(entry.type) else ""


def _is_sound(name: str) -> bool:
    return name == "response.output_audio.delta"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _shown(value: Json) -> str:
    return safe(_short(value if isinstance(value, str) else text_of(value)))


def _joined(*facts: Json) -> str:
    return " · ".join(_shown(fact) for fact in facts if fact not in (None, "", [], {}))


def _prefixed(prefix: str, value: Json) -> str | None:
    return None if value is None else f"{prefix}{value}"


def _at(value: Any, *path: str) -> Json:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


_DULL = frozenset({"type", "event_id", "_rt"})


def _fields(event: JsonObject) -> str:
    """Of an event nobody knows: everything, shortened."""
    rest = {key: value for key, value in event.items() if key not in _DULL}
    return safe(_short(text_of(rest))) if rest else ""


# Of the service


def _session(event: JsonObject) -> str:
    return session_words(event["session"])


def _session_update(event: JsonObject) -> str:
    return safe(_short(text_of({key: value for key, value in event["session"].items() if key != "type"})))


def _item(event: JsonObject) -> str:
    item = event["item"]
    named = f"{item['name']}({item.get('arguments', '')})" if item.get("name") else item.get("output")
    kind = item.get("role") or item.get("type")
    return " ".join(filter(None, (_joined(kind, named, item.get("id")), _contents(item.get("content")))))


def _contents(content: Json) -> str:
    said = [part.get("text") or part.get("transcript") or f"[{part.get('type')}]" for part in content or ()]
    return quoted(" ".join(said)) if said else ""


def _moment(field: str) -> Callable[[JsonObject], str]:
    return lambda event: _joined(f"at {event[field] / 1000:.2f} s", event.get("item_id"))


def _response(event: JsonObject) -> str:
    response = event["response"]
    details = response.get("status_details") or {}
    error = details.get("error") or {}
    usage = response.get("usage") or {}
    tokens = f"{usage.get('input_tokens')} tokens in, {usage.get('output_tokens')} out" if usage else None
    return _joined(
        response.get("status"), details.get("reason"), error.get("message"), error.get("code"), tokens, response["id"]
    )


def _response_create(event: JsonObject) -> str:
    asked = event.get("response")
    return safe(_short(text_of(asked))) if asked else ""


def _arguments(event: JsonObject) -> str:
    return _joined(f"{event.get('name', '')}({event['arguments']})")


def _limits(event: JsonObject) -> str:
    return _joined(*(f"{each['name']} {each['remaining']} of {each['limit']}" for each in event["rate_limits"]))


def _error(event: JsonObject) -> str:
    error = event["error"]
    return _joined(
        error.get("message"),
        error.get("code"),
        _prefixed("param ", error.get("param")),
        _prefixed("for ", error.get("event_id")),
    )


def _failed(event: JsonObject) -> str:
    return _error(event) if isinstance(event.get("error"), dict) else _named(event)


def _named(event: JsonObject) -> str:
    return _joined(event.get("item_id") or event.get("response_id"))


def _text(field: str) -> Callable[[JsonObject], str]:
    return lambda event: quoted(event[field])


def _part(event: JsonObject) -> str:
    part = event["part"]
    said = part.get("text") or part.get("transcript")
    return _joined(part.get("type")) + (f" {quoted(said)}" if said else "")


# Of rtcli itself


def _turn(event: JsonObject) -> str:
    marks = [mark for mark in ("typed", "cut", "late") if event.get(mark)]
    return f"{_joined(event['speaker'])} {quoted(event['text'])}" + "".join(f" · {mark}" for mark in marks)


def _closed(event: JsonObject) -> str:
    status = event.get("exit")
    return _joined(event["reason"], None if status is None else f"exit {status}")


def _message(event: JsonObject) -> str:
    return _joined(event["message"], event.get("code"))


def _stats(event: JsonObject) -> str:
    trip, lost = event.get("round_trip"), event.get("lost")
    return _joined(
        None if trip is None else f"round trip {trip * 1000:.0f} ms", None if lost is None else f"lost {lost:.1%}"
    )


def _usage(event: JsonObject) -> str:
    cost = dollars(event["cost_usd"]) if "cost_usd" in event else None
    return _joined(f"{event['input_tokens']} tokens in, {event['output_tokens']} out so far", cost)


def _latency(event: JsonObject) -> str:
    return _joined(steps(event), event.get("response_id"))


def steps(times: JsonObject) -> str:
    """How long an answer took, step by step: `committed 3, response 45, packet 240, heard 268 ms`."""
    told = [f"{name} {times[step] * 1000:.0f}" for step, name in STEPS if times.get(step) is not None]
    return f"{', '.join(told)} ms" if told else ""


STEPS = (
    ("committed", "committed"),
    ("created", "response"),
    ("word", "word"),
    ("packet", "packet"),
    ("sound", "heard"),
)
"""Of `TurnTimes`, and their names for people."""


_ABOUT: dict[str, Callable[[JsonObject], str]] = {
    "session.created": _session,
    "session.updated": _session,
    "session.update": _session_update,
    "conversation.created": lambda _: "",
    "conversation.item.create": _item,
    "conversation.item.input_audio_transcription.completed": _text("transcript"),
    "input_audio_buffer.append": lambda event: f"{len(event['audio'])} characters of base64",
    "input_audio_buffer.speech_started": _moment("audio_start_ms"),
    "input_audio_buffer.speech_stopped": _moment("audio_end_ms"),
    "response.create": _response_create,
    "response.created": _response,
    "response.done": _response,
    "response.output_text.done": _text("text"),
    "response.output_audio_transcript.done": _text("transcript"),
    "response.output_audio.delta": lambda event: f"{len(event['delta'])} characters of base64",
    "response.output_item.added": _item,
    "response.output_item.done": _item,
    "response.content_part.added": _part,
    "response.content_part.done": _part,
    "rate_limits.updated": _limits,
    "error": _error,
    "rtcli.connected": lambda event: _joined(event.get("call_id")),
    "rtcli.ready": lambda _: "",
    "rtcli.turn": _turn,
    "rtcli.tool": _arguments,
    "rtcli.stats": _stats,
    "rtcli.latency": _latency,
    "rtcli.usage": _usage,
    "rtcli.warning": _message,
    "rtcli.error": _message,
    "rtcli.closed": _closed,
    "rtcli.call_closed": _closed,
}

_BY_END: tuple[tuple[str, Callable[[JsonObject], str]], ...] = (
    ("_arguments.done", _arguments),
    (".failed", _failed),
    (".truncated", lambda event: _joined(f"after {event['audio_end_ms'] / 1000:.2f} s", event.get("item_id"))),
    ("item.added", _item),
    ("item.done", _item),
    ("item.created", _item),
    ("item.retrieved", _item),
    (".deleted", _named),
    (".committed", _named),
    (".cleared", _named),
    (".cancel", _named),
    (".clear", _named),
    (".commit", _named),
    ("output_audio_buffer.started", _named),
    ("output_audio_buffer.stopped", _named),
    ("output_audio.done", _named),
)
"""Where the name's end says enough of what is in it."""


def lines_of(run: Run, *, full: bool) -> Iterator[Text]:
    yield line(run)
    if full and run.count == 1:
        for each in whole(run.first):
            yield Text(f"    {each}")
