"""What stands beside a freshly minted key on a terminal. Pure; the key itself is not in it."""

from __future__ import annotations

from datetime import datetime

from rtcli.protocol.rest import ClientSecret
from rtcli.terminal.events import session_words


def card(minted: ClientSecret, now: float) -> list[str]:
    """Lines for people. `now`: seconds since the epoch."""
    lines = [f"expires  {_when(minted.expires_at, now)}"]
    if minted.session is not None:
        lines.append(f"session  {session_words(minted.session)}")
    return lines


def _when(expires_at: float | None, now: float) -> str:
    if expires_at is None:
        return "not told"
    try:
        clock = datetime.fromtimestamp(expires_at).astimezone()
    except (OverflowError, OSError, ValueError):
        return "in a time no clock has"
    return f"{clock:%H:%M:%S} (in {_duration(expires_at - now)}); a running call goes on"


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
