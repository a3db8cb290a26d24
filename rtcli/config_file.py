"""config.toml as a file: reading it, and changing it without losing what people wrote into it.

tomllib reads, tomlkit writes: comments and order survive. What tomlkit made of a change is read back and compared with
what was meant before it takes the file's place.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from rtcli.errors import UsageError


FILE_LIMIT = 1 << 20
"""Bytes; more is no configuration."""
LOOKS_LIKE_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk|ek)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}")
_BARE = re.compile(r"[A-Za-z0-9_.-]+")


# Reading


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


# Changing


def put(path: Path, keys: Sequence[str], value: Any) -> None:
    """Write a value into the file, its table too when there is none. Raises UsageError; the file is then as it was."""

    def change(document: Any) -> None:
        table, rest = document, list(keys)
        while len(rest) > 1 and rest[0] in table:
            table = table[rest.pop(0)]
            if not isinstance(table, MutableMapping):
                raise UsageError(f"{dotted(keys[: -len(rest)])} in {path} is not a table")
        # New tables in one piece: where tables of one parent stand apart, tomlkit loses what goes into them later.
        first, *inner = rest
        table[first] = reduce(lambda nested, key: {key: nested}, reversed(inner), value)

    _change(path, change)


def drop(path: Path, keys: Sequence[str]) -> None:
    """Take a value, or a table, out of the file. Raises UsageError; the file is then as it was."""

    def change(document: Any) -> None:
        *groups, last = keys
        table = document
        for group in groups:
            table = table.get(group) if isinstance(table, MutableMapping) else None
        if not isinstance(table, MutableMapping) or last not in table:
            raise UsageError(f"{dotted(keys)} is not set in {path}")
        del table[last]

    _change(path, change)


def dotted(keys: Sequence[str]) -> str:
    return ".".join(map(printable, keys))


def _change(path: Path, change: Callable[[Any], None]) -> None:
    """Make the same change to what the file says and to how it says it, and write when both agree."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    text = read_text(path)
    wanted = parse_config(text, path)
    change(wanted)
    try:
        document = tomlkit.parse(text)
        change(document)
        changed = tomlkit.dumps(document)
        # An emptied table may be left out.
        agreed = _filled(tomllib.loads(changed)) == _filled(wanted)
    except (TOMLKitError, KeyError, TypeError, ValueError):
        agreed, changed = False, ""
    if not agreed:
        raise UsageError(f"{path} is laid out in a way that only an editor can change without loss")
    write(path, changed)


def _filled(value: Any) -> Any:
    """The tables of a document without the empty ones."""
    if not isinstance(value, dict):
        return value
    filled = {key: _filled(each) for key, each in value.items()}
    return {key: each for key, each in filled.items() if each != {}}


def write(path: Path, text: str) -> None:
    """Put `text` in the file's place in one step, readable by its owner alone. A link stays a link."""
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it 0600 from the start.
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(f"{path} can not be written: {error.strerror}") from None
