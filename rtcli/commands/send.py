"""`rtcli send`: send events once, wait for the answer, exit.

Over 400 lines, many of which name the options and the pairs of them that contradict: who adds one sees the others.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from rtcli import ways, wiring
from rtcli.commands.calls import live_names, the_one
from rtcli.commands.contradictions import (
    joins_by,
    refuse_contradictions,
    refuse_own,
    refuse_pairs,
    refuse_unwritable,
)
from rtcli.commands.early import told_in_json
from rtcli.commands.expecting import Expecting
from rtcli.commands.options import General, Session, Way, flag, grouped
from rtcli.commands.session import one_reader, only_the_service, wish_of
from rtcli.errors import UsageError
from rtcli.records import dataclass
from rtcli.sessions import SessionWish, session_for
from rtcli.settings import Settings


if TYPE_CHECKING:
    from rtcli.commands.answering import Answering
    from rtcli.commands.outgoing import Outgoing
    from rtcli.commands.running import Held
    from rtcli.protocol.errand import Errand
    from rtcli.protocol.expectations import Expected
    from rtcli.protocol.intents import SendEvent
    from rtcli.protocol.updates import Update
    from rtcli.protocol.usage import Price
    from rtcli.terminal.faces import Face
    from rtcli.tools import Tool
    from rtcli.wiring import Sound


class Role(StrEnum):
    USER = "user"
    SYSTEM = "system"


INTO = "Into a call that is up"
WAITING = "Waiting"
OUTPUT = "Output"
BY_ITSELF = (None, "idle")
"""Values of --until with which the conversation itself knows its end."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What this errand is, all options read."""

    settings: Settings
    general: General
    way: Way
    wish: SessionWish
    outgoing: Outgoing
    stdin: bool
    """Standard input holds further events."""
    audio: str | None
    voice_out: str | None
    until: str | None
    timeout: float
    json: bool
    raw: bool
    into: str | None
    """The live call of this machine it goes into."""
    call: str | None
    """The id of a call that somebody else opened."""
    hangup: bool
    expecting: Expecting
    expected: Expected
    tools: tuple[Tool, ...]
    asks: bool
    """Before a tool is run."""


class _AsGuest(TypedDict):
    answers_functions: bool
    prices: Mapping[str, Price] | None
    ends_call: bool


@grouped
def send(
    message: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to say; - reads events from standard input.")
    ] = None,
    *,
    event: Annotated[
        list[str] | None, flag("--event", "-e", text="A client event as JSON. Repeatable.", metavar="JSON")
    ] = None,
    file: Annotated[
        list[str] | None,
        flag("--file", "-f", text="Client events, one a line; - is standard input. Repeatable.", metavar="FILE"),
    ] = None,
    audio: Annotated[
        str | None, flag("--audio", text="Speak this instead of a text, in real time.", metavar="FILE.wav")
    ] = None,
    image: Annotated[
        list[str] | None, flag("--image", text="Show a PNG or JPEG with the text. Repeatable.", metavar="FILE")
    ] = None,
    role: Annotated[Role, flag("--role", text="Whose words the text is (default user).", rare=True)] = Role.USER,
    no_response: Annotated[
        bool, flag("--no-response", text="Leave the text in the conversation and ask for no answer.", rare=True)
    ] = False,
    interrupt: Annotated[
        bool, flag("--interrupt", text="Stop the answer that is running before the text.", rare=True)
    ] = False,
    call: Annotated[
        str | None,
        flag("--call", text="Into a call that somebody else opened, by its id.", panel=INTO, metavar="rtc_…"),
    ] = None,
    hangup: Annotated[bool, flag("--hangup", text="End that call, after what is sent.", panel=INTO)] = False,
    live: Annotated[bool, flag("--live", text="Send into the one live call on this machine.", panel=INTO)] = False,
    to: Annotated[
        str | None,
        flag(
            "--to", text="Send into the live call of this name.", panel=INTO, metavar="NAME", autocompletion=live_names
        ),
    ] = None,
    until: Annotated[
        str | None,
        flag(
            "--until",
            text="Wait for this event instead of the answer's end; idle: until nothing is pending; none: not at all.",
            panel=WAITING,
            metavar="TYPE|idle|none",
        ),
    ] = None,
    timeout: Annotated[
        float,
        flag("--timeout", text="For everything (default 60).", panel=WAITING, min=0.1, metavar="SECONDS"),
    ] = 60.0,
    voice_out: Annotated[
        str | None,
        flag("--voice-out", text="Have the answer spoken, into this file.", panel=OUTPUT, metavar="FILE.wav"),
    ] = None,
    json: Annotated[bool, flag("--json", text="Everything as JSON, one object a line.", panel=OUTPUT)] = False,
    raw: Annotated[
        bool, flag("--raw", text="The service's events alone, as they came.", rare=True, panel=OUTPUT)
    ] = False,
    dry_run: Annotated[bool, flag("--dry-run", text="Print what would be sent.", panel=OUTPUT)] = False,
    check: Annotated[
        bool, flag("--check", text="Check the events without connecting; 2 when one is wrong.", panel=OUTPUT)
    ] = False,
    expecting: Expecting,
    way: Way,
    session: Session,
    general: General,
) -> None:
    """Send events once, wait for the answer, exit.

    Examples:

      rtcli send "Summarise today"

      rtcli send -e '{"type":"session.update","session":{"type":"realtime","instructions":"Be brief."}}'

      rtcli send -f events.ndjson --until response.done

      generate | rtcli send - --json | jq -r .type

      rtcli send --voice-out answer.wav "Read me a poem"

      rtcli send --call rtc_abc --hangup "Say goodbye"

      rtcli send --live "Say that again, in one sentence"

    Standard output holds the answer and nothing else. Exits with 5 when the service refuses anything, with 7 when
    the time is up.
    """
    with wiring.logging_to(general.verbose, general.log), told_in_json(json):
        words = " ".join(word for word in message or () if word != "-")
        files = [name for name in file or () if name != "-"]
        stdin = "-" in (*(message or ()), *(file or ()))
        aloud_by = "--voice-out" if voice_out else "--expect-audio" if expecting.expect_audio else ""
        refuse_contradictions(
            words=bool(words), audio=audio, aloud=aloud_by, text=session.text, image=image, user=role is Role.USER
        )
        refuse_pairs((json, "--json", raw, "--raw"), (dry_run, "--dry-run", check, "--check"))
        if session.transcription and (words or image):
            raise UsageError("a transcription session writes down what is spoken: --audio FILE.wav instead of a text")
        joins = joins_by(way, live=live, to=to, call=call)
        one_reader(way, session, **{"-": stdin})
        outgoing = _outgoing(words, image or [], event or [], files, role, respond=not no_response, interrupt=interrupt)
        if not (outgoing.intents or stdin or audio or hangup):
            raise UsageError("nothing to send: give a text, -e, -f, --audio or -")
        asks = outgoing.asks or stdin or audio is not None

        expected = expecting.expected()
        tools = _tools(session)
        expecting.check_file()
        if voice_out:
            refuse_unwritable(Path(voice_out).expanduser())
        aloud = voice_out is not None or expected.audio
        wish = wish_of(session, prefers_text=asks and not aloud)
        flags = {**session.flags(), **asdict(way)}
        if aloud:
            flags["text"] = False
        settings = wiring.settings_for(flags, general.profile)
        into = the_one(to) if (live or to is not None) and not (check or dry_run) else None
        if call:
            only_the_service(way, settings, "--call")
        refuse_own(joins[0] if joins else "", session, expecting, audio=audio, voice_out=voice_out, hangup=hangup)
        request = _Request(
            settings, general, way, wish, outgoing, stdin, audio, voice_out, until, timeout, json, raw, into, call,
            hangup, expecting, expected, tools, wiring.stdin_is_terminal() and not session.yes_tools,
        )  # fmt: skip
        _refuse_unpriced(request)
        if check:
            _check(request)
        elif dry_run:
            _show(request)
        else:
            raise typer.Exit(_hold(request))


def _tools(session: Session) -> tuple[Tool, ...]:
    """Raises UsageError."""
    if not session.tools:
        return ()
    from rtcli.tools import load

    return load(session.tools)


def _refuse_unpriced(request: _Request) -> None:
    """A cost can only be judged by known prices."""
    from rtcli.protocol.budget import Limits, refuse_unpriced
    from rtcli.protocol.usage import price_table

    elsewhere = request.call or request.into or request.settings.server or request.way.token_stdin
    session = session_for(request.settings, request.wish)
    if request.expecting.max_cost is not None and not elsewhere and "model" in session:
        refuse_unpriced(Limits(cost=request.expecting.max_cost), session, price_table(request.settings.prices))


def _outgoing(
    words: str, images: list[str], events: list[str], files: list[str], role: Role, *, respond: bool, interrupt: bool
) -> Outgoing:
    from rtcli.commands.outgoing import Outgoing, characters_of, read_events, read_image, room_for_images
    from rtcli.protocol.intents import Say

    words = characters_of(words)
    room = room_for_images(words, len(images))
    shown = tuple(read_image(name, room, wiring.fitting_image) for name in images)
    given = read_events(events, files)
    if not (words or shown):
        return Outgoing(tuple(given))
    said = Say(words, role=role.value, images=shown, respond=respond, interrupt=interrupt)
    return Outgoing((said, *given))


# ---- without a call -------------------------------------------------------------------------------------------------


def _with_piped(request: _Request) -> Outgoing:
    """What would go out, standard input included."""
    from rtcli.commands.outgoing import Outgoing

    return Outgoing((*request.outgoing.intents, *_piped())) if request.stdin else request.outgoing


def _piped() -> Iterator[SendEvent]:
    from rtcli.commands.input import lines_of, standard_input
    from rtcli.commands.outgoing import numbered_event

    for number, line in enumerate(lines_of(standard_input()), 1):
        if line.strip():
            yield numbered_event(line, number, "standard input")


def _show(request: _Request) -> None:
    from rtcli.protocol.codec import text_of
    from rtcli.terminal.text import safe

    if not request.general.quiet:
        typer.echo(safe(f"session: {text_of(session_for(request.settings, request.wish))}"), err=True)
        if request.audio:
            typer.echo(safe(f"microphone: {request.audio}"), err=True)
    for event in _with_piped(request).events:
        typer.echo(text_of(event))


def _check(request: _Request) -> None:
    from rtcli.commands.outgoing import verdicts
    from rtcli.protocol.codec import text_of
    from rtcli.terminal.exits import status_of
    from rtcli.terminal.text import safe

    session_for(request.settings, request.wish)
    found = verdicts(_with_piped(request).events)
    wrong = sum(verdict.wrong for verdict in found)
    if request.json:
        typer.echo(text_of({"ok": not wrong, "events": [verdict.to_json() for verdict in found]}))
    else:
        for verdict in found:
            for line in verdict.lines():
                typer.echo(safe(line))
    if wrong and request.json:  # the document says which
        raise typer.Exit(status_of(UsageError()))
    if wrong:
        raise UsageError(f"{wrong} of {len(found)} events would be refused")


# ---- with one -------------------------------------------------------------------------------------------------------


def _hold(request: _Request) -> int:
    from rtcli.commands.expecting import Stopwatch, write_junit
    from rtcli.commands.running import hold
    from rtcli.commands.searching import search
    from rtcli.protocol.errand import Errand
    from rtcli.protocol.expectations import Expectations, Heard
    from rtcli.terminal.exits import INTERRUPTED
    from rtcli.terminal.text import safe

    until = None if request.until in BY_ITSELF else "" if request.until == "none" else request.until
    sound = wiring.file_sound(request.audio, request.voice_out)
    heard: Callable[[], Heard] = Heard
    if request.expected.audio or request.voice_out:
        sound, heard = wiring.metered(sound)
    expectations = Expectations(request.expected, search=search, heard=heard) if request.expected else None
    errand = Errand(
        until=until, limit=request.timeout, expectations=expectations, answers_functions=bool(request.tools)
    )
    watch = Stopwatch()
    status = hold(
        lambda tell: _call(request, sound, tell),
        _face(request),
        _Giving(request, errand),
        watcher=errand,
        helper=_answering(request),
        first_interrupt=INTERRUPTED,
    )
    if request.voice_out and status == 0 and not heard().sound_ms:
        typer.echo(f"warning: no sound came: {safe(request.voice_out)} is silent", err=True)
    if request.expecting.junit:
        write_junit(request.expecting.junit, errand, watch.seconds)
    return status


def _answering(request: _Request) -> Callable[[], Answering] | None:
    """What runs the tools, where there are any."""
    if not request.tools:
        return None
    from rtcli.commands.answering import Answering, ask_on_terminal

    return lambda: Answering(request.tools, ask_on_terminal if request.asks else None)


@asynccontextmanager
async def _call(request: _Request, sound: Sound, tell: Callable[[Update], None]) -> AsyncIterator[Held]:
    """The call and everything behind it. No audio device is touched."""
    from rtcli.protocol.conversation import Plan
    from rtcli.protocol.updates import Notice

    if request.call:
        for notice in request.settings.warnings:
            tell(Notice(notice))
        async with ways.sideband_call(request.settings, request.call, **_as_guest(request)) as joined:
            yield joined
        return
    if request.into is not None:
        from rtcli.joined import JoinedCall
        from rtcli.transport.attach import AttachedChannel

        channel = AttachedChannel(wiring.live_folder(), request.into)
        yield JoinedCall(channel, **_as_guest(request))
        return
    plan = Plan(
        microphone_is_file=sound.microphone_is_file,
        microphone_waits=True,
        ends_with_file=False,
        answers_functions=bool(request.tools),
        patience=request.timeout,  # else a longer one than the conversation's own would mean nothing
    )
    key = await asyncio.to_thread(ways.ready_key, from_stdin=request.way.token_stdin)
    async with ways.way_in(request.settings, sandbox=request.way.sandbox, ready_key=key, wish=request.wish) as way:
        for notice in (*request.settings.warnings, *way.notices):
            tell(Notice(notice))
        yield ways.make_call(way, sound, plan, request.settings)


def _as_guest(request: _Request) -> _AsGuest:
    """How we are in a call that somebody else holds."""
    from rtcli.protocol.usage import price_table

    judges = request.expected.latency_ms is not None or request.expected.cost is not None
    return {
        "answers_functions": bool(request.tools),
        "prices": price_table(request.settings.prices) if judges else None,
        "ends_call": request.hangup,
    }


def _face(request: _Request) -> Face:
    from rtcli.terminal.answer import AnswerFace
    from rtcli.terminal.faces import JsonFace

    if request.json or request.raw:
        return JsonFace(sys.stdout, sys.stderr, raw=request.raw)
    return AnswerFace(sys.stdout, sys.stderr, quiet=request.general.quiet, color=not request.general.no_color)


class _Giving:
    """Hands everything over in order, in a thread: standard input may be slow, and the call may be behind."""

    def __init__(self, request: _Request, errand: Errand) -> None:
        self._request = request
        self._errand = errand

    def start(self, call: Held) -> None:
        threading.Thread(target=self._run, args=(call,), name="giving", daemon=True).start()

    def _run(self, call: Held) -> None:
        from rtcli.protocol.intents import Fail, InputEnded, PlayMicrophone

        try:
            count = self._give(call)
        except UsageError as error:
            call.post(Fail(error))
            return
        if self._request.audio:
            call.post(PlayMicrophone())
        held = self._errand.holds_input and self._request.until is None
        self._errand.all_given(count)
        if self._request.until in BY_ITSELF and not held:
            call.post(InputEnded())

    def _give(self, call: Held) -> int:
        """How many events that makes."""
        from rtcli.commands.outgoing import events_of
        from rtcli.protocol.intents import SendEvent

        count = updates = 0
        for intent in chain(self._request.outgoing.intents, _piped() if self._request.stdin else ()):
            call.room.wait()
            call.post(intent)
            count += len(events_of(intent))
            if isinstance(intent, SendEvent) and intent.event.get("type") == "session.update":
                updates += 1
                self._await_update(updates)
        return count

    def _await_update(self, count: int) -> None:
        """What follows is meant for the changed session. A refusal ends the call meanwhile."""
        from rtcli.protocol.conversation import SESSION_LIMIT

        until = time.monotonic() + SESSION_LIMIT
        while self._errand.updated < count and time.monotonic() < until:
            time.sleep(0.01)
