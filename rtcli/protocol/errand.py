"""What a script waits for: a watcher of one call, fed with its updates and the time, that says when to end it.

By itself a conversation ends when its input has ended and nothing is pending any more; an errand adds what a script
needs beyond that: the first refusal ends it, an event may be waited for by its type, and all of it has a limit.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from rtcli.errors import WaitTimeout
from rtcli.protocol import server_events as ev
from rtcli.protocol.acknowledgement import Unanswered
from rtcli.protocol.codec import NotJson, parse
from rtcli.protocol.intents import Fail, HangUp, Intent
from rtcli.protocol.updates import EventIn, EventOut, Ready, Refused, Update


UNBEGUN = 5.0
"""Seconds after which nobody waits any more for a `response.created`: filtered streams hide it."""


class Errand:
    """Of one call. `watch` its updates and `tick` the time; both give what is to be done."""

    def __init__(self, *, until: str | None = None, limit: float | None = None, refusal_ends: bool = True) -> None:
        """`until`: the type (a glob) of a server event, "" for acknowledgements alone, None: the call ends by itself.

        Where answers are asked for it must come after the last `response.create`.
        `limit`: seconds for everything. `refusal_ends`: what the service refuses ends the call.
        """
        self._until = until
        self._limit = limit
        self._refusal_ends = refusal_ends and not fnmatchcase("error", until or "")
        self._began: float | None = None
        self._ready = False
        self._given: int | None = None
        self._sent = 0
        self._unanswered = Unanswered()
        self._unbegun = 0
        """Responses asked for that have not begun."""
        self._unbegun_until = 0.0
        self._came = until == ""
        self._over = False
        self.updated = 0
        """Answers to a `session.update` since the session was ready: what follows one should wait for it."""

    def all_given(self, count: int) -> None:
        """Nothing more will be sent than `count` events in all."""
        self._given = count

    def watch(self, update: Update, now: float) -> list[Intent]:
        match update:
            case Refused() if self._refusal_ends:
                return self._end(Fail(update.error))
            case Ready():
                self._ready = True
            case EventOut(foreign=False) if self._ready:
                self._note_sent(update, now)
            case EventIn() if isinstance(update.event, ev.ServerEvent):
                self._note_answer(update.event)
        if isinstance(update, EventIn) and self._until and update.event.type is not None:
            self._came = self._came or fnmatchcase(update.event.type, self._until)
        return self.tick(now)

    def tick(self, now: float) -> list[Intent]:
        self._began = now if self._began is None else self._began
        if self._until is not None and self._came and self._all_answered(now):
            return self._end(HangUp(f"{self._until} came" if self._until else "everything is acknowledged"))
        if self._limit is not None and now - self._began >= self._limit:
            return self._end(Fail(WaitTimeout(f"{self._missing} within {self._limit:g} s")))
        return []

    @property
    def _all_sent(self) -> bool:
        if self._given is None or not (self._ready or self._given == 0):
            return False
        return self._sent >= self._given

    def _all_answered(self, now: float) -> bool:
        begun = not self._unbegun or now >= self._unbegun_until
        return self._all_sent and begun and not self._unanswered.waiting(now)

    @property
    def _missing(self) -> str:
        if not self._ready:
            return "no session"
        if self._given is not None and self._sent < self._given:
            return f"only {self._sent} of {self._given} events could be sent"
        if self._until:
            return f"no {self._until}" if not self._came else "no acknowledgement of everything"
        return "no end of the answer" if self._until is None else "no acknowledgement of everything"

    def _note_sent(self, update: EventOut, now: float) -> None:
        self._sent += 1
        try:
            event = parse(update.raw)
        except NotJson:  # deeper than we read: sent as it was given
            return
        self._unanswered.sent(event, now)
        if update.type == "response.create":
            self._unbegun += 1
            self._unbegun_until = now + UNBEGUN
            self._came = self._until == ""

    def _note_answer(self, event: ev.ServerEvent) -> None:
        self._unanswered.answered(event)
        if isinstance(event, ev.SessionUpdated) and self._ready:
            self.updated += 1
        if isinstance(event, ev.ResponseCreated):
            self._unbegun = max(0, self._unbegun - 1)
        if isinstance(event, ev.ErrorEvent):
            self._unanswered.refused(event.error.event_id or "")

    def _end(self, how: Intent) -> list[Intent]:
        if self._over:
            return []
        self._over = True
        return [how]
