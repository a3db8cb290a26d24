"""The session object a command sends: from settings and command line, checked before anything goes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rtcli.config_file import printable
from rtcli.errors import UsageError
from rtcli.protocol.codec import Json, JsonObject
from rtcli.protocol.dialects import DIALECTS
from rtcli.protocol.session_config import SessionOptions, build_session, merge, session_changes
from rtcli.records import dataclass
from rtcli.settings import Settings


MOST_NAMED = 5
"""Findings named in one message."""
LONGEST = 1 << 20
"""Bytes of instructions read from a file."""

_HEARING = (
    "vad",
    "eagerness",
    "vad_threshold",
    "vad_silence_ms",
    "interrupt",
    "noise_reduction",
    "transcribe",
    "language",
)
_SPEAKING = ("model", "voice", "instructions", "text")
"""What only a conversation has."""


@dataclass(frozen=True, slots=True)
class SessionWish:
    """What a command line says of the session beyond the settings."""

    whole: JsonObject | None = None
    """`--session`"""
    overrides: tuple[tuple[str, Json], ...] = ()
    """`--set`: dotted path and value."""
    transcription: bool = False
    prefers_text: bool = False
    """Answers as text, where nobody says anything about that."""
    force: bool = False
    """Send it even if it looks wrong."""


NO_WISH = SessionWish()


def session_for(settings: Settings, wish: SessionWish = NO_WISH) -> JsonObject:
    """The session to mint a key with or to open a call with. Raises UsageError for one the service would refuse.

    Where OpenAI's voices and transcribers are unknown it holds the model and what the user said.
    """
    options = _options(settings, wish)
    session = _bare(options) if DIALECTS[settings.dialect].foreign else build_session(options)
    return _checked(_in_text(session, options, settings, wish), wish)


def _bare(options: SessionOptions) -> JsonObject:
    said = session_changes(replace(options, model=None)) or {"type": options.kind}
    return merge(said, {"model": options.model}) if options.model else said


def changes_for(settings: Settings, wish: SessionWish = NO_WISH) -> JsonObject | None:
    """Only what the user said, for a session made elsewhere; None when that is nothing. Raises UsageError likewise."""
    if settings.origin("model") == "flag":
        raise UsageError("--model can not be chosen here: the session was made elsewhere, and its model with it")
    options = replace(_options(settings, wish), model=None)
    changes = _in_text(session_changes(options) or {}, options, settings, wish)
    if not changes:
        return None
    if "model" in changes and not wish.force:
        raise UsageError("the session names a model, and it was made elsewhere: no update can change that")
    return _checked(changes, wish)


def speaks_of_session(settings: Settings, wish: SessionWish = NO_WISH) -> bool:
    """Whether the command line asks anything of the session."""
    flags = any(settings.origin(name) == "flag" for name in (*_HEARING, *_SPEAKING))
    return flags or wish.transcription or wish.whole is not None or bool(wish.overrides)


def _in_text(session: JsonObject, options: SessionOptions, settings: Settings, wish: SessionWish) -> JsonObject:
    """`session`, answering in text where that is preferred and nobody said otherwise."""
    if not wish.prefers_text or options.kind != "realtime" or settings.given("text"):
        return session
    return {"type": "realtime", "output_modalities": ["text"], **session}


def _options(settings: Settings, wish: SessionWish) -> SessionOptions:
    """What was said.

    A whole session on the command line gives way to other options there, and not to the configuration. What the
    configuration says of conversations does not contradict a transcription session; what the command line says does.
    """
    chosen: dict[str, Any] = {
        "whole": wish.whole,
        "transcription": wish.transcription,
        "overrides": wish.overrides,
    }
    kind = SessionOptions(**chosen).kind
    for name in (*_HEARING, *_SPEAKING):
        aside = wish.whole is not None or (kind == "transcription" and name in _SPEAKING)
        if settings.origin(name) == "flag" or (settings.given(name) and not aside):
            chosen[name] = getattr(settings, name)
    if kind == "realtime" and "model" not in {**(wish.whole or {}), **chosen}:
        chosen["model"] = settings.model
    if "instructions" in chosen:
        chosen["instructions"] = _written(chosen["instructions"])
    return SessionOptions(**chosen)


def _written(instructions: str) -> str:
    """The text itself, where it stands in a file (`@FILE`). Raises UsageError."""
    if not instructions.startswith("@"):
        return instructions
    path = Path(instructions[1:]).expanduser()
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"the instructions {printable(str(path))}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the instructions {printable(str(path))} are no UTF-8 text") from None
    if len(raw) > LONGEST:
        raise UsageError(f"the instructions {printable(str(path))} have more than {LONGEST} bytes")
    return text.strip()


def _checked(session: JsonObject, wish: SessionWish) -> JsonObject:
    """`session`, if the service would take it, as far as anybody knows. Raises UsageError naming what it would not."""
    from rtcli.protocol.check import check_session

    model = session.get("model")
    if isinstance(model, str) and model.startswith("gpt-live-"):
        raise UsageError(f"{printable(model)} belongs to another API (Live), which rtcli does not speak")
    found = () if wish.force else check_session(session)
    if not found:
        return session
    named = "; ".join(str(finding) for finding in found[:MOST_NAMED])
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    raise UsageError(f"the service would refuse this session: {named}{more} (--force sends it anyway)")
