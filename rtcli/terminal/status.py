"""The status line: what is true of the call now, in as many columns as there are. Pure.

Each part has a long and a short form and a rank; when the line is too long, parts are shortened and then left out, the
least important first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field, replace
from math import log10
from typing import Any

from rich.cells import cell_len

from rtcli.protocol.codec import JsonObject
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.server_events import OutputAudioBufferStarted
from rtcli.protocol.updates import (
    Activity,
    Closed,
    Connected,
    Connecting,
    EventIn,
    Growing,
    Ready,
    Speaker,
    Spent,
    Stats,
    TurnTimed,
    Update,
    Using,
    Vitals,
    Words,
)
from rtcli.protocol.usage import Bill, dollars
from rtcli.records import dataclass
from rtcli.terminal.figures import amount
from rtcli.terminal.lines import LABELS
from rtcli.terminal.text import safe


Styled = tuple[str, str]
"""Style name and text; the styles are those of `rtcli.terminal.prompt`."""

LIMIT = 60 * 60.0
"""Seconds a session lasts at the service that says when it expires (OpenAI's guide)."""
COUNTDOWN = 5 * 60.0
"""Seconds before the limit from which the time left is shown."""
_METER = "▁▂▃▄▅▆▇█"
_STEPS = {
    "token": "asking for a key",
    "call": "calling",
    "ice": "connecting",
    "dtls": "connecting",
    "channel": "connecting",
    "session": "connecting",
}


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the bottom of the screen shows; each update gives the next one."""

    step: str = "starting"
    ready_at: float | None = None
    """When the session was ready (seconds, monotonic)."""
    activity: Activity = field(default=Activity(user_speaking=False, model_speaking=False, thinking=False))
    vitals: Vitals = field(default=Vitals(level=0.0, muted=False))
    using: Using = field(default=Using(None, None))
    stats: Stats | None = None
    times: TurnTimes | None = None
    """Of the last turn."""
    bill: Bill = field(default_factory=Bill)
    growing: tuple[Growing, ...] = ()
    """Unfinished turns, in the order they began."""
    typed: tuple[str, ...] = ()
    """Lines of the user that have no place among the words yet."""
    limited: bool = False
    """The service ends the session at `LIMIT`."""
    transcribes: bool = False
    """A transcription session: nobody answers."""
    ptt: bool = False
    """Push to talk: the user begins and ends a turn."""
    spoken: bool = False
    """The model has been heard: its voice is settled."""

    def after(self, update: Update, at: float) -> Status:
        """`at`: seconds, monotonic."""
        change = _CHANGES.get(type(update))
        changed = change(self, update, at) if change else None
        return replace(self, **changed) if changed else self


def _grown(growing: tuple[Growing, ...], update: Growing) -> tuple[Growing, ...]:
    if any(each.item_id == update.item_id for each in growing):
        return tuple(update if each.item_id == update.item_id else each for each in growing)
    return (*growing, update)


def _without(growing: tuple[Growing, ...], item_id: str) -> tuple[Growing, ...]:
    return tuple(each for each in growing if each.item_id != item_id)


def _kind(session: JsonObject) -> dict[str, Any]:
    return {"limited": "expires_at" in session, "transcribes": session.get("type") == "transcription"}


def _heard(status: Status, update: EventIn) -> dict[str, Any]:
    return {"spoken": True} if not status.spoken and isinstance(update.event, OutputAudioBufferStarted) else {}


_CHANGES: dict[type, Callable[[Status, Any, float], dict[str, Any]]] = {
    Connecting: lambda _, it, __: {"step": _STEPS.get(it.step, it.step)},
    Connected: lambda *_: {"step": "connected"},
    Ready: lambda _, it, at: {"step": "", "ready_at": at, **_kind(it.session)},
    EventIn: lambda status, it, _: _heard(status, it),
    Activity: lambda _, it, __: {"activity": it},
    Vitals: lambda _, it, __: {"vitals": it},
    Using: lambda _, it, __: {"using": it},
    Stats: lambda _, it, __: {"stats": it},
    TurnTimed: lambda _, it, __: {"times": it.times},
    Spent: lambda _, it, __: {"bill": it.bill},
    Growing: lambda status, it, _: {"growing": _grown(status.growing, it)},
    Words: lambda status, it, _: {"growing": _without(status.growing, it.item_id)},
    Closed: lambda *_: {"step": "closed", "growing": ()},
}


@dataclass(frozen=True, slots=True)
class _Part:
    rank: int
    """0 is left out last."""
    style: str
    long: str
    short: str = ""


def status_line(status: Status, columns: int, now: float) -> list[Styled]:
    """One line, never wider than `columns`."""
    parts = [part for part in _parts(status, now) if part.long]
    shown = {id(part): part.long for part in parts}
    for part in sorted(parts, key=lambda part: -part.rank):
        if _width(shown.values()) <= columns:
            break
        shown[id(part)] = part.short
    for part in sorted(parts, key=lambda part: -part.rank):
        if _width(shown.values()) <= columns:
            break
        shown[id(part)] = ""
    line: list[Styled] = []
    for part in parts:
        if text := shown[id(part)]:
            line += [("class:status.quiet", " · ")] if line else []
            line.append((part.style, text))
    return line


def growing_lines(status: Status, columns: int, *, most: int = 3) -> list[list[Styled]]:
    """The end of what is being said, a line each, for the turns that are not finished; then what waits in line."""
    spoken = [_growing_line(each.speaker, each.text, columns) for each in status.growing[-most:]]
    return spoken + [_growing_line("you", each, columns) for each in status.typed[-most:]]


def _growing_line(speaker: Speaker, text: str, columns: int) -> list[Styled]:
    return [(f"class:{speaker}", f"{LABELS[speaker]}  "), ("class:status.quiet", _tail(safe(text), columns - 8))]


def _tail(text: str, columns: int) -> str:
    """The last words that fit, whole ones where possible."""
    if cell_len(text) <= columns or columns < 2:
        return text if columns >= 2 else ""
    start = max(0, len(text) - columns)
    kept = text[start:]
    while kept and cell_len(kept) > columns - 1:
        kept = kept[1:]
    whole = kept.split(" ", 1)[-1] if " " in kept else kept
    return "…" + whole


def _width(texts: Iterable[str]) -> int:
    shown = [text for text in texts if text]
    return sum(cell_len(text) for text in shown) + 3 * max(0, len(shown) - 1)


def _parts(status: Status, now: float) -> list[_Part]:
    return [
        _state(status),
        _microphone(status),
        _time_left(status, now),
        _latency(status),
        _spent(status),
        _echo(status),
        _network(status),
        _depth(status),
    ]


def _state(status: Status) -> _Part:
    if status.step:
        return _Part(0, "class:status.busy", status.step, status.step)
    if status.activity.user_speaking:
        return _Part(0, "class:you", "hearing you", "you")
    if status.activity.model_speaking:
        return _Part(0, "class:model", "speaking", "speaking")
    if status.activity.thinking:
        return _Part(0, "class:status.busy", "thinking", "thinking")
    return _Part(0, "class:status.calm", "listening" if status.vitals.listening else "ready", "ready")


def _microphone(status: Status) -> _Part:
    if not status.vitals.listening:
        return _Part(1, "class:status.quiet", "" if status.step else "no mic", "")
    if status.ptt:
        talking = f"your turn {meter(status.vitals.level)}"
        return _Part(1, "class:you", talking, talking) if not status.vitals.muted else _Part(1, *_TALK)
    if status.vitals.muted:
        return _Part(1, "class:status.alert", "muted", "muted")
    bar = meter(status.vitals.level)
    return _Part(2, "class:status.calm", f"mic {bar}", bar)


_TALK = ("class:status.quiet", "Ctrl-T to talk", "ptt")


def meter(level: float, *, cells: int = 5) -> str:
    """A level as a bar, logarithmic: -50 dB is nothing, 0 dB is full."""
    decibels = 20 * log10(level) if level > 0 else -100.0
    filled = max(0.0, min(1.0, (decibels + 50) / 50)) * cells
    bar = ""
    for cell in range(cells):
        part = min(1.0, max(0.0, filled - cell))
        bar += _METER[round(part * (len(_METER) - 1))] if part > 0 else "▁"
    return bar


def _time_left(status: Status, now: float) -> _Part:
    if status.ready_at is None or not status.limited:
        return _Part(1, "", "")
    left = LIMIT - (now - status.ready_at)
    if left > COUNTDOWN:
        return _Part(1, "", "")
    minutes, seconds = divmod(max(0, int(left)), 60)
    return _Part(1, "class:status.alert", f"{minutes}:{seconds:02d} left", f"{minutes}:{seconds:02d}")


def _latency(status: Status) -> _Part:
    latency = status.times.total if status.times else None
    if latency is None:
        return _Part(4, "", "")
    text = f"{latency * 1000:.0f} ms"
    style = "class:status.alert" if latency > 1 else "class:status.quiet"
    return _Part(4, style, f"answer {text}", text)


def _spent(status: Status) -> _Part:
    used = amount(status.bill)
    if not used:
        return _Part(5, "", "")
    money = "" if status.bill.cost is None else dollars(status.bill.cost)
    return _Part(5, "class:status.quiet", f"{used} {money}".strip(), money or used)


def _echo(status: Status) -> _Part:
    stats = status.stats
    if stats is None or stats.echo == "off":
        return _Part(8, "", "")
    effect = "" if stats.erle_db is None else f" -{stats.erle_db:.0f} dB"
    return _Part(8, "class:status.quiet", f"echo {stats.echo}{effect}", stats.echo)


def _network(status: Status) -> _Part:
    stats = status.stats
    if stats is None or stats.round_trip is None:
        return _Part(6, "", "")
    trip = f"{stats.round_trip * 1000:.0f} ms"
    lost = f" {stats.lost:.0%} lost" if stats.lost else ""
    style = "class:status.alert" if stats.lost and stats.lost > 0.05 else "class:status.quiet"
    return _Part(6, style, f"rtt {trip}{lost}", trip + lost)


def _depth(status: Status) -> _Part:
    depth = status.stats.playout.get("depth_ms") if status.stats else None
    if not isinstance(depth, (int, float)) or not status.activity.model_speaking:
        return _Part(9, "", "")
    return _Part(9, "class:status.quiet", f"buffer {depth:.0f} ms", "")
