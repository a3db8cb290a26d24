"""Updates of a call as JSON lines. Pure.

One object a line. A service's event stands as the service wrote it, its keys at top level, plus one reserved key:

    "_rt": {"v": 1, "seq": 42, "t": "2026-01-31T12:00:00.123Z", "ms": 1234.5, "dir": "in", "sid": "1"}

`v` is the version of this format; `seq` counts the lines of this output from 1; `t` is the wall clock (UTC); `ms`
milliseconds since the output began; `dir` is `in` from the service, `out` to it, `local` for rtcli's own;
`sid` is the call's name on this machine. rtcli's own events, with their fields:

    rtcli.connected  call_id
    rtcli.ready      session
    rtcli.turn       speaker, item_id, text, typed, cut, late, heard (of an interrupted voice)
    rtcli.latency    spoken, response_id, committed, created, announced, word, packet, sound, total (seconds)
    rtcli.usage      tokens, cost and more, of the call so far (`rtcli.protocol.usage.Bill.to_json`)
    rtcli.stats      round_trip, lost, jitter, playout, unsent; once a second
    rtcli.tool       call_id, name, arguments
    rtcli.warning    code, message; raw (what came, when it was no event)
    rtcli.error      code, message, exit
    rtcli.closed     exit, reason; always the last line
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from rtcli.protocol.codec import JsonObject, text_of
from rtcli.protocol.server_events import Malformed
from rtcli.protocol.updates import (
    Closed,
    Connected,
    EventIn,
    EventOut,
    Ready,
    Refused,
    Relayed,
    Spent,
    Stats,
    ToolWanted,
    TurnTimed,
    Update,
    Warned,
    Words,
)
from rtcli.records import dataclass
from rtcli.terminal.advice import one_line
from rtcli.terminal.exits import status_of, status_of_call


VERSION = 1

Direction = Literal["in", "out", "local"]


@dataclass(frozen=True, slots=True)
class Document:
    """One object as text, not stamped yet; no line break in it."""

    direction: Direction
    text: str


def documents(update: Update) -> list[Document]:
    """What an update is in JSON: none, one or (a bad event) two objects."""
    match update:
        case EventIn():
            return _received(update)
        case EventOut():
            return [Document("out", update.raw)]
        case Relayed():
            return [Document(update.direction, update.raw)]
        case _:
            own = _own(update)
            return [] if own is None else [Document("local", text_of(own))]


def stamped(document: Document, *, seq: int, wall: datetime, ms: float, sid: str) -> str:
    """The line itself. `_rt` comes last, so that it wins over a key of that name in the event."""
    t = f"{_second(int(wall.timestamp()))}.{wall.microsecond // 1000:03}Z"
    return (
        f'{document.text[:-1]},"_rt":{{"v":{VERSION},"seq":{seq},"t":"{t}","ms":{ms:.1f},'
        f'"dir":"{document.direction}","sid":{_quoted(sid)}}}}}'
    )


_quoted = lru_cache(text_of)


@lru_cache(maxsize=2)
def _second(timestamp: int) -> str:
    """Remembered, because `isoformat` is two thirds of stamping a line."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%S}"


def one_object_line(raw: str) -> str:
    """A JSON object as it came, without the line breaks that JSON allows between its parts."""
    return raw.strip().replace("\r", " ").replace("\n", " ")


def _received(update: EventIn) -> list[Document]:
    event = update.event
    if not isinstance(event, Malformed):
        return [Document("in", one_object_line(update.raw))]
    warning: JsonObject = {"type": "rtcli.warning", "code": "protocol_error", "message": event.reason}
    if event.type is not None:  # an object with a type: the shape of the rest is wrong
        return [Document("in", one_object_line(update.raw)), Document("local", text_of(warning))]
    return [Document("local", text_of({**warning, "raw": update.raw}))]


def _own(update: Update) -> JsonObject | None:
    body = _BODIES.get(type(update))
    return body(update) if body else None


def error_object(error: Exception) -> JsonObject:
    code = getattr(error, "code", None)
    return {"type": "rtcli.error", "code": code, "message": one_line(error), "exit": status_of(error)}


_BODIES: dict[type, Callable[[Any], JsonObject]] = {
    Connected: lambda it: {"type": "rtcli.connected", "call_id": it.call_id},
    Ready: lambda it: {"type": "rtcli.ready", "session": it.session},
    Words: lambda it: {"type": "rtcli.turn", **asdict(it)},
    TurnTimed: lambda it: {"type": "rtcli.latency", **asdict(it.times), "total": it.times.total},
    Spent: lambda it: {"type": "rtcli.usage", **it.bill.to_json()},
    Stats: lambda it: {"type": "rtcli.stats", **asdict(it)},
    ToolWanted: lambda it: {"type": "rtcli.tool", **asdict(it)},
    Warned: lambda it: {"type": "rtcli.warning", "code": it.code, "message": it.message},
    Refused: lambda it: error_object(it.error),
    Closed: lambda it: {"type": "rtcli.closed", "exit": status_of_call(it), "reason": it.reason},
}
"""rtcli's own events; updates without one (growing words, levels, notices) are for people alone."""
