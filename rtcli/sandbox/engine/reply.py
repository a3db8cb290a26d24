"""The head: an answer by rules, deterministic for a given prompt and time. Pure.

It calls a declared function when the words ask for it (`functions`), speaks out what a function gave back, and
otherwise answers by the first rule that knows something to say (`rules`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from rtcli.sandbox.engine.base import FunctionCall, Prompt, Turn
from rtcli.sandbox.engine.functions import wanted
from rtcli.sandbox.engine.rules import Asked, answered, sentence


_LONGEST: Final = 2_000
"""Characters of an utterance, or of a function's output, that are looked at."""
_WORDS: Final = 12
"""In one clause, at the most."""
_ALONE: Final = 3
"""Words that may stand before a comma as a clause of their own."""
_DEEPEST: Final = 3
"""Levels of a function's output that are read out."""


def answer(prompt: Prompt, *, now: datetime) -> Iterator[str | FunctionCall]:
    """One function call, or the clauses of a text."""
    call = wanted(prompt)
    if call is not None:
        yield call
        return
    yield from clauses(_text(prompt, now))


def clauses(text: str) -> Iterator[str]:
    """The text in pieces of one to twelve words, so that a voice can begin early; joined they are the text.

    Cut after punctuation; what is still too long is cut into pieces of about the same length.
    """
    waiting: list[str] = []
    for word in re.findall(r"\s*\S+\s*", text):
        waiting.append(word)
        mark = word.rstrip().rstrip("\"')\u201d\u2019")[-1:]
        if mark in _ENDS or (mark in _BREAKS and len(waiting) >= _ALONE):
            yield from _short(waiting)
            waiting = []
    yield from _short(waiting)


_ENDS: Final = (".", "!", "?", "\u2026")
_BREAKS: Final = (",", ";", ":")


def _short(words: list[str]) -> Iterator[str]:
    pieces = -(-len(words) // _WORDS)
    for piece in range(pieces):
        begin, end = (len(words) * at // pieces for at in (piece, piece + 1))
        yield "".join(words[begin:end])


def _text(prompt: Prompt, now: datetime) -> str:
    """With nothing said yet the instructions are what is answered, as in a greeting asked for by `response.create`."""
    last = prompt.history[-1] if prompt.history else Turn("system", prompt.instructions)
    if last.role == "tool":
        given = list(takewhile(lambda turn: turn.role == "tool", reversed(prompt.history)))
        return " ".join(_read_out(turn.text[:_LONGEST]) for turn in reversed(given))
    said = " ".join(last.text[:_LONGEST].replace("\u2019", "'").split())
    return answered(Asked(said, last.role, prompt, now))


def _read_out(output: str) -> str:
    """What a function gave back, as a sentence: the members of a JSON object become "name: value"."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        value = output
    text = _spoken(value, 0)
    return sentence(text) if text else "It is done."


def _spoken(value: Any, depth: int) -> str:
    if isinstance(value, (dict, list)) and depth == _DEEPEST:
        return "and more"
    if isinstance(value, dict):
        return ", ".join(f"{str(name).replace('_', ' ')}: {_spoken(one, depth + 1)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_spoken(one, depth + 1) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value is None else " ".join(str(value).split())
