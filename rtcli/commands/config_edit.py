"""Changing config.toml without losing what people wrote into it.

tomllib reads, tomlkit writes: comments and order survive. What tomlkit made of a change is read back and compared with
what was meant before it takes the file's place.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from rtcli.config_file import dotted, parse_config, read_text
from rtcli.errors import UsageError


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
