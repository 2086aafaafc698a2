"""The answer rule of the official evaluation, and gold answers as files hold them."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.data.answers import extract_answer, format_number, parse_answer, same_number


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
        ("$12", 12),
        ("-$1,200.50", -1200.5),
        ("$-5", -5),
        ("€ 7", 7),
        ("12 %", 12),
        ("12%", 12),
        ("\N{MINUS SIGN}7", -7),
        ("1.5e3", 1500),
        ("1E3", 1000),
        (".5", 0.5),
        ("+3", 3),
        ("1,234,567", 1234567),
        ("#### 7", 7),
        ("He pays $3.\n#### 1,200", 1200),
        ("#### 5 then #### -7", -7),
        ("so 3 + 4 = 7. The answer is: 7.", 7),
        ("9007199254740993", 2**53 + 1),
        ("9,007,199,254,740,993", 2**53 + 1),
        (2**53 + 1, 2**53 + 1),
        (12345678901234567890123, 12345678901234567890123),
        (2.0**60, 2.0**60),
        (Decimal("1200.50"), 1200.5),
        (Decimal(2**53 + 1), 2**53 + 1),
        (np.int64(2**53 + 1), 2**53 + 1),
        (np.float32(2.5), 2.5),
        (Decimal("NaN"), None),
        ("", None),
        ("3,5", None),
        ("1,2345", None),
        ("12,34,567", None),
        ("0,500", None),
        ("1,200,", None),
        ("1/2", None),
        ("1 200", None),
        ("--3", None),
        ("-$-3", None),
        ("3-4", None),
        ("seven", None),
        ("####", None),
        ("#### 7 apples", None),
        ("None", None),
        ("0x10", None),
        ("1e999", None),
        ("9" * 400, None),
        (10**400, None),
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
        assert same_number(extract_answer(format_number(number)), number)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (7, 7.0, True),
        (2**53 + 1, 2**53 + 1, True),
        (2**53 + 1, 2**53, False),
        (1234567890123456789, 1.2345678901234568e18, True),
        (None, None, True),
        (None, 0, False),
        (0, None, False),
        (2.5, 2, False),
    ],
)
def test_answers_are_equal_to_the_last_digit_unless_one_was_rounded(one, other, same):
    assert same_number(one, other) is same


@given(st.integers(-(10**30), 10**30))
def test_a_whole_number_is_the_same_in_every_way_to_write_it(number):
    ways = [number, str(number), f"{number:,}", f"#### {number}", f"${number}", f"{number:,} %"]
    assert [parse_answer(way) for way in ways] == [number] * len(ways)
    assert extract_answer(f"The answer is: {number:,}.") == number


@given(st.text(alphabet="0123456789,.-$%# e/"))
def test_a_gold_answer_is_read_as_the_official_evaluation_reads_it_or_not_at_all(text):
    found = parse_answer(text)
    plain = text.rpartition("####")[2].strip(" $%").replace(",", "").replace("$", "").strip()
    assert found is None or float(found) == float(plain.rstrip("% ").replace("- ", "-"))


def test_numbers_are_written_without_an_empty_fraction():
    assert [format_number(value) for value in (12, 12.0, 2.5)] == ["12", "12", "2.5"]
