"""Slash commands of `rtcli talk`: one typed line into one intent. Pure."""

from __future__ import annotations

from rtcli.errors import UsageError
from rtcli.protocol.codec import NotJson, parse
from rtcli.protocol.intents import HangUp, Intent, Interrupt, Mute, Say, SendEvent


HELP = "/mute  /interrupt  /event {json}  /quit"


def intent_of(line: str) -> Intent:
    """A line as typed. Raises UsageError for a command that is unknown or wrong."""
    if not line.startswith("/"):
        return Say(line)
    command, _, rest = line[1:].strip().partition(" ")
    match command:
        case "quit":
            return HangUp()
        case "mute":
            return Mute()
        case "interrupt":
            return Interrupt()
        case "event":
            return event_of(rest)
        case _:
            raise UsageError(f"no command /{command}; there are: {HELP}")


def event_of(text: str) -> SendEvent:
    """A client event as JSON. Raises UsageError."""
    try:
        event = parse(text)
    except NotJson as error:
        raise UsageError(f"no event: {error}") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise UsageError('no event: a JSON object with a "type" is expected')
    return SendEvent(event)
