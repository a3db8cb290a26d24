"""Runs one call with one face: the call's loop in the main thread, the face in its own, a reader for standard input.

The loop that receives RTP must not wait for a terminal, a pipe or a prompt, so exactly two bounded queues cross
(`lanes`). Ctrl-C hangs up; a second one within two seconds gives up waiting for a good end.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Protocol

from rtcli.commands.lanes import PATIENCE, UpdateLane
from rtcli.commands.leaving import leave, terminations
from rtcli.commands.window import HANGUP, Window
from rtcli.errors import NetworkError
from rtcli.protocol.intents import Fail, HangUp, Intent
from rtcli.protocol.updates import Closed, Update
from rtcli.terminal.advice import one_line
from rtcli.terminal.exits import BUG, INTERRUPTED, OK, TERMINATED, status_of, status_of_call, unwritten
from rtcli.terminal.faces import Face, NoFace


_log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the clock."""
SWITCH = 0.0005
"""Seconds another thread may keep the interpreter while the loop wants it, which is after each packet's system calls.
With the default (5 ms) a face that printed a backlog of 5000 events held packets up for 150 ms, with this for 20 to 45.
"""
LOOK = 0.01
"""Seconds between two looks whether there is room for more."""
TWICE = 2.0
"""Seconds within which a second Ctrl-C counts as one."""
FACE_GRACE = 5.0
"""Seconds a face has for what waits to be shown when somebody hurries; a terminal that is gone never takes it."""


class Held(Protocol):
    """A call of our own (`rtcli.call.Call`), or one that we joined (`rtcli.joined.JoinedCall`)."""

    room: threading.Event
    """Set while the call takes more intents: a pipe that is ahead of the answers waits for it."""

    @property
    def event_limit(self) -> int | None:
        """Bytes of an event that the other side takes, when it says so; known once the call is up."""

    def post(self, intent: Intent) -> None:
        """Hand over an intent, from any thread."""

    def run(self) -> AsyncIterator[Update]:
        """Updates as they come, `Closed` as the last one."""


class Source(Protocol):
    """Turns what the user types or pipes into intents, in a thread of its own."""

    def start(self, call: Held) -> None: ...


class Watcher(Protocol):
    """Looks on and asks for what follows, such as the end of the call. Lives on the call's loop; never waits."""

    def watch(self, update: Update, now: float) -> Iterable[Intent]: ...

    def tick(self, now: float) -> Iterable[Intent]:
        """Time has passed; due about ten times a second, from before there is a call."""

    def conclude(self, closed: Closed) -> Closed:
        """The end as it is to be told."""


Opening = Callable[[Callable[[Update], None]], AbstractAsyncContextManager[Held]]
"""Makes a call and everything behind it, on the loop; takes where to tell what is worth telling before it begins."""


class Helper(Protocol):
    """Does something of its own about what happens in a call. Lives on the call's loop; `watch` never waits."""

    def watch(self, update: Update, post: Callable[[Intent], None], tell: Callable[[Update], None]) -> None: ...

    async def close(self) -> None: ...


def hold(
    opening: Opening,
    face: Face,
    source: Source | None,
    *,
    watcher: Watcher | None = None,
    helper: Callable[[], Helper] | None = None,
    first_interrupt: int = OK,
    can_wait: bool = False,
) -> int:
    """Hold one call and return the exit status. `first_interrupt`: the status of the first Ctrl-C.

    `helper` is made on the call's loop. `can_wait`: the updates are kept elsewhere until they are asked for.
    """
    sys.setswitchinterval(SWITCH)
    return asyncio.run(_Holding(opening, face, source, watcher, first_interrupt, helper, can_wait=can_wait).run())


class _Holding:
    def __init__(
        self,
        opening: Opening,
        face: Face,
        source: Source | None,
        watcher: Watcher | None,
        first_interrupt: int,
        helper: Callable[[], Helper] | None,
        *,
        can_wait: bool,
    ) -> None:
        self._can_wait = can_wait
        self._opening = opening
        self._face = face
        self._source = source
        self._watcher = watcher
        self._first_interrupt = first_interrupt
        self._helper = helper() if helper else None
        self._window = Window()
        self._lane = UpdateLane()
        self._call: Held | None = None
        self._early: list[Intent] = []
        """Came before there was a call."""
        self._status = BUG
        self._unread: NetworkError | None = None
        self._unshown: Exception | None = None
        """Why nothing more is shown."""
        self._signalled: HangUp | None = None
        """What a signal asked for."""
        self._interrupted_at = -TWICE
        self._given_up = asyncio.Event()
        self._shown = asyncio.Event()
        self._hurries = asyncio.Event()
        """Interrupted, or the output's reader has had its time."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> int:
        self._loop = asyncio.get_running_loop()
        showing = threading.Thread(target=self._show, name="face", daemon=True)
        showing.start()
        with self._hearing_signals():
            status = await self._until_closed()
            await self._until_shown()
            if self._shown.is_set():
                showing.join()  # there is nothing left for it to do
            if self._unshown is not None:
                with suppress(OSError):  # it may be the same that takes nothing
                    _say_on_stderr(one_line(self._unshown))
                status = status or status_of(self._unshown)
            for number in _heard():  # what is left may be waiting for a device: a signal ends the process at once
                signal.signal(number, lambda *_: leave(status))
        return status

    async def _until_shown(self) -> None:
        """A pager takes its time; who interrupts, or has taken nothing for too long, is not waited for."""
        shown, hurries = asyncio.create_task(self._shown.wait()), asyncio.create_task(self._hurries.wait())
        await asyncio.wait((shown, hurries), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait((shown,), timeout=FACE_GRACE)
        if not shown.done() and self._unread:
            threading.Thread(target=_say_on_stderr, args=(str(self._unread),), daemon=True).start()
            await asyncio.sleep(0.1)  # it may be the same that takes nothing
        for task in (shown, hurries):
            task.cancel()
        await asyncio.gather(shown, hurries, return_exceptions=True)

    async def _until_closed(self) -> int:
        """The call's own end, or the user's patience."""
        works = (self._pump(), self._given_up.wait(), self._watch_face(), self._watch_time())
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
        ended_well = tasks[0].done()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not ended_well:
            self._close(Closed(time.monotonic(), "interrupted", exit=INTERRUPTED))
        return self._status

    async def _pump(self) -> None:
        """Open the call, let its updates through; whatever happens the last one is `Closed`."""
        try:
            closed = Closed(time.monotonic(), "a bug in rtcli", exit=BUG)
            async with self._opening(self._lane.put) as call:
                self._call = call
                self._deliver_early()
                if self._source:
                    self._source.start(call)
                async for update in call.run():
                    if isinstance(update, Closed):
                        closed = update
                    else:
                        self._take(update)
                        await self._until_room()
            if self._helper:
                await self._helper.close()
            self._close(closed)
        except Exception as error:  # noqa: BLE001 - told as what it is in `Closed`
            self._close(Closed(time.monotonic(), str(error), error=error))

    def _take(self, update: Update) -> None:
        self._lane.put(update)
        if self._helper:
            self._helper.watch(update, self._post, self._lane.put)
        for intent in self._watcher.watch(update, time.monotonic()) if self._watcher else ():
            self._post(intent)

    async def _until_room(self) -> None:
        while self._can_wait and self._lane.full and not self._hurries.is_set():  # noqa: ASYNC110 - the face's thread knows no loop
            await asyncio.sleep(LOOK)

    async def _watch_time(self) -> None:
        while self._watcher:
            for intent in self._watcher.tick(time.monotonic()):
                self._post(intent)
            await asyncio.sleep(TICK)

    def _close(self, closed: Closed) -> None:
        if self._watcher:
            closed = self._watcher.conclude(closed)
        # Input and output often end with the signal, and before it: who pressed Ctrl-C stopped all of a pipeline.
        if self._signalled is not None and closed.error is None and closed.exit == OK:
            closed = replace(closed, reason=self._signalled.reason, exit=self._signalled.exit)
        self._status = status_of_call(closed)
        self._lane.put(closed)

    def _post(self, intent: Intent) -> None:
        if self._call is None:
            self._early.append(intent)
        else:
            self._call.post(intent)

    def _deliver_early(self) -> None:
        for intent in self._early:
            self._post(intent)

    async def _watch_face(self) -> None:
        while not self._lane.stuck:  # noqa: ASYNC110 - it is the passing of time that is watched
            await asyncio.sleep(1)
        self._unread = NetworkError(f"nobody read our output for {PATIENCE:g} s")
        self._hurries.set()
        self._post(Fail(self._unread))

    # ---- the face's thread ----

    def _post_soon(self, intent: Intent) -> None:
        """On the loop, where nothing is lost between the early intents and the call."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed: the call is over
                self._loop.call_soon_threadsafe(self._post, intent)

    def _show(self) -> None:
        try:
            self._show_all()
        finally:
            with suppress(RuntimeError):  # the loop is closed: we were not waited for
                assert self._loop, "it started us"
                self._loop.call_soon_threadsafe(self._shown.set)

    def _show_all(self) -> None:
        """Show updates until the last one. When nobody reads any more, or the face breaks, the call ends."""
        face: Face = self._face
        rest: float | None = 0.0
        while True:
            batch = self._lane.take(rest)
            try:
                for update, at in batch:
                    face.show(update, at)
                rest = face.rest()
            except Exception as error:  # noqa: BLE001 - whatever a face does, the call ends in order
                face = NoFace()
                self._post_soon(self._end_after(error))
            if batch and isinstance(batch[-1][0], Closed):
                return

    def _end_after(self, error: Exception) -> HangUp:
        """What a face that failed means for the call. EIO is a terminal whose window was closed."""
        gone = isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EIO)
        if gone or self._window.is_gone():
            _log.info("the output is gone: %s", error)
            return self._window.end("nobody reads the output")
        _log.error("the face broke", exc_info=error)
        self._unshown = unwritten(error) if isinstance(error, OSError) else error
        return HangUp("nothing can be shown", exit=status_of(self._unshown))

    # ---- signals ----

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """Not by `add_signal_handler`: at its end a signal that comes again, as SIGHUP does, would kill us halfway."""
        loop = asyncio.get_running_loop()
        for number in _heard():
            handler = self._interrupted if number == signal.SIGINT else self._terminated
            signal.signal(number, lambda *_, handler=handler: loop.call_soon_threadsafe(handler))
        if sys.platform == "win32":  # its loop is woken by itself
            yield
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
            loop.add_reader(ours, lambda: ours.recv(64))
            try:
                yield
            finally:
                loop.remove_reader(ours)
                signal.set_wakeup_fd(before)

    def _interrupted(self) -> None:
        now = time.monotonic()
        if now - self._interrupted_at < TWICE:
            self._given_up.set()
        self._interrupted_at = now
        self._hurries.set()
        self._signal(HangUp("interrupted", exit=self._first_interrupt))

    def _terminated(self) -> None:
        self._hurries.set()
        self._signal(HANGUP)

    def _signal(self, wish: HangUp) -> None:
        if self._signalled is None or wish.exit == TERMINATED:
            self._signalled = wish
        self._post(wish)


def _heard() -> tuple[signal.Signals, ...]:
    return (signal.SIGINT, *terminations())


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(f"rtcli: {line}\n")
    sys.stderr.flush()
