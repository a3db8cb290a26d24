"""config.toml, read: its tables, and no key in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtcli.errors import UsageError


FILE_LIMIT = 1 << 20
"""Bytes; more is no configuration."""
LOOKS_LIKE_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk|ek)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}")
_BARE = re.compile(r"[A-Za-z0-9_.-]+")


def read_config(path: Path) -> dict[str, Any]:
    """The tables of the file, {} when there is none. Raises UsageError when it is broken or holds a key."""
    document = parse_config(read_text(path), path)
    for name, value in document.items():
        refuse_keys(value, f"{path}: {printable(name)}")
    return document


def read_text(path: Path) -> str:
    """The file's text, "" when there is none. Raises UsageError when it can not be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"{path} can not be read: {error.strerror}") from None
    if len(raw) > FILE_LIMIT:
        raise UsageError(f"{path} is larger than {FILE_LIMIT} bytes")
    try:
        # Windows' Notepad begins a file with a byte order mark, which TOML does not know.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (at line {raw[: error.start].count(10) + 1})") from None


def parse_config(text: str, path: Path) -> dict[str, Any]:
    """The tables of a config.toml. Raises UsageError with the line when it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {str(error)[:200]}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None


def refuse_keys(value: object, where: str) -> None:
    """Raise UsageError when a text in `value` looks like an API key: a file and a command line are read by others."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            refuse_keys(each, f"{where}.{printable(str(name))}")
    elif isinstance(value, list | tuple):
        for each in value:
            refuse_keys(each, where)
    elif isinstance(value, str) and LOOKS_LIKE_KEY.search(value):
        raise UsageError(f"{where} holds an API key in the clear; expected env:NAME, or none at all")


def printable(name: str) -> str:
    """The name as it is when it is plain, else quoted."""
    return name if _BARE.fullmatch(name) else repr(name[:80])


def dotted(keys: Sequence[str]) -> str:
    return ".".join(map(printable, keys))
