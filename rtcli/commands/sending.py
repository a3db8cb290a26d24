"""What `rtcli send` does in a call: the way in, what is given to it and when, who waits for the end, the face."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypedDict

import typer

from rtcli import ways, wiring
from rtcli.commands.expecting import Stopwatch, write_junit
from rtcli.commands.outgoing import events_of, piped
from rtcli.commands.running import Held, hold
from rtcli.commands.searching import search
from rtcli.errors import UsageError
from rtcli.protocol.conversation import SESSION_LIMIT, Plan
from rtcli.protocol.errand import Errand
from rtcli.protocol.expectations import Expectations, Heard
from rtcli.protocol.intents import Fail, InputEnded, PlayMicrophone, SendEvent
from rtcli.protocol.updates import Notice, Update
from rtcli.protocol.usage import Price, price_table
from rtcli.terminal.answer import AnswerFace
from rtcli.terminal.exits import INTERRUPTED
from rtcli.terminal.faces import Face, JsonFace
from rtcli.terminal.text import safe
from rtcli.wiring import Sound


if TYPE_CHECKING:
    from rtcli.commands.answering import Answering
    from rtcli.commands.send import Request


BY_ITSELF = (None, "idle")
"""Values of --until with which the conversation itself knows its end."""


def sent(request: Request) -> int:
    """Hold the call, send, wait; the exit status."""
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


def _answering(request: Request) -> Callable[[], Answering] | None:
    """What runs the tools, where there are any."""
    if not request.tools:
        return None
    from rtcli.commands.answering import Answering, ask_on_terminal

    return lambda: Answering(request.tools, ask_on_terminal if request.asks else None)


class _AsGuest(TypedDict):
    answers_functions: bool
    prices: Mapping[str, Price] | None
    ends_call: bool


@asynccontextmanager
async def _call(request: Request, sound: Sound, tell: Callable[[Update], None]) -> AsyncIterator[Held]:
    """The call and everything behind it. No audio device is touched."""
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


def _as_guest(request: Request) -> _AsGuest:
    """How we are in a call that somebody else holds."""
    judges = request.expected.latency_ms is not None or request.expected.cost is not None
    return {
        "answers_functions": bool(request.tools),
        "prices": price_table(request.settings.prices) if judges else None,
        "ends_call": request.hangup,
    }


def _face(request: Request) -> Face:
    if request.json or request.raw:
        return JsonFace(sys.stdout, sys.stderr, raw=request.raw)
    return AnswerFace(sys.stdout, sys.stderr, quiet=request.general.quiet, color=not request.general.no_color)


class _Giving:
    """Hands everything over in order, in a thread: standard input may be slow, and the call may be behind."""

    def __init__(self, request: Request, errand: Errand) -> None:
        self._request = request
        self._errand = errand

    def start(self, call: Held) -> None:
        threading.Thread(target=self._run, args=(call,), name="giving", daemon=True).start()

    def _run(self, call: Held) -> None:
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
        count = updates = 0
        for intent in chain(self._request.outgoing.intents, piped() if self._request.stdin else ()):
            call.room.wait()
            call.post(intent)
            count += len(events_of(intent))
            if isinstance(intent, SendEvent) and intent.event.get("type") == "session.update":
                updates += 1
                self._await_update(updates)
        return count

    def _await_update(self, count: int) -> None:
        """What follows is meant for the changed session. A refusal ends the call meanwhile."""
        until = time.monotonic() + SESSION_LIMIT
        while self._errand.updated < count and time.monotonic() < until:
            time.sleep(0.01)
