"""What is asked of the service, in the order it was given: what stands in line, what is asked for, what became of it.

One `response.create` in the conversation at a time. Those outside it (`conversation: none`, called asides) wait for
nobody, and so does everything else; but nothing overtakes a request that waits, because it was given after it.

Which response answers which request no event says. The first that begins is believed to. When the service was to begin
one by itself in the same moment, the request's own response or its error may still come, within a round trip.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from rtcli.protocol.codec import JsonObject
from rtcli.records import dataclass


COLLISION = "conversation_already_has_active_response"
COLLISION_PAUSE, COLLISIONS = 5.0, 5
"""Seconds until a request is repeated that met a response we never heard of, and how often."""
ROUND_TRIP = 3.0
"""Seconds within which the service has said something to an event, at worst."""
_BELIEVED = 8
"""Requests remembered after a response was believed to answer them."""


@dataclass(frozen=True, slots=True)
class Order:
    """Events that belong together. What stands before a `response.create` the running answer must not see."""

    events: tuple[JsonObject, ...]
    asks: bool = False
    """The last one is a `response.create` in the conversation."""
    collisions: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A `response.create` that went out, and what went out with it."""

    order: Order
    create_id: str
    event_ids: frozenset[str]
    place: int
    """Of what was sent before it (`acknowledgement`): a response to it settles all of that."""
    sent_at: float
    until: float


class Requests:
    def __init__(self, limit: float) -> None:
        """`limit`: seconds after which one that was answered by nothing no longer holds up the next."""
        self._limit = limit
        self.asked: Asked | None = None
        """Sent, and no response has begun."""
        self._line: deque[Order] = deque()
        self._believed: deque[Asked] = deque(maxlen=_BELIEVED)
        self._asides: dict[str, float] = {}
        """`event_id`, and until when it is waited for."""
        self._from = 0.0
        self._unsure_until = 0.0

    def __len__(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def pending(self, now: float) -> bool:
        return bool(self.asked or self._line or self._asides or now < self._unsure_until)

    @property
    def asides(self) -> bool:
        """A response outside the conversation is asked for."""
        return bool(self._asides)

    def add(self, order: Order) -> None:
        self._line.append(order)

    def next(self, now: float, *, running: bool) -> Order | None:
        """What may be sent now; `sent` must follow. `running`: a response in the conversation is being made."""
        blocked = self.asked or running or now < max(self._from, self._unsure_until)
        if not self._line or (blocked and self._line[0].asks):
            return None
        return self._line.popleft()

    def sent(self, order: Order, event_ids: list[str], place: int, now: float) -> None:
        until = now + self._limit
        if order.asks:
            self.asked = Asked(order, event_ids[-1], frozenset(event_ids), place, now, until)
        elif order.events[-1].get("type") == "response.create":
            self._asides[event_ids[-1]] = until

    def pause(self, until: float) -> None:
        """Ask for nothing before."""
        self._from = until

    def begun(self, *, surely: bool) -> Asked | None:
        """A response in the conversation began; the request it is believed to answer.

        `surely`: the service was not about to begin one by itself.
        """
        asked, self.asked = self.asked, None
        self._from = self._unsure_until = 0.0
        if asked:
            self._believed.append(asked)
            self._unsure_until = 0.0 if surely else asked.sent_at + ROUND_TRIP
        return asked

    def begun_aside(self) -> None:
        del self._asides[next(iter(self._asides))]

    def with_event(self, event_id: str) -> Asked | None:
        """The request that an event belonged to."""
        known = [self.asked, *self._believed]
        return next((asked for asked in known if asked and event_id in asked.event_ids), None)

    def is_newest(self, asked: Asked) -> bool:
        return asked is (self.asked or self._believed[-1])

    def refused(self, asked: Asked, code: str | None, now: float, *, running: bool) -> bool:
        """The service refused a request. Whether it will be made again: it met a response of the service's own."""
        if asked is self.asked:
            self.asked = None
        else:
            self._believed.remove(asked)
            self._unsure_until = 0.0
        order = asked.order
        if code != COLLISION or order.collisions >= COLLISIONS:
            return False
        self._line.appendleft(replace(order, events=order.events[-1:], collisions=order.collisions + 1))
        if not running:
            self._from = now + COLLISION_PAUSE
        return True

    def drop(self, event_id: str) -> None:
        """An event was refused as an aside, or not sent: nothing that it belonged to is waited for."""
        self._asides.pop(event_id, None)
        if self.asked and event_id in self.asked.event_ids:
            self.asked = None

    def doubt(self, until: float) -> None:
        """What is asked for may have been refused already: wait no longer than this."""
        if self.asked:
            self.asked = replace(self.asked, until=min(self.asked.until, until))

    def overdue(self, now: float) -> int:
        """How many were answered by nothing; they are waited for no longer."""
        late = [event_id for event_id, until in self._asides.items() if now >= until]
        for event_id in late:
            del self._asides[event_id]
        if self.asked is None or now < self.asked.until:
            return len(late)
        self.asked = None
        return len(late) + 1
