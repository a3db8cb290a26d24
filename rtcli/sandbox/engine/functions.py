"""Does the utterance ask for a declared function, and with which arguments? By words, without understanding. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from rtcli.sandbox.engine.arithmetic import numbers
from rtcli.sandbox.engine.base import FunctionCall, Prompt


_COMMON: Final = (
    "a about all an and any are as at be by call can check current do does find for from function get give has have "
    "how i if in into is it its list look make me my new of on or our please return returns run set show specified "
    "tell that the their them this to tool up use used user using value was we what when where which who will with "
    "you your given some one information"
)
"""Words that say nothing about which function is meant."""


def wanted(prompt: Prompt) -> FunctionCall | None:
    """The call to make before anything is said; None for an answer in words."""
    last = prompt.history[-1] if prompt.history else None
    tools = {str(tool["name"]): tool for tool in prompt.tools if isinstance(tool.get("name"), str)}
    if last is None or last.role == "tool" or not tools or prompt.tool_choice == "none":
        return None
    said = last.text[:_LONGEST]
    if prompt.tool_choice in tools:
        return _call(tools[prompt.tool_choice], said)
    scores = {name: _score(tool, said) for name, tool in tools.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= _ENOUGH or prompt.tool_choice == "required":
        return _call(tools[best], said)
    return None


_ENOUGH: Final = 1.0
_LONGEST: Final = 2_000
"""Characters of an utterance or a description that are looked at."""


def _score(tool: Mapping[str, Any], said: str) -> float:
    """1 and more when the words ask for it: half of the name's words, or one of them and the description's."""
    heard = _stems(said)
    name = _stems(_apart(tool["name"]))
    described = _stems(str(tool.get("description") or "")[:_LONGEST]) - name
    hits = len(name & heard)
    if tool["name"].lower() in said.lower():
        return 3.0
    share = 2 * hits / len(name) if name else 0.0
    return share + 0.5 * min(len(described & heard), 3) * bool(hits) + 0.3 * len(described & heard)


def _apart(name: str) -> str:
    """`getStockPrice`, `get_stock_price`: "get stock price"."""
    return re.sub(r"[_-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower()


def _stems(text: str) -> set[str]:
    words = set(re.findall(r"[a-z]+", text.lower())) - set(_COMMON.split())
    return {re.sub(r"(?:ings?|ed|es|s|e)$", "", word) if len(word) > 4 else word for word in words}


def _call(tool: Mapping[str, Any], said: str) -> FunctionCall:
    schema = tool.get("parameters")
    found = _Arguments(said, _stems(_apart(tool["name"]))).of(schema if isinstance(schema, dict) else {})
    return FunctionCall(tool["name"], found)


_LINKS: Final = (
    (r"location|city|place|country|town|address|where|destination", "in near at to for of"),
    (r"^to$|recipient|person|contact|who|attendee|guest|people|name", "to with for called named"),
    (r"body|message|text|content|note|comment", "saying that reading"),
    (r"title|label|subject|topic", "called named titled about on"),
    (r"time|hour", "at by around"),
    (r"query|search|term|keyword|question", "for about by"),
    (r"symbol|company|product|item|artist|author|language", "of by from into for"),
)
"""Which words announce which parameter, the likelier first."""
_ALL_LINKS: Final = "in near at for to of with by about called named saying that from on into"
_FREE: Final = "saying that reading called named titled"
"""After these everything belongs to the phrase; other phrases end where the next one begins."""
_AFTERTHOUGHT: Final = r"(?:,? (?:please|today|tomorrow|tonight|now|right now))+$"
_REQUEST: Final = ("call", "use", "run", "the", "a", "me", "up")
_DAY: Final = r"\b(?:today|tomorrow|yesterday|tonight|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
_NO: Final = r"\b(?:off|no|not|don't|without|disable|stop)\b"
_MOST: Final = 32
"""Parameters that are looked at."""
_DEEPEST: Final = 3


class _Arguments:
    """Takes arguments out of one utterance; each number and each phrase is used once."""

    def __init__(self, said: str, function: set[str]) -> None:
        self._said = " ".join(said.split()).rstrip(".!?")
        self._function = function
        self._numbers = numbers(said)
        self._quoted: list[str] = re.findall(r"[\"\u201c](.+?)[\"\u201d]", self._said)
        self._used: set[str] = set()

    def of(self, schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """Arguments for an object's schema; what was not said is left out unless it is required."""
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict) or depth > _DEEPEST:
            return {}
        found = {}
        for name, given in list(properties.items())[:_MOST]:
            one = given if isinstance(given, dict) else {}
            needed = isinstance(required, list) and name in required
            value = self._value(name, one, needed=needed, depth=depth)
            if value is None and needed:
                value = self._filler(one)
            if value is not None:
                found[name] = value
        return found

    def _value(self, name: str, schema: Mapping[str, Any], *, needed: bool, depth: int) -> Any:
        if isinstance(schema.get("enum"), list):
            return self._choice(schema["enum"])
        match schema.get("type"):
            case "integer" | "number" as kind:
                return self._number(name, kind)
            case "boolean":
                return not re.search(_NO, self._said, re.IGNORECASE)
            case "object":
                return self.of(schema, depth + 1) or None
            case "array":
                text = self._phrase(name, needed=needed)
                return re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if text else None
            case _:
                return self._phrase(name, needed=needed)

    def _choice(self, options: list[Any]) -> Any:
        """The enumerated word that was said."""
        said = self._said.lower()
        return next((one for one in options if re.search(rf"\b{re.escape(_apart(str(one)))}\b", said)), None)

    def _number(self, name: str, kind: str) -> int | float | None:
        if not self._numbers:
            return None
        value = self._numbers.pop(0) * self._unit(name)
        return int(value) if kind == "integer" else float(value)

    def _unit(self, name: str) -> int:
        """Five minutes for a parameter in seconds are 300."""
        seconds = {"second": 1, "minute": 60, "hour": 3600}
        asked = next((length for unit, length in seconds.items() if unit in name.lower()), None)
        told = next((length for unit, length in seconds.items() if unit in self._said.lower()), None)
        return told // asked if asked and told and told >= asked else 1

    def _phrase(self, name: str, *, needed: bool) -> str | None:
        """A day for a date; what was quoted; what the parameter's own words announce; for a required one anything."""
        if re.search(r"date|day|when", name, re.IGNORECASE) and (day := re.search(_DAY, self._said, re.IGNORECASE)):
            return str(day[0])
        if self._quoted:
            return self._quoted.pop(0)
        links = next((links for pattern, links in _LINKS if re.search(pattern, name, re.IGNORECASE)), "")
        announced = self._after([*_apart(name).split(" ")[-1:], *links.split()])
        return announced or ((self._after(_ALL_LINKS.split()) or self._rest()) if needed else None)

    def _after(self, links: list[str]) -> str | None:
        """The first unused phrase, not a bare number, that one of these words announces."""
        for link in links:
            end = r"$" if link in _FREE.split() else rf"(?= (?:{_ALL_LINKS.replace(' ', '|')}) |$)"
            for match in re.finditer(rf"\b{re.escape(link)} (.+?){end}", self._said, re.IGNORECASE):
                text = re.sub(_AFTERTHOUGHT, "", match[1], flags=re.IGNORECASE).strip(" ,")
                if text and text not in self._used and not (numbers(text) and " " not in text):
                    self._used.add(text)
                    return text
        return None

    def _rest(self) -> str | None:
        """What was said without the words before and of the request: "Please play some jazz" has "some jazz"."""
        words = re.sub(r"^(?:please |can you |could you |would you )+", "", self._said, flags=re.IGNORECASE).split(" ")
        while words and (words[0].lower() in _REQUEST or _stems(words[0]) & self._function):
            words.pop(0)
        return " ".join(words) or None

    def _filler(self, schema: Mapping[str, Any]) -> Any:
        """For a required parameter that was not said: its default, its first choice, or nothing of its type."""
        if "default" in schema:
            return schema["default"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        empty: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
        kind = schema.get("type")
        return empty.get(kind, "") if isinstance(kind, str) else ""
