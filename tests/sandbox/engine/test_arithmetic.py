from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.sandbox.engine.arithmetic import find_sum, numbers, say


@pytest.mark.parametrize(
    ("text", "spoken", "value"),
    [
        ("What is two plus three?", "2 plus 3", "5"),
        ("what's 12 times 7", "12 times 7", "84"),
        ("12 x 7", "12 times 7", "84"),
        ("12\u00d77", "12 times 7", "84"),
        ("what is twenty-one divided by three", "21 divided by 3", "7"),
        ("10 minus 4 minus 3", "10 minus 4 minus 3", "3"),
        ("two plus three times four", "2 plus 3 times 4", "14"),
        ("two to the power of three to the power of two", "2 to the power of 3 to the power of 2", "512"),
        ("fifteen percent of 80", "15 percent of 80", "12"),
        ("15% of 80", "15 percent of 80", "12"),
        ("one hundred and five minus six", "105 minus 6", "99"),
        ("two thousand three hundred plus a hundred", "2300 plus 100", "2400"),
        ("1,200 plus 34", "1200 plus 34", "1234"),
        ("three point one four times two", "3.14 times 2", "6.28"),
        ("minus three plus five", "minus 3 plus 5", "2"),
        ("seven minus ten", "7 minus 10", "minus 3"),
        ("What is the square root of sixteen?", "the square root of 16", "4"),
        ("the square root of two", "the square root of 2", "about 1.4142"),
        ("ten divided by three", "10 divided by 3", "about 3.3333"),
        ("nine squared", "9 to the power of 2", "81"),
        ("half of nine", "1 divided by 2 times 9", "4.5"),
        ("add two and three", "2 plus 3", "5"),
        ("subtract four from ten", "10 minus 4", "6"),
        ("the product of six and seven", "6 times 7", "42"),
    ],
)
def test_a_sum_is_found_and_solved(text: str, spoken: str, value: str) -> None:
    found = find_sum(text)
    assert found is not None
    assert found.value is not None
    assert (found.spoken, say(found.value)) == (spoken, value)


@pytest.mark.parametrize("text", ["hello", "I have two cats and three dogs", "one two three", "the plus side", "", "+"])
def test_no_sum_is_invented(text: str) -> None:
    assert find_sum(text) is None


def test_division_by_zero_is_named() -> None:
    found = find_sum("what is 5 divided by 0")
    assert found is not None
    assert (found.value, found.by_zero) == (None, True)


@pytest.mark.parametrize("text", ["9 to the power of 999999999", "999999999999 times 999999999999", "2 ^ 0.5"])
def test_what_leaves_the_bounds_has_no_value(text: str) -> None:
    found = find_sum(text)
    assert found is not None
    assert (found.value, found.by_zero) == (None, False)


def test_numbers_in_words_and_digits_come_in_order() -> None:
    assert [int(one) for one in numbers("five minutes, 12 eggs and two hundred and six ships")] == [5, 12, 206]


@given(st.integers(0, 999_999), st.integers(0, 999))
def test_digits_add_up(left: int, right: int) -> None:
    found = find_sum(f"what is {left} plus {right}")
    assert found is not None
    assert found.value == left + right


@given(st.text(max_size=80))
def test_any_text_is_survived(text: str) -> None:
    find_sum(text)
    numbers(text)
