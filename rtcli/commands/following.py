"""What `tail` follows that is not a call of its own: live calls of this user, or what was saved of one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from rtcli.commands.past import Keep, Past
from rtcli.errors import RtcliError, UsageError
from rtcli.protocol.codec import NotJson, parse, text_of
from rtcli.protocol.intents import Fail, HangUp, Intent
from rtcli.protocol.updates import Closed, Notice, Relayed, Update, Warned
from rtcli.terminal.events import entry_of
from rtcli.terminal.ndjson import Direction, Document
from rtcli.transport import attach, meeting
from rtcli.transport.attach import Attachment, Line


LOOK = 0.2
"""Seconds between two looks for calls that have begun."""
MOST_WAITING, MOST_BYTES = 1000, 4 * 1024 * 1024
"""Updates that wait to be told, and the bytes of their events, above which nothing more is read."""
LONGEST_LINE = attach.LARGEST_LINE
_CLOSED = '"rtcli.closed"'


class Following:
    """To its runner a call like any other; ends when it is told to, at `until`, or (`once`) with what it follows."""

    def __init__(self, folder: Path, *, to: str | None, past: Past, once: bool, until: str | None, keep: Keep) -> None:
        self._folder = folder
        self._to = to
        self._past = past
        self._once = once
        self._until = until
        self._keep = keep
        self._waiting: deque[Update] = deque()
        self._bytes = 0
        """Of what was given since nothing was waiting."""
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Closed] = self._loop.create_future()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._refused: set[str] = set()
        self._met = 0
        self.room = threading.Event()

    event_limit = None

    def post(self, intent: Intent) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, intent)

    def _take(self, intent: Intent) -> None:
        if isinstance(intent, HangUp):
            self._end(Closed(time.monotonic(), intent.reason, exit=intent.exit))
        elif isinstance(intent, Fail):
            self._end(Closed(time.monotonic(), str(intent.error), error=intent.error))

    def _end(self, closed: Closed) -> None:
        if not self._ended.done():
            self._ended.set_result(closed)
            self._filled.set()

    async def run(self) -> AsyncIterator[Update]:
        looking = asyncio.create_task(self._look())
        try:
            while await self._has_more():
                while self._waiting:
                    update = self._waiting.popleft()
                    yield update
                    if self._until and self._is_last(update):
                        yield Closed(time.monotonic(), f"{self._until} came")
                        return
                self._bytes = 0
                self._emptied.set()
            yield self._ended.result()
        finally:
            for task in (looking, *self._followed.values()):
                task.cancel()
            await asyncio.gather(looking, *self._followed.values(), return_exceptions=True)

    async def _has_more(self) -> bool:
        """False: it has ended, and everything before that was told."""
        while not (self._waiting or self._ended.done()):
            self._filled.clear()
            await self._filled.wait()
        return bool(self._waiting)

    async def _give(self, *updates: Update) -> None:
        self._waiting.extend(updates)
        self._bytes += sum(len(update.raw) for update in updates if isinstance(update, Relayed))
        self._filled.set()
        if len(self._waiting) > MOST_WAITING or self._bytes > MOST_BYTES:
            self._emptied.clear()
            await self._emptied.wait()

    def _is_last(self, update: Update) -> bool:
        return isinstance(update, Relayed) and _type_matches(update, self._until or "")

    # ---- which calls ----

    async def _look(self) -> None:
        try:
            await self._look_for_ever()
        except RtcliError as error:
            self._end(Closed(time.monotonic(), str(error), error=error))

    async def _look_for_ever(self) -> None:
        first, waits = True, False
        while True:
            for name in self._new_names():
                await self._begin(name, first=first)
            if self._once and self._met and not self._followed:
                self._end(Closed(time.monotonic(), "the call ended"))
                return
            if not self._followed and not waits:
                which = f"no live call is called {self._to}" if self._to else "no live call"
                await self._give(Notice(f"{which}; waiting for one (`rtcli talk` begins one)"))
            waits = not self._followed
            first = False
            await asyncio.sleep(LOOK)

    def _new_names(self) -> list[str]:
        there = meeting.names(self._folder)
        self._refused &= set(there)
        wanted = [name for name in there if self._to in {None, name}]
        return [name for name in wanted if name not in self._followed and name not in self._refused]

    async def _begin(self, name: str, *, first: bool) -> None:
        """One that began while we waited is shown from its start."""
        past = self._past if first else Past(since=float("inf"))
        try:
            attachment = await attach.attach(self._folder, name, history=past.wanted)
        except (ConnectionRefusedError, FileNotFoundError):
            await asyncio.to_thread(meeting.is_gone, self._folder, name)
            return
        except (OSError, RtcliError) as error:
            self._refused.add(name)
            await self._give(Warned(f"call {name} can not be followed: {error}"))
            return
        self._met += 1
        if self._met > 1 or not first:
            await self._give(Notice(f"following call {name}"))
        task = asyncio.create_task(self._follow(attachment, past))
        self._followed[name] = task

    # ---- one call ----

    async def _follow(self, attachment: Attachment, past: Past) -> None:
        try:
            await self._relay(attachment, past)
        finally:
            self._followed.pop(attachment.name, None)
            with suppress(asyncio.CancelledError):
                await attachment.close()

    async def _relay(self, attachment: Attachment, past: Past) -> None:
        been: deque[Relayed] | None = deque(maxlen=attach.REMEMBERED * 2)
        closed = False
        async for batch in attachment.batches():
            told: list[Relayed] = []
            for raw in batch:
                try:
                    line = attach.line_of(raw)
                except NotJson:
                    continue
                if been is not None and '"rtcli.attached"' in line.raw[:40]:
                    told += past.chosen(list(been), datetime.now(UTC), self._keep)
                    been = None
                    continue
                closed = closed or (line.direction == "local" and _CLOSED in line.raw[:40])
                (told if been is None else been).append(_relayed(attachment.name, line, several=self._several))
            await self._give(*told)
        if not closed:
            gone = text_of({"type": "rtcli.call_closed", "exit": None, "reason": "its process is gone"})
            await self._give(Relayed(attachment.name, "local", gone, several=self._several))

    @property
    def _several(self) -> bool:
        return len(self._followed) > 1


def _relayed(name: str, line: Line, *, several: bool = False) -> Relayed:
    """A call's own last line is not the last of this output."""
    direction: Direction = "in" if line.direction == "in" else "out" if line.direction == "out" else "local"
    raw = line.raw
    if direction == "local" and _CLOSED in raw[:40]:
        raw = raw.replace(_CLOSED, '"rtcli.call_closed"', 1)
    return Relayed(name, direction, raw, line.wall, several=several)


def readable(source: Path) -> Path:
    """The file itself, of a folder with a recording too. Raises UsageError when there is nothing to read."""
    file = source / "events.ndjson" if source.is_dir() else source
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None


class Reading:
    """A saved NDJSON file, or the folder of a recording, as if it happened now."""

    event_limit = None

    def __init__(self, source: Path, *, past: Past, until: str | None, keep: Keep) -> None:
        """`source`: see `readable`."""
        self._file = source
        self._past = past
        self._until = until
        self._keep = keep
        self._ended: Closed | None = None
        self.room = threading.Event()

    def post(self, intent: Intent) -> None:
        if isinstance(intent, HangUp):
            self._ended = Closed(time.monotonic(), intent.reason, exit=intent.exit)

    async def run(self) -> AsyncIterator[Update]:
        try:
            chosen = [update async for update in self._chosen()]
        except UsageError as error:
            yield Closed(time.monotonic(), str(error), error=error)
            return
        for count, update in enumerate(chosen, 1):
            if self._ended:
                break
            yield update
            if self._until and isinstance(update, Relayed) and _type_matches(update, self._until):
                self._ended = Closed(time.monotonic(), f"{self._until} came")
                break
            if count % 100 == 0:
                await asyncio.sleep(0.001)  # the face has its turn, and Ctrl-C
        yield self._ended or Closed(time.monotonic(), "end of the file")

    async def _chosen(self) -> AsyncIterator[Update]:
        if not (self._past.wanted or self._past.last == 0):
            for update in await asyncio.to_thread(self._updates):
                yield update
            return
        relayed = [each for each in await asyncio.to_thread(self._updates) if isinstance(each, Relayed)]
        last = next((each.wall for each in reversed(relayed) if each.wall), datetime.now(UTC))
        for each in self._past.chosen(relayed, last, self._keep):
            yield each

    def _updates(self) -> list[Update]:
        found: list[Update] = []
        name = self._file.parent.name if self._file.name == "events.ndjson" else self._file.stem
        with self._file.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.strip():
                    continue
                try:
                    line = attach.line_of(raw)
                    parse(line.raw)
                    found.append(replace(_relayed(name, line), name=str(line.stamp.get("sid") or name)))
                except NotJson as error:
                    found.append(Warned(f"{self._file}, line {number}: {error}", "not_json"))
        if found and all(isinstance(each, Warned) for each in found):
            raise UsageError(f"{self._file}: no line of it is an event")
        return found


def _type_matches(update: Relayed, glob: str) -> bool:
    return fnmatchcase(entry_of(Document(update.direction, update.raw)).type, glob)
