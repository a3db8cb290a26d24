"""The JUnit file is XML whatever stands in it, and says what happened."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.expectations import Outcome
from rtcli.terminal.junit import junit


BEGAN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def read(text: str) -> ET.Element:
    return ET.fromstring(text.encode())


def test_each_expectation_is_a_case_beside_the_call_itself() -> None:
    outcomes = [Outcome("--expect error", met=True), Outcome("--expect-audio", met=False, instead="silence came")]
    suites = read(junit(outcomes, None, seconds=1.5, began=BEGAN))
    (suite,) = suites
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "time", "timestamp")}
    assert counts == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "time": "1.500",
        "timestamp": "2026-01-31T12:00:00",
    }
    assert [case.get("name") for case in suite] == ["the call", "--expect error", "--expect-audio"]
    (failure,) = suite[2]
    assert (failure.tag, failure.get("message"), failure.text) == ("failure", "silence came", "silence came")


def test_what_broke_the_call_is_an_error() -> None:
    suite = read(junit([], "no connection", seconds=0.1, began=BEGAN))[0]
    assert suite.get("errors") == "1"
    assert suite[0][0].tag == "error"
    assert suite[0][0].get("message") == "no connection"


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_hostile_text_stays_text(text: str) -> None:
    suite = read(junit([Outcome(text, met=False, instead=text)], text, seconds=0, began=BEGAN))[0]
    assert len(suite) == 2
    plain = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if text.isprintable() and text == plain:
        assert suite[1].get("name") == text
        assert (suite[1][0].text or "") == text
