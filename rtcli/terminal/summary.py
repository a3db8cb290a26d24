"""What a call was, in a few lines at its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from rtcli.protocol.latency import spread
from rtcli.protocol.server_events import OutputAudioBufferCleared
from rtcli.protocol.updates import EventIn, Ready, Spent, Stats, TurnTimed, Update, Words
from rtcli.protocol.usage import Bill, dollars


@dataclass(slots=True)
class Summary:
    """Counts as updates come; `lines` says it all."""

    began: float | None = None
    ended: float = 0.0
    said: int = 0
    """Turns of the user."""
    answered: int = 0
    interrupted: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds."""
    losses: list[float] = field(default_factory=list)
    """Shares of packets, a value a second."""
    bill: Bill = field(default_factory=Bill)

    def take(self, update: Update, at: float) -> None:
        self.ended = at
        match update:
            case Ready():
                self.began = at
            case Words():
                self.said += update.speaker == "you"
                self.answered += update.speaker == "model"
            case EventIn(event=OutputAudioBufferCleared()):
                self.interrupted += 1
            case TurnTimed() if update.times.total is not None:
                self.latencies.append(update.times.total)
            case Stats() if update.lost is not None:
                self.losses.append(update.lost)
            case Spent():
                self.bill = update.bill
            case _:
                pass

    def lines(self) -> list[Text]:
        """Nothing for a call in which nothing was said."""
        if self.began is None or not (self.said or self.answered):
            return []
        minutes, seconds = divmod(round(self.ended - self.began), 60)
        turns = f"{self.said} said, {self.answered} answered, {self.interrupted} interrupted"
        facts = [f"{minutes}:{seconds:02d} min", turns, self._latency(), self._usage(), self._loss()]
        return [Text(" · ".join(fact for fact in facts if fact), style="rt.quiet")]

    def _latency(self) -> str:
        found = spread(self.latencies)
        if found is None:
            return ""
        return f"answer after {found.p50 * 1000:.0f} ms (p95 {found.p95 * 1000:.0f}, max {found.most * 1000:.0f})"

    def _usage(self) -> str:
        tokens = self.bill.tokens
        if not tokens.input + tokens.output:
            return ""
        cost = "" if self.bill.cost is None else f" {dollars(self.bill.cost)}"
        return f"{tokens.input} tokens in, {tokens.output} out{cost}"

    def _loss(self) -> str:
        return f"{sum(self.losses) / len(self.losses):.1%} of packets lost" if any(self.losses) else ""
