"""`rtcli tail`: follow the events of a call."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtcli import ways, wiring
from rtcli.commands.calls import live_names
from rtcli.commands.early import told_in_json
from rtcli.commands.options import General, Session, Way, flag, grouped
from rtcli.commands.past import Past, span
from rtcli.commands.session import one_reader, only_the_service, wish_of
from rtcli.errors import UsageError
from rtcli.records import dataclass
from rtcli.sessions import SessionWish
from rtcli.settings import Settings


if TYPE_CHECKING:
    from rtcli.commands.running import Held
    from rtcli.protocol.updates import Relayed, Update
    from rtcli.terminal.events import Filter
    from rtcli.terminal.faces import Face


class Dir(StrEnum):
    IN = "in"
    OUT = "out"
    LOCAL = "local"


WHICH = "Which events"
OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be followed and how it is shown, all options read."""

    settings: Settings
    general: General
    way: Way
    wish: SessionWish
    source: Path | None
    new: bool
    to: str | None
    past: Past
    once: bool
    keep: Filter
    until: str | None
    json: bool
    raw: bool
    full: bool
    fold: bool
    call: str | None = None
    """Its id, when somebody else opened it."""


@grouped
def tail(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="A saved output of --json, or the folder of a recording.", show_default=False
        ),
    ] = None,
    *,
    to: Annotated[
        str | None,
        flag("--to", text="Follow this live call alone.", metavar="NAME", autocompletion=live_names),
    ] = None,
    once: Annotated[bool, flag("--once", text="End with the call instead of waiting for the next.")] = False,
    new: Annotated[bool, flag("--new", text="Open a listening call of its own and follow that.")] = False,
    call: Annotated[
        str | None, flag("--call", text="A call that somebody else opened, by its id.", metavar="rtc_…")
    ] = None,
    type: Annotated[  # noqa: A002 - the option's name
        list[str] | None,
        flag("--type", "-t", text="Only these: 'response.*'. Repeatable.", panel=WHICH, metavar="GLOB"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        flag("--exclude", "-x", text="Not these: '*.delta'. Repeatable.", panel=WHICH, metavar="GLOB"),
    ] = None,
    dir: Annotated[  # noqa: A002 - the option's name
        Dir | None,
        flag("--dir", text="Only those in (from the service), out (to it) or local (rtcli's own).", panel=WHICH),
    ] = None,
    grep: Annotated[
        str | None, flag("--grep", text="Only those whose JSON holds this.", panel=WHICH, metavar="REGEX")
    ] = None,
    errors: Annotated[bool, flag("--errors", text="Only errors, failures and warnings.", panel=WHICH)] = False,
    last: Annotated[
        int | None,
        flag("-n", text="First the last so many that have been.", panel=WHICH, min=0, max=1_000_000, metavar="N"),
    ] = None,
    since: Annotated[
        str | None,
        flag("--since", text="First what has been: start, or a time back such as 30s.", panel=WHICH, metavar="TIME"),
    ] = None,
    until: Annotated[str | None, flag("--until", text="End after this event.", panel=WHICH, metavar="TYPE")] = None,
    full: Annotated[bool, flag("--full", text="Whole events, indented.", panel=OUTPUT)] = False,
    no_fold: Annotated[bool, flag("--no-fold", text="A line for every delta.", panel=OUTPUT)] = False,
    json: Annotated[bool, flag("--json", text="One JSON object a line.", panel=OUTPUT)] = False,
    raw: Annotated[
        bool, flag("--raw", text="The service's events alone, as they came.", rare=True, panel=OUTPUT)
    ] = False,
    way: Way,
    session: Session,
    general: General,
) -> None:
    """Follow the events of a call.

    Examples:

      rtcli tail

      rtcli tail --type 'response.*' --exclude '*.delta'

      rtcli tail --json | jq 'select(.type=="error")'

      rtcli tail --call rtc_abc

      rtcli tail --since start --once

      rtcli tail recording/

    Follows whatever `rtcli talk` runs on this machine, now and later. A line an event: time, direction, type, the
    words that matter. A run of deltas is one line. Ctrl-C ends it.
    """
    with wiring.logging_to(general.verbose, general.log), told_in_json(json):
        _refuse_contradictions(new=new, source=source, to=to, call=call, once=once)
        _refuse_unused(new=new, call=call, past=last is not None or since is not None, way=way, session=session)
        if json and raw:
            raise UsageError("--json and --raw exclude one another")
        keep = _filter(type, exclude, dir, grep, errors=errors)
        one_reader(way, session)
        settings = wiring.settings_for({**session.flags(), **asdict(way)}, general.profile)
        if call:
            only_the_service(way, settings, "--call")
        request = _Request(
            settings,
            general,
            way,
            wish_of(session),
            _readable(source) if source is not None else None,
            new,
            to,
            Past(last, span(since) if since else None),
            once,
            keep,
            until,
            json,
            raw,
            full,
            not (no_fold or full),
            call,
        )
        raise typer.Exit(_hold(request))


def _refuse_contradictions(*, new: bool, source: str | None, to: str | None, call: str | None, once: bool) -> None:
    asked = {"--new": new, "a FILE": source is not None, "--to": to is not None, "--call": bool(call)}
    named = [name for name, given in asked.items() if given]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude one another")
    if once and (own := next((name for name in ("a FILE", "--new", "--call") if asked[name]), None)):
        raise UsageError(f"--once is for live calls of this machine, and {own} is one call anyway")


def _refuse_unused(*, new: bool, call: str | None, past: bool, way: Way, session: Session) -> None:
    """What would be taken without a word and mean nothing."""
    if past and (new or call):
        raise UsageError("-n and --since show what has been, and a call that is joined now has no past")
    if session != Session() and not new:
        raise UsageError("options of the session are for a call of its own: --new")
    if way != Way() and not (new or call):
        raise UsageError("options of the way in are for a call of its own, --new, or one by its id, --call")


def _readable(source: str) -> Path:
    from rtcli.commands.following import readable

    return readable(Path(source).expanduser())


def _filter(
    types: list[str] | None, excluded: list[str] | None, direction: Dir | None, grep: str | None, *, errors: bool
) -> Filter:
    from rtcli.terminal.events import Filter

    try:
        words = re.compile(grep) if grep is not None else None
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is no regular expression: {error}") from None
    return Filter(
        types=tuple(types or ()),
        excluded=tuple(excluded or ()),
        direction=direction.value if direction else None,
        errors=errors,
        words=words,
    )


def _hold(request: _Request) -> int:
    from rtcli.commands.running import hold
    from rtcli.protocol.errand import Errand
    from rtcli.terminal.exits import INTERRUPTED

    if not (request.new or request.call):
        return hold(lambda _: _followed(request), _face(request), None, first_interrupt=INTERRUPTED, can_wait=True)
    errand = Errand(until=request.until, refusal_ends=False)
    errand.all_given(0)
    return hold(lambda tell: _call(request, tell), _face(request), None, watcher=errand, first_interrupt=INTERRUPTED)


@asynccontextmanager
async def _followed(request: _Request) -> AsyncIterator[Held]:
    from rtcli.commands.following import Following, Reading
    from rtcli.terminal.events import entries

    def keep(relayed: Relayed) -> bool:
        return any(map(request.keep, entries(relayed)))

    if request.source is not None:
        yield Reading(request.source, past=request.past, until=request.until, keep=keep)
        return
    yield Following(
        wiring.live_folder(), to=request.to, past=request.past, once=request.once, until=request.until, keep=keep
    )


@asynccontextmanager
async def _call(request: _Request, tell: Callable[[Update], None]) -> AsyncIterator[Held]:
    """Somebody else's call, or one with silence for a microphone, whose sound nobody hears."""
    from rtcli.commands.attended import attended
    from rtcli.protocol.conversation import Plan
    from rtcli.protocol.updates import Notice

    if request.call:
        for notice in request.settings.warnings:
            tell(Notice(notice))
        async with ways.sideband_call(request.settings, request.call) as joined:
            yield joined
        return

    sound = wiring.file_sound(None, None)
    key = await asyncio.to_thread(ways.ready_key, from_stdin=request.way.token_stdin)
    async with ways.way_in(request.settings, sandbox=request.way.sandbox, ready_key=key, wish=request.wish) as way:
        for notice in (*request.settings.warnings, *way.notices, way.described):
            tell(Notice(notice))
        async with attended(None, tell, command="tail", way=way.described) as here:
            yield here.holds(ways.make_call(way, sound, Plan(), request.settings, name=here.name))


def _face(request: _Request) -> Face:
    from rtcli.terminal.events import Filter, entry_of
    from rtcli.terminal.faces import JsonFace
    from rtcli.terminal.tail import TailFace

    if request.json or request.raw:
        keep = None if request.keep == Filter() else lambda document: request.keep(entry_of(document))
        return JsonFace(sys.stdout, sys.stderr, raw=request.raw, keep=keep, notices=not request.general.quiet)
    return TailFace(
        sys.stdout,
        sys.stderr,
        keep=request.keep,
        fold=request.fold,
        full=request.full,
        quiet=request.general.quiet,
        color=not request.general.no_color,
    )
