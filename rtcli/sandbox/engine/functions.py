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
    if prompt.tool_choice in tools:
        return _call(tools[prompt.tool_choice], last.text)
    scores = {name: _score(tool, last.text) for name, tool in tools.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= _ENOUGH or prompt.tool_choice == "required":
        return _call(tools[best], last.text)
    return None


_ENOUGH: Final = 1.0


def _score(tool: Mapping[str, Any], said: str) -> float:
    """1 and more when the words ask for it: half of the name's words, or one of them and one of the description's."""
    heard = _stems(said)
    name = _stems(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tool["name"]).replace("_", " "))
    described = _stems(str(tool.get("description") or "")) - name
    hits = len(name & heard)
    if tool["name"].lower() in said.lower():
        return 3.0
    share = 2 * hits / len(name) if name else 0.0
    return share + 0.5 * min(len(described & heard), 3) * bool(hits) + 0.3 * len(described & heard)


def _stems(text: str) -> set[str]:
    words = set(re.findall(r"[a-z]+", text.lower())) - set(_COMMON.split())
    return {re.sub(r"(?:ings?|ed|es|s|e)$", "", word) if len(word) > 4 else word for word in words}


def _call(tool: Mapping[str, Any], said: str) -> FunctionCall:
    schema = tool.get("parameters")
    return FunctionCall(
        str(tool["name"]), _Arguments(said, tool["name"]).of(schema if isinstance(schema, dict) else {})
    )


class _Arguments:
    """Takes arguments out of one utterance; a number is used once."""

    def __init__(self, said: str, function: str) -> None:
        self._said = said.strip().rstrip(".!?")
        self._function = function
        self._numbers = numbers(said)

    def of(self, schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict) or depth > 3:
            return {}
        found = {}
        for name, one in list(properties.items())[:32]:
            value = self._value(name, one if isinstance(one, dict) else {}, depth)
            if value is None and isinstance(required, list) and name in required:
                value = self._filler(one if isinstance(one, dict) else {})
            if value is not None:
                found[name] = value
        return found

    def _value(self, name: str, schema: Mapping[str, Any], depth: int) -> Any:
        if isinstance(schema.get("enum"), list):
            return self._choice(schema["enum"])
        match schema.get("type"):
            case "integer" | "number" as kind:
                return self._number(name, kind)
            case "boolean":
                return not re.search(r"\b(?:off|no|not|don't|without|disable|stop)\b", self._said, re.IGNORECASE)
            case "object":
                return self.of(schema, depth + 1) or None
            case "array":
                text = self._phrase(name)
                return re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if text else None
            case _:
                return self._phrase(name)

    def _choice(self, options: list[Any]) -> Any:
        """The enumerated word that was said."""
        said = self._said.lower()
        return next((one for one in options if str(one).lower().replace("_", " ") in said), None)

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

    def _phrase(self, name: str) -> str | None:
        """What was quoted, else a word of time for a parameter of time, else what follows a preposition."""
        if quoted := re.search(r"[\"“](.+?)[\"”]", self._said):
            return quoted[1]
        if re.search(r"date|day|when", name, re.IGNORECASE):
            day = re.search(r"\b(?:today|tomorrow|yesterday|tonight|\w+day)\b", self._said, re.IGNORECASE)
            return day[0] if day else None
        told = re.search(rf"\b{re.escape(name.replace('_', ' '))} (?:is |to |of )?(.+)", self._said, re.IGNORECASE)
        after = told or re.search(r"\b(?:in|at|near|for|to|from|about|called|named|saying)\s+(.+)", self._said)
        return re.sub(r"\s+(?:today|tomorrow|tonight|now|please|right now)$", "", after[1]) if after else None

    def _filler(self, schema: Mapping[str, Any]) -> Any:
        """For a required parameter that was not said: its default, its first choice, or what was said as a whole."""
        if "default" in schema:
            return schema["default"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        empty: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
        kind = schema.get("type")
        return empty.get(kind, self._said) if isinstance(kind, str) else self._said
