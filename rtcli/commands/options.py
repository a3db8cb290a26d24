"""Options that several commands share, each written once.

Typer reads options from a function's signature. `grouped` lets a command take whole groups (`way: Way`) and unfolds
their fields into that signature, so that an option's name, help and variable stand in one place.
Over 400 lines, most of them that table.
A field left at None was not given: the settings then say what holds.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
import typer.core

from rtcli.config_file import read_config
from rtcli.errors import UsageError
from rtcli.protocol.dialects import DialectName
from rtcli.protocol.session_config import VOICES
from rtcli.records import dataclass
from rtcli.settings import Eagerness, NoiseReduction, ServerMode, Vad, config_path


WAY = "Where the call goes"
SESSION = "Session"
GENERAL = "General"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def flag(*names: str, text: str, env: str = "", rare: bool = False, panel: str | None = None, **how: Any) -> Any:
    """A Typer option whose help names the variable behind it; a `rare` one shows with --help-all only."""
    shown = f"{text} [env: {env}]" if env else text
    return typer.Option(*names, help=shown, hidden=rare, rich_help_panel=panel, show_default=False, **how)


def among(words: Iterable[str]) -> Callable[[str], list[str]]:
    """For completion: those of `words` that begin as what is typed."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _profiles(incomplete: str) -> list[str]:
    """For completion: none where the configuration is broken, which a command tells."""
    with suppress(UsageError):
        profiles = read_config(config_path(os.environ)).get("profiles")
        return among(profiles)(incomplete) if isinstance(profiles, dict) else []
    return []


def _show_all(context: typer.Context, value: bool) -> None:  # noqa: FBT001 - Typer calls it
    if not value:
        return
    for parameter in context.command.params:
        if getattr(parameter, "hidden", False) and hasattr(parameter, "hidden"):
            parameter.hidden = False
    typer.echo(context.get_help())
    raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option("--help-all", help="Show all options.", is_eager=True, expose_value=False, callback=_show_all),
]


@dataclass(frozen=True, slots=True)
class Way:
    """How a call reaches its other side. Fields are named as in `rtcli.settings.Settings`."""

    sandbox: Annotated[
        bool,
        flag("--sandbox", text="Call the offline stand-in: no key, no network. English only.", panel=WAY),
    ] = False
    server: Annotated[
        str | None,
        flag(
            "--server", text="Ask this app server instead of the service.", env="RTCLI_SERVER", panel=WAY, metavar="URL"
        ),
    ] = None
    server_mode: Annotated[
        str | None,
        flag(
            "--server-mode",
            text="unified (POST /session) or token (GET /token).",
            env="RTCLI_SERVER_MODE",
            rare=True,
            panel=WAY,
            metavar="MODE",
            autocompletion=among(get_args(ServerMode)),
        ),
    ] = None
    direct: Annotated[
        bool | None,
        flag("--direct", text="One request with the API key, no ephemeral key.", env="RTCLI_DIRECT", panel=WAY),
    ] = None
    base_url: Annotated[
        str | None,
        flag("--base-url", text="Another service.", env="RTCLI_BASE_URL", panel=WAY, metavar="URL"),
    ] = None
    dialect: Annotated[
        str | None,
        flag(
            "--dialect",
            text="How that service speaks: openai, azure, sdp, localai, speaches.",
            env="RTCLI_DIALECT",
            rare=True,
            panel=WAY,
            metavar="NAME",
            autocompletion=among(get_args(DialectName)),
        ),
    ] = None
    token_stdin: Annotated[
        bool,
        flag("--token-stdin", text="Read a ready ephemeral key from standard input.", rare=True, panel=WAY),
    ] = False
    headers: Annotated[
        list[str] | None,
        flag(
            "--header",
            text="Further header K:V; a secret as K:env:NAME. Repeatable.",
            rare=True,
            panel=WAY,
            metavar="K:V",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        flag(
            "--proxy",
            text="HTTP proxy; one with a password as env:NAME.",
            env="RTCLI_PROXY",
            rare=True,
            panel=WAY,
            metavar="URL",
        ),
    ] = None
    ca_bundle: Annotated[
        str | None,
        flag(
            "--ca-bundle",
            text="Trust these authorities (PEM).",
            env="RTCLI_CA_BUNDLE",
            rare=True,
            panel=WAY,
            metavar="FILE",
        ),
    ] = None
    ice_servers: Annotated[
        list[str] | None,
        flag(
            "--ice-server",
            text="stun:HOST or turn:USER:env:NAME@HOST. Repeatable.",
            env="RTCLI_ICE_SERVERS",
            rare=True,
            panel=WAY,
            metavar="URL",
        ),
    ] = None
    safety_id: Annotated[
        str | None,
        flag(
            "--safety-id",
            text="OpenAI-Safety-Identifier.",
            env="RTCLI_SAFETY_ID",
            rare=True,
            panel=WAY,
            metavar="VALUE",
        ),
    ] = None
    safety_id_hash: Annotated[
        str | None,
        flag(
            "--safety-id-hash",
            text="Likewise, sent as its SHA-256.",
            env="RTCLI_SAFETY_ID_HASH",
            rare=True,
            panel=WAY,
            metavar="VALUE",
        ),
    ] = None
    connect_timeout: Annotated[
        float | None,
        flag(
            "--connect-timeout",
            text="Seconds until the call must be up (default 10).",
            env="RTCLI_CONNECT_TIMEOUT",
            rare=True,
            panel=WAY,
            min=0.1,
            max=600,
            metavar="SECONDS",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Session:
    """The session object, option by option. What is no setting is read by `rtcli.commands.session`."""

    model: Annotated[
        str | None,
        flag("--model", "-m", text="Model (default gpt-realtime-2).", env="RTCLI_MODEL", panel=SESSION, metavar="NAME"),
    ] = None
    voice: Annotated[
        str | None,
        flag(
            "--voice",
            text="Voice (default marin).",
            env="RTCLI_VOICE",
            panel=SESSION,
            metavar="NAME",
            autocompletion=among(VOICES),
        ),
    ] = None
    instructions: Annotated[
        str | None,
        flag(
            "--instructions",
            "-i",
            text="What the model should be and do; @FILE reads it from a file.",
            env="RTCLI_INSTRUCTIONS",
            panel=SESSION,
            metavar="TEXT|@FILE",
        ),
    ] = None
    text: Annotated[
        bool | None, flag("--text", text="Answers as text only, no voice.", env="RTCLI_TEXT", panel=SESSION)
    ] = None
    session_file: Annotated[
        str | None,
        flag(
            "--session",
            text="A whole session object, JSON or TOML; - reads standard input.",
            panel=SESSION,
            metavar="FILE",
        ),
    ] = None
    overrides: Annotated[
        list[str] | None,
        flag(
            "--set",
            text="One field: audio.output.speed=1.2 (the value is JSON, or a word). Repeatable.",
            panel=SESSION,
            metavar="PATH=VALUE",
        ),
    ] = None
    vad: Annotated[
        str | None,
        flag(
            "--vad",
            text="Who finds the end of a turn: server, semantic, or off.",
            env="RTCLI_VAD",
            panel=SESSION,
            metavar="KIND",
            autocompletion=among(get_args(Vad)),
        ),
    ] = None
    eagerness: Annotated[
        str | None,
        flag(
            "--eagerness",
            text="Of semantic turn detection: low, medium, high or auto.",
            env="RTCLI_EAGERNESS",
            rare=True,
            panel=SESSION,
            metavar="LEVEL",
            autocompletion=among(get_args(Eagerness)),
        ),
    ] = None
    vad_threshold: Annotated[
        float | None,
        flag(
            "--vad-threshold",
            text="Of server turn detection: 0 hears everything, 1 nothing (default 0.5).",
            env="RTCLI_VAD_THRESHOLD",
            rare=True,
            panel=SESSION,
            metavar="0..1",
        ),
    ] = None
    vad_silence_ms: Annotated[
        int | None,
        flag(
            "--vad-silence-ms",
            text="Of server turn detection: silence that ends a turn (default 500).",
            env="RTCLI_VAD_SILENCE_MS",
            rare=True,
            panel=SESSION,
            metavar="MS",
        ),
    ] = None
    no_interrupt: Annotated[
        bool,
        flag(
            "--no-interrupt",
            text="Your speech does not stop the answer.",
            env="RTCLI_INTERRUPT=false",
            rare=True,
            panel=SESSION,
        ),
    ] = False
    noise_reduction: Annotated[
        str | None,
        flag(
            "--noise-reduction",
            text="Of the microphone: near (headset), far (room), or off.",
            env="RTCLI_NOISE_REDUCTION",
            rare=True,
            panel=SESSION,
            metavar="KIND",
            autocompletion=among(get_args(NoiseReduction)),
        ),
    ] = None
    transcribe: Annotated[
        str | None,
        flag(
            "--transcribe",
            text="What writes down your words (default gpt-transcribe), or off.",
            env="RTCLI_TRANSCRIBE",
            panel=SESSION,
            metavar="MODEL",
        ),
    ] = None
    transcription: Annotated[
        bool,
        flag("--transcription", text="Only write down what is said; nobody answers.", rare=True, panel=SESSION),
    ] = False
    language: Annotated[
        str | None,
        flag(
            "--language",
            text="Of what is spoken, such as en.",
            env="RTCLI_LANGUAGE",
            rare=True,
            panel=SESSION,
            metavar="CODE",
        ),
    ] = None
    tools: Annotated[
        list[str] | None,
        flag("--tool", text="A program that the model may call. Repeatable.", panel=SESSION, metavar="FILE"),
    ] = None
    yes_tools: Annotated[
        bool, flag("--yes-tools", text="Let the model call them unasked.", rare=True, panel=SESSION)
    ] = False
    force: Annotated[
        bool,
        flag("--force", text="Send a session even if it looks wrong.", rare=True, panel=SESSION),
    ] = False

    def flags(self) -> dict[str, object]:
        """What was given, by the names of `rtcli.settings.Settings`."""
        return {**asdict(self), "interrupt": False if self.no_interrupt else None}


@dataclass(frozen=True, slots=True)
class General:
    """What every command takes."""

    profile: Annotated[
        str | None,
        flag(
            "--profile",
            "-p",
            text="Profile of the configuration.",
            env="RTCLI_PROFILE",
            panel=GENERAL,
            metavar="NAME",
            autocompletion=_profiles,
        ),
    ] = None
    quiet: Annotated[bool, flag("--quiet", "-q", text="Only results and errors.", panel=GENERAL)] = False
    verbose: Annotated[
        int,
        flag("--verbose", "-v", text="The program's own log; twice for tracebacks.", panel=GENERAL, count=True),
    ] = 0
    log: Annotated[
        Path | None,
        flag("--log", text="Write that log to a file.", env="RTCLI_LOG", rare=True, panel=GENERAL, metavar="FILE"),
    ] = None
    no_color: Annotated[bool, flag("--no-color", text="No colours.", env="NO_COLOR", rare=True, panel=GENERAL)] = False


class Command(typer.core.TyperCommand):
    """One that converts only what needs it, and whose help names no types.

    Typer makes a pydantic validator for every option of a command, given or not; loading pydantic takes 50 ms, a tenth
    of a short call. What was not given, and a text that is to be a text, is right already.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return [_lightened(parameter) for parameter in super().get_params(ctx)]


class Commands(typer.core.TyperGroup):
    """All of them, likewise."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [_lightened(parameter) for parameter in super().get_params(ctx)]


def _lightened(parameter: Any) -> Any:
    if not hasattr(parameter, "is_light"):
        parameter.is_light = True
        parameter.process_value = functools.partial(_processed, parameter, parameter.process_value)
        parameter.display_type = functools.partial(_displayed, parameter, parameter.display_type)
    return parameter


def _displayed(parameter: Any, display: Callable[[Any], str], context: Any) -> str:
    """A choice as its words, and an argument by its name alone: help is no place for `<list[str]>`."""
    return "" if parameter.param_type_name == "argument" else display(context).strip("<>")


def _processed(parameter: Any, process: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    if parameter.required or not _is_right(parameter, value):
        return process(context, value)
    if isinstance(value, tuple):
        value = list(value)
    return parameter.callback(context, parameter, value) if parameter.callback else value


def _is_right(parameter: Any, value: Any) -> bool:
    if value is None or value is parameter.default:
        return True
    kind = parameter.type_descriptor.annotation
    if kind is str:
        return isinstance(value, str)
    return kind == list[str] and isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


def _unfolded(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]


def grouped(command: _Command) -> _Command:
    """Unfold the parameters of `command` that are option groups into its options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name not in groups
    ]
    shared = [parameter for group in groups.values() for parameter in _unfolded(group)]
    help_all = inspect.Parameter("help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=HelpAll)

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        given.pop("help_all", None)
        folded = {
            name: group(**{each.name: given.pop(each.name) for each in fields(group)}) for name, group in groups.items()
        }
        return command(**given, **folded)

    arguments = [parameter for parameter in own if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    options = [parameter for parameter in own if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    signature = inspect.Signature([*arguments, *options, *shared, help_all])
    run.__signature__ = signature  # type: ignore[attr-defined]  # Typer reads it
    run.__annotations__ = {}  # else Typer resolves the folded ones
    del run.__wrapped__
    return run  # type: ignore[return-value]  # called by Typer alone, with the options unfolded
