"""`rtcli config`: what is set, where it came from, and changing it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rtcli import wiring
from rtcli.commands import config_edit
from rtcli.commands.options import Command, General, grouped
from rtcli.config_file import dotted, printable, read_config, refuse_keys
from rtcli.errors import UsageError
from rtcli.keys import keyring_entry
from rtcli.setting_kinds import Place, plain
from rtcli.settings import (
    SETTINGS,
    Setting,
    check_config,
    check_profile,
    check_value,
    config_path,
    named_profile,
    parse_value,
    places,
    setting_named,
)
from rtcli.terminal.text import safe


app = typer.Typer(no_args_is_help=True, help="The configuration: path | show | get | set | unset | edit.")

_KEY = re.compile(r"""[A-Za-z0-9_-]+|"[^"\\\r\n]*"|'[^'\r\n]*'""")


def _names(incomplete: str) -> list[str]:
    return [name for name in SETTINGS if name.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="Name of a setting, or headers.NAME.", autocompletion=_names, metavar="NAME")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]


# Looking


@app.command(cls=Command)
@grouped
def path(*, as_json: AsJson = False, general: General) -> None:
    """Print every place rtcli keeps anything in.

    Examples:

      rtcli config path

      rtcli config path --json | jq -r .recordings

    A line has a name, a tab and a path. Nothing is there before it is needed; `key` is in the system keyring.
    RTCLI_CONFIG names another configuration file.
    """
    kept = {name: str(where) for name, where in places(os.environ).items()}
    kept["key"] = keyring_entry(_profile_in_use(general))
    if as_json:
        typer.echo(json.dumps(kept))
        return
    for name, where in kept.items():
        typer.echo(f"{name}\t{where}")


def _profile_in_use(general: General) -> str | None:
    """Also while the file is broken: where it is, is what one then asks."""
    try:
        return wiring.settings_for({}, general.profile).profile
    except UsageError:
        return named_profile(general.profile, environ=os.environ)


@app.command(cls=Command)
@grouped
def show(
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Where each value came from.")] = False,
    as_json: AsJson = False,
    general: General,
) -> None:
    """Print what holds, as TOML.

    Examples:

      rtcli config show

      rtcli config show --origin -p work

      rtcli config show --json | jq -r .voice

    Secrets are masked.
    """
    settings = wiring.settings_for({}, general.profile)
    _warn(settings.warnings, general)
    values = {name: plain(getattr(settings, setting.field)) for name, setting in SETTINGS.items()}
    if as_json:
        told = {name: {"value": value, "origin": settings.origin(name)} for name, value in values.items()}
        typer.echo(json.dumps(told if origin else values))
        return
    for name, value in _entries(values):
        if value is None:
            typer.echo(f"# {name} is not set")
        else:
            note = f"  # {safe(settings.origin(name))}" if origin else ""
            typer.echo(f"{_toml_key(name)} = {_toml(value)}{note}")


def _entries(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each setting, and each entry of one that is a table."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}.{key}", entry) for key, entry in value.items())
        else:
            yield name, value if value != {} else None


def _toml_key(name: str) -> str:
    table, dot, entry = name.partition(".")
    return f"{table}{dot}{_bare_or_quoted(entry)}" if dot and name not in SETTINGS else name


def _bare_or_quoted(key: str) -> str:
    plain_word = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain_word else _toml(key)


def _toml(value: Any) -> str:
    """A value as TOML writes it, on one line and printable."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_bare_or_quoted(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    quoted = json.dumps(value, ensure_ascii=False, default=str)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)


@app.command(cls=Command)
@grouped
def get(name: Name, *, general: General) -> None:
    """Print the value that holds; nothing when there is none.

    Examples:

      rtcli config get voice

      rtcli config get audio.input -p work
    """
    settings = wiring.settings_for({}, general.profile)
    _warn(settings.warnings, general)
    setting, keys = _addressed(name)
    value = plain(getattr(settings, setting.field))
    if setting.name != ".".join(keys):
        value = next((each for key, each in value.items() if key.lower() == keys[-1].lower()), None)
    if value is not None:
        typer.echo(value if isinstance(value, str) else json.dumps(value))


# Changing


@app.command("set", cls=Command)
@grouped
def set_(
    name: Name,
    value: Annotated[
        str, typer.Argument(help="A list with spaces between, a table as JSON, a secret as env:NAME.", metavar="VALUE")
    ],
    *,
    general: General,
) -> None:
    """Write a value into the configuration, or into a profile.

    Examples:

      rtcli config set voice cedar

      rtcli config set audio.input MacBook -p work

      rtcli config set headers.X-Team env:TEAM -p team

      rtcli config set default_profile work

    A profile named with -p is made when there is none.
    """
    # Without -p a change is one for all profiles, whatever `default_profile` says.
    file, profile = config_path(os.environ), named_profile(general.profile, environ=os.environ)
    setting, keys = _addressed(name)
    if profile is not None and not setting.per_profile:
        raise UsageError(f"{name} belongs to no profile")
    meant = _meant(setting, keys, value)
    document = read_config(file)
    if setting.name == "default_profile":
        check_profile(document, value, file)
    if profile is not None and profile not in document.get("profiles", {}):
        _note(f"profile {printable(profile)} is new", general)
    where = [*_prefix(profile), *keys]
    config_edit.put(file, where, meant)
    _report(f"set {dotted(where)} in {file}", file, general)


@app.command(cls=Command)
@grouped
def unset(name: Name, *, general: General) -> None:
    """Take a value out of the configuration, or out of a profile.

    Examples:

      rtcli config unset voice

      rtcli config unset audio.input -p work

      rtcli config unset profiles.work
    """
    file, profile = config_path(os.environ), named_profile(general.profile, environ=os.environ)
    where = [*_prefix(profile), *_keys(name)]
    config_edit.drop(file, where)
    _report(f"unset {dotted(where)} in {file}", file, general)


@app.command(cls=Command)
@grouped
def edit(*, general: General) -> None:
    """Open the configuration in an editor, and check it afterwards.

    Examples:

      rtcli config edit

      EDITOR="code --wait" rtcli config edit

    The editor is $VISUAL, or $EDITOR.
    """
    file = config_path(os.environ)
    command = _editor()
    if not file.exists():
        config_edit.write(file, "")
    try:
        status = subprocess.run([*command, str(file)], check=False).returncode
    except OSError as error:
        raise UsageError(f"the editor {command[0]} can not be started: {error.strerror}") from None
    if status:
        raise UsageError(f"the editor {command[0]} ended with status {status}")
    _warn(check_config(read_config(file), file), general)


def _editor() -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        named = os.environ.get(variable, "").strip()
        if named:
            return _words(named, variable)
    usual = ("notepad",) if sys.platform == "win32" else ("sensible-editor", "nano", "vi")
    found = next(filter(None, map(shutil.which, usual)), None)
    if found is None:
        raise UsageError("no editor: VISUAL and EDITOR are not set")
    return [found]


def _words(command: str, variable: str) -> list[str]:
    if sys.platform == "win32":  # backslashes are no escapes there
        return [word.strip('"') for word in shlex.split(command, posix=False)]
    try:
        return shlex.split(command)
    except ValueError:
        raise UsageError(f"{variable} has a quotation mark that does not end") from None


# What is meant


def _prefix(profile: str | None) -> list[str]:
    return [] if profile is None else ["profiles", profile]


def _keys(name: str) -> list[str]:
    """The keys of a dotted name as TOML writes it: `profiles."my team".voice`. Raises UsageError."""
    parts = _KEY.findall(name)
    if not parts or ".".join(parts) != name:
        raise UsageError(f"{printable(name)} is no dotted name")
    return [part[1:-1] if part[0] in "\"'" else part for part in parts]


def _addressed(name: str) -> tuple[Setting, list[str]]:
    """The setting a name means, and its keys: those of the setting, or of one header."""
    keys = _keys(name)
    is_header = keys[0] == "headers" and len(keys) == 2
    return setting_named("headers" if is_header else ".".join(keys)), keys


def _meant(setting: Setting, keys: list[str], text: str) -> Any:
    """What `text` says, as the file has it. Raises UsageError when it does not fit."""
    name = ".".join(keys)
    refuse_keys(text, name)
    is_entry = name != setting.name
    meant = text if is_entry else parse_value(setting, text, name)
    # A path is relative to where it is typed, and the file is elsewhere.
    found = check_value(setting, {keys[-1]: text} if is_entry else meant, name, Place(name, Path.cwd()))
    return meant if setting.kind.sensitive else plain(found)


# Telling


def _note(text: str, general: General) -> None:
    if not general.quiet:
        typer.echo(safe(text), err=True)


def _warn(warnings: tuple[str, ...], general: General) -> None:
    for warning in warnings:
        _note(f"warning: {warning}", general)


def _report(done: str, file: Path, general: General) -> None:
    """What was done, and what is wrong with the rest of the file, which is no reason not to have done it."""
    _note(done, general)
    try:
        _warn(check_config(read_config(file), file), general)
    except UsageError as error:
        _warn((str(error),), general)
