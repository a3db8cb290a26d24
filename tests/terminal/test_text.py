from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.terminal.text import safe, safe_lines


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x00b\x07c\x08d\x7fe", "a\\x00b\\x07c\\x08d\\x7fe"),
        ("\u202eevil\u202c", "\\u202eevil\\u202c"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("one\r\ntwo\n\nthree", "one two three"),
        ("tab\there", "tab\\x09here"),
    ],
)
def test_what_could_command_a_terminal_is_written_out(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


@pytest.mark.parametrize("text", ["Grüße", "你好", "👩‍👩‍👧 family", "שלום", "a  b"])
def test_ordinary_text_of_any_language_is_left_alone(text: str) -> None:
    assert safe(text) == text


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    for line in [safe(text), *safe_lines(text)]:
        line.encode("utf-8")
        assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F or c in "\u202e\u2028\u2029" for c in line)


def test_lines_stay_lines_and_tabs_become_spaces() -> None:
    assert safe_lines("a\tb\r\nc\x1b\rd") == ["a   b", "c\\x1b", "d"]
