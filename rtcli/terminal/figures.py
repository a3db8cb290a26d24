"""What `/stats` and `/cost` say: a label and what stands behind it, a line each. Pure."""

from __future__ import annotations

from dataclasses import asdict

from rtcli.protocol.codec import Json
from rtcli.protocol.latency import TurnTimes
from rtcli.protocol.updates import Stats
from rtcli.protocol.usage import Bill, Share, Tokens, dollars
from rtcli.terminal.events import steps


LABEL = 9
"""Columns of a label and the gap behind it."""


def stats_lines(stats: Stats | None, times: TurnTimes | None) -> list[str]:
    """How the wire and the sound do, and how long the last answer took."""
    if stats is None:
        return ["no figures yet"]
    answer = [("answer", steps(asdict(times)))] if times else []
    told = [*answer, ("network", _network(stats)), ("sound", _sound(stats)), ("repaired", _repairs(stats))]
    return [f"{label:<{LABEL}}{text}" for label, text in [*told, ("echo", _echo(stats))]]


def cost_lines(bill: Bill) -> list[str]:
    """What each model used and costs, and all of it."""
    if not bill.shares:
        return ["nothing used yet"]
    told = [
        f"{name or 'model not named'}: {_used(share)} · {dollars(share.cost(bill.prices))}"
        for name, share in bill.shares.items()
    ]
    known = "" if bill.cost is None else f", by prices of {bill.prices_of}"
    return [*told, f"together: {dollars(bill.cost)}{known}"]


def amount(bill: Bill) -> str:
    """What was used, in a word or two: `12.3k tokens`, or `0.5 min` where there are none; "" of nothing."""
    count = bill.tokens.input + bill.tokens.output
    tokens = "" if not count else f"{count / 1000:.1f}k tokens" if count >= 1000 else f"{count} tokens"
    return tokens or _minutes(bill.seconds)


def _used(share: Share) -> str:
    return ", ".join(filter(None, (_minutes(share.seconds), _tokens(share.tokens))))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds else ""


def _tokens(tokens: Tokens) -> str:
    if not tokens.input + tokens.output:
        return ""
    cached = f" ({tokens.cached} cached)" if tokens.cached else ""
    return f"{tokens.input} tokens in{cached}, {tokens.output} out"


def _network(stats: Stats) -> str:
    facts = (
        _ms("round trip", stats.round_trip),
        _ms("jitter", stats.jitter),
        "" if stats.lost is None else f"{stats.lost:.1%} lost",
        f"{stats.unsent} bytes of events wait" if stats.unsent else "",
    )
    return ", ".join(filter(None, facts)) or "nothing measured yet"


def _ms(name: str, seconds: float | None) -> str:
    return "" if seconds is None else f"{name} {seconds * 1000:.0f} ms"


def _sound(stats: Stats) -> str:
    played, depth, target = (_number(stats.playout.get(name)) for name in ("played_ms", "depth_ms", "target_ms"))
    return f"{played / 1000:.0f} s played, {depth:.0f} ms wait (aim {target:.0f})"


def _repairs(stats: Stats) -> str:
    get = stats.playout.get
    counts = ", ".join(f"{_number(get(name)):.0f} {name}" for name in ("lost", "late", "fec", "dropped"))
    return f"{counts} of {_number(get('received')):.0f} packets, {_number(get('concealed_ms')):.0f} ms guessed"


def _number(value: Json) -> float:
    return value if isinstance(value, (int, float)) else 0.0


def _echo(stats: Stats) -> str:
    return stats.echo if stats.erle_db is None else f"{stats.echo}, {stats.erle_db:.0f} dB taken off"
