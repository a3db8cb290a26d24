"""What a command line says of the session beyond the settings: files, single fields, and what reads standard input."""

from __future__ import annotations

import sys
import tomllib
from contextlib import suppress
from pathlib import Path

from rtcli.commands.options import Session, Way
from rtcli.errors import UsageError
from rtcli.protocol.codec import Json, JsonObject, NotJson, parse, shown
from rtcli.protocol.session_config import parse_override
from rtcli.sessions import SessionWish
from rtcli.settings import Settings


LARGEST = 1 << 20
"""Bytes of a session file: longer instructions would not fit into any model."""


def wish_of(session: Session, *, prefers_text: bool = False) -> SessionWish:
    """Files read, fields parsed. Raises UsageError.

    `prefers_text`: the command is about text, unless the user says otherwise.
    """
    whole = _session_object(session.session_file) if session.session_file else None
    overrides = tuple(parse_override(text) for text in session.overrides or ())
    return SessionWish(
        whole=whole,
        overrides=(*_tools(session, whole or {}), *overrides),
        transcription=session.transcription,
        prefers_text=prefers_text,
        force=session.force,
    )


def _tools(session: Session, whole: JsonObject) -> tuple[tuple[str, Json], ...]:
    """The programs beside the tools that a session file has."""
    if not session.tools:
        return ()
    from rtcli.tools import load

    held = whole.get("tools")
    schemas: list[Json] = [tool.schema for tool in load(session.tools)]
    return (("tools", [*(held if isinstance(held, list) else []), *schemas]),)


def one_reader(way: Way, session: Session, **more: bool) -> bool:
    """Whether standard input is taken. `more`: what else may read it, as the user wrote it (with _ for a blank).

    Raises UsageError when two would.
    """
    wanted = {"--token-stdin": way.token_stdin, "--session -": session.session_file == "-", **more}
    readers = [name for name, reads in wanted.items() if reads]
    if len(readers) > 1:
        raise UsageError(f"standard input has one reader, and {' and '.join(readers)} would both read it")
    return bool(readers)


def only_the_service(way: Way, settings: Settings, option: str) -> None:
    """A call that somebody else opened is joined at the service itself, with the session it has. Raises UsageError."""
    asked = {"--sandbox": way.sandbox, "--token-stdin": way.token_stdin}
    asked |= {f"--{name}": settings.origin(name) == "flag" for name in ("server", "direct")}
    named = [name for name, given in asked.items() if given]
    if named:
        raise UsageError(f"{option} joins a call at the service: {named[0]} opens one of its own")


def _session_object(name: str) -> JsonObject:
    text, what = _text_of(name)
    try:
        value = tomllib.loads(text) if _is_toml(name, text) else parse(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} is not TOML: {error}") from None
    except NotJson as error:
        raise UsageError(f"{what} is {error}") from None
    return _unwrapped(value, what)


def _is_toml(name: str, text: str) -> bool:
    if name.lower().endswith((".json", ".toml")):
        return name.lower().endswith(".toml")
    return not text.lstrip("\ufeff \t\r\n").startswith("{")


def _text_of(name: str) -> tuple[str, str]:
    """The file's text, and what it is called in messages."""
    what = "standard input" if name == "-" else name
    try:
        if name == "-":
            raw = b"" if sys.stdin is None else sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise UsageError(f"{what} holds more than {LARGEST} bytes, which is no session")
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8-sig"), what
    raise UsageError(f"{what} holds no text")


def _unwrapped(value: Json, what: str) -> JsonObject:
    """A session as such, or as the key endpoint, `session.update` and this program's output have it: in `session`."""
    if isinstance(value, dict) and isinstance(value.get("session"), dict):
        value = value["session"]
    if not isinstance(value, dict):
        raise UsageError(f"{what}: a session is an object, this is {shown(value)}")
    _refuse_dates(value, what)
    return value


def _refuse_dates(value: Json, what: str) -> None:
    """TOML has values that JSON has not."""
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_dates(inner, what)
    elif isinstance(value, list):
        for inner in value:
            _refuse_dates(inner, what)
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise UsageError(f"{what}: {value} is a date, which no session has; write it as a text")
