"""What the head knows to say: an ordered list of rules, each a pattern and a function from its match to a text. Pure.

It is a stand-in and says so. The order is the precedence: what was asked for word by word comes first (repeat, recall),
then facts, then courtesies; what no rule takes is turned back to the speaker, so that one hears what was understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from rtcli.records import dataclass
from rtcli.sandbox.engine.arithmetic import find_sum, numbers, say
from rtcli.sandbox.engine.base import Prompt


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule may look at besides its match."""

    said: str
    role: str
    """Whose words `said` are: `user`, or `system` when they are instructions."""
    prompt: Prompt
    now: datetime

    def earlier(self, role: str) -> Sequence[str]:
        """What was said before by one side, newest first."""
        return [turn.text for turn in reversed(self.prompt.history[:-1]) if turn.role == role and turn.text]


Rule = Callable[[re.Match[str], Asked], str | None]
"""None: this rule has nothing to say after all, try the next."""


def answered(asked: Asked) -> str:
    """The text of the first rule that has one."""
    for pattern, rule in _RULES:
        match = re.search(pattern, asked.said, re.IGNORECASE)
        if match and (text := rule(match, asked)):
            return text
    return _turned_back(asked.said) if asked.role == "user" else _HELLO


def sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _always(text: str) -> Rule:
    return lambda _match, _asked: text


# Repeating and remembering


def _said_again(match: re.Match[str], asked: Asked) -> str | None:
    text = match["text"].strip(" \"'\u201c\u201d:,")
    if re.fullmatch(r"(?:that|it|this|again|yourself)?(?: again)?(?:,? please)?[.?!]*", text, re.IGNORECASE):
        return _once_more(match, asked)
    return sentence(re.sub(r"[\"'\u201d]+(?=[.?!]?$)", "", text))


def _once_more(_: re.Match[str], asked: Asked) -> str:
    spoken = asked.earlier("assistant")
    return spoken[0] if spoken else "I have not said anything yet."


def _your_words(_: re.Match[str], asked: Asked) -> str:
    spoken = asked.earlier("user")
    return f"You said: {sentence(spoken[0])}" if spoken else "You have not said anything before that."


def _told(match: re.Match[str], _: Asked) -> str:
    thing, value = _fact(match)
    return f"Nice to meet you, {value}!" if thing == "name" else f"I will remember that your {thing} is {value}."


def _recalled(match: re.Match[str], asked: Asked) -> str:
    wanted = (match["thing"] or "name").lower()
    for text in asked.earlier("user"):
        told = re.search(_TOLD, text, re.IGNORECASE)
        if told and _fact(told)[0] == wanted:
            return f"Your {wanted} is {_fact(told)[1]}."
    return f"You have not told me your {wanted}."


def _fact(told: re.Match[str]) -> tuple[str, str]:
    return (told["thing"] or "name").lower(), told["value"].strip(" .!")


_THING: Final = r"(?P<thing>name|birthday|age|address|email|job|city|country|number|favou?rite \w+|\w+'s name)"
_TOLD: Final = rf"\b(?:my {_THING} is|call me|i am called) (?P<value>[^.?!,]+?)(?=[.!,]|$| and | but )"


# Time


def _time(match: re.Match[str], asked: Asked) -> str:
    hour = asked.now.hour % 12 or 12
    here = "On this machine it is" if match["place"] else "It is"
    return f"{here} {hour}:{asked.now:%M} {'AM' if asked.now.hour < 12 else 'PM'}."


def _date(_: re.Match[str], asked: Asked) -> str:
    away = {"tomorrow": 1, "yesterday": -1}
    shift = next((days for word, days in away.items() if word in asked.said.lower()), 0)
    day = asked.now + timedelta(days=shift)
    lead = {1: "Tomorrow is", 0: "Today is", -1: "Yesterday was"}[shift]
    return f"{lead} {day:%A}, {day:%B} {day.day}, {day.year}."


def _month_or_year(match: re.Match[str], asked: Asked) -> str:
    return f"It is {asked.now:%B}." if match["unit"].lower() == "month" else f"It is {asked.now.year}."


def _weekday(match: re.Match[str], _: Asked) -> str | None:
    day = match["day"].capitalize()
    if day not in _DAYS:
        return None
    side = match["side"].lower()
    return f"{_DAYS[(_DAYS.index(day) + (1 if side == 'after' else -1)) % 7]} comes {side} {day}."


_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEK: Final = f"There are seven days in a week: {', '.join(_DAYS[:-1])} and {_DAYS[-1]}."


# Knowing


def _sum(_: re.Match[str], asked: Asked) -> str | None:
    found = find_sum(asked.said)
    if found is None:
        return None
    if found.by_zero:
        return f"I can't work out {found.spoken}: nothing can be divided by zero."
    if found.value is None:
        return f"I can't work out {found.spoken}."
    return sentence(f"{found.spoken} is {say(found.value)}")


def _capital(match: re.Match[str], _: Asked) -> str:
    asked = match["country"].lower().removeprefix("the ")
    for country, city in _CAPITALS.items():
        if asked == country.lower().removeprefix("the "):
            return sentence(f"the capital of {country} is {city}")
    return f"I don't know the capital of {match['country']}: I only know a few."


def _counted(match: re.Match[str], _: Asked) -> str | None:
    found = [int(one) for one in numbers(match[0])]
    if not found:
        return None
    begin, end = (found[0], 1) if match["down"] else ((found[0] if len(found) > 1 else 1), found[-1])
    step = 1 if begin <= end else -1
    last = end if abs(end - begin) < _MOST_COUNTED else begin + step * (_MOST_COUNTED - 1)
    row = ", ".join(map(str, range(begin, last + step, step)))
    return f"{row}." if last == end else f"{row}, and so on."


def _spelled(match: re.Match[str], _: Asked) -> str:
    word = match["word"][:_LONGEST_SPELLED]
    return f"{word.capitalize()} is spelled {', '.join(word.upper())}."


def _joke(_: re.Match[str], asked: Asked) -> str:
    """The next one that was not told yet; the number of answers so far would skip some and repeat others."""
    told = asked.earlier("assistant")
    return next((joke for joke in _JOKES if joke not in told), _JOKES[len(told) % len(_JOKES)])


_MOST_COUNTED: Final = 30
_LONGEST_SPELLED: Final = 30
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
    "the United States": "Washington",
}
_JOKES: Final = (
    "Why was the microphone so calm? It took everything as input.",
    "I would tell you a joke about UDP, but you might not get it.",
    "There are ten kinds of people: those who count in binary, and those who don't.",
    "Why did the packet cross the network? Because the route told it to.",
    "What did the loudspeaker say to the microphone? Stop repeating everything I say.",
)
_STORY: Final = (
    "At the end of a long pier stood a lighthouse, and in the lighthouse lived a keeper who never spoke. "
    "Every evening he climbed the stairs, lit the lamp, and listened to the sea. "
    "One night a small boat lost its way in the fog, and the lamp was too weak to reach it. "
    "So the keeper opened the window and, for the first time in years, he shouted. "
    "His voice went out over the water, the boat turned, and the people on it came home. "
    "Since then he says good evening to everybody who walks along the pier."
)
_ABLE: Final = (
    "I can repeat what you say, tell the time and the date, do sums, name capitals, count, spell, "
    "tell a joke or a story, and call the functions you declare."
)
_SELF: Final = (
    "I am the sandbox of rtcli, an offline stand-in for the Realtime API. "
    "I follow simple rules, and I am no language model."
)
_HELLO: Final = "Hello! How can I help?"
_UNDO: Final = "I can't do that: I am only an offline stand-in, and no function for it was declared."

_SAY: Final = (
    r"^(?:\w+, )?(?:please )?(?:(?:can|could|would|will) you )?(?:please )?(?:just |only |always )?"
    r"(?:say|repeat)\b(?: exactly| only| just| the words?| the sentence)*[,:]? ?(?P<text>.*)$"
)
_WHICH_DAY: Final = (
    r"\b(?:what|which)(?:'s| is)? (?:the )?(?:(?:current|today's|tomorrow's|yesterday's) )?(?:day|date)\b"
    r"|\bwhat(?:'s| is) (?:today|tomorrow)\b|\btell me the date\b"
)
_DO: Final = (
    r"^(?:please )?(?:set|turn|switch|play|send|read|remind|book|open|close|call|order|buy|search|show|find|sing"
    r"|write|translate|start|add|create|delete|flip|roll)\b"
)
_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (r"^\[speech [\d.]+ s\]$", _always("I heard you, but without the speech engine I can't make out the words.")),
    (r"\brepeat after me\b[,:.]? (?P<text>.+)$", _said_again),
    (_SAY, _said_again),
    (r"^(?:answer|reply|respond)\b[^.]*?(?: with|:|exactly|only) [\"'\u201c](?P<text>[^\"\u201d]+)", _said_again),
    (r"\bwhat (?:did you|have you|you) (?:just )?sa(?:y|id)\b|^(?:pardon|sorry\?|come again|once more)", _once_more),
    (r"\bwhat (?:did i|have i) (?:just )?sa(?:y|id)\b", _your_words),
    (rf"\b(?:what(?:'s| is| was)|remember|know|tell me) my {_THING}\b|^who am i\b", _recalled),
    (_TOLD, _told),
    (r"\b(?:what time|what's the time|what is the time|tell me the time)\b(?:.* (?P<place>in [A-Z]\w+))?", _time),
    (r"\b(?:comes?|is|day)(?: right)? (?P<side>after|before) (?P<day>\w+day)\b", _weekday),
    (r"\bdays\b.*\bweek\b", _always(_WEEK)),
    (r"\b(?:what|which)(?:'s| is)? (?:the )?(?:current )?(?P<unit>month|year)(?: is| are|[?.]|$)", _month_or_year),
    (_WHICH_DAY, _date),
    (r"\bcapital(?: city)? of (?P<country>[a-z ]*[a-z])", _capital),
    (r"\bcount (?P<down>down|backwards?)?.*", _counted),
    (r"\bspell(?: the word)? (?P<word>[a-z]+)", _spelled),
    (r"", _sum),
    (r"\bjoke\b|\bmake me laugh\b", _joke),
    (r"\bstory\b", _always(_STORY)),
    (r"\b(?:weather|forecast|rain|raining|sunny|snow)\b", _always("I can't see the weather from here: I am offline.")),
    (r"\b(?:who|what|how old|where) are you\b|\byour (?:name|age)\b|\bwho made you\b", _always(_SELF)),
    (r"\bare you (?:an? )?(?:robot|human|real|bot|ai|machine|person|computer|program)", _always(_SELF)),
    (r"\bwhat can you do\b|^help\b", _always(_ABLE)),
    (r"\bdo you speak\b", _always("I only speak English.")),
    (r"\bhow are you\b|\bhow do you do\b", _always("I am fine, thank you. How are you?")),
    (r"\b(?:can|do) you hear me\b", _always("Yes, I can hear you.")),
    (r"\b(?:goodbye|good-bye|bye|see you|good night)\b", _always("Goodbye!")),
    (r"\bhave a (?:nice|good)\b", _always("Thank you, and the same to you!")),
    (r"\b(?:thanks|thank you)\b", _always("You are welcome!")),
    (r"^(?:hello|hi|hey|good (?:morning|afternoon|evening)|greet)\b", _always(_HELLO)),
    (r"^(?:stop|wait|hold on|quiet|be quiet|never mind)\b", _always("All right.")),
    (r"^(?:yes|no|okay|ok|sure|right|fine|yeah|nope)\b[.!]?$", _always("All right. What else?")),
    (_DO, _always(_UNDO)),
    (r"\[image\]", _always("I have your picture, but I can't see what is on it: I am only an offline stand-in.")),
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
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "you're": "I'm",
}
_TURNED: Final = (
    (
        r"^i (?P<verb>need|want|like|love|hate|think|believe|feel|wish|hope) (?P<rest>.+)",
        "Why do you {verb} {rest}?",
    ),
    (r"^i(?:'m| am) (?P<rest>.+)", "How long have you been {rest}?"),
    (r"^(?:can|could|would|will) you (?:please )?(?P<rest>.+)", "I can't {rest}: I am only an offline stand-in."),
    (
        r"^(?:what|who|whose|where|when|why|how|which|is|are|do|does|did|was|were|has|have|should|can)\b",
        "You asked: {said}? I can't answer that: I am only an offline stand-in.",
    ),
)


def _turned_back(said: str) -> str:
    plain = said.rstrip(" .!?")
    if not plain:
        return "I did not catch that."
    for pattern, form in _TURNED:
        if match := re.match(pattern, plain, re.IGNORECASE):
            parts = {name: _mirrored(text) for name, text in match.groupdict().items()}
            return form.format(said=plain, **parts)
    return f"You said: {sentence(said)}"


def _mirrored(text: str) -> str:
    """Seen from the other side; "you" is "me" at the end and "I" before a verb."""
    words = " ".join(_MIRROR.get(word.lower(), word) for word in text.split())
    words = re.sub(r"\byou are\b", "I am", words) if "you are" in text.lower() else words
    return re.sub(r"\byou$", "me", words) if text.lower().endswith("you") else words
