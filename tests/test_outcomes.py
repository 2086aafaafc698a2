"""What a row is called, and how a run is cut into units."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from made_up_runs import plan

from steer_core.pipeline.outcomes import FLIPS, SCORES, flip_of, outcome, pack, unpack
from steer_core.pipeline.records import Question
from steer_core.pipeline.units import BASELINES, layout_of
from steer_core.steering.decode import Decoded


@pytest.mark.parametrize(
    ("base", "answer", "name"),
    [
        (5, 5, ""),
        (None, None, ""),
        (9, 9, ""),
        (5, None, "no number"),
        (8, None, "no number"),
        (8, 5, "wrong to right"),
        (None, 5, "wrong to right"),
        (5, 9, "to twin"),
        (8, 9, "to twin"),
        (None, 9, "to twin"),
        (5, 8, "right to wrong"),
        (8, 7, "other number"),
        (9, 7, "other number"),
        (None, 7, "other number"),
        (5, 5.0, ""),
    ],
)
def test_flips_have_one_name_each(base: int | None, answer: int | None, name: str):
    assert FLIPS[flip_of(answer, base, Question("?", gold=5, twin=9))] == name


def test_whole_numbers_count_to_the_last_digit_unless_one_was_rounded():
    large = 2**60 + 1
    asked = Question("?", gold=large, twin=float(2**61))
    assert FLIPS[flip_of(large, 5, asked)] == "wrong to right"
    assert FLIPS[flip_of(large - 1, large, asked)] == "right to wrong"
    assert FLIPS[flip_of(2**61 + 1, 5, asked)] == "to twin"  # a gold that a file had as a float
    assert flip_of(large, float(large), asked) == 0  # the store keeps answers as floats


def test_where_both_twins_have_one_answer_it_is_the_right_one():
    assert FLIPS[flip_of(5, 8, Question("?", gold=5, twin=5))] == "wrong to right"
    assert FLIPS[flip_of(8, 5, Question("?", gold=5, twin=5))] == "right to wrong"


def test_a_row_without_scores_has_none():
    decoded = Decoded("?", (1, 2), "The answer is: 5", 5, 3)
    found = outcome(decoded, Question("?", 5, 9), None, dose=0.5)
    assert (found.correct, FLIPS[found.flip]) == (True, "wrong to right")
    named = dict(zip(SCORES, found.scores.tolist(), strict=True))
    assert named.pop("dose") == 0.5
    assert all(math.isnan(value) for value in named.values())


def test_scores_are_stored_to_the_last_bit():
    scores = np.random.default_rng(0).normal(size=(3, len(SCORES))).astype(np.float32)
    scores[1, 2] = np.nan
    assert np.array_equal(unpack([pack(row) for row in scores]), scores, equal_nan=True)
    assert unpack([]).shape == (0, len(SCORES))


@pytest.mark.parametrize("rows", [1, 3, 10, 1000])
def test_units_hold_every_cell_of_every_question_once(rows: int):
    run = plan(layers=(1, 2, 3), alphas=(-1.0, 0.0, 1.0, 2.0), masks=((1,), (2, 3)))
    layout = layout_of(run, 50, rows)
    chunks = [chunk for group in layout.groups for chunk in group]
    assert sorted(q for chunk in chunks for q in chunk) == list(range(50))
    cells = [cell for block in layout.blocks for cell in block]
    assert cells == list(range(1, len(run.cells)))
    for block in layout.blocks:
        assert len({run.cells[cell][1].layer for cell in block}) == 1
    widest = max(map(len, layout.blocks))
    assert widest <= rows
    assert max(map(len, chunks)) * widest <= rows
    assert max(sum(map(len, group)) for group in layout.groups) <= max(BASELINES, rows)
    assert layout_of(run, 50, rows) == layout


def test_an_edit_of_two_labels_is_decoded_once():
    run = plan(labels=("mean_difference", "mean_difference"))
    assert len(run.cells) == 1 + 2 * 2 * 2
    layout = layout_of(run, 3, 100)
    assert sorted(cell for block in layout.blocks for cell in block) == [1, 2, 5, 6]


def test_the_seed_orders_the_questions():
    orders = set()
    for seed in range(5):
        run = plan(pairs=20)
        run = dataclasses.replace(run, spec=dataclasses.replace(run.spec, seed=seed))
        layout = layout_of(run, 20, 4)
        orders.add(tuple(q for group in layout.groups for chunk in group for q in chunk))
    assert len(orders) == 5
