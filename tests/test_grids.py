"""How rows are cut into batches, and in what order a chart's cells come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.experiment.grid import cells_in_order
from steer_core.steering.grids import Grid, grids_of, packed, parts_of

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[int], int]:
    """Rows of some questions in any order, tokens of every question, a limit."""
    tokens = draw(lengths)
    several = draw(st.lists(st.integers(0, len(tokens) - 1), max_size=30))
    return list(enumerate(several)), tokens, draw(st.integers(1, 12))


def given_rows(grid: Grid) -> list[tuple[int, int]]:
    return [
        (row, question)
        for question, rows in zip(grid.questions, grid.rows, strict=True)
        for row in rows
    ]


# --- batches -------------------------------------------------------------------------------------


@given(case=cases(), in_order=st.booleans())
def test_every_row_is_in_one_batch_with_its_own_question(case: tuple, in_order: bool):
    rows, tokens, limit = case
    grids = grids_of(rows, tokens, limit, in_order)
    assert sorted(row for grid in grids for row in given_rows(grid)) == sorted(rows)
    assert all(all(grid.rows) for grid in grids)


@given(case=cases(), in_order=st.booleans())
def test_no_batch_is_larger_than_allowed_filling_included(case: tuple, in_order: bool):
    rows, tokens, limit = case
    for grid in grids_of(rows, tokens, limit, in_order):
        assert grid.size <= len(grid.questions) * max(map(len, grid.rows)) <= limit


@given(case=cases(), in_order=st.booleans())
def test_no_batch_could_have_taken_the_next_question(case: tuple, in_order: bool):
    rows, _, limit = case
    for grid, after in pairwise(packed(list(parts_of(rows, limit, in_order)), limit)):
        widest = max(len(some) for some in (*grid.rows, after.rows[0]))
        assert (len(grid.questions) + 1) * widest > limit


@given(
    questions=st.integers(1, 60),
    width=st.integers(1, 13),
    limit=st.integers(13, 80),
    at_once=st.integers(1, 4),
)
def test_workers_get_even_shares(questions: int, width: int, limit: int, at_once: int):
    rows = list(enumerate(q for q in range(questions) for _ in range(width)))
    grids = grids_of(rows, [5] * questions, limit, True, at_once)
    fewest = -(-questions // (limit // width))
    assert len(grids) <= -(-fewest // at_once) * at_once
    sizes = {len(grid.questions) for grid in grids[:-1]} or {questions}
    assert len(sizes) == 1
    assert len(grids[-1].questions) <= max(sizes)


def test_even_shares_by_example():
    rows = list(enumerate(q for q in range(24) for _ in range(13)))
    assert [len(g.questions) for g in grids_of(rows, [5] * 24, 150, True, 1)] == [8, 8, 8]
    assert [len(g.questions) for g in grids_of(rows, [5] * 24, 150, True, 2)] == [6, 6, 6, 6]


@given(case=cases(), in_order=st.booleans(), at_once=st.integers(1, 3))
def test_even_shares_cost_no_batch(case: tuple, in_order: bool, at_once: int):
    rows, tokens, limit = case
    fewest = len(grids_of(rows, tokens, limit, in_order))
    found = grids_of(rows, tokens, limit, in_order, at_once)
    assert len(found) <= -(-fewest // at_once) * at_once


@given(case=cases())
def test_in_order_rows_come_as_they_are_given(case: tuple):
    rows, tokens, limit = case
    found = [pair for grid in grids_of(rows, tokens, limit, True) for pair in given_rows(grid)]
    assert found == rows


def test_a_chart_is_coarse_first():
    """All coarse alphas of a half of the problems are in batches before any fine one."""
    cells = [(0, a) for a in range(7)]
    where = list(cells_in_order(cells, 10, seed=0))
    rows = [(i, p) for i, (_, _, p) in enumerate(where)]
    flat = [row for grid in grids_of(rows, [5] * 10, 15, True) for row, _ in given_rows(grid)]
    fine = next(i for i, row in enumerate(flat) if where[row][1] % 2 == 1 and where[row][0] == 0)
    coarse = {where[row] for row in flat[:fine]}
    assert {(c, a) for c, a, _ in coarse} == {(-1, -1), (0, 0), (0, 2), (0, 4), (0, 6)}
    assert len({p for _, _, p in coarse}) == 5


@given(case=cases())
def test_else_questions_of_like_row_count_and_length_sit_together(case: tuple):
    rows, tokens, limit = case
    parts = [
        (len(some), tokens[question])
        for grid in grids_of(rows, tokens, limit, False)
        for question, some in zip(grid.questions, grid.rows, strict=True)
    ]
    assert parts == sorted(parts)


def test_batches_by_example():
    rows = list(enumerate([2, 0, 2, 1, 2, 2, 2]))
    assert grids_of(rows, [5, 9, 1], 4, True) == [
        Grid((2, 0, 2, 1), ((0,), (1,), (2,), (3,))),
        Grid((2,), ((4, 5, 6),)),
    ]
    assert grids_of(rows, [9, 5, 1], 4, False) == [
        Grid((2, 1, 0), ((6,), (3,), (1,))),
        Grid((2,), ((0, 2, 4, 5),)),
    ]


@given(case=cases())
def test_halves_share_out_the_rows(case: tuple):
    rows, tokens, limit = case
    for grid in grids_of(rows, tokens, limit, True):
        if grid.size == 1:
            continue
        low, high = grid.halves()
        assert given_rows(low) + given_rows(high) == given_rows(grid)
        assert min(low.size, high.size) > 0
        if len(grid.questions) == 1:
            assert abs(low.size - high.size) <= 1


# --- a chart's cells -----------------------------------------------------------------------------


@given(
    curves=st.integers(0, 3),
    alphas=st.integers(1, 5),
    problems=st.integers(0, 7),
    seed=st.integers(0, 5),
)
def test_cells_come_once_each_coarse_ones_first(curves: int, alphas: int, problems: int, seed: int):
    cells = [(c, a) for c in range(curves) for a in range(alphas)]
    order = list(cells_in_order(cells, problems, seed))
    wanted = {(c, a, p) for c, a in [*cells, (-1, -1)] for p in range(problems)}
    assert len(order) == len(wanted)
    assert set(order) == wanted

    half = (problems + 1) // 2
    even, odd = (sum(a % 2 == r for _, a in cells) for r in (0, 1))
    first, second = order[: half * (even + 1)], order[half * (even + 1) :][: half * odd]
    chosen = {p for _, _, p in first}
    assert len(chosen) == half
    assert all(c == -1 or a % 2 == 0 for c, a, _ in first)
    assert all(a % 2 and p in chosen for _, a, p in second)
    assert all(p not in chosen for _, _, p in order[len(first) + len(second) :])


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_of_a_problem_are_neighbours_so_that_they_share_a_batch(seed: int):
    cells = [(0, a) for a in range(5)]
    problems = [p for _, _, p in cells_in_order(cells, 4, seed)]
    changes = sum(a != b for a, b in pairwise(problems))
    assert changes == 2 + 2 + 2 - 1  # two problems in each of three parts
