"""The head: an answer by rules, deterministic for a given prompt and time. Pure.

It is a stand-in and says so: it repeats, tells the time and the date, does sums, knows some capitals, remembers what
it was told in this call, tells a joke, calls a declared function when the words ask for it, and turns back the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rtcli.sandbox.engine.arithmetic import find_sum, numbers, say
from rtcli.sandbox.engine.base import FunctionCall, Prompt, Turn
from rtcli.sandbox.engine.functions import wanted


def answer(prompt: Prompt, *, now: datetime) -> Iterator[str | FunctionCall]:
    """One function call, or the clauses of a text."""
    call = wanted(prompt)
    if call is not None:
        yield call
        return
    yield from clauses(text_answer(prompt, now=now))


def text_answer(prompt: Prompt, *, now: datetime) -> str:
    last = prompt.history[-1] if prompt.history else Turn("system", prompt.instructions)
    if last.role == "tool":
        return _spoken_output(last.text)
    said = " ".join(last.text.replace("\u2019", "'").split())[:_LONGEST]
    asked = Asked(said, prompt, now)
    for pattern, rule in _RULES:
        match = re.search(pattern, said, re.IGNORECASE)
        text = rule(match, asked) if match else None
        if text:
            return text
    return "Hello! How can I help?" if last.role == "system" else _reflected(said)


def clauses(text: str) -> Iterator[str]:
    """The text in pieces of one to about twelve words, so that a voice can begin early; joined they are the text."""
    piece = ""
    for part in re.findall(r"\s*\S+\s*", text):
        piece += part
        words = len(piece.split())
        mark = part.rstrip().rstrip("\"')\u201d\u2019")[-1:]
        if mark in _ENDS or (mark in _BREAKS and words >= _SHORT) or words >= _LONG:
            yield piece
            piece = ""
    if piece:
        yield piece


_LONGEST: Final = 2_000
"""Characters of an utterance that are looked at."""
_ENDS: Final = (".", "!", "?", "…")
_BREAKS: Final = (",", ";", ":")
_SHORT: Final = 3
_LONG: Final = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule may look at besides its match."""

    said: str
    prompt: Prompt
    now: datetime

    @property
    def turns_taken(self) -> int:
        """How often it has answered: what makes the next joke another one."""
        return sum(turn.role == "assistant" for turn in self.prompt.history)


Rule = Callable[[re.Match[str], Asked], str | None]


# Repeating and remembering


def _say(match: re.Match[str], _: Asked) -> str | None:
    text = match["text"].strip(" \"'“”:")
    return _sentence(text) if text else None


def _told(match: re.Match[str], _: Asked) -> str:
    thing, value = match["thing"], match["value"].rstrip(" .!")
    if thing.lower() == "name":
        return f"Nice to meet you, {value}!"
    return f"I will remember that your {thing} is {value}."


def _recalled(match: re.Match[str], asked: Asked) -> str:
    thing = match["thing"]
    for turn in reversed(asked.prompt.history[:-1]):
        told = re.search(_TOLD, turn.text, re.IGNORECASE) if turn.role == "user" else None
        if told and told["thing"].lower() == thing.lower():
            return f"Your {thing} is {told['value'].rstrip(' .!')}."
    return f"You have not told me your {thing}."


# Time


def _clock(_: re.Match[str], asked: Asked) -> str:
    hour = asked.now.hour % 12 or 12
    return f"It is {hour}:{asked.now:%M} {'AM' if asked.now.hour < 12 else 'PM'}."


def _date(match: re.Match[str], asked: Asked) -> str:
    away = {"tomorrow": 1, "yesterday": -1}.get((match["when"] or "today").lower(), 0)
    day = asked.now + timedelta(days=away)
    lead = {1: "Tomorrow is", 0: "Today is", -1: "Yesterday was"}[away]
    return f"{lead} {day:%A}, {day:%B} {day.day}, {day.year}."


def _weekday(match: re.Match[str], _: Asked) -> str:
    at = [day.lower() for day in _DAYS].index(match["day"].lower())
    step = 1 if match["side"].lower() in ("after", "follows") else -1
    return f"{_DAYS[(at + step) % 7]} comes {'after' if step == 1 else 'before'} {_DAYS[at]}."


def _week(_: re.Match[str], __: Asked) -> str:
    return f"There are seven days in a week: {', '.join(_DAYS[:-1])} and {_DAYS[-1]}."


# Knowing


def _arithmetic(_: re.Match[str], asked: Asked) -> str | None:
    found = find_sum(asked.said)
    if found is None:
        return None
    if found.by_zero:
        return f"I can't work out {found.spoken}: nothing can be divided by zero."
    if found.value is None:
        return f"{found.spoken} is more than I can work out."
    return f"{found.spoken} is {say(found.value)}."


def _capital(match: re.Match[str], _: Asked) -> str:
    asked = match["country"].lower().removeprefix("the ")
    for country, city in _CAPITALS.items():
        if asked == country.lower().removeprefix("the "):
            return f"The capital of {country} is {city}."
    return f"I don't know the capital of {match['country']}. I only know a few."


def _counted(match: re.Match[str], _: Asked) -> str | None:
    found = numbers(match["number"])
    if not found or found[0] < 1:
        return None
    last = min(int(found[0]), 20)
    row = ", ".join(map(str, range(1, last + 1)))
    return f"{row}." if last == found[0] else f"{row}. I stop at {last}."


def _spelled(match: re.Match[str], _: Asked) -> str:
    word = match["word"][:30]
    return f"{word} is spelled {', '.join(word.upper())}."


def _joke(_: re.Match[str], asked: Asked) -> str:
    return _JOKES[asked.turns_taken % len(_JOKES)]


def _fixed(text: str) -> Rule:
    return lambda _match, _asked: text


_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CAPITALS: Final = {
    "Argentina": "Buenos Aires",
    "Australia": "Canberra",
    "Austria": "Vienna",
    "Belgium": "Brussels",
    "Brazil": "Brasilia",
    "Canada": "Ottawa",
    "China": "Beijing",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "England": "London",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Greece": "Athens",
    "India": "New Delhi",
    "Indonesia": "Jakarta",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Mexico": "Mexico City",
    "the Netherlands": "Amsterdam",
    "New Zealand": "Wellington",
    "Nigeria": "Abuja",
    "Norway": "Oslo",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Russia": "Moscow",
    "South Korea": "Seoul",
    "Spain": "Madrid",
    "Sweden": "Stockholm",
    "Switzerland": "Bern",
    "Turkey": "Ankara",
    "Ukraine": "Kyiv",
    "the United Kingdom": "London",
    "the United States": "Washington, D.C.",
}
_JOKES: Final = (
    "Why did the packet cross the network? Because the route told it to.",
    "I would tell you a joke about UDP, but you might not get it.",
    "There are ten kinds of people: those who count in binary, and those who don't.",
    "Why was the microphone so calm? It took everything as input.",
    "Why do programmers mix up Halloween and Christmas? Because oct 31 is dec 25.",
)
_TOLD: Final = r"\b(?:my (?P<thing>\w+(?: \w+)?) is(?! it\b)) (?P<value>[^.?!,]{1,60})(?![^?]*\?)"
_HELP: Final = (
    "I can repeat what you say, tell the time and the date, do sums, name capitals, spell, count, "
    "and call the functions you declare."
)
_WHO: Final = (
    "I am the sandbox of rtcli, an offline stand-in for the Realtime API. "
    "I follow simple rules, and I am no language model."
)
_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (r"^\[speech [\d.]+ s\]$", _fixed("I heard you, but without the speech engine I can't make out the words.")),
    (r"\b(?:repeat after me|say(?: exactly| the words?)?|repeat)\b[,:]? (?P<text>.+)$", _say),
    (r"\bwhat(?:'s| is) my (?P<thing>\w+(?: \w+)?)\b", _recalled),
    (_TOLD, _told),
    (r"\b(?:time is it|what time|the time)\b", _clock),
    (r"\bwhat (?:day|weekday) (?:comes |is )?(?P<side>after|before|follows) (?P<day>\w+day)\b", _weekday),
    (r"\bdays (?:of|in|are in) (?:the|a) week\b", _week),
    (r"\bwhat(?:'s| is| day| date)\b.*\b(?:day|date)\b(?:.*\b(?P<when>today|tomorrow|yesterday)\b)?", _date),
    (r"\bcapital(?: city)? of (?P<country>[a-z ]+[a-z])", _capital),
    (r"\bcount (?:up )?(?:from (?:1|one) )?to (?P<number>[\w ]+)", _counted),
    (r"\bspell(?: the word)? (?P<word>[a-z]+)", _spelled),
    (r"", _arithmetic),
    (r"\bjoke\b|\bmake me laugh\b", _joke),
    (r"\bweather\b|\bforecast\b", _fixed("I can't see the weather from here: I am offline.")),
    (r"\bwho are you\b|\bwhat are you\b|\byour name\b", _fixed(_WHO)),
    (r"\bwhat can you do\b|^help\b", _fixed(_HELP)),
    (r"\bhow are you\b", _fixed("I am fine, thank you. How are you?")),
    (r"\bcan you hear me\b", _fixed("Yes, I can hear you.")),
    (r"\b(?:thanks|thank you)\b", _fixed("You are welcome!")),
    (r"\b(?:goodbye|good-bye|bye|see you)\b", _fixed("Goodbye!")),
    (r"^(?:hello|hi|hey|good (?:morning|afternoon|evening))\b", _fixed("Hello! How can I help?")),
)


# What no rule knows

_MIRROR: Final = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "am": "are",
    "i'm": "you're",
    "i've": "you've",
    "i'll": "you'll",
    "you": "I",
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "you're": "I'm",
}
_TURNED: Final = (
    (r"^i (?P<verb>need|want|like|love|hate|think|believe|feel|wish) (?P<rest>.+)", "Why do you {verb} {rest}?"),
    (r"^i(?:'m| am) (?P<rest>.+)", "How long have you been {rest}?"),
    (r"^(?:can|could|would|will) you (?:please )?(?P<rest>.+)", "I can't {rest}: I am only an offline stand-in."),
    (r"^(?:what|who|where|when|why|how)\b", "I don't know that. I am only an offline stand-in."),
)


def _reflected(said: str) -> str:
    plain = said.rstrip(" .!?")
    if not plain:
        return "I did not catch that."
    for pattern, form in _TURNED:
        if match := re.match(pattern, plain, re.IGNORECASE):
            return form.format(**{name: _mirrored(text) for name, text in match.groupdict().items()})
    return f"You said: {_sentence(plain)}"


def _mirrored(text: str) -> str:
    return " ".join(_MIRROR.get(word.lower(), word) for word in text.split())


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _spoken_output(output: str) -> str:
    """What a function gave back, as a sentence: JSON members become "name: value"."""
    try:
        value = json.loads(output)
    except ValueError:
        value = output
    text = _spoken(value, depth=0)
    return _sentence(text[:_LONGEST]) if text else "It is done."


def _spoken(value: Any, *, depth: int) -> str:
    if depth > 3:
        return "and more"
    if isinstance(value, dict):
        members = ((str(name).replace("_", " "), _spoken(one, depth=depth + 1)) for name, one in value.items())
        return ", ".join(f"{name}: {one}" for name, one in members)
    if isinstance(value, list):
        return ", ".join(_spoken(one, depth=depth + 1) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value is None else str(value).strip()
