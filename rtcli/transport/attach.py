"""The local socket of a live call: its events out, events of guests in, history; the same lines as `--json`.

Whoever connects reads one line that describes the call (`rtcli.call`), then says how it wants to listen:

    {"type": "rtcli.attach", "v": 1, "history": true}

gets what is remembered (when it wants it), the line `rtcli.attached`, and from then on every line as it happens. What
it writes after that are client events, or `{"type": "rtcli.hangup"}`. One that only looks at the description goes.

The call never waits for a reader: each has a bounded queue of its own, loses the oldest lines when it lags, and is
told how many.

Over 400 lines because both ends of the socket stand here: what one writes the other reads.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from rtcli.errors import CallLost, ConnectError, EventTooLarge, NetworkError, RtcliError, UsageError
from rtcli.protocol.codec import JsonObject, NotJson, parse, text_of
from rtcli.records import dataclass
from rtcli.transport import meeting
from rtcli.transport.base import Aside, Down, Joined, Message, Sent


_log = logging.getLogger(__name__)

VERSION = 1
REMEMBERED, REMEMBERED_BYTES = 5_000, 8 << 20
"""Events of the past a call keeps, and their bytes."""
WAITING, WAITING_BYTES = 20_000, 16 << 20
"""Lines that may wait for one reader, and their bytes."""
SOCKET_BYTES = 256 << 10
"""Bytes handed to the system for one reader before lines wait here."""
BUSY, LINGER = 0.002, 0.002
"""Seconds between two writes below which more lines are waited for: each one costs the call, and wakes a reader."""
LARGEST_LINE = 16 << 20
CHUNK = 256 << 10
"""Bytes a guest reads at a time."""
AHEAD = 1 << 20
"""Bytes a call's description may have; twice as many are read ahead of a guest that does not ask for more."""
LARGEST_EVENT = 1 << 20
"""Bytes of a client event from a guest."""
READERS = 64
GOODBYE = 0.5
"""Seconds at the end for readers to take the last lines."""
HELLO = 2.0
"""Seconds for a call to describe itself."""
_STAMP = b',"_rt":'
_OURS = re.compile(rb'\{"v":1,"seq":\d+,"t":"([\dTZ:.-]+)","ms":-?[\d.]+,"dir":"(in|out|local)","sid":"([\w.-]+)"\}\}')
"""A stamp as this version writes it, which need not be parsed."""

T = TypeVar("T")


# ---- at the call ----------------------------------------------------------------------------------------------------


class Hub(Generic[T]):
    """The readers of one call. Lives on its loop and does bounded work for each event."""

    def __init__(
        self,
        place: meeting.Place,
        *,
        describe: Callable[[], JsonObject],
        lines_of: Callable[[T, datetime], list[bytes]],
        size_of: Callable[[T], int],
        take: Callable[[JsonObject], None],
        has_room: Callable[[], bool],
    ) -> None:
        """`lines_of`: what a happening is for a reader, made only when there is one. `take`: an event of a guest."""
        self._place = place
        self.describe = describe
        self.lines_of = lines_of
        self._size_of = size_of
        self.take = take
        self.has_room = has_room
        self._past: deque[tuple[T, datetime]] = deque()
        self._past_bytes = 0
        self._readers: set[_Reader[T]] = set()
        self._server: asyncio.Server | None = None

    @property
    def secret(self) -> str:
        return self._place.secret

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Reader(self), sock=self._place.listening)

    def tell(self, happening: T) -> None:
        now = datetime.now(UTC)
        self._past.append((happening, now))
        self._past_bytes += self._size_of(happening)
        while len(self._past) > REMEMBERED or self._past_bytes > REMEMBERED_BYTES:
            self._past_bytes -= self._size_of(self._past.popleft()[0])
        listening = [reader for reader in self._readers if reader.listens]
        if listening:
            for line in self.lines_of(happening, now):
                for reader in listening:
                    reader.tell(line)

    def past(self) -> list[bytes]:
        return [line for happening, wall in self._past for line in self.lines_of(happening, wall)]

    def came(self, reader: _Reader[T]) -> bool:
        if len(self._readers) >= READERS:
            return False
        self._readers.add(reader)
        return True

    def went(self, reader: _Reader[T]) -> None:
        self._readers.discard(reader)

    async def close(self) -> None:
        """The last lines are handed over; who does not take them now never will."""
        if self._server:
            self._server.close()
        self._place.leave()
        for reader in list(self._readers):
            reader.finish()
        until = asyncio.get_running_loop().time() + GOODBYE
        while self._readers and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - a few looks at the end
            await asyncio.sleep(0.01)
        for reader in list(self._readers):
            reader.drop()


class _Reader(asyncio.Protocol, Generic[T]):
    """One connection at the call's end."""

    def __init__(self, hub: Hub[T]) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.listens = False
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._full = self._due = self._ending = False
        self._flushed_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not meeting.is_ours(transport.get_extra_info("socket")) or not self._hub.came(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=SOCKET_BYTES)
        if not self._hub.secret:
            self._describe()

    def _describe(self) -> None:
        assert self._transport
        self._transport.write(text_of({"type": "rtcli.call", "v": VERSION, **self._hub.describe()}).encode() + b"\n")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._hub.went(self)

    # ---- out ----

    def tell(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > WAITING or self._bytes > WAITING_BYTES:
            self._bytes -= len(self._lines.popleft())
            self._lost += 1
        if not (self._full or self._due):
            self._due = True
            busy = self._loop.time() - self._flushed_at < BUSY
            self._loop.call_later(LINGER, self._flush) if busy else self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Once for all lines of one turn of the loop, or some when they come fast; behind a full reader they wait."""
        self._due = False
        self._flushed_at = self._loop.time()
        while self._lines and not self._full and self._transport:
            if self._lost:
                self._transport.write(_lagged(self._lost))
                self._lost = 0
            batch, size = [], 0
            while self._lines and size < SOCKET_BYTES:
                batch.append(self._lines.popleft())
                size += len(batch[-1])
            self._bytes -= size
            self._transport.write(b"".join(batch))
        if self._ending and not self._lines and self._transport:
            self._transport.close()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._flush()

    def finish(self) -> None:
        self._ending = True
        self._flush()

    def drop(self) -> None:
        if self._transport:
            self._transport.abort()

    # ---- in ----

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LARGEST_EVENT:
            self.drop()
            return
        for line in whole:
            self._take(line)
        self._wait_for_room()

    def _wait_for_room(self) -> None:
        """A guest that is ahead of the answers waits; so does nobody else."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._hub.has_room():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
            self._loop.call_later(0.02, self._wait_for_room)

    def eof_received(self) -> bool:
        return self.listens  # who has said all may go on listening

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            said = parse(line)
        except NotJson:
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("type"), str):
            self.drop()
        elif said["type"] == "rtcli.attach":
            self._listen(said)
        elif self.listens:
            self._hub.take(said)

    def _listen(self, wish: JsonObject) -> None:
        if self._hub.secret:
            if wish.get("secret") != self._hub.secret:
                self.drop()
                return
            self._describe()
        if wish.get("look"):
            return
        for line in self._hub.past() if wish.get("history") else ():
            self.tell(line)
        self.tell(text_of({"type": "rtcli.attached"}).encode() + b"\n")
        self.listens = True


def _lagged(lost: int) -> bytes:
    told: JsonObject = {
        "type": "rtcli.warning",
        "code": "lagged",
        "message": f"{lost} events were lost: this reader was too slow",
        "lost": lost,
        "_rt": {"v": VERSION, "dir": "local"},
    }
    return text_of(told).encode() + b"\n"


# ---- at a guest -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a call, as it was written down."""

    raw: str
    """The object without `_rt`."""
    stamp: JsonObject = field(default_factory=dict)

    @property
    def wall(self) -> datetime | None:
        told = self.stamp.get("t")
        with suppress(TypeError, ValueError):
            wall = datetime.fromisoformat(told) if told else None
            return wall if wall is None or wall.tzinfo else wall.astimezone()
        return None

    @property
    def direction(self) -> str:
        told = self.stamp.get("dir")
        return told if told in {"in", "out", "local"} else "in"


def line_of(line: bytes) -> Line:
    """A line of the JSON view taken apart; one without `_rt` is an event of the service. Raises NotJson."""
    raw, found, stamp = line.strip().rpartition(_STAMP)
    if ours := _OURS.fullmatch(stamp):
        t, direction, sid = ours.groups()
        told = {"t": t.decode(), "dir": direction.decode(), "sid": sid.decode()}
        return Line(raw.decode("utf-8", "replace") + "}", told)
    if found:
        with suppress(NotJson):
            told = parse(stamp[:-1])
            if isinstance(told, dict):
                return Line(raw.decode("utf-8", "replace") + "}", told)
    value = parse(line)
    if not isinstance(value, dict):
        raise NotJson("not a JSON object")
    local = str(value.get("type", "")).startswith("rtcli.")
    return Line(line.strip().decode("utf-8", "replace"), {"dir": "local"} if local else {})


@dataclass(slots=True)
class Attachment:
    """One connection at the guest's end."""

    name: str
    described: JsonObject
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def lines(self) -> AsyncIterator[bytes]:
        """Until the call is over."""
        async for batch in self.batches():
            for line in batch:
                yield line

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """Lines, as many as are there at a time, until the call is over."""
        rest = b""
        with suppress(OSError):
            while len(rest) <= LARGEST_LINE and (came := await self._reader.read(CHUNK)):
                *whole, rest = (rest + came).split(b"\n")
                if whole:
                    yield whole

    def write(self, text: str) -> None:
        self._writer.write(text.encode() + b"\n")

    @property
    def buffered(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        return self._writer.is_closing()

    async def close(self) -> None:
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.drain(), GOODBYE)
        self._writer.close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), GOODBYE)


async def attach(folder: Path, name: str, *, history: bool = False, look: bool = False) -> Attachment:
    """Connect to a live call. Raises OSError when there is none, ConnectError when it does not answer.

    `history`: its past too. `look`: only its description.
    """
    connection, secret = await asyncio.to_thread(meeting.connect, folder, name)
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection, limit=AHEAD)
    wish: JsonObject = {"type": "rtcli.attach", "v": VERSION, "history": history, "look": look}
    try:
        if secret or not look:
            writer.write(text_of({**wish, "secret": secret} if secret else wish).encode() + b"\n")
        async with asyncio.timeout(HELLO):
            described = parse(await reader.readline() or b"null")
    except (TimeoutError, NotJson, ValueError):
        writer.close()
        raise ConnectError("call", f"the process of call {name} does not answer") from None
    if not isinstance(described, dict):
        writer.close()
        raise ConnectionRefusedError(name)
    if described.get("v") != VERSION:
        writer.close()
        raise UsageError(f"call {name} is held by another version of rtcli")
    return Attachment(name, described, reader, writer)


async def hang_up(folder: Path, name: str) -> None:
    """End a call for everybody; back when it is over. Raises as `attach`, and NetworkError when it does not end."""
    attachment = await attach(folder, name)
    attachment.write(text_of({"type": "rtcli.hangup"}))
    try:
        async with asyncio.timeout(10):
            async for _ in attachment.lines():
                pass
    except TimeoutError:
        raise NetworkError(f"call {name} does not end") from None
    finally:
        await attachment.close()


class AttachedChannel:
    """Implements `transport.base.Channel`."""

    keeps_line = True

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._attachment: Attachment | None = None
        self._reading: asyncio.Task[None] | None = None

    async def join(self, deliver: Callable[[Message | Sent | Aside | Down], None], *, limit: float) -> Joined:
        try:
            async with asyncio.timeout(limit):
                self._attachment = await attach(self._folder, self._name)
        except (OSError, TimeoutError):
            raise UsageError(f"no live call is called {self._name}") from None
        self._reading = asyncio.create_task(self._read(self._attachment, deliver))
        told = self._attachment.described
        session = told.get("session")
        return Joined(self._name, told.get("call_id"), session if isinstance(session, dict) else {})

    async def _read(self, attachment: Attachment, deliver: Callable[[Message | Sent | Aside | Down], None]) -> None:
        reason = "the process that held the call is gone"
        async for raw in attachment.lines():
            try:
                line = line_of(raw)
            except NotJson:
                continue
            match line.direction:
                case "in":
                    deliver(Message(line.raw))
                case "out":
                    deliver(Sent(line.raw))
                case _ if '"rtcli.closed"' in line.raw:
                    reason = "the call ended"
                case _ if '"rtcli.attached"' not in line.raw:
                    deliver(Aside(line.raw))
        deliver(Down(reason, orderly=reason == "the call ended"))

    def send(self, text: str) -> None:
        if self._attachment is None or self._attachment.is_closing:
            raise CallLost("the call ended")
        size = len(text.encode())
        if size > LARGEST_EVENT:
            raise EventTooLarge(size, LARGEST_EVENT)
        self._attachment.write(text)

    @property
    def buffered(self) -> int:
        return self._attachment.buffered if self._attachment else 0

    async def hang_up(self) -> None:
        if self._attachment:
            self._attachment.write(text_of({"type": "rtcli.hangup"}))

    async def close(self) -> None:
        if self._attachment:
            await self._attachment.close()
        if self._reading:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading


@dataclass(frozen=True, slots=True)
class Live:
    """A live call of this user."""

    name: str
    described: JsonObject
    """`call_id`, `pid`, `began` (UTC), `command`, `way`, `session`; empty when its process does not answer."""


async def live_calls(folder: Path) -> list[Live]:
    """Those that are there, in the order of their names; what killed processes left is taken away."""
    looks = await asyncio.gather(*(_look(folder, name) for name in meeting.names(folder)))
    return [live for live in looks if live]


async def _look(folder: Path, name: str) -> Live | None:
    try:
        attachment = await attach(folder, name, look=True)
    except (ConnectionRefusedError, FileNotFoundError):
        await asyncio.to_thread(meeting.is_gone, folder, name)
        return None
    except (OSError, RtcliError):
        return Live(name, {})
    await attachment.close()
    return Live(name, attachment.described)
