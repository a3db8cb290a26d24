"""`rtcli send`: send events once, wait for the answer, exit. Its options, and what it does without a call."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtcli import wiring
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
    from rtcli.commands.outgoing import Outgoing
    from rtcli.protocol.expectations import Expected
    from rtcli.tools import Tool


class Role(StrEnum):
    USER = "user"
    SYSTEM = "system"


INTO = "Into a call that is up"
WAITING = "Waiting"
OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class Request:
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
        request = Request(
            settings, general, way, wish, outgoing, stdin, audio, voice_out, until, timeout, json, raw, into, call,
            hangup, expecting, expected, tools, wiring.stdin_is_terminal() and not session.yes_tools,
        )  # fmt: skip
        _refuse_unpriced(request)
        if check:
            _check(request)
        elif dry_run:
            _show(request)
        else:
            from rtcli.commands.sending import sent

            raise typer.Exit(sent(request))


def _tools(session: Session) -> tuple[Tool, ...]:
    """Raises UsageError."""
    if not session.tools:
        return ()
    from rtcli.tools import load

    return load(session.tools)


def _refuse_unpriced(request: Request) -> None:
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


def _with_piped(request: Request) -> Outgoing:
    """What would go out, standard input included."""
    from rtcli.commands.outgoing import Outgoing, piped

    return Outgoing((*request.outgoing.intents, *piped())) if request.stdin else request.outgoing


def _show(request: Request) -> None:
    from rtcli.protocol.codec import text_of
    from rtcli.terminal.text import safe

    if not request.general.quiet:
        typer.echo(safe(f"session: {text_of(session_for(request.settings, request.wish))}"), err=True)
        if request.audio:
            typer.echo(safe(f"microphone: {request.audio}"), err=True)
    for event in _with_piped(request).events:
        typer.echo(text_of(event))


def _check(request: Request) -> None:
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
