"""Kinds of values a setting can have: what fits, how it reads as text, and what of it may be seen."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, get_args

from rtcli.errors import UsageError
from rtcli.protocol.hosts import check_url
from rtcli.protocol.secret import Secret
from rtcli.records import dataclass


SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"})

_REFERENCE = re.compile(r"(?:(?P<scheme>[A-Za-z]+) )?env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_MEANT_AS_REFERENCE = re.compile(r"(?:[A-Za-z]+ )?env:")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2


# Values that may be secret


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A text that may be secret: `env:NAME`, `Bearer env:NAME`, or literal. Prints as what may be seen of it."""

    place: str
    """The setting that holds it."""
    shown: str
    exposed: bool
    """A secret for sure, and written as it is."""
    _written: str = field(repr=False)

    def __str__(self) -> str:
        return self.shown

    def reveal(self, environ: Mapping[str, str]) -> Secret:
        """The value, read now. Raises UsageError when the variable is not set or holds a control character."""
        match = _REFERENCE.fullmatch(self._written)
        if match is None:
            return Secret(self._written)
        value = environ.get(match["name"], "").strip()
        if not value:
            raise UsageError(f"{self.place} takes its value from {match['name']}, which is not set")
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"{self.place}: {match['name']} holds a character that can not be sent")
        return Secret(f"{match['scheme']} {value}" if match["scheme"] else value)


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, written `stun:HOST:PORT` or `turn:USER:env:NAME@HOST:PORT`."""

    url: str
    """`stun:`, `stuns:`, `turn:` or `turns:` (RFC 7064, RFC 7065)."""
    username: str | None = None
    credential: Sensitive | None = None

    def __str__(self) -> str:
        scheme, _, host = self.url.partition(":")
        return self.url if self.username is None else f"{scheme}:{self.username}:{self.credential or ''}@{host}"


# What fits, and how it is written where only text can stand


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was found."""

    key: str
    folder: Path | None = None
    """What a relative path in it is relative to; None: the working directory."""


@dataclass(frozen=True, slots=True)
class Kind:
    expected: str
    read: Callable[[Any, Place], Any]
    """A value of TOML or of the command line -> the record's; raises ValueError (or TypeError) when it does not fit."""
    parse: Callable[[str], Any] = str
    """The text of a variable, or of `config set` -> a value of TOML; raises ValueError."""
    sensitive: bool = False
    """Never shown in a message."""
    table: bool = False
    """Entries of all layers are merged, the nearer one winning."""


def _need(fits: object) -> None:
    if not fits:
        raise ValueError


def _plain_text(value: Any, _place: Place | None = None, *, empty: bool = False) -> str:
    _need(isinstance(value, str) and (empty or bool(value.strip())))
    value.encode()  # half a surrogate pair, from an argument that was no UTF-8, raises ValueError
    return str(value)


def _one_line(value: Any, place: Place) -> str:
    text = _plain_text(value, place).strip()
    _need(text.isprintable())
    return text


def text(expected: str = "a text of one line") -> Kind:
    return Kind(expected, _one_line)


def choice(names: object) -> Kind:
    allowed = get_args(names)

    def read(value: Any, _place: Place) -> str:
        _need(isinstance(value, str) and value in allowed)
        return str(value)

    return Kind("one of " + ", ".join(allowed), read)


def one_of(*numbers: int) -> Kind:
    def read(value: Any, _place: Place) -> int:
        _need(value in numbers and not isinstance(value, bool))
        return int(value)

    def parse(text: str) -> int:
        _need(text.isdecimal())
        return int(text)

    return Kind("one of " + ", ".join(map(str, numbers)), read, parse)


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def switch() -> Kind:
    def read(value: Any, _place: Place) -> bool:
        _need(isinstance(value, bool))
        return bool(value)

    def parse(text: str) -> bool:
        _need(text.lower() in _WORDS)
        return _WORDS[text.lower()]

    return Kind("true or false", read, parse)


def number(unit: str, low: float, high: float, *, whole: bool = False) -> Kind:
    def read(value: Any, _place: Place) -> float:
        _need(isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high)
        _need(not whole or value == int(value))
        return int(value) if whole else float(value)

    kind = "a whole number" if whole else "a number"
    return Kind(f"{kind}{unit}, {low:g} to {high:g}", read, int if whole else float)


def url() -> Kind:
    def read(value: Any, place: Place) -> str:
        try:
            return check_url(_one_line(value, place))
        except UsageError:
            raise ValueError from None

    # Shown nowhere: what does not fit may be a URL with a password in it.
    return Kind("an http or https URL without a name or password", read, sensitive=True)


def _at_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home of nobody
        raise ValueError from None


def file() -> Kind:
    def read(value: Any, place: Place) -> Path:
        path = _at_home(os.fspath(value) if isinstance(value, os.PathLike) else _one_line(value, place))
        return path if place.folder is None else place.folder / path

    return Kind("a path", read)


def text_or_file() -> Kind:
    def read(value: Any, place: Place) -> str:
        text = _plain_text(value, empty=True)
        if not text.startswith("@") or place.folder is None:
            return text
        return f"@{place.folder / _at_home(text[1:])}"

    return Kind("a text, or @FILE", read)


def _sensitive(text: str, key: str, shown: str, *, secret: bool) -> Sensitive:
    refers = bool(_REFERENCE.fullmatch(text))
    _need(refers or not _MEANT_AS_REFERENCE.match(text))
    return Sensitive(key, text if refers else shown, secret and not refers, text)


def proxy() -> Kind:
    def read(value: Any, place: Place) -> Sensitive:
        text = _one_line(value, place)
        scheme, separator, rest = text.partition("://")
        _, at, host = rest.rpartition("@")
        _need(bool(_REFERENCE.fullmatch(text)) or (scheme in {"http", "https", "socks5", "socks5h"} and _is_host(host)))
        shown = f"{scheme}{separator}***@{host}" if at else text
        return _sensitive(text, place.key, shown, secret=bool(at))

    return Kind("http://HOST:PORT (https, socks5 and socks5h too) or env:NAME", read, sensitive=True)


def _is_host(text: str) -> bool:
    """HOST or HOST:PORT."""
    try:
        check_url(f"http://{text}")
    except UsageError:
        return False
    return True


def _header_line(line: Any) -> tuple[str, str]:
    name, colon, value = _plain_text(line).partition(":")
    _need(bool(colon))
    return name.strip(), value.strip()


def _header(name: str, text: str, place: Place) -> Sensitive:
    return _sensitive(text, f"{place.key}.{name}", "***", secret=name.lower() in SECRET_HEADERS)


def headers() -> Kind:
    def read(value: Any, place: Place) -> dict[str, Sensitive]:
        pairs = value if isinstance(value, Mapping) else dict(map(_header_line, value))
        for name, text in pairs.items():
            _need(isinstance(name, str) and bool(_HEADER_NAME.fullmatch(name)))
            _need(isinstance(text, str) and text.isascii() and text.isprintable())
        return {name: _header(name, text.strip(), place) for name, text in pairs.items()}

    def parse(text: str) -> dict[str, str]:
        return dict(_header_line(line) for line in text.splitlines() if line.strip())

    return Kind("headers, NAME: VALUE or NAME: env:VARIABLE", read, parse, sensitive=True, table=True)


def _ice_server(text: Any, place: Place) -> IceServer:
    scheme, _, rest = _one_line(text, place).partition(":")
    login, at, host = rest.rpartition("@")
    _need(scheme in {"stun", "stuns", "turn", "turns"} and bool(host) and not re.search(r"\s|^//", host))
    if not at:
        return IceServer(f"{scheme}:{host}")
    username, _, password = login.partition(":")
    _need(bool(username) and bool(password))
    return IceServer(f"{scheme}:{host}", username, _sensitive(password, place.key, "***", secret=True))


def ice_servers() -> Kind:
    def read(value: Any, place: Place) -> tuple[IceServer, ...]:
        _need(isinstance(value, list | tuple))
        return tuple(_ice_server(each, place) for each in value)

    def parse(text: str) -> list[str]:
        return text.replace(",", " ").split()

    expected = "a list of stun:HOST:PORT or turn:USER:env:NAME@HOST:PORT"
    return Kind(expected, read, parse, sensitive=True)


def prices() -> Kind:
    price = number("", 0, 1e6)

    def read(value: Any, place: Place) -> dict[str, dict[str, float]]:
        _need(isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values()))
        return {model: {name: price.read(of, place) for name, of in each.items()} for model, each in value.items()}

    return Kind("a table of prices for each model", read, json.loads, table=True)


def plain(value: object) -> Any:
    """A value of the record as JSON has it, secrets masked."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Sensitive | IceServer | Path) else value
