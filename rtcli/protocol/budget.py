"""What a call may use: money, time, and time in which nothing happens. A watcher of one call, pure like `errand`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rtcli.errors import BudgetReached, RtcliError, UsageError
from rtcli.protocol.codec import JsonObject
from rtcli.protocol.intents import Fail, Intent
from rtcli.protocol.session_view import SessionView
from rtcli.protocol.updates import Activity, Closed, Connected, EventOut, Growing, Ready, Spent, Update, Words
from rtcli.protocol.usage import Bill, Price, dollars
from rtcli.records import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """None: as much as there is."""

    cost: float | None = None
    """Dollars, as estimated."""
    duration: float | None = None
    """Seconds from the connection."""
    idle: float | None = None
    """Seconds in which nobody speaks, types or is answered."""


class Budget:
    """Of one call. `watch` its updates and `tick` the time; both give what is to be done."""

    def __init__(self, limits: Limits, prices: Mapping[str, Price]) -> None:
        self._limits = limits
        self._prices = prices
        self._connected_at: float | None = None
        self._active_at: float | None = None
        """When something happened last; None before the session is ready."""
        self._active = False
        self._over = False

    def watch(self, update: Update, now: float) -> list[Intent]:
        match update:
            case Connected():
                self._connected_at = now
            case Ready():
                self._active_at = now
                return self._check(update.session)
            case Spent():
                return self._count(update.bill)
            case Activity():
                self._active = update.user_speaking or update.model_speaking or update.thinking
                self._act(now)
            case EventOut() | Words() | Growing():
                self._act(now)
            case _:
                pass
        return self.tick(now)

    def tick(self, now: float) -> list[Intent]:
        duration, idle = self._limits.duration, self._limits.idle
        if duration is not None and self._connected_at is not None and now - self._connected_at >= duration:
            return self._end(BudgetReached(f"the call has lasted {duration:g} s, as long as it may"))
        quiet_since = None if self._active else self._active_at
        if idle is not None and quiet_since is not None and now - quiet_since >= idle:
            return self._end(BudgetReached(f"nothing has happened for {idle:g} s"))
        return []

    @staticmethod
    def conclude(closed: Closed) -> Closed:
        """The end is told as it came."""
        return closed

    def _act(self, now: float) -> None:
        if self._active_at is not None:
            self._active_at = now

    def _check(self, session: JsonObject) -> list[Intent]:
        try:
            refuse_unpriced(self._limits, session, self._prices)
        except UsageError as error:
            return self._end(error)
        return []

    def _count(self, bill: Bill) -> list[Intent]:
        most = self._limits.cost
        if most is None:
            return []
        if bill.cost is None:
            return self._end(_unpriced(bill.unpriced))
        if bill.cost < most:
            return []
        return self._end(BudgetReached(f"the call has cost {dollars(bill.cost)}, and it may cost ${_plain(most)}"))

    def _end(self, error: RtcliError) -> list[Intent]:
        if self._over:
            return []
        self._over = True
        return [Fail(error)]


def _plain(dollars: float) -> str:
    """Never rounded away to nothing, and never as 1e-07."""
    return f"{Decimal(str(dollars)):f}".removesuffix(".0")


def refuse_unpriced(limits: Limits, session: JsonObject, prices: Mapping[str, Price]) -> None:
    """Raises UsageError when a limit in dollars could not be kept, because a model of the session has no price."""
    unknown = [model for model in SessionView(session).models if model not in prices]
    if limits.cost is not None and unknown:
        raise _unpriced(unknown)


def _unpriced(models: list[str]) -> UsageError:
    name = models[0] if models and models[0] else "the model in use"
    return UsageError(f"no price is known for {name}, so that --max-cost can not be kept (prices.MODEL gives one)")
