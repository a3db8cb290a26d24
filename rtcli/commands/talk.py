"""`rtcli talk`: hold a voice (or typed) conversation."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from rtcli import keys, ways, wiring
from rtcli.commands.options import General, Session, Way, among, flag, grouped
from rtcli.commands.session import one_reader, wish_of
from rtcli.errors import UsageError
from rtcli.records import dataclass
from rtcli.sessions import SessionWish
from rtcli.settings import Echo, EventDetail, Settings
from rtcli.transport.meeting import check_name


if TYPE_CHECKING:
    from rtcli.commands.answering import Answering
    from rtcli.commands.running import Held, Source
    from rtcli.protocol.budget import Limits
    from rtcli.protocol.updates import Update
    from rtcli.terminal.faces import Face
    from rtcli.tools import Tool


class OnEof(StrEnum):
    WAIT = "wait"
    HANGUP = "hangup"
    STAY = "stay"


class Stdin(StrEnum):
    TEXT = "text"
    EVENTS = "events"


SOUND = "Sound"
LIMITS = "Limits"


@dataclass(frozen=True, slots=True)
class _Request:
    """What this one call is to be, all options read."""

    settings: Settings
    general: General
    way: Way
    wish: SessionWish
    lines: bool
    """Standard input holds what is to be said."""
    json: bool
    raw: bool
    muted: bool
    ptt: bool
    initial: str | None
    stdin: Stdin
    on_eof: OnEof
    name: str | None
    tools: tuple[Tool, ...]
    yes_tools: bool

    @property
    def typed(self) -> bool:
        """Somebody can type."""
        return wiring.stdin_is_terminal()


@grouped
def talk(
    *,
    input: Annotated[  # noqa: A002 - the option's name
        str | None,
        flag(
            "--input",
            text="Microphone: part of a device's name, its number, FILE.wav, or none.",
            env="RTCLI_AUDIO_INPUT",
            panel=SOUND,
            metavar="DEVICE",
        ),
    ] = None,
    output: Annotated[
        str | None,
        flag("--output", text="Loudspeaker: likewise.", env="RTCLI_AUDIO_OUTPUT", panel=SOUND, metavar="DEVICE"),
    ] = None,
    echo: Annotated[
        str | None,
        flag(
            "--echo",
            text="auto, aec (echo canceller), gate (half duplex) or off.",
            env="RTCLI_AUDIO_ECHO",
            panel=SOUND,
            metavar="MODE",
            autocompletion=among(get_args(Echo)),
        ),
    ] = None,
    packet_ms: Annotated[
        int | None,
        flag(
            "--packet-ms",
            text="Sound in a packet we send: 20 (default), or 10, heard sooner.",
            env="RTCLI_AUDIO_PACKET_MS",
            panel=SOUND,
            metavar="MS",
            autocompletion=among(("20", "10")),
            rare=True,
        ),
    ] = None,
    ptt: Annotated[bool, flag("--ptt", text="Push to talk: Ctrl-T begins and ends your turn.", panel=SOUND)] = False,
    muted: Annotated[bool, flag("--muted", text="Begin muted.", panel=SOUND)] = False,
    events: Annotated[
        str | None,
        flag(
            "--events",
            text="Events between the words: none, key or all.",
            env="RTCLI_EVENTS",
            metavar="LEVEL",
            autocompletion=among(get_args(EventDetail)),
        ),
    ] = None,
    initial: Annotated[str | None, flag("--initial", text="Say this first.", metavar="TEXT")] = None,
    name: Annotated[
        str | None,
        flag("--name", text="What other commands call this call (default: the smallest free number).", metavar="NAME"),
    ] = None,
    json: Annotated[bool, flag("--json", text="Everything as JSON, one object a line.")] = False,
    raw: Annotated[bool, flag("--raw", text="The service's events alone, as they came.", rare=True)] = False,
    stdin: Annotated[
        Stdin, flag("--stdin", text="What a line of standard input is: text, or events (JSON).", rare=True)
    ] = Stdin.TEXT,
    on_eof: Annotated[
        OnEof, flag("--on-eof", text="At the end of standard input: wait, hangup or stay.", rare=True)
    ] = OnEof.WAIT,
    max_cost: Annotated[
        float | None,
        flag("--max-cost", text="End at this cost (estimated).", env="RTCLI_MAX_COST", metavar="DOLLARS", panel=LIMITS),
    ] = None,
    max_duration: Annotated[
        float | None,
        flag("--max-duration", text="End after so long.", env="RTCLI_MAX_DURATION", metavar="SECONDS", panel=LIMITS),
    ] = None,
    idle_timeout: Annotated[
        float | None,
        flag(
            "--idle-timeout",
            text="End when nobody has spoken or typed for so long.",
            env="RTCLI_IDLE_TIMEOUT",
            metavar="SECONDS",
            panel=LIMITS,
        ),
    ] = None,
    way: Way,
    session: Session,
    general: General,
) -> None:
    """Hold a voice or typed conversation with the model.

    Examples:

      rtcli talk

      rtcli talk --sandbox

      rtcli talk --input question.wav --output answer.wav

      echo "What is the capital of France?" | rtcli talk --text

    Ctrl-C hangs up. In a pipe the model's words stand on standard output, a line a turn.
    """
    flags = {
        **session.flags(),
        **asdict(way),
        "audio_input": input,
        "audio_output": output,
        "audio_echo": echo,
        "audio_packet_ms": packet_ms,
        "events": events,
        "max_cost": max_cost,
        "max_duration": max_duration,
        "idle_timeout": idle_timeout,
    }
    if ptt:
        flags["vad"] = "off"
    with wiring.logging_to(general.verbose, general.log):
        if ptt and (json or raw or not wiring.stdin_is_terminal()):
            raise UsageError("--ptt is a key on a terminal, and here is none: nobody could begin a turn")
        if name is not None:
            name = check_name(name)
        settings = wiring.settings_for(flags, general.profile)
        from rtcli.tools import load

        taken = one_reader(way, session)
        request = _Request(
            settings, general, way, wish_of(session), not taken, json, raw, muted, ptt, initial, stdin, on_eof, name,
            load(session.tools or ()), session.yes_tools,
        )  # fmt: skip
        raise typer.Exit(_hold(request))


def _hold(request: _Request) -> int:
    from rtcli.commands.running import hold
    from rtcli.protocol.budget import Budget
    from rtcli.protocol.usage import price_table

    face, source = _ends(request)
    budget = Budget(_limits(request), price_table(request.settings.prices))
    helper = (lambda: _answering(request, source)) if request.tools else None
    return hold(lambda tell: _call(request, tell), face, source, watcher=budget, helper=helper)


def _limits(request: _Request) -> Limits:
    from rtcli.protocol.budget import Limits

    settings = request.settings
    return Limits(settings.max_cost, settings.max_duration, settings.idle_timeout)


def _answering(request: _Request, source: Source | None) -> Answering:
    """On a terminal the user is asked before a tool is run; where no terminal is, what was given is allowed."""
    from rtcli.commands.answering import Answering, nobody_to_ask
    from rtcli.commands.live import LiveScreen

    if request.yes_tools or not request.typed:
        return Answering(request.tools, None)
    return Answering(request.tools, source.ask if isinstance(source, LiveScreen) else nobody_to_ask)


@asynccontextmanager
async def _call(request: _Request, tell: Callable[[Update], None]) -> AsyncIterator[Held]:
    """The call and everything behind it."""
    from rtcli.commands.attended import attended
    from rtcli.commands.outgoing import characters_of
    from rtcli.protocol.budget import refuse_unpriced
    from rtcli.protocol.conversation import Plan
    from rtcli.protocol.intents import Mute, Say
    from rtcli.protocol.updates import Notice, Warned
    from rtcli.protocol.usage import price_table

    settings = request.settings
    loop = asyncio.get_running_loop()

    def told(text: str) -> None:
        """From a thread of a device."""
        loop.call_soon_threadsafe(tell, Warned(text, "device"))

    sound = wiring.open_sound(settings, told)
    sampled = _samples(request, sound)
    if sampled:
        sound = wiring.with_sample_question(sound)
    for notice in settings.warnings:
        tell(Notice(notice))
    plan = Plan(
        microphone_is_file=sound.microphone_is_file,
        microphone_waits=sampled and not request.typed,
        ends_with_file=not (sampled and request.typed),
        answers_functions=bool(request.tools),
    )
    key = await asyncio.to_thread(ways.ready_key, from_stdin=request.way.token_stdin)
    async with ways.way_in(settings, sandbox=request.way.sandbox, ready_key=key, wish=request.wish) as way:
        # Before a word of devices: what can not be called is told alone.
        refuse_unpriced(_limits(request), way.session, price_table(settings.prices))
        for notice in (*sound.notices, *way.notices):
            tell(Notice(notice))
        tell(Notice(f"{sound.described} · {way.described}"))
        async with attended(request.name, tell, command="talk", way=way.described) as here:
            call = here.holds(ways.make_call(way, sound, plan, settings, name=here.name))
            if request.muted or request.ptt:
                call.post(Mute(on=True))
            if request.initial:
                call.post(Say(characters_of(request.initial)))
            yield call


def _samples(request: _Request, sound: wiring.Sound) -> bool:
    """A machine without a microphone asks a spoken sample question, so that a first run is a real voice turn."""
    unasked = request.settings.audio_input is None and not request.settings.text and request.initial is None
    return request.way.sandbox and sound.microphone is None and unasked


def _ends(request: _Request) -> tuple[Face, Source | None]:
    """What the user looks at, and what turns the user's input into intents."""
    from rtcli.terminal.faces import JsonFace, PlainFace

    quiet, color = request.general.quiet, not request.general.no_color
    if request.json or request.raw:
        return JsonFace(sys.stdout, sys.stderr, raw=request.raw), _lines(request)
    if request.typed and request.lines and wiring.draws():
        from rtcli.commands.live import LiveScreen

        history = wiring.history_file(request.settings)
        live = LiveScreen(
            request.settings,
            ptt=request.ptt,
            history=history,
            quiet=quiet,
            color=color,
            at_once=_asks_no_keyring(request),
        )
        return live.screen, live
    return PlainFace(sys.stdout, sys.stderr, quiet=quiet, color=color), _lines(request)


def _asks_no_keyring(request: _Request) -> bool:
    """Nothing asks for a password while the prompt reads the keys."""
    given = any(os.environ.get(name, "").strip() for name in keys.VARIABLES)
    return request.way.sandbox or request.settings.server is not None or given


def _lines(request: _Request) -> Source | None:
    from rtcli.commands.input import Lines, standard_input
    from rtcli.commands.slash import event_of, plain_meaning_of
    from rtcli.protocol.intents import Say

    if not request.lines:
        return None
    if request.typed:
        return Lines(standard_input(), plain_meaning_of, on_eof="hangup", typed=True)
    to_intent = event_of if request.stdin is Stdin.EVENTS else Say
    return Lines(standard_input(), to_intent, on_eof=request.on_eof.value, asks_sample=request.way.sandbox)
