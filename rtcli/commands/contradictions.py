"""The pairs of `send`'s options that contradict one another, told before there is a call. Each raises UsageError."""

from __future__ import annotations

import os
from pathlib import Path

from rtcli.commands.expecting import Expecting
from rtcli.commands.options import Session, Way
from rtcli.errors import UsageError


def refuse_contradictions(
    *, words: bool, audio: str | None, aloud: str, text: bool | None, image: list[str] | None, user: bool
) -> None:
    if audio and (words or image):
        raise UsageError("--audio speaks instead of a text")
    if aloud and text:
        raise UsageError(f"--text asks for no voice, and {aloud} for one")
    if image and not user:
        raise UsageError("only a user shows an image")


def joins_by(way: Way, *, live: bool, to: str | None, call: str | None) -> list[str]:
    """The option that names a call that is up, if any."""
    named = [name for name, given in (("--live", live), ("--to", to is not None), ("--call", bool(call))) if given]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude one another")
    if named and named != ["--call"] and way != Way():
        raise UsageError(f"{named[0]} goes into a call that is up: options of the way in mean another")
    return named


def refuse_own(
    joins: str,
    session: Session,
    expecting: Expecting,
    *,
    audio: str | None,
    voice_out: str | None,
    hangup: bool,
) -> None:
    """What only a call of its own has, and what only another's. `joins`: the option that names another's, or ""."""
    if not joins:
        if hangup:
            raise UsageError("--hangup ends a call that is up: name it by --live, --to NAME or --call rtc_…")
        return
    if audio or voice_out:
        raise UsageError(f"sound goes through a call of its own, and {joins} joins another's")
    if expecting.expect_audio:
        raise UsageError(f"--expect-audio needs a call of its own: the sound of one that {joins} joins goes elsewhere")
    if session != Session(tools=session.tools, yes_tools=session.yes_tools):
        raise UsageError(f'{joins} joins a session that exists: change it by -e \'{{"type":"session.update",…}}\'')


def refuse_unwritable(file: Path) -> None:
    """Before a call is paid for whose answer could not be kept."""
    target = file if file.exists() else file.parent
    if file.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        raise UsageError(f"--voice-out {file}: no file can be written there")


def refuse_pairs(*pairs: tuple[bool, str, bool, str]) -> None:
    for one, name, other, other_name in pairs:
        if one and other:
            raise UsageError(f"{name} and {other_name} exclude one another")
