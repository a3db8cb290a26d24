"""What a script wants sent: texts, pictures and events, read and checked before there is a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rtcli.commands.slash import event_of
from rtcli.errors import UsageError
from rtcli.protocol.check import check_event
from rtcli.protocol.codec import JsonObject, text_of
from rtcli.protocol.intents import Say, SendEvent
from rtcli.protocol.shapes import Finding
from rtcli.records import dataclass


LIMIT_UNSAID, LIMIT_USUAL = 65_536, 262_144
"""Bytes of an event: what RFC 8841 has where an answer names no limit, and what most peers name."""
ENVELOPE = 1024
"""Bytes of an event around its pictures and words."""
LARGEST_FILE = 64 << 20
LARGEST_IMAGE = 16 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """In order."""

    intents: tuple[Say | SendEvent, ...]

    @property
    def events(self) -> list[JsonObject]:
        """As they go out, but for the `event_id` that those without one get."""
        return [event for intent in self.intents for event in events_of(intent)]

    @property
    def asks(self) -> bool:
        """An answer is asked for."""
        return any(event.get("type") == "response.create" for event in self.events)


def characters_of(text: str) -> str:
    """A text of the command line: bytes that are no UTF-8 become U+FFFD, as they do on standard input."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def read_events(events: Iterable[str], files: Iterable[str]) -> list[SendEvent]:
    """`-e` and `-f`. Raises UsageError naming which, or the file and line, of what is no event."""
    texts = list(events)
    given = [_given_event(text, number, len(texts)) for number, text in enumerate(texts, 1)]
    for name in files:
        given += _file_events(name)
    return given


def piped() -> Iterator[SendEvent]:
    """The events on standard input, as they come. Raises UsageError naming the line of what is none."""
    from rtcli.commands.input import lines_of, standard_input

    for number, line in enumerate(lines_of(standard_input()), 1):
        if line.strip():
            yield numbered_event(line, number, "standard input")


def image_bytes(name: str) -> bytes:
    """Raises UsageError."""
    return _bytes_of(name, LARGEST_IMAGE)


def read_image(name: str, room: int, fitting: Callable[[bytes, int], str]) -> str:
    """A PNG or JPEG file as a data URI of at most `room` bytes, which `fitting` makes. Raises UsageError."""
    raw = image_bytes(name)
    try:
        return fitting(raw, room)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def room_for_images(words: str, count: int) -> int:
    """Bytes for each picture's URI beside the words; before a call nobody knows more than the least limit."""
    return (LIMIT_UNSAID - ENVELOPE - 6 * len(words.encode())) // max(1, count)  # as JSON escapes them at worst


def _given_event(text: str, number: int, count: int) -> SendEvent:
    try:
        return event_of(text)
    except UsageError as error:
        raise UsageError(f"-e{f' ({number} of {count})' if count > 1 else ''}: {error}") from None


def numbered_event(line: str, number: int, where: str) -> SendEvent:
    try:
        return event_of(line)
    except UsageError as error:
        raise UsageError(f"{where}, line {number}: {error}") from None


def _file_events(name: str) -> list[SendEvent]:
    try:
        text = _bytes_of(name, LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is no UTF-8 text") from None
    lines = enumerate(text.splitlines(), 1)
    return [numbered_event(line, number, name) for number, line in lines if line.strip()]


def _bytes_of(name: str, limit: int) -> bytes:
    try:
        with Path(name).expanduser().open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None
    if len(raw) > limit:
        raise UsageError(f"{name} has more than {limit} bytes")
    return raw


def events_of(intent: Say | SendEvent) -> list[JsonObject]:
    """What goes out for an intent, but for the `event_id`."""
    if isinstance(intent, SendEvent):
        return [intent.event]
    content: list[JsonObject] = [{"type": "input_text", "text": intent.text}] if intent.text else []
    content += [{"type": "input_image", "image_url": uri} for uri in intent.images]
    message: JsonObject = {"type": "message", "role": intent.role, "content": content}
    create: JsonObject = {"type": "conversation.item.create", "item": message}
    return [create, {"type": "response.create"}] if intent.respond else [create]


# ---- --check --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the service would say of one event, as far as anybody knows."""

    number: int
    type: str
    size: int
    """Bytes."""
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        return bool(self.findings)

    def to_json(self) -> JsonObject:
        findings = [{"path": each.path, "problem": each.problem, "instead": each.instead} for each in self.findings]
        return {
            "event": self.number,
            "type": self.type,
            "bytes": self.size,
            "limit": LIMIT_UNSAID,
            "ok": not self.wrong,
            "findings": findings,
        }

    def lines(self) -> list[str]:
        """For people; not made safe yet."""
        size = f"{self.size} of {LIMIT_UNSAID} bytes"
        if LIMIT_UNSAID < self.size <= LIMIT_USUAL:
            size = f"{self.size} bytes, fits where the other side takes {LIMIT_USUAL} and not where it names no limit"
        head = f"{self.number}  {self.type}  {size}" + ("" if self.wrong else "  ok")
        return [head, *(f"    {finding}" for finding in self.findings)]


def verdicts(events: Iterable[JsonObject]) -> list[Verdict]:
    return [_verdict(number, event) for number, event in enumerate(events, 1)]


def _verdict(number: int, event: JsonObject) -> Verdict:
    size = len(text_of({"event_id": f"rt_{number}", **event}).encode())
    found = check_event(event)
    if size > LIMIT_USUAL:
        found = (*found, Finding("event", f"{size} bytes; no known service takes more than {LIMIT_USUAL}"))
    return Verdict(number, str(event.get("type")), size, found)
