"""What a call was, in a few lines at its end. Pure."""

from __future__ import annotations

from dataclasses import field

from rich.text import Text

from rtcli.protocol.latency import TurnTimes, spread
from rtcli.protocol.server_events import OutputAudioBufferCleared
from rtcli.protocol.updates import EventIn, Ready, Spent, Stats, TurnTimed, Update, Words
from rtcli.protocol.usage import Bill, dollars
from rtcli.records import dataclass


@dataclass(slots=True)
class Summary:
    """Counts as updates come; `lines` says it all."""

    began: float | None = None
    ended: float = 0.0
    said: int = 0
    """Turns of the user."""
    answered: int = 0
    interrupted: int = 0
    turns: list[TurnTimes] = field(default_factory=list)
    """Those that were answered."""
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
                self.turns.append(update.times)
            case Stats() if update.lost is not None:
                self.losses.append(update.lost)
            case Spent():
                self.bill = update.bill
            case _:
                pass

    def lines(self, columns: int) -> list[Text]:
        """As few as hold it, each fact whole; nothing for a call in which nothing was said."""
        if self.began is None or not (self.said or self.answered):
            return []
        turns = f"{self.said} said, {self.answered} answered, {self.interrupted} interrupted"
        facts = [
            _duration(self.ended - self.began),
            turns,
            self._latency(),
            *self._steps(),
            self._usage(),
            self._loss(),
        ]
        return [Text(line, style="rt.quiet") for line in _packed([fact for fact in facts if fact], columns)]

    def _latency(self) -> str:
        found = spread([times.total for times in self.turns if times.total is not None])
        if found is None:
            return ""
        return f"answer after {found.p50 * 1000:.0f} ms (p95 {found.p95 * 1000:.0f}, max {found.most * 1000:.0f})"

    def _steps(self) -> list[str]:
        """On the way to it, likewise: median, 95th percentile, maximum."""
        told = []
        for step, name in _ON_THE_WAY:
            found = spread([taken for times in self.turns if (taken := getattr(times, step)) is not None])
            if found is not None:
                told.append(f"{name} {found.p50 * 1000:.0f}/{found.p95 * 1000:.0f}/{found.most * 1000:.0f} ms")
        return told

    def _usage(self) -> str:
        tokens, minutes = self.bill.tokens, self.bill.seconds / 60
        counted = f"{tokens.input} tokens in, {tokens.output} out" if tokens.input + tokens.output else ""
        timed = f"{minutes:.1f} min transcribed" if minutes else ""
        used = ", ".join(filter(None, (counted, timed)))
        return used if self.bill.cost is None or not used else f"{used} {dollars(self.bill.cost)}"

    def _loss(self) -> str:
        return f"{sum(self.losses) / len(self.losses):.1%} of packets lost" if any(self.losses) else ""


_ON_THE_WAY = (("committed", "committed"), ("created", "response"), ("packet", "first packet"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _packed(facts: list[str], columns: int) -> list[str]:
    packed: list[str] = []
    for fact in facts:
        if packed and len(packed[-1]) + len(fact) + 3 <= columns:
            packed[-1] += f" · {fact}"
        else:
            packed.append(fact)
    return packed
