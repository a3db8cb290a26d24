"""Outcomes as a JUnit file, the form that CI systems read. Pure.

One `testsuite` with one `testcase` for the call itself and one for each expectation; what is unmet is a `failure`,
what broke the call an `error`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from rtcli.protocol.expectations import Outcome


SUITE = "rtcli send"


def junit(outcomes: Sequence[Outcome], error: str | None, *, seconds: float, began: datetime) -> str:
    """The file's text. `error`: what ended the call, when that was not an expectation."""
    failed = sum(not outcome.met for outcome in outcomes)
    counts = f'tests="{len(outcomes) + 1}" failures="{failed}" errors="{int(error is not None)}" skipped="0"'
    time = f'time="{seconds:.3f}"'
    cases = [_case("the call", time, None if error is None else ("error", error))]
    cases += [_case(each.name, 'time="0.000"', None if each.met else ("failure", each.instead)) for each in outcomes]
    head = f'<testsuite name="{SUITE}" {counts} {time} timestamp="{began:%Y-%m-%dT%H:%M:%S}">'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {counts} {time}>", head, *cases]
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def _case(name: str, time: str, bad: tuple[str, str] | None) -> str:
    head = f'<testcase classname="rtcli.send" name={_attribute(name)} {time}'
    if bad is None:
        return f"{head}/>"
    element, why = bad
    return f"{head}><{element} message={_attribute(why)}>{escape(_clean(why))}</{element}></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _clean(text: str) -> str:
    """Without what XML 1.0 can not carry in any way (section 2.2): most control characters, surrogates, U+FFFE."""
    return "".join(c if _is_xml(ord(c)) else "\ufffd" for c in text)


def _is_xml(code: int) -> bool:
    return code in {0x9, 0xA, 0xD} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
