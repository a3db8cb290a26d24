"""What a test expects of a call (`--expect` and its kin), and what came instead. Pure.

An expectation of an event is met by the first server event that fits, and may be waited for; those of the answer, its
sound, its delay and its cost are judged when the call is over. Whoever makes these says how a regular expression is
searched for, because Python's own search knows no limit and a careless pattern can take years.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from rtcli.errors import ExpectationUnmet, UsageError
from rtcli.protocol.codec import Json, NotJson, parse, text_of
from rtcli.protocol.updates import EventIn, Ready, Spent, TurnTimed, Update, Words
from rtcli.protocol.usage import Bill, dollars
from rtcli.records import dataclass


Search = Callable[[re.Pattern[str], str], bool]
"""Whether a text holds a pattern. Raises UsageError when telling takes too long."""

LEAST_SOUND_MS, LEAST_LEVEL = 200, -45.0
"""What counts as an audible answer: so much sound, and so loud (dBFS, RMS of 10 ms). Below is a click, or noise."""
LONGEST = 65_536
"""Characters of a value or an answer that a pattern is searched in."""
_SHOWN = 120
"""Characters of a value in a message."""
_NEAREST = 3
"""Values or types named as what came instead."""
_MOST_WORDS = 1 << 20

_TYPE = re.compile(r"[\w.*?\[\]!-]+")
_INDEX = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Heard:
    """What reached the loudspeaker."""

    sound_ms: float = 0.0
    """Of it above `LEAST_LEVEL`."""
    loudest: float | None = None
    """dBFS, RMS of the loudest 10 ms; None when there was nothing but zeros."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one expectation fared."""

    name: str
    met: bool
    instead: str = ""
    """What came instead; "" when it is met."""


@dataclass(frozen=True, slots=True)
class EventExpected:
    """A server event by its type, and by one value in it."""

    text: str
    """As the user wrote it."""
    glob: str
    path: tuple[str, ...] = ()
    operator: Literal["", "=", "~"] = ""
    value: str = ""
    pattern: re.Pattern[str] | None = None

    def fits_type(self, name: str) -> bool:
        return fnmatchcase(name, self.glob)

    def fits(self, event: Json, search: Search) -> bool:
        """The type fits already."""
        if not self.operator:
            return True
        found, value = _at(event, self.path)
        if not found:
            return False
        if self.pattern is not None:
            return search(self.pattern, _as_text(value)[:LONGEST])
        return _equals(value, self.value)


def parse_event_expectation(text: str) -> EventExpected:
    """`TYPE`, `TYPE path=value` or `TYPE path~regex`; the value runs to the end. Raises UsageError."""
    glob, _, condition = text.strip().partition(" ")
    condition = condition.strip()
    if not _TYPE.fullmatch(glob):
        raise UsageError(f"--expect {text!r}: the first word is no type of an event")
    if not condition:
        return EventExpected(text.strip(), glob)
    place = re.search(r"[=~]", condition)
    if place is None or place.start() == 0:
        raise UsageError(f"--expect {text!r}: after the type comes path=value or path~regex")
    path = _INDEX.sub(r".\1", condition[: place.start()].strip())
    value = condition[place.end() :].strip()
    steps = tuple(path.split("."))
    if not all(steps):
        raise UsageError(f"--expect {text!r}: {path!r} is no path")
    operator: Literal["=", "~"] = "=" if place.group() == "=" else "~"
    pattern = compile_pattern("--expect", value) if operator == "~" else None
    return EventExpected(text.strip(), glob, steps, operator, value, pattern)


def compile_pattern(option: str, text: str) -> re.Pattern[str]:
    """Raises UsageError."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{option}: {text[:_SHOWN]!r} is no regular expression: {error}") from None


@dataclass(frozen=True, slots=True)
class Expected:
    """Everything a command line expects."""

    events: tuple[EventExpected, ...] = ()
    transcript: re.Pattern[str] | None = None
    audio: bool = False
    latency_ms: float | None = None
    cost: float | None = None
    """Dollars."""

    def __bool__(self) -> bool:
        return bool(self.events or self.transcript or self.audio) or not (self.latency_ms is None is self.cost)


class Expectations:
    """Of one call. `watch` its updates; `outcomes` when it is over."""

    def __init__(self, expected: Expected, *, search: Search, heard: Callable[[], Heard] = Heard) -> None:
        self._expected = expected
        self._search = search
        self._heard = heard
        self._open = list(expected.events)
        self._near: dict[EventExpected, deque[str]] = {each: deque(maxlen=_NEAREST) for each in expected.events}
        self._types: Counter[str] = Counter()
        self._said = ""
        self._answering = "model"
        self._latency: list[float] = []
        self._bill = Bill()

    @property
    def waiting(self) -> bool:
        """An event that is expected has not come."""
        return bool(self._open)

    def watch(self, update: Update) -> bool:
        """Whether this was an event that somebody expected. Raises UsageError for a pattern that takes too long."""
        match update:
            case EventIn() if update.event.type is not None:
                return self._take(update.event.type, update.raw)
            case Ready() if update.session.get("type") == "transcription":
                self._answering = "you"
            case Words() if update.speaker == self._answering and len(self._said) < _MOST_WORDS:
                self._said += ("\n" if self._said else "") + update.text
            case TurnTimed() if update.times.total is not None:
                self._latency.append(update.times.total * 1000)
            case Spent():
                self._bill = update.bill
        return False

    def outcomes(self) -> list[Outcome]:
        """Each expectation in the order of the help."""
        judged: list[Outcome] = [self._judge_event(each) for each in self._expected.events]
        if self._expected.transcript is not None:
            judged.append(self._judge_words(self._expected.transcript))
        if self._expected.audio:
            judged.append(_judge_sound(self._heard()))
        if self._expected.latency_ms is not None:
            judged.append(self._judge_latency(self._expected.latency_ms))
        if self._expected.cost is not None:
            judged.append(self._judge_cost(self._expected.cost))
        return judged

    # ---- events ----

    def _take(self, name: str, raw: str) -> bool:
        if name in self._types or len(self._types) < 1000:
            self._types[name] += 1
        fitting = [each for each in self._expected.events if each.fits_type(name)]
        if not fitting:
            return False
        try:
            event = parse(raw)
        except NotJson:
            return False
        expected = False
        for each in fitting:
            if each.fits(event, self._search):
                expected = True
                if each in self._open:
                    self._open.remove(each)
            else:
                self._near[each].append(_described(name, event, each.path))
        return expected

    def _judge_event(self, expected: EventExpected) -> Outcome:
        name = f"--expect {expected.text}"
        if expected not in self._open:
            return Outcome(name, met=True)
        return Outcome(name, met=False, instead=self._came_instead(expected))

    def _came_instead(self, expected: EventExpected) -> str:
        if near := self._near[expected]:
            return "instead came " + ", then ".join(dict.fromkeys(near))
        if not self._types:
            return "no event came at all"
        nearest = get_close_matches(expected.glob, self._types, n=_NEAREST, cutoff=0.5)
        shown = nearest or [name for name, _ in self._types.most_common(_NEAREST)]
        kind = "the nearest were" if nearest else "among those that came were"
        return f"no event of this type came; {kind} " + ", ".join(f"{name} ({self._types[name]})" for name in shown)

    # ---- the answer ----

    def _judge_words(self, pattern: re.Pattern[str]) -> Outcome:
        name = f"--expect-transcript {pattern.pattern}"
        if not self._said:
            return Outcome(name, met=False, instead="no words came")
        if self._search(pattern, self._said[:LONGEST]):
            return Outcome(name, met=True)
        return Outcome(name, met=False, instead=f"instead came {_short(text_of(self._said))}")

    def _judge_latency(self, limit: float) -> Outcome:
        name = f"--max-latency {limit:g}"
        if not self._latency:
            return Outcome(name, met=False, instead="no answer began")
        worst = max(self._latency)
        return Outcome(name, worst <= limit, "" if worst <= limit else f"it took {worst:.0f} ms")

    def _judge_cost(self, limit: float) -> Outcome:
        name = f"--max-cost {limit:g}"
        cost = self._bill.cost
        if cost is None:
            unknown = ", ".join(share.model or "an unnamed model" for share in self._bill.shares.values())
            return Outcome(name, met=False, instead=f"the price of {unknown} is not known")
        return Outcome(name, cost <= limit, "" if cost <= limit else f"it cost {dollars(cost)}")


def unmet(outcomes: Iterable[Outcome]) -> ExpectationUnmet | None:
    """In one line what was not met and what came instead; None when everything was."""
    failed = [f"{outcome.name}: {outcome.instead}" for outcome in outcomes if not outcome.met]
    return ExpectationUnmet("; ".join(failed)) if failed else None


def _judge_sound(heard: Heard) -> Outcome:
    name = "--expect-audio"
    if heard.sound_ms >= LEAST_SOUND_MS:
        return Outcome(name, met=True)
    level = "silence" if heard.loudest is None else f"at most {heard.loudest:.0f} dBFS"
    instead = f"{heard.sound_ms:.0f} ms of sound above {LEAST_LEVEL:g} dBFS came ({level}); {LEAST_SOUND_MS} are needed"
    return Outcome(name, met=False, instead=instead)


# ---- values ---------------------------------------------------------------------------------------------------------


def _at(value: Json, path: tuple[str, ...]) -> tuple[bool, Json]:
    """Whether there is such a place, and what is there; a number is an index of a list."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False, None
    return True, value


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else text_of(value)


def _equals(value: Json, wanted: str) -> bool:
    """As text, or as JSON: `1` is 1 and "1", `true` is true and "true", and true is not 1."""
    if isinstance(value, str) and value == wanted:
        return True
    try:
        other = parse(wanted)
    except NotJson:
        return False
    return isinstance(value, bool) is isinstance(other, bool) and value == other


def _described(name: str, event: Json, path: tuple[str, ...]) -> str:
    found, value = _at(event, path)
    where = ".".join(path)
    return f"{name} with {where}={_short(_as_text(value))}" if found else f"{name} without {where}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
