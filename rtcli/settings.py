"""Settings: flag > RTCLI_* variable > profile > config.toml > default, into one frozen record.

The fields of `Settings` are the table: each says its type, its default and, in one `_setting(...)`, what values fit,
its name in config.toml and its option. Reading, checking, showing and the names in messages all follow from there.

Over 400 lines by the table and the layers, which belong together: a setting is added in one place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from rtcli import setting_kinds as kinds
from rtcli.config_file import printable, read_config, refuse_keys
from rtcli.errors import UsageError
from rtcli.protocol.dialects import DialectName
from rtcli.protocol.hosts import DEFAULT_BASE_URL
from rtcli.records import dataclass
from rtcli.setting_kinds import IceServer, Kind, Place, Sensitive


ServerMode = Literal["unified", "token"]
Vad = Literal["server", "semantic", "off"]
Eagerness = Literal["low", "medium", "high", "auto"]
NoiseReduction = Literal["near", "far", "off"]
Echo = Literal["auto", "aec", "gate", "off"]
EventDetail = Literal["none", "key", "all"]


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

    base_url: str = _setting(kinds.url(), DEFAULT_BASE_URL, fallback="OPENAI_BASE_URL")
    dialect: DialectName = _setting(kinds.choice(DialectName), "openai")
    server: str | None = _setting(kinds.url())
    """An app server; asked instead of `base_url`."""
    server_mode: ServerMode = _setting(kinds.choice(ServerMode), "unified")
    direct: bool = _setting(kinds.switch(), default=False)
    connect_timeout: float = _setting(kinds.number(" of seconds", 0.1, 600), 10.0)
    """Seconds."""
    proxy: Sensitive | None = _setting(kinds.proxy())
    ca_bundle: Path | None = _setting(kinds.file())
    """PEM."""
    ice_servers: tuple[IceServer, ...] = _setting(kinds.ice_servers(), (), option="--ice-server")
    headers: Mapping[str, Sensitive] = _setting(kinds.headers(), option="--header")
    safety_id: str | None = _setting(kinds.text())
    safety_id_hash: str | None = _setting(kinds.text())
    """To be hashed (SHA-256) before it goes out."""

    model: str = _setting(kinds.text("the name of a model"), "gpt-realtime-2")
    voice: str = _setting(kinds.text("the name of a voice"), "marin")
    instructions: str | None = _setting(kinds.text_or_file())
    """A text, or `@` and a path; "" asks for none."""
    text: bool = _setting(kinds.switch(), default=False)
    vad: Vad | None = _setting(kinds.choice(Vad))
    eagerness: Eagerness | None = _setting(kinds.choice(Eagerness))
    vad_threshold: float | None = _setting(kinds.number("", 0, 1))
    vad_silence_ms: int | None = _setting(kinds.number(" of milliseconds", 0, 60_000, whole=True))
    """Milliseconds."""
    interrupt: bool | None = _setting(kinds.switch(), option="--no-interrupt")
    noise_reduction: NoiseReduction | None = _setting(kinds.choice(NoiseReduction))
    transcribe: str | None = _setting(kinds.text("the name of a model, or off"))
    language: str | None = _setting(kinds.text("a language code such as en"))

    audio_input: str | None = _setting(kinds.text("a device, a file or none"), name="audio.input", option="--input")
    audio_output: str | None = _setting(kinds.text("a device, a file or none"), name="audio.output", option="--output")
    audio_echo: Echo = _setting(kinds.choice(Echo), "auto", name="audio.echo", option="--echo")
    audio_packet_ms: int = _setting(kinds.one_of(20, 10), 20, name="audio.packet_ms", option="--packet-ms")
    """Milliseconds of sound in a packet that we send: 10 hears 10 ms sooner and costs twice the packets."""

    events: EventDetail = _setting(kinds.choice(EventDetail), "none")
    history: bool = _setting(kinds.switch(), default=False)
    """Typed lines are kept from call to call."""
    max_cost: float | None = _setting(kinds.number(" of dollars", 0, 1e6))
    """Dollars."""
    max_duration: float | None = _setting(kinds.number(" of seconds", 0.1, 1e6))
    """Seconds."""
    idle_timeout: float | None = _setting(kinds.number(" of seconds", 0.1, 1e6))
    """Seconds."""
    prices: Mapping[str, Any] = _setting(kinds.prices())
    """Model -> what takes the place of its entry in the price table."""
    profile: str | None = _setting(
        kinds.text("the name of a profile"), name="default_profile", option="--profile", per_profile=False
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


def _nearest(name: str) -> str:
    near = get_close_matches(name, SETTINGS, 1)
    return f" (the nearest is {near[0]})" if near else ""


def check_value(setting: Setting, value: object, where: str, place: Place) -> Any:
    """`value` as the record holds it. Raises UsageError with `where`, the value unless it may be secret, what fits."""
    try:
        return setting.kind.read(value, place)
    except (TypeError, ValueError, OverflowError):
        raise _unfit(setting, value, where) from None


def parse_value(setting: Setting, text: str, where: str) -> Any:
    """What `text` means where TOML would have types. Raises UsageError like `check_value`."""
    try:
        return setting.kind.parse(text)
    except ValueError:
        raise _unfit(setting, text, where) from None


def _unfit(setting: Setting, value: object, where: str) -> UsageError:
    refuse_keys(value, where)
    seen = "does not fit" if setting.kind.sensitive else f"is {ascii(value)[:60]}"
    return UsageError(f"{where} {seen}; expected {setting.kind.expected}")


# The file


def config_path(environ: Mapping[str, str]) -> Path:
    """RTCLI_CONFIG, else config.toml where this platform keeps a user's configuration."""
    named = environ.get("RTCLI_CONFIG", "")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - Path's own raises for the home of nobody
    from platformdirs import user_config_path

    return user_config_path("rtcli", appauthor=False) / "config.toml"


def named_profile(flag: str | None, *, environ: Mapping[str, str]) -> str | None:
    """The profile that -p or its variable names, whether there is one or not; `default_profile` does not count."""
    return flag or environ.get("RTCLI_PROFILE", "").strip() or None


def places(environ: Mapping[str, str]) -> dict[str, Path]:
    """Everything rtcli keeps in files, by what it is. Makes nothing.

    `config` is a file; `cache`, `state` (what is remembered), `recordings` and `live` (sockets of live calls) folders.
    """
    import warnings

    from platformdirs import PlatformDirs

    dirs = PlatformDirs("rtcli", appauthor=False)
    with warnings.catch_warnings():
        # Where XDG_RUNTIME_DIR is unset platformdirs warns on standard error, and may refuse what is in its place.
        warnings.simplefilter("ignore")
        try:
            live = dirs.user_runtime_path
        except OSError:
            live = dirs.user_state_path / "live"
    return {
        "config": config_path(environ),
        "cache": dirs.user_cache_path,
        "state": dirs.user_state_path,
        "recordings": dirs.user_data_path / "recordings",
        "live": live,
    }


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
        check_profile(document, chosen[0], path)
    return tuple(warnings)


def _profiles(document: Mapping[str, Any], path: Path) -> list[str]:
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: profiles is not a table")
    for name, table in profiles.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: profiles.{printable(name)} is not a table")
    return list(profiles)


def check_profile(document: Mapping[str, Any], name: str, path: Path) -> None:
    """Raise UsageError listing the profiles when there is none of that name."""
    known = _profiles(document, path)
    if name not in known:
        listed = ", ".join(map(printable, known)) or "none"
        raise UsageError(f"no profile {printable(name)} in {path}; there are: {listed}")


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
        check_profile(document, chosen, path)
        own.take(document["profiles"][chosen])
    layers = _one_way([*outer, own.found, top.found], environ)
    return _record(layers, [*_missing(environ, config_file), *top.warnings, *own.warnings])


def _flags(flags: Mapping[str, object]) -> _Layer:
    layer: _Layer = {}
    for name, setting in SETTINGS.items():
        value = flags.get(setting.field)
        if value is not None and value not in ([], ()):
            refuse_keys(value, setting.option)
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


_EITHER = (("direct", "server"), ("safety_id", "safety_id_hash"))


def _one_way(layers: list[_Layer], environ: Mapping[str, str]) -> list[_Layer]:
    """The layers without the ways that a nearer layer overrules, and the variables that replace a default behind them.

    `direct` and `server` exclude one another (as the two safety identifiers do), and so do a `server` that makes the
    calls itself and a `base_url`: a profile's way in must not win against, or quarrel with, what the command line says.
    """
    ranks = {name: next((i for i, layer in enumerate(layers) if name in layer), len(layers)) for name in SETTINGS}

    def value(name: str) -> Any:
        return layers[ranks[name]][name][0] if ranks[name] < len(layers) else None

    dropped = set()
    for one, other in _EITHER:
        if value(one) and value(other):
            if ranks[one] == ranks[other]:
                raise UsageError(f"{one} and {other} exclude one another ({layers[ranks[other]][other][1]})")
            dropped.add(max(one, other, key=ranks.__getitem__))
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
    exposed = _exposed(values, origins)
    return Settings(**values, warnings=(*warnings, *exposed), _origins=origins)


def _merged(name: str, found: list[tuple[Any, str]], origins: dict[str, str]) -> dict[str, Any]:
    """The entries of all layers; names of headers differ not by case (RFC 9110 section 5.1)."""
    entries = {key.lower(): (key, value, origin) for table, origin in reversed(found) for key, value in table.items()}
    origins.update({f"{name}.{key}": origin for key, _, origin in entries.values()})
    return {key: value for key, value, _ in entries.values()}


def _exposed(values: Mapping[str, Any], origins: Mapping[str, str]) -> list[str]:
    """Secrets written as they are where others read them. A variable is where they belong."""
    held = [(f"headers.{name}", each) for name, each in values.get("headers", {}).items()]
    held += [("proxy", values["proxy"])] if "proxy" in values else []
    held += [("ice_servers", each.credential) for each in values.get("ice_servers", ()) if each.credential]
    return [
        f"{each.place} holds a secret in the clear; env:NAME keeps it out"
        for name, each in held
        if each.exposed and not origins[name].startswith("RTCLI_")
    ]
