"""Sums in words or digits: "two plus three", "12 x 7", "fifteen percent of eighty". Pure.

Exact (fractions), usual precedence, bounded: what a microphone or a stranger can say must not keep the machine busy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import isqrt, sqrt
from typing import Final

from rtcli.records import dataclass


_ONES: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS: Final = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS: Final = {
    **{word: n for n, word in enumerate(f"{_ONES} {_TEENS}".split())},
    **{word: 10 * n for n, word in enumerate(_TENS.split(), 2)},
}
_SCALES: Final = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_DIGITS: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TOKEN: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|[a-z']+|[-+*/^%=]")
_LONGEST: Final = 15
"""Digits of a number."""
_MOST_TERMS: Final = 20
_LARGEST: Final = 10**15

_PHRASES: Final = (
    (r"(?<=[a-z])-(?=[a-z])", " "),
    (r"[\u00d7\u2715]|(?<=\d)\s*x\s*(?=\d)|\b(?:multiplied by|times)\b", " * "),
    (r"\u00f7|\b(?:divided by|over)\b", " / "),
    (r"[\u2212\u2013]|\b(?:minus|less|take away)\b", " - "),
    (r"\bplus\b", " + "),
    (r"\bto the power(?: of)?\b", " ^ "),
    (r"\bsquared\b", " ^ 2 "),
    (r"\bcubed\b", " ^ 3 "),
    (r"\bper ?cent\b", " % "),
    (r"\bhalf of\b", " 1 / 2 * "),
    (r"\b(?:twice|double)\b", " 2 * "),
    (r"\b(?:add|sum of) (.+?) (?:and|to) ", r" \1 + "),
    (r"\b(?:multiply|product of) (.+?) (?:and|by|with) ", r" \1 * "),
    (r"\bdivide (.+?) by ", r" \1 / "),
    (r"\bsubtract (.+?) from (.+)", r" \2 - \1 "),
    (r"\bdifference between (.+?) and ", r" \1 - "),
)
_SPOKEN: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by", "^": "to the power of", "%": "percent of"}
_STRENGTH: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum found in an utterance."""

    spoken: str
    """`2 plus 3`."""
    value: Fraction | None
    """None when it divides by zero or leaves the bounds."""
    by_zero: bool = False


def find_sum(text: str) -> Sum | None:
    """The first sum with at least one operator in it."""
    tokens = _tokens(text)
    for start in range(len(tokens)):
        if tokens[start : start + 3] == ["square", "root", "of"]:
            return _root(_number(tokens, start + 3)[0])
        terms, signs = _chain(tokens, start)
        if signs:
            return _solved(terms, signs)
    return None


def numbers(text: str) -> list[Fraction]:
    """All the numbers said, in order."""
    tokens = _tokens(text)
    found, at = [], 0
    while at < len(tokens):
        value, after = _number(tokens, at)
        if value is not None:
            found.append(value)
        at = max(after, at + 1)
    return found


def say(value: Fraction) -> str:
    """`7`, `minus 7`, `0.25`, `about 0.3333`."""
    if value < 0:
        return f"minus {say(-value)}"
    if value.denominator == 1:
        return str(value.numerator)
    rounded = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return rounded if Fraction(rounded) == value else f"about {rounded}"


def _tokens(text: str) -> list[str]:
    text = text.lower()[:500]
    for pattern, sign in _PHRASES:
        text = re.sub(pattern, sign, text)
    return _TOKEN.findall(text)


def _chain(tokens: Sequence[str], at: int) -> tuple[list[Fraction], list[str]]:
    """Number, operator, number, ... from here on; as many operators as there are numbers after the first."""
    value, at = _operand(tokens, at)
    if value is None:
        return [], []
    terms, signs = [value], []
    while len(terms) < _MOST_TERMS:
        sign, after = _operator(tokens, at)
        value, after = _operand(tokens, after)
        if not sign or value is None:
            break
        signs.append(sign)
        terms.append(value)
        at = after
    return terms, signs


def _operator(tokens: Sequence[str], at: int) -> tuple[str, int]:
    sign = tokens[at] if at < len(tokens) else ""
    if sign == "%":
        return (sign, at + 2) if tokens[at + 1 : at + 2] == ["of"] else ("", at)
    return (sign, at + 1) if sign in _STRENGTH else ("", at)


def _operand(tokens: Sequence[str], at: int) -> tuple[Fraction | None, int]:
    """A number that may be negative."""
    negative = tokens[at : at + 1] in (["-"], ["negative"])
    value, after = _number(tokens, at + negative)
    return (-value if negative and value is not None else value), after


def _number(tokens: Sequence[str], at: int) -> tuple[Fraction | None, int]:
    """The number that begins at this token, in digits or words, and where it ends."""
    if at < len(tokens) and _DIGITS.fullmatch(tokens[at]):
        digits = tokens[at].replace(",", "")
        return (Fraction(digits) if len(digits) <= _LONGEST else None), at + 1
    total, group, begun = 0, 0, False
    while at < len(tokens):
        word = tokens[at]
        if word in _UNITS and (group % 10 == 0 or not begun) and (group % 100 == 0 or _UNITS[word] < 10):
            group += _UNITS[word]
        elif word == "hundred" and 0 < group < 10:
            group *= 100
        elif word in _SCALES and begun and group > 0:
            total, group = total + group * _SCALES[word], 0
        elif word == "a" and not begun and tokens[at + 1 : at + 2] in (["hundred"], ["thousand"], ["million"]):
            group = 1
        elif not (word == "and" and begun and _joins(tokens, at)):
            break
        begun, at = True, at + 1
    if not begun:
        return None, at
    return _with_decimals(Fraction(total + group), tokens, at)


def _joins(tokens: Sequence[str], at: int) -> bool:
    """The `and` of "a hundred and five", not that of "two and three"."""
    before, after = tokens[at - 1], tokens[at + 1 : at + 2]
    return (before == "hundred" or before in _SCALES) and bool(after) and after[0] in _UNITS


def _with_decimals(value: Fraction, tokens: Sequence[str], at: int) -> tuple[Fraction, int]:
    """The "point one four" of a number in words."""
    if tokens[at : at + 1] != ["point"]:
        return value, at
    end = at + 1
    while end < len(tokens) and end - at < 6 and _UNITS.get(tokens[end], 10) < 10:
        end += 1
    decimals = "".join(str(_UNITS[word]) for word in tokens[at + 1 : end])
    return (value + Fraction(int(decimals), 10 ** len(decimals)), end) if decimals else (value, at)


def _root(value: Fraction | None) -> Sum | None:
    if value is None:
        return None
    exact = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    return Sum(f"the square root of {say(value)}", exact if exact**2 == value else Fraction(sqrt(value)))


def _solved(terms: list[Fraction], signs: list[str]) -> Sum:
    spoken = say(terms[0]) + "".join(
        f" {_SPOKEN[sign]} {say(term)}" for sign, term in zip(signs, terms[1:], strict=True)
    )
    try:
        return Sum(spoken, _value(list(terms), list(signs)))
    except ZeroDivisionError:
        return Sum(spoken, None, by_zero=True)
    except OverflowError:
        return Sum(spoken, None)


def _value(terms: list[Fraction], signs: list[str]) -> Fraction:
    """Fold the strongest operators first; powers from the right, the others from the left."""
    for strength in (3, 2, 1):
        while any(_STRENGTH[sign] == strength for sign in signs):
            places = [at for at, sign in enumerate(signs) if _STRENGTH[sign] == strength]
            at = places[-1] if strength == 3 else places[0]
            terms[at : at + 2] = [_apply(signs.pop(at), terms[at], terms[at + 1])]
    return terms[0]


def _apply(sign: str, left: Fraction, right: Fraction) -> Fraction:
    match sign:
        case "+":
            value = left + right
        case "-":
            value = left - right
        case "*":
            value = left * right
        case "/":
            value = left / right
        case "%":
            value = left * right / 100
        case _:
            value = _power(left, right)
    if abs(value) > _LARGEST or value.denominator > _LARGEST:
        raise OverflowError
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > 64:
        raise OverflowError
    return Fraction(base ** int(exponent))
