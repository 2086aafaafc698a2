"""Counts kept as rows are written are those of the rows, whoever writes or deletes them."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from made_up_runs import batch, fill, made_up, plan
from stored_fixture import unpack

from steer_core.pipeline.outcomes import NOT_FINITE, SAME
from steer_core.pipeline.store import FILE, Store
from steer_core.pipeline.tallies import ROWS_OF_RUN, are_kept


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def counted(path: Path, run: int) -> dict[int, tuple[int, int, int, int]]:
    """What a run's rows come to, row by row, of edits that have any."""
    found: dict[int, list[int]] = {}
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(f"SELECT edit, correct, flip {ROWS_OF_RUN}", {"run": run}).fetchall()
    for edit, correct, flip in rows:
        finite = flip != NOT_FINITE
        step = (1, correct and finite, finite and flip != SAME, not finite)
        found[edit] = [a + int(b) for a, b in zip(found.get(edit, (0,) * 4), step, strict=True)]
    return {edit: tuple(counts) for edit, counts in found.items()}


def kept(path: Path, run: int) -> dict[int, tuple[int, int, int, int]]:
    query = "SELECT edit, rows, correct, flips, nonfinite FROM tallies WHERE run = ? AND rows"
    with closing(sqlite3.connect(path)) as db:
        return {edit: tuple(counts) for edit, *counts in db.execute(query, (run,))}


def test_tallies_are_those_of_the_rows_of_every_run(path: Path):
    wide, narrow = plan(pairs=5), plan(pairs=4, layers=(2,), alphas=(1.0,))
    twice = dataclasses.replace(
        narrow, questions=(*narrow.questions, narrow.questions[0]), pair_ids=(*"abcde",)
    )
    with Store(path) as store:
        begun = store.begin(wide)
        rows = batch(wide, begun, 0)
        broken = dataclasses.replace(rows[3].outcome, flip=NOT_FINITE)
        store.write(begun, [dataclasses.replace(rows[3], outcome=broken)])
        fill(store, narrow, questions=(0, 2))  # two of them are of the other run too
        fill(store, wide, questions=(0, 1))
        again = store.begin(twice)
        for run in (begun.run, again.run, store.begin(narrow).run):
            assert kept(path, run) == counted(path, run) != {}
        assert store.run(again.run).done == sum(n for n, *_ in counted(path, again.run).values())


def test_rows_that_somebody_deletes_or_changes_are_counted_out(path: Path):
    with Store(path) as store:
        run = fill(store, plan(pairs=4)).run
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM results WHERE (question + edit) % 2")
        db.execute("UPDATE results SET correct = 1 - correct")
    assert kept(path, run) == counted(path, run)
    with Store(path, create=False) as store:
        assert 0 < store.run(run).done < store.run(run).total


def test_a_store_of_before_is_counted_and_gets_tallies_when_it_is_written(tmp_path: Path):
    path = unpack(tmp_path) / "run" / FILE
    with Store(path, create=False) as store:
        before, table = store.tally(1), store.table(1)
        assert store.run(1).done == len(table)
    with closing(sqlite3.connect(path)) as db:
        assert not are_kept(db)
    with Store(path) as store:
        store.begin(plan())
        assert store.tally(1).equals(before)
        assert store.table(1).equals(table)
    assert kept(path, 1) == counted(path, 1)


def test_what_a_store_of_before_says_is_found_and_not_stored_again(tmp_path: Path):
    path = unpack(tmp_path) / "run" / FILE
    with closing(sqlite3.connect(path)) as db:
        (ids, text), (count,) = (
            db.execute("SELECT token_ids, text FROM outputs").fetchone(),
            db.execute("SELECT COUNT(*) FROM outputs").fetchone(),
        )
    with Store(path) as store:
        begun = store.begin(made := plan(pairs=1))
        row = batch(made, begun, 0)[0]
        known = tuple(int(each) for each in ids.strip("[]").split(","))
        store.write(
            begun,
            [
                dataclasses.replace(
                    row, outcome=dataclasses.replace(row.outcome, token_ids=known, text=text)
                )
            ],
        )
        assert store.table(begun.run)["token_ids"].tolist() == [ids]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT COUNT(*) FROM outputs").fetchone() == (count,)


def test_outputs_of_one_hash_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("steer_core.pipeline.outputs.content_hash", lambda *_: 7)
    made = plan(pairs=3)
    with Store(path) as store:
        table = store.table(fill(store, made).run)
    for question in range(3):
        rows = table[table["question_index"] == question].sort_values(["layer", "alpha"])
        wanted = {made_up(question, edit).text for _, edit in made.cells}
        assert set(rows["text"]) == wanted
