"""A call of our own that other processes of this user may follow, send into and hang up."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rtcli import wiring
from rtcli.protocol.codec import JsonObject, to_object
from rtcli.protocol.intents import HangUp, Intent, SendEvent
from rtcli.protocol.server_events import ServerEvent, SessionCreated, SessionUpdated
from rtcli.protocol.updates import Connected, EventIn, EventOut, Notice, Update
from rtcli.terminal.ndjson import documents, stamped
from rtcli.transport import meeting
from rtcli.transport.attach import Hub


if TYPE_CHECKING:
    from rtcli.commands.running import Held


class Attended:
    """The call as it is, and everything it tells also told to whoever is attached."""

    def __init__(self, place: meeting.Place | None, name: str, about: JsonObject) -> None:
        self.name = name
        self._about: JsonObject = {"name": name, "pid": os.getpid(), "call_id": None, "session": {}, **about}
        self._call: Held | None = None
        self._began = datetime.now(UTC)
        self.room = threading.Event()
        self.hub = self._hub(place) if place else None

    def _hub(self, place: meeting.Place) -> Hub[Update]:
        return Hub(
            place,
            describe=lambda: {**self._about, "began": f"{self._began:%Y-%m-%dT%H:%M:%SZ}"},
            lines_of=self._lines_of,
            size_of=lambda update: len(update.raw) if isinstance(update, (EventIn, EventOut)) else 64,
            take=self._take,
            has_room=lambda: self.room.is_set(),  # noqa: PLW0108 - `holds` puts another one in its place
        )

    def holds(self, call: Held) -> Attended:
        self._call = call
        self.room = call.room
        return self

    @property
    def event_limit(self) -> int | None:
        return self._call.event_limit if self._call else None

    def post(self, intent: Intent) -> None:
        """Hand over an intent, from any thread."""
        if self._call:
            self._call.post(intent)

    async def run(self) -> AsyncIterator[Update]:
        assert self._call, "`holds` comes first"
        async for update in self._call.run():
            if self.hub:
                self._note(update)
                self.hub.tell(update)
            yield update

    # ---- inside ----

    def _note(self, update: Update) -> None:
        match update:
            case Connected():
                self._about["call_id"] = update.call_id
            case EventIn(event=SessionCreated() | SessionUpdated() as event) if isinstance(event, ServerEvent):
                self._about["session"] = to_object(event).get("session", {})

    def _take(self, event: JsonObject) -> None:
        if event["type"] == "rtcli.hangup":
            self.post(HangUp("hung up by another process"))
        elif not event["type"].startswith("rtcli."):
            self.post(SendEvent(event, guest=True))

    def _lines_of(self, update: Update, wall: datetime) -> list[bytes]:
        made = documents(update)
        if not made:
            return []
        ms = (wall - self._began).total_seconds() * 1000
        # Every reader counts its own output: it may have come late, or lost some.
        lines = [stamped(document, seq=0, wall=wall, ms=ms, sid=self.name) for document in made]
        return [line.encode("utf-8", "replace") + b"\n" for line in lines]


@asynccontextmanager
async def attended(name: str | None, tell: Callable[[Update], None], **about: str) -> AsyncIterator[Attended]:
    """A name on this machine, and a socket behind it; where there can be none the call goes on without.

    Raises UsageError when a live call has that name.
    """
    place = None
    try:
        place = meeting.take(wiring.live_folder(), name)
    except OSError as error:
        tell(Notice(f"nothing can attach to this call: {error.strerror or error}"))
    found = Attended(place, place.name if place else name or "1", dict(about))
    if found.hub is None:
        yield found
        return
    await found.hub.open()
    try:
        yield found
    finally:
        with suppress(OSError):
            await found.hub.close()
