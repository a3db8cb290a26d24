"""What Tab makes of a line typed into `rtcli talk`: whole lines that begin as it does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rtcli.commands.slash import COMMANDS, VAD
from rtcli.protocol.client_events import EVENTS
from rtcli.protocol.codec import text_of
from rtcli.protocol.session_config import VOICES
from rtcli.terminal.scroll import DETAILS


if TYPE_CHECKING:
    from rtcli.audio.base import Device

MOST = 40
"""Choices that are listed."""
_PICTURES = (".png", ".jpg", ".jpeg")


def completed(typed: str, devices: Callable[[], Sequence[Device]]) -> list[str]:
    """What `typed`, up to the cursor, may become. `devices`: those known; must not wait."""
    if not typed.startswith("/"):
        return []
    command, blank, rest = typed.partition(" ")
    if not blank:
        return [name for name, _ in COMMANDS if name.startswith(typed)]
    if command == "/devices":
        return [f"{command} {each}" for each in _devices(rest, devices)]
    choices = _CHOICES.get(command)
    return [f"{command} {each}" for each in choices(rest)] if choices else []


def listed(choices: Sequence[str]) -> str:
    """What there is to choose from, not endless."""
    more = f"  and {len(choices) - MOST} more" if len(choices) > MOST else ""
    return "  ".join(choices[:MOST]) + more


def _words(words: Iterable[str]) -> Callable[[str], list[str]]:
    return lambda typed: [word for word in words if word.startswith(typed)]


def _events(typed: str) -> list[str]:
    """A client event of this type, by its name or its JSON."""
    known = {kind: text_of({"type": kind}) for kind in EVENTS}
    return [event for kind, event in known.items() if kind.startswith(typed) or event.startswith(typed)]


def _devices(typed: str, devices: Callable[[], Sequence[Device]]) -> list[str]:
    kind, blank, rest = typed.partition(" ")
    if not blank:
        return [f"{each} " for each in ("input", "output") if each.startswith(kind)]
    found = [each.name for each in devices() if (each.inputs if kind == "input" else each.outputs)]
    return [f"{kind} {name}" for name in dict.fromkeys(found) if rest.lower() in name.lower()]


def _pictures(typed: str) -> list[str]:
    """Pictures and folders, as `/image` takes them: in quotation marks when there are blanks."""
    folder, name = os.path.split(os.path.expanduser(typed.lstrip("'\"")))  # noqa: PTH111 - a Path would lose the / behind a folder
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
        found = [(entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(name)]
    except OSError:
        return []
    wanted = [each for each in found if each[1] or each[0].lower().endswith(_PICTURES)]
    shown = [each for each in wanted if name.startswith(".") or not each[0].startswith(".")]
    return [_quoted(str(Path(folder, entry)), is_folder=is_folder) for entry, is_folder in shown]


def _quoted(path: str, *, is_folder: bool) -> str:
    """A folder's quotation mark stays open: more follows."""
    quoted = shlex.quote(path)
    if not is_folder:
        return quoted
    return f"{path}/" if quoted == path else quoted[:-1] + "/"


_CHOICES: dict[str, Callable[[str], list[str]]] = {
    "/vad": _words(VAD),
    "/voice": _words(VOICES),
    "/events": _words(DETAILS),
    "/event": _events,
    "/image": _pictures,
}
