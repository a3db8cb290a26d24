"""Settings: flag > RTCLI_* variable > profile > config.toml > default, into one frozen record.

The fields of `Settings` are the table: each says its type, its default and, in one `_setting(...)`, what values fit,
its name in config.toml and its option. Reading, checking, showing and the names in messages all follow from there.

Over 400 lines because the table, the kinds of values and the layers are one subject: a setting is added in one place.
"""

# ruff: noqa: RUF009 - `_setting` is `dataclasses.field` under another name

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from rtcli.errors import UsageError
from rtcli.protocol.dialects import DialectName
from rtcli.protocol.hosts import DEFAULT_BASE_URL, check_url
from rtcli.protocol.secret import Secret


ServerMode = Literal["unified", "token"]
Vad = Literal["server", "semantic", "off"]
Eagerness = Literal["low", "medium", "high", "auto"]
NoiseReduction = Literal["near", "far", "off"]
Echo = Literal["auto", "aec", "gate", "off"]
EventDetail = Literal["none", "key", "all"]

FILE_LIMIT = 1 << 20
"""Bytes of a configuration file; more is not one."""
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"})

LOOKS_LIKE_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk|ek)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}")
_REFERENCE = re.compile(r"(?:(?P<scheme>[A-Za-z]+) )?env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_BARE = re.compile(r"[A-Za-z0-9_.-]+")


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
        if not value.isprintable():
            raise UsageError(f"{self.place}: {match['name']} holds a control character")
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


# Kinds of values: what fits, and how it is written where only text can stand


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


def _need(fits: bool) -> None:  # noqa: FBT001
    if not fits:
        raise ValueError


def _plain_text(value: Any, _place: Place | None = None, *, empty: bool = False) -> str:
    _need(isinstance(value, str) and (empty or bool(value.strip())))
    return str(value)


def _one_line(value: Any, place: Place) -> str:
    text = _plain_text(value, place).strip()
    _need(text.isprintable())
    return text


def _text(expected: str = "a text of one line") -> Kind:
    return Kind(expected, _one_line)


def _choice(names: object) -> Kind:
    allowed = get_args(names)

    def read(value: Any, _place: Place) -> str:
        _need(isinstance(value, str) and value in allowed)
        return str(value)

    return Kind("one of " + ", ".join(allowed), read)


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _switch() -> Kind:
    def read(value: Any, _place: Place) -> bool:
        _need(isinstance(value, bool))
        return bool(value)

    def parse(text: str) -> bool:
        _need(text.lower() in _WORDS)
        return _WORDS[text.lower()]

    return Kind("true or false", read, parse)


def _number(unit: str, low: float, high: float, *, whole: bool = False) -> Kind:
    def read(value: Any, _place: Place) -> float:
        _need(isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high)
        _need(not whole or value == int(value))
        return int(value) if whole else float(value)

    kind = "a whole number" if whole else "a number"
    return Kind(f"{kind}{unit}, {low:g} to {high:g}", read, int if whole else float)


def _url() -> Kind:
    def read(value: Any, place: Place) -> str:
        try:
            return check_url(_one_line(value, place))
        except UsageError:
            raise ValueError from None

    # Shown nowhere: what does not fit may be a URL with a password in it.
    return Kind("an http or https URL without a name or password", read, sensitive=True)


def _file() -> Kind:
    def read(value: Any, place: Place) -> Path:
        path = Path(os.fspath(value) if isinstance(value, os.PathLike) else _one_line(value, place)).expanduser()
        return path if place.folder is None else place.folder / path

    return Kind("a path", read)


def _text_or_file() -> Kind:
    def read(value: Any, place: Place) -> str:
        text = _plain_text(value, empty=True)
        if not text.startswith("@") or place.folder is None:
            return text
        return f"@{place.folder / Path(text[1:]).expanduser()}"

    return Kind("a text, or @FILE", read)


def _sensitive(text: str, key: str, shown: str, *, secret: bool) -> Sensitive:
    refers = bool(_REFERENCE.fullmatch(text))
    return Sensitive(key, text if refers else shown, secret and not refers, text)


def _proxy() -> Kind:
    def read(value: Any, place: Place) -> Sensitive:
        text = _one_line(value, place)
        scheme, separator, rest = text.partition("://")
        _need(bool(_REFERENCE.fullmatch(text)) or (scheme in {"http", "https", "socks5", "socks5h"} and bool(rest)))
        _, at, host = rest.rpartition("@")
        shown = f"{scheme}{separator}***@{host}" if at else text
        return _sensitive(text, place.key, shown, secret=bool(at))

    return Kind("http://HOST:PORT (https, socks5 and socks5h too) or env:NAME", read, sensitive=True)


def _header_line(line: Any) -> tuple[str, str]:
    name, colon, value = _plain_text(line).partition(":")
    _need(bool(colon))
    return name.strip(), value.strip()


def _header(name: str, text: str, place: Place) -> Sensitive:
    return _sensitive(text, f"{place.key}.{name}", "***", secret=name.lower() in SECRET_HEADERS)


def _headers() -> Kind:
    def read(value: Any, place: Place) -> dict[str, Sensitive]:
        pairs = value if isinstance(value, Mapping) else dict(map(_header_line, value))
        for name, text in pairs.items():
            _need(isinstance(name, str) and bool(_HEADER_NAME.fullmatch(name)))
            _need(isinstance(text, str) and text.isprintable())
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


def _ice_servers() -> Kind:
    def read(value: Any, place: Place) -> tuple[IceServer, ...]:
        _need(isinstance(value, list | tuple))
        return tuple(_ice_server(each, place) for each in value)

    def parse(text: str) -> list[str]:
        return text.replace(",", " ").split()

    expected = "a list of stun:HOST:PORT or turn:USER:env:NAME@HOST:PORT"
    return Kind(expected, read, parse, sensitive=True)


def _prices() -> Kind:
    def read(value: Any, _place: Place) -> dict[str, Any]:
        _need(isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values()))
        return dict(value)

    return Kind("a table with a table for each model", read, json.loads, table=True)


# The table


def _setting(
    kind: Kind, default: Any = None, *, name: str = "", option: str = "", fallback: str = "", per_profile: bool = True
) -> Any:
    """`fallback`: a variable of others that replaces the default only."""
    facts = {"kind": kind, "name": name, "option": option, "fallback": fallback, "per_profile": per_profile}
    if kind.table:
        return field(default_factory=dict, metadata=facts)
    return field(default=default, metadata=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for this command. `Settings()` are the defaults. None: nobody said anything."""

    base_url: str = _setting(_url(), DEFAULT_BASE_URL, fallback="OPENAI_BASE_URL")
    dialect: DialectName = _setting(_choice(DialectName), "openai")
    server: str | None = _setting(_url())
    """An app server; asked instead of `base_url`."""
    server_mode: ServerMode = _setting(_choice(ServerMode), "unified")
    direct: bool = _setting(_switch(), default=False)
    connect_timeout: float = _setting(_number(" of seconds", 0.1, 600), 10.0)
    """Seconds."""
    proxy: Sensitive | None = _setting(_proxy())
    ca_bundle: Path | None = _setting(_file())
    """PEM."""
    ice_servers: tuple[IceServer, ...] = _setting(_ice_servers(), (), option="--ice-server")
    headers: Mapping[str, Sensitive] = _setting(_headers(), option="--header")
    safety_id: str | None = _setting(_text())
    safety_id_hash: str | None = _setting(_text())
    """To be hashed (SHA-256) before it goes out."""

    model: str = _setting(_text("the name of a model"), "gpt-realtime-2")
    voice: str = _setting(_text("the name of a voice"), "marin")
    instructions: str | None = _setting(_text_or_file())
    """A text, or `@` and a path; "" asks for none."""
    text: bool = _setting(_switch(), default=False)
    vad: Vad | None = _setting(_choice(Vad))
    eagerness: Eagerness | None = _setting(_choice(Eagerness))
    vad_threshold: float | None = _setting(_number("", 0, 1))
    vad_silence_ms: int | None = _setting(_number(" of milliseconds", 0, 60_000, whole=True))
    """Milliseconds."""
    interrupt: bool | None = _setting(_switch(), option="--no-interrupt")
    noise_reduction: NoiseReduction | None = _setting(_choice(NoiseReduction))
    transcribe: str | None = _setting(_text("the name of a model, or off"))
    language: str | None = _setting(_text("a language code such as en"))

    audio_input: str | None = _setting(_text("a device, a file or none"), name="audio.input", option="--input")
    audio_output: str | None = _setting(_text("a device, a file or none"), name="audio.output", option="--output")
    audio_echo: Echo = _setting(_choice(Echo), "auto", name="audio.echo", option="--echo")

    events: EventDetail = _setting(_choice(EventDetail), "none")
    history: bool = _setting(_switch(), default=False)
    """Typed lines are kept from call to call."""
    save: bool = _setting(_switch(), default=False)
    max_cost: float | None = _setting(_number(" of dollars", 0, 1e6))
    """Dollars."""
    max_duration: float | None = _setting(_number(" of seconds", 0.1, 1e6))
    """Seconds."""
    idle_timeout: float | None = _setting(_number(" of seconds", 0.1, 1e6))
    """Seconds."""
    prices: Mapping[str, Any] = _setting(_prices())
    """Model -> what takes the place of its entry in the price table."""
    profile: str | None = _setting(
        _text("the name of a profile"), name="default_profile", option="--profile", per_profile=False
    )
    """The profile in use."""

    warnings: tuple[str, ...] = ()
    """What is odd about the file, a line each."""
    _origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origin(self, name: str) -> str:
        """Where a value came from: "flag", the name of a variable, "profile NAME", the file's name, or "default".

        `name` is the record's or the file's; an entry of a table is `headers.NAME`.
        """
        dotted = _DOTTED.get(name, name)
        if dotted not in self._origins and dotted not in SETTINGS:
            raise KeyError(name)
        return self._origins.get(dotted, "default")

    def given(self, name: str) -> bool:
        """Whether somebody said so, rather than the default."""
        return self.origin(name) != "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table."""

    field: str
    """In the record."""
    name: str
    """In config.toml."""
    variable: str
    option: str
    fallback: str
    per_profile: bool
    kind: Kind


def _row(each: Field[Any]) -> Setting:
    facts = each.metadata
    return Setting(
        field=each.name,
        name=facts["name"] or each.name,
        variable=f"RTCLI_{each.name.upper()}",
        option=facts["option"] or "--" + each.name.replace("_", "-"),
        fallback=facts["fallback"],
        per_profile=facts["per_profile"],
        kind=facts["kind"],
    )


SETTINGS: Mapping[str, Setting] = {row.name: row for row in (_row(each) for each in fields(Settings) if each.metadata)}
"""Every setting by its name in config.toml, in the order of the record."""
_DOTTED = {row.field: row.name for row in SETTINGS.values()}


def setting_named(name: str) -> Setting:
    """The setting called so in config.toml. Raises UsageError naming the nearest."""
    try:
        return SETTINGS[name]
    except KeyError:
        raise UsageError(f"no setting {printable(name)}{_nearest(name)}") from None


def printable(name: str) -> str:
    """The name as it is when it is plain, else quoted."""
    return name if _BARE.fullmatch(name) else repr(name[:80])


def _nearest(name: str) -> str:
    near = get_close_matches(name, SETTINGS, 1)
    return f" (the nearest is {near[0]})" if near else ""


def check_value(setting: Setting, value: object, where: str, place: Place) -> Any:
    """`value` as the record holds it. Raises UsageError with `where`, the value unless it may be secret, what fits."""
    try:
        return setting.kind.read(value, place)
    except (TypeError, ValueError, OverflowError):
        _refuse_keys(value, where)
        raise _unfit(setting, value, where) from None


def parse_value(setting: Setting, text: str, where: str) -> Any:
    """What `text` means where TOML would have types. Raises UsageError like `check_value`."""
    try:
        return setting.kind.parse(text)
    except ValueError:
        raise _unfit(setting, text, where) from None


def _unfit(setting: Setting, value: object, where: str) -> UsageError:
    seen = "does not fit" if setting.kind.sensitive else f"is {ascii(value)[:60]}"
    return UsageError(f"{where} {seen}; expected {setting.kind.expected}")


def _refuse_keys(value: object, where: str) -> None:
    """Raise UsageError when a text in `value` looks like an API key: a file and a command line are read by others."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            _refuse_keys(each, f"{where}.{printable(str(name))}")
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_keys(each, where)
    elif isinstance(value, str) and LOOKS_LIKE_KEY.search(value):
        raise UsageError(f"{where} holds an API key in the clear; expected env:NAME, or none at all")


# The file


def config_path(environ: Mapping[str, str]) -> Path:
    """RTCLI_CONFIG, else config.toml where this platform keeps a user's configuration."""
    named = environ.get("RTCLI_CONFIG", "")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_config_path

    return user_config_path("rtcli", appauthor=False) / "config.toml"


def read_config(path: Path) -> dict[str, Any]:
    """The tables of the file, {} when there is none. Raises UsageError when it can not be read or holds a key."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} can not be read: {error.strerror}") from error
    if len(raw) > FILE_LIMIT:
        raise UsageError(f"{path} is larger than {FILE_LIMIT} bytes")
    return parse_config(raw, path)


def parse_config(raw: bytes, path: Path) -> dict[str, Any]:
    """The tables of a config.toml. Raises UsageError with the line when it is not TOML, or with the place of a key."""
    try:
        # Windows' Notepad begins a file with a byte order mark, which TOML does not know.
        document = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path} is not UTF-8 (at line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {str(error)[:200]}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None
    _refuse_keys(document, str(path))
    return document


def check_config(document: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Check all of a file, every profile included: the warnings. Raises UsageError."""
    top = _Reading(path, path.name)
    top.take(document)
    warnings = list(top.warnings)
    for name in _profiles(document, path):
        own = _Reading(path, f"profile {name}", profile=name)
        own.take(document["profiles"][name])
        warnings += own.warnings
    chosen = top.found.get("default_profile")
    if chosen:
        _profile_table(document, chosen[0], path)
    return tuple(warnings)


def _profiles(document: Mapping[str, Any], path: Path) -> list[str]:
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: profiles is not a table")
    for name, table in profiles.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: profiles.{printable(name)} is not a table")
    return list(profiles)


def _profile_table(document: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    known = _profiles(document, path)
    if name not in known:
        listed = ", ".join(map(printable, known)) or "none"
        raise UsageError(f"no profile {printable(name)} in {path}; there are: {listed}")
    table: Mapping[str, Any] = document["profiles"][name]
    return table


_Layer = dict[str, tuple[Any, str]]
"""Name of a setting -> its value and where that came from."""


class _Reading:
    """One table of the file, taken apart into a layer."""

    def __init__(self, path: Path, origin: str, profile: str | None = None) -> None:
        self.found: _Layer = {}
        self.warnings: list[str] = []
        self._path = path
        self._origin = origin
        self._in_profile = profile is not None
        self._prefix = "" if profile is None else f"profiles.{printable(profile)}."

    def take(self, table: Mapping[str, Any], group: str = "") -> None:
        for key, value in table.items():
            name = group + key
            setting = SETTINGS.get(name)
            if setting is not None and (setting.per_profile or not self._in_profile):
                where = f"{self._path}: {self._prefix}{name}"
                place = Place(self._prefix + name, self._path.parent.absolute())
                self.found[name] = (check_value(setting, value, where, place), self._origin)
            elif any(known.startswith(f"{name}.") for known in SETTINGS):
                self._group(name, value)
            elif name != "profiles" or self._in_profile:
                self.warnings.append(f"{self._path}: unknown key {self._prefix}{printable(name)}{_nearest(name)}")

    def _group(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{self._path}: {self._prefix}{name} is {ascii(value)[:60]}; expected a table")
        self.take(value, f"{name}.")


# The other layers, and all of them together


def resolve(
    flags: Mapping[str, object], *, environ: Mapping[str, str], config_file: Path | None, profile: str | None = None
) -> Settings:
    """What holds. Raises UsageError for a value that does not fit, a file that is broken, a profile that is missing.

    `flags`: by the record's names, None (or nothing in a list) for one that was not given; other names are left alone.
    `profile`: what -p said.
    """
    path = config_file or Path("config.toml")
    document = {} if config_file is None else read_config(config_file)
    outer = [_flags({**flags, "profile": profile}), _variables(environ)]
    top = _Reading(path, path.name)
    top.take(document)
    chosen = next((layer["default_profile"][0] for layer in (*outer, top.found) if "default_profile" in layer), None)
    own = _Reading(path, f"profile {chosen}", chosen)
    if chosen is not None:
        own.take(_profile_table(document, chosen, path))
    layers = _one_way([*outer, own.found, top.found], environ)
    return _record(layers, [*_missing(environ, config_file), *top.warnings, *own.warnings])


def _flags(flags: Mapping[str, object]) -> _Layer:
    layer: _Layer = {}
    for name, setting in SETTINGS.items():
        value = flags.get(setting.field)
        if value is not None and value not in ([], ()):
            _refuse_keys(value, setting.option)
            layer[name] = (check_value(setting, value, setting.option, Place(name)), "flag")
    return layer


def _variables(environ: Mapping[str, str]) -> _Layer:
    return {name: found for name, each in SETTINGS.items() if (found := _variable(each, each.variable, environ))}


def _variable(setting: Setting, variable: str, environ: Mapping[str, str]) -> tuple[Any, str] | None:
    text = environ.get(variable, "").strip() if variable else ""
    if not text:
        return None
    value = parse_value(setting, text, variable)
    return check_value(setting, value, variable, Place(setting.name)), variable


def _missing(environ: Mapping[str, str], config_file: Path | None) -> list[str]:
    named = config_file is not None and bool(environ.get("RTCLI_CONFIG")) and not config_file.exists()
    return [f"RTCLI_CONFIG names {config_file}, which does not exist"] if named else []


def _one_way(layers: list[_Layer], environ: Mapping[str, str]) -> list[_Layer]:
    """The layers without the ways that a nearer layer overrules, and the variables that replace a default behind them.

    `direct` and `server` exclude one another, and so do a `server` that makes the calls itself and a `base_url`:
    a profile's way in must not win against, or quarrel with, what the command line says.
    """
    ranks = {name: next((i for i, layer in enumerate(layers) if name in layer), len(layers)) for name in SETTINGS}

    def value(name: str) -> Any:
        return layers[ranks[name]][name][0] if ranks[name] < len(layers) else None

    dropped = set()
    if value("direct") and value("server"):
        if ranks["direct"] == ranks["server"]:
            raise UsageError(f"direct and server exclude one another ({layers[ranks['server']]['server'][1]})")
        dropped.add(max("direct", "server", key=ranks.__getitem__))
    if value("server_mode") != "token" and ranks["base_url"] < ranks["server"]:
        dropped.add("server")
    kept = [{name: found for name, found in layer.items() if name not in dropped} for layer in layers]
    unsaid = [each for name, each in SETTINGS.items() if not any(name in layer for layer in kept)]
    return [*kept, {each.name: found for each in unsaid if (found := _variable(each, each.fallback, environ))}]


def _record(layers: list[_Layer], warnings: list[str]) -> Settings:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        found = [layer[name] for layer in layers if name in layer]
        if not found:
            continue
        values[setting.field], origins[name] = found[0]
        if setting.kind.table:
            values[setting.field] = _merged(name, found, origins)
    exposed = [
        f"{each.place} holds a secret in the clear; env:NAME keeps it out"
        for each in _sensitive_values(values)
        if each.exposed
    ]
    return Settings(**values, warnings=(*warnings, *exposed), _origins=origins)


def _merged(name: str, found: list[tuple[Any, str]], origins: dict[str, str]) -> dict[str, Any]:
    """The entries of all layers; names of headers differ not by case (RFC 9110 section 5.1)."""
    entries = {key.lower(): (key, value, origin) for table, origin in reversed(found) for key, value in table.items()}
    origins.update({f"{name}.{key}": origin for key, _, origin in entries.values()})
    return {key: value for key, value, _ in entries.values()}


def _sensitive_values(values: Mapping[str, Any]) -> Iterator[Sensitive]:
    yield from values.get("headers", {}).values()
    yield from filter(None, (values.get("proxy"), *(each.credential for each in values.get("ice_servers", ()))))


def plain(value: object) -> Any:
    """A value of the record as JSON has it, secrets masked."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Sensitive | IceServer | Path) else value
