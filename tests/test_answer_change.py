"""Outcomes beside accuracy, and what an exchange of one step's result should give."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_core.data.answer_change import answer_change
from steer_core.data.expectation import expected_answer
from steer_core.data.generate import generate_twins
from steer_core.data.problems import Pair, Problem

numbers = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5))
NAMES = ("rose", "fell", "stayed", "lost_number")


def _named(*arguments) -> set[str]:
    change = answer_change(*arguments)
    return {name for name in change.__slots__ if getattr(change, name)}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((5, 7, 9), {"rose"}),
        ((5, 3, 9), {"fell"}),
        ((5, 5.0, 9), {"stayed"}),
        ((None, None, 9), {"stayed"}),
        ((5, None, 9), {"lost_number"}),
        ((None, 5, 9), {"lost_number"}),
        ((5, 9, 9), {"rose", "to_twin"}),
        ((None, 9, 9), {"lost_number", "to_twin"}),
        ((9, 9, 9), {"stayed"}),
        ((5, 4, 9, 4), {"fell", "to_expected"}),
        ((4, 4, 9, 4), {"stayed"}),
        ((5, 9, 9, 9), {"rose", "to_twin", "to_expected"}),
        ((5, None, 9, None), {"lost_number"}),
    ],
)
def test_outcomes_by_example(arguments: tuple, names: set[str]):
    assert _named(*arguments) == names


@given(numbers, numbers, numbers, numbers)
def test_one_of_rose_fell_stayed_and_lost_holds(own, steered, twin, expected):
    names = _named(own, steered, twin, expected)
    assert len(names & set(NAMES)) == 1
    assert not ("stayed" in names and names & {"to_twin", "to_expected"})


def test_rows_are_classified_at_once():
    change = answer_change([1, 2, np.nan], [2, 2, 2], [2, 3, 2])
    assert change.rose.tolist() == [True, False, False]
    assert change.to_twin.tolist() == [True, False, True]
    assert not change.to_expected.any()


def _pair(clean: tuple[str, ...], corrupted: tuple[str, ...]) -> Pair:
    problems = [Problem("?", int(c[-1][2:-2].split("=")[1]), c) for c in (clean, corrupted)]
    return Pair(0, *problems)


def test_an_exchanged_step_carries_on_with_the_clean_numbers():
    pair = _pair(
        ("<<3*4=12>>", "<<12+5=17>>", "<<17-12=5>>"), ("<<6*4=24>>", "<<24+5=29>>", "<<29-24=5>>")
    )
    assert expected_answer(pair, 1) == 5  # both operands follow
    assert expected_answer(pair, 2) == 17  # 29 - 12
    assert expected_answer(pair, 3) == 5


def test_an_exchange_before_the_changed_step_changes_nothing():
    pair = _pair(("<<3*4=12>>", "<<12+5=17>>"), ("<<3*4=12>>", "<<12+9=21>>"))
    assert pair.changed_step == 2
    assert expected_answer(pair, 1) == 17
    assert expected_answer(pair, 2) == 21


def test_a_number_of_the_question_is_no_result_that_happens_to_be_equal():
    pair = _pair(("<<3+2=5>>", "<<5*5=25>>"), ("<<4+2=6>>", "<<6*5=30>>"))
    assert expected_answer(pair, 1) == 30


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_at_the_changed_step_and_at_the_last_the_twins_answer_is_expected(seed):
    for pair in islice(generate_twins(seed), 3):
        assert pair.changed_step is not None
        assert expected_answer(pair, pair.clean.steps) == pair.corrupted.answer
        for step in range(1, pair.changed_step):
            assert expected_answer(pair, step) == pair.clean.answer


def test_what_cannot_be_worked_out_is_not_expected():
    assert expected_answer(Pair(0, Problem("?", 1), Problem("?", 2)), 1) is None
    short = _pair(("<<1+1=2>>",), ("<<1+2=3>>",))
    assert expected_answer(short, 0) is expected_answer(short, 2) is None
    assert expected_answer(_pair(("<<1+3=4>>",), ("<<1*3=3>>",)), 1) is None
    half = _pair(("<<2+2=4>>", "<<4/2=2>>"), ("<<3+2=5>>", "<<5/1=5>>"))
    assert expected_answer(half, 1) is None  # 5 / 2 is no whole number
