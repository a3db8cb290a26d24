"""A call that somebody else holds, as a guest sees it: to faces, sources and watchers it is a call like any other.

Its updates come from a `Channel` (another rtcli's local socket, or the service's sideband), its intents go to a
`Guest`, and one task owns both, as in `call`. Leaving it leaves no trace: the call goes on.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping

from rtcli.errors import CallLost, EventTooLarge, RtcliError
from rtcli.mailbox import Mailbox
from rtcli.protocol import server_events
from rtcli.protocol.codec import JsonObject, NotJson, parse, text_of
from rtcli.protocol.conversation import Step
from rtcli.protocol.guest import Guest
from rtcli.protocol.intents import EndCall, Finish, Intent
from rtcli.protocol.updates import Closed, Connected, EventIn, EventOut, Ready, Relayed, Update
from rtcli.protocol.usage import Price
from rtcli.transport.base import Aside, Channel, Down, Joined, Message, Sent


_log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the clock."""
BACKLOG, BUFFERED = 32, 1_000_000
"""Intents, and bytes, that wait above which `room` is closed."""
YIELD_EVERY = 16
"""Things handled in a row before the loop gets its turn."""

_Inbound = Message | Sent | Aside | Down | Intent


class JoinedCall:
    def __init__(
        self,
        channel: Channel,
        *,
        connect_timeout: float = 10.0,
        answers_functions: bool = False,
        prices: Mapping[str, Price] | None = None,
        ends_call: bool = False,
    ) -> None:
        """`ends_call`: when all is done the call is ended for everybody. The others are a `Guest`'s."""
        self._channel = channel
        self._ends_call = ends_call
        self._limit = connect_timeout
        self._guest = Guest(
            f"rt_{secrets.token_hex(4)}_",
            keeps_line=channel.keeps_line,
            answers_functions=answers_functions,
            prices=prices,
        )
        self._inbox: Mailbox[_Inbound] = Mailbox()
        self._updates: list[Update] = []
        self._finish: Finish | None = None
        self._is_down = False
        self._name = ""
        self.event_limit: int | None = None
        self.room = threading.Event()
        """Set while the call takes more intents."""
        self.room.set()

    def post(self, intent: Intent) -> None:
        """Hand over an intent, from any thread."""
        self._inbox.post(intent)

    async def run(self) -> AsyncIterator[Update]:
        """Join, follow, leave: updates as they come, `Closed` as the last one."""
        error: Exception | None = None
        try:
            joined = await self._channel.join(self._inbox.put, limit=self._limit)
            self._begin(joined)
            while self._finish is None:
                for update in self._taken():
                    yield update
                await self._next()
            for update in self._taken():
                yield update
            if self._ends_call and not self._is_down:
                await self._channel.hang_up()
        except RtcliError as caught:
            error = caught
        finally:
            await self._channel.close()
            self.room.set()  # whoever waits must see the end
        yield self._closed(error)

    # ---- inside ----

    def _begin(self, joined: Joined) -> None:
        self._name = joined.name
        self._guest.joined(joined.session)
        self._updates += [Connected(time.monotonic(), joined.name, joined.call_id), Ready(joined.session)]

    def _taken(self) -> list[Update]:
        updates, self._updates = self._updates, []
        return updates

    async def _next(self) -> None:
        try:
            async with asyncio.timeout(TICK):
                inbound: _Inbound | None = await self._inbox.take()
        except TimeoutError:
            inbound = None
        for _ in range(YIELD_EVERY):
            await self._take(inbound)
            if self._finish or not self._inbox:
                return
            inbound = await self._inbox.take()
        await asyncio.sleep(0)

    async def _take(self, inbound: _Inbound | None) -> None:
        now = time.monotonic()
        match inbound:
            case None:
                await self._follow(self._guest.tick(now))
            case Message():
                event = server_events.decode(inbound.data)
                raw = inbound.data if isinstance(inbound.data, str) else inbound.data.decode("utf-8", "replace")
                self._updates.append(EventIn(now, event, raw))
                await self._follow(self._guest.receive(event, now))
            case Sent():
                await self._note_sent(inbound.data, now)
            case Aside():
                self._updates.append(Relayed(self._name, "local", inbound.data))
            case Down():
                self._is_down = True
                await self._follow(self._guest.went_down(inbound.reason, now, orderly=inbound.orderly))
            case _:
                await self._follow(self._guest.handle(inbound, now))

    async def _note_sent(self, raw: str, now: float) -> None:
        event = _object(raw)
        ours, step = self._guest.sent(event, now)
        self._updates.append(EventOut(now, str(event.get("type", "")), raw, foreign=not ours))
        await self._follow(step)

    async def _follow(self, step: Step) -> None:
        self._updates += step.updates
        for group in step.events:
            for event in group:
                await self._send(event)
        for effect in step.effects:
            if isinstance(effect, EndCall):
                await self._channel.hang_up()
            elif isinstance(effect, Finish):
                self._finish = self._finish or effect
        if self._guest.backlog < BACKLOG and self._channel.buffered < BUFFERED:
            self.room.set()
        else:
            self.room.clear()

    async def _send(self, event: JsonObject) -> None:
        raw = text_of(event)
        try:
            self._channel.send(raw)
        except EventTooLarge as error:
            await self._follow(self._guest.unsent(str(event.get("event_id")), error, time.monotonic()))
        except CallLost as error:
            self._finish = self._finish or Finish(str(error), error=error)
        else:
            if not self._channel.keeps_line:
                await self._note_sent(raw, time.monotonic())

    def _closed(self, error: Exception | None) -> Closed:
        finish = self._finish or Finish("a bug in rtcli")
        return Closed(
            time.monotonic(), str(error) if error else finish.reason, exit=finish.exit, error=error or finish.error
        )


def _object(raw: str) -> JsonObject:
    try:
        value = parse(raw)
    except NotJson:  # deeper than we read
        return {}
    return value if isinstance(value, dict) else {}
