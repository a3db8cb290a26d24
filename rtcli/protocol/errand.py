"""What a script waits for: a watcher of one call, fed with its updates and the time, that says when to end it.

By itself a conversation ends when its input has ended and nothing is pending any more; an errand adds what a script
needs beyond that: the first refusal ends it, an event may be waited for by its type, and all of it has a limit.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from rtcli.errors import ExpectationUnmet, ServiceError, UsageError, WaitTimeout
from rtcli.protocol import server_events as ev
from rtcli.protocol.acknowledgement import Unanswered
from rtcli.protocol.codec import NotJson, parse
from rtcli.protocol.expectations import Expectations, Outcome, unmet
from rtcli.protocol.intents import Fail, HangUp, InputEnded, Intent
from rtcli.protocol.updates import Closed, EventIn, EventOut, Ready, Refused, Update


UNBEGUN = 5.0
"""Seconds after which nobody waits any more for a `response.created`: filtered streams hide it."""


class Errand:
    """Of one call. `watch` its updates and `tick` the time; both give what is to be done."""

    def __init__(
        self,
        *,
        until: str | None = None,
        limit: float | None = None,
        refusal_ends: bool = True,
        expectations: Expectations | None = None,
        answers_functions: bool = False,
    ) -> None:
        """`until`: the type (a glob) of a server event, "" for acknowledgements alone, None: the call ends by itself.

        Where answers are asked for it must come after the last `response.create`.
        `limit`: seconds for everything. `refusal_ends`: what the service refuses ends the call.
        """
        self._until = until
        self._limit = limit
        self._refusal_ends = refusal_ends and not fnmatchcase("error", until or "")
        self._expectations = expectations
        self._expected = False
        """The event seen last was one that somebody expected."""
        self._answers_functions = answers_functions
        self._owed: set[str] = set()
        """Function calls whose output has not gone out."""
        self._tolerated: list[ServiceError] = []
        """Refusals that somebody expected."""
        self.outcomes: list[Outcome] = []
        self.closed: Closed | None = None
        """How the call ended, once it has."""
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
        self._held = until is None and self.holds_input
        self.updated = 0
        """Answers to a `session.update` since the session was ready: what follows one should wait for it."""

    @property
    def holds_input(self) -> bool:
        """An event is expected: the input ends, and with it the call, when it has come."""
        return self._expectations is not None and self._expectations.waiting

    def all_given(self, count: int) -> None:
        """Nothing more will be sent than `count` events in all."""
        self._given = count

    def watch(self, update: Update, now: float) -> list[Intent]:
        try:
            self._look(update)
        except UsageError as error:
            return self._end(Fail(error))
        match update:
            case Refused() if self._expected:
                self._tolerated.append(update.error)
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
        waiting = self._expectations is not None and self._expectations.waiting
        if self._held and not waiting and self._given is not None:
            self._held = False
            return [InputEnded()]
        if self._until is not None and self._came and self._all_answered(now) and not waiting:
            return self._end(HangUp(f"{self._until} came" if self._until else "everything is acknowledged"))
        if self._limit is not None and now - self._began >= self._limit:
            return self._end(Fail(WaitTimeout(f"{self._missing} within {self._limit:g} s")))
        return []

    def conclude(self, closed: Closed) -> Closed:
        """The end as it is told: what was expected and did not come is an error, what came as expected is none."""
        self.closed = closed
        if self._expectations is None or (closed.error is None and closed.exit):
            return closed
        error = None if any(closed.error is expected for expected in self._tolerated) else closed.error
        try:
            self.outcomes = self._expectations.outcomes()
        except UsageError as too_long:
            error = error or too_long
        missing = unmet(self.outcomes)
        if missing and isinstance(error, WaitTimeout):
            missing = ExpectationUnmet(f"{missing}; {error}")
        if error is None or isinstance(error, WaitTimeout):
            error = missing or error
        self.closed = replace(closed, error=error, reason=str(error) if error else closed.reason)
        return self.closed

    def _look(self, update: Update) -> None:
        if self._expectations is not None:
            fits = self._expectations.watch(update)
            self._expected = fits if isinstance(update, EventIn) else self._expected

    @property
    def _all_sent(self) -> bool:
        if self._given is None or not (self._ready or self._given == 0):
            return False
        return self._sent >= self._given

    def _all_answered(self, now: float) -> bool:
        if self._owed:
            return False
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
        item = event.get("item") if isinstance(event, dict) else None
        if isinstance(item, dict) and item.get("type") == "function_call_output":
            self._owed.discard(str(item.get("call_id")))
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
        if isinstance(event, ev.ResponseDone) and self._answers_functions:
            # The calls are named again by `ToolWanted`, but only after this event, which may be what is waited for.
            self._owed |= {str(item.call_id) for item in event.response.output if item.type == "function_call"}
        if isinstance(event, ev.ErrorEvent):
            self._unanswered.refused(event.error.event_id or "")

    def _end(self, how: Intent) -> list[Intent]:
        if self._over:
            return []
        self._over = True
        return [how]
