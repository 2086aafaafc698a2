"""The grid of stored rows is that of their table, read from SQLite or from Parquet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import batch, plan

from steer_core import UserError
from steer_core.analysis.cells import Cells, Grid
from steer_core.analysis.grid import build_grid
from steer_core.pipeline import rows as stored_rows
from steer_core.pipeline.outcomes import FLIPS, NOT_FINITE, SCORES
from steer_core.pipeline.rows import file_of
from steer_core.pipeline.store import FILE, Store

LABELS = ("mean_difference", "random-0", "random-10", "shuffled-3", "random-1@other")


def made(**options):
    """A run of two directions, with controls of both, of one, and in an order of their own."""
    return plan(pairs=7, labels=LABELS, alphas=(2.0, -1.0, 0.0), **options)


def written(path: Path, run, keep, change=lambda row, cell, pair: row) -> int:
    """A run of which these (cell, pair) are stored."""
    with Store(path) as store:
        ids = store.begin(run)
        for pair in range(len(run.questions)):
            rows = batch(run, ids, pair)
            kept = [change(row, c, pair) for c, row in enumerate(rows) if keep(c, pair)]
            store.write(ids, kept)
        return ids.run


def scored(row, name: str, value: float):
    scores = row.outcome.scores.copy()
    scores[SCORES.index(name)] = value
    return dataclasses.replace(row, outcome=dataclasses.replace(row.outcome, scores=scores))


def overflowed(row, cell: int, pair: int):
    if cell == 3 and pair == 2:
        return dataclasses.replace(row, outcome=dataclasses.replace(row.outcome, flip=NOT_FINITE))
    if cell == 5 and pair == 1:
        return scored(row, "shift", np.nan)
    return scored(row, "kl", np.inf) if (cell, pair) == (0, 4) else row


WHOLE = {"keep": lambda cell, pair: True}
CASES = {
    "whole": WHOLE,
    "pairs are missing": {"keep": lambda cell, pair: pair < 5 or cell < 4},
    "a curve is missing": {"keep": lambda cell, pair: cell != 7},
    "an unedited row is missing": {"keep": lambda cell, pair: cell or pair},
    "numbers overflowed": {**WHOLE, "change": overflowed},
}


def same_cells(found: Cells, wanted: Cells, answers: bool) -> None:
    names = ("correct", "answer", "state", "flip") if answers else ("correct", "answer")
    for name in names:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
    assert list(found.measured) == list(wanted.measured)
    for name, values in found.measured.items():
        np.testing.assert_array_equal(values.astype(float), wanted.measured[name], name)


def same(found: Grid, wanted: Grid) -> None:
    for name in ("names", "coverage"):
        assert getattr(found, name) == getattr(wanted, name), name
    for name in ("alphas", "clusters", "twins"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
    same_cells(found.baseline, wanted.baseline, answers=True)
    same_cells(found.real, wanted.real, answers=True)
    assert list(found.controls) == list(wanted.controls)
    for kind, cells in found.controls.items():
        same_cells(cells, wanted.controls[kind], answers=False)


def of_table(store: Store, run: int, expected: int | None = None) -> Grid:
    table = store.table(run)
    return build_grid(table[table["flip"] != FLIPS[NOT_FINITE]], expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("finished", [False, True])
def test_it_is_the_grid_of_the_table(tmp_path: Path, monkeypatch, case: str, finished: bool):
    monkeypatch.setattr(stored_rows, "GROUP", 10)  # a cell comes in two parts
    run = made()
    twice = dataclasses.replace(
        run, questions=(*run.questions, run.questions[1]), pair_ids=(*run.pair_ids, 9)
    )
    for each in (run, twice):
        number = written(tmp_path / FILE, each, **CASES[case])
        with Store(tmp_path / FILE) as store:
            if finished:
                store.finish(number)
            assert file_of(tmp_path, number).exists() is finished
            same(store.grid(number), of_table(store, number))
            same(store.grid(number, 999), of_table(store, number, 999))


def test_what_cannot_be_judged_says_why(tmp_path: Path):
    for keep, words in (
        (lambda cell, pair: cell == 0, "holds no edited row"),
        (lambda cell, pair: cell, "holds no edited row"),
        (lambda cell, pair: False, "holds no edited row"),
    ):
        number = written(tmp_path / FILE, made(masks=((1, 2 + len(words)),)), keep)
        with Store(tmp_path / FILE) as store:
            with pytest.raises(UserError, match=words):
                store.grid(number)
            with pytest.raises(UserError, match=words):
                of_table(store, number)
        (tmp_path / FILE).unlink()


def test_a_file_that_no_longer_fits_is_passed_over(tmp_path: Path):
    number = written(tmp_path / FILE, made(), **WHOLE)
    with Store(tmp_path / FILE) as store:
        before = store.table(number)
        store.finish(number)
        assert store.table(number).equals(before)
        with store._database.transaction() as db:
            db.execute("DELETE FROM results WHERE question = 3")
        assert len(store.table(number)) < len(before)
        file_of(tmp_path, number).write_bytes(b"no parquet")
        assert len(store.table(number)) < len(before)
