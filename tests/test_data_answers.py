"""The answer rule of the official evaluation, and gold answers as files hold them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.data.answers import extract_answer, format_number, parse_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is: 18", 18),
        ("16 - 3 = 13, so 13 * 2 = 26.", 26),
        ("It costs $1,200.", 1200),
        ("2.50 dollars", 2.5),
        ("2.0", 2),
        ("minus -7", -7),
        ("3-4", -4),
        ("1, 2", 2),
        ("1,2", 12),
        ("none at all", None),
        ("", None),
        ("-", None),
        ("9" * 400, None),
    ],
)
def test_the_answer_is_the_last_number(text, answer):
    found = extract_answer(text)
    assert found == answer
    assert type(found) is type(answer)


@given(st.text())
def test_any_text_has_an_answer_or_none(text):
    found = extract_answer(text)
    assert found is None or math.isfinite(found)


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc $.?\n"))
def test_a_number_after_any_words_is_found(number, words):
    assert extract_answer(f"{words} {number:,}") == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (7.0, 7),
        (7.5, 7.5),
        ("1,200", 1200),
        (" -3.5 ", -3.5),
        ("12.", 12),
        ("", None),
        ("18 dollars", None),
        ("1_000", None),
        ("nan", None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([3], None),
    ],
)
def test_gold_answers_are_one_finite_number(value, number):
    found = parse_answer(value)
    assert found == number
    assert type(found) is type(number)


@given(st.integers() | st.floats(-1e15, 1e15))
def test_a_number_survives_being_written_and_read(number):
    assert parse_answer(number) == number
    if isinstance(number, int) or "e" not in repr(number):
        assert extract_answer(format_number(number)) == float(number)


def test_numbers_are_written_without_an_empty_fraction():
    assert [format_number(value) for value in (12, 12.0, 2.5)] == ["12", "12", "2.5"]
