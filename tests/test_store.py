"""The store: what is written is what is read, once, whole, and by any number of processes."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_runs import SETTING, batch, fill, made_up, plan
from statsmodels.stats.proportion import proportion_confint

from steer_core import UserError
from steer_core.pipeline import read_only
from steer_core.pipeline.outcomes import FLIPS, SCORES
from steer_core.pipeline.records import NO_EDIT, positions_text
from steer_core.pipeline.store import Store
from steer_core.pipeline.tables import COLUMNS, SUMMARY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


# --- the table -----------------------------------------------------------------------------------


def test_every_cell_comes_back_as_it_was_written(path: Path):
    made = plan(masks=((1, 2, 3), (2, 4)), labels=("mean_difference", "random-0", "shuffled-3"))
    with Store(path) as store:
        table = store.table(fill(store, made).run)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 3 * (1 + 2 * 2 * 3 * 2)
    seen = set()
    for row in table.itertuples(index=False):
        edit = next(
            edit
            for c, edit in made.cells
            if (edit.site, edit.layer, positions_text(edit.positions), edit.alpha)
            == (row.site, None if pd.isna(row.layer) else row.layer, row.positions, row.alpha)
            and (c < 0 or made.curves[c].direction == row.direction)
        )
        wanted = made_up(row.question_index, edit)
        assert row.text == wanted.text
        assert json.loads(row.token_ids) == list(wanted.token_ids)
        assert row.correct == wanted.correct
        assert row.flip == FLIPS[wanted.flip]
        assert np.array_equal([row.answer], [wanted.answer or np.nan], equal_nan=True) or (
            row.answer == wanted.answer
        )
        scores = np.array([getattr(row, name) for name in SCORES])
        assert np.array_equal(scores.astype(np.float32), wanted.scores)
        assert (row.gold, row.twin) == (10 + row.question_index, 20 + row.question_index)
        seen.add((row.question_index, edit))
    assert len(seen) == len(table)


def test_kinds_and_types(path: Path):
    with Store(path) as store:
        table = store.table(fill(store, plan(labels=("mean_difference", "shuffled-3"))).run)
    assert str(table.layer.dtype) == "Int64"
    assert set(table.kind) == {"baseline", "real", "shuffled"}
    base = table[table.kind == "baseline"]
    assert len(base) == 3
    assert base.layer.isna().all()
    assert set(base.site) == set(base.positions) == {""}
    assert (base.alpha == 0).all()
    assert not (table[table.kind != "baseline"].alpha == 0).any()
    assert table.pair_id.tolist() == table.question_index.tolist()


def test_a_site_without_layers_has_none(path: Path):
    with Store(path) as store:
        run = fill(store, plan(layers=(None,))).run
        assert store.table(run).layer.isna().all()
        assert set(store.summary(run).layer) == {None}


def test_a_question_that_comes_twice_is_stored_once_and_shown_twice(path: Path):
    made = plan(pairs=2)
    twice = dataclasses.replace(
        made, questions=(*made.questions, made.questions[0]), pair_ids=(5, "b", 7)
    )
    with Store(path) as store:
        ids = fill(store, twice, questions=(0, 1))
        table, record = store.table(ids.run), store.run(ids.run)
        assert set(store.summary(ids.run).n) == {3}
    assert record.done == record.total == 2 * len(made.cells)
    assert len(table) == 3 * len(made.cells)
    first = table[table.question_index == 0].drop(columns=["question_index", "pair_id"])
    again = table[table.question_index == 2].drop(columns=["question_index", "pair_id"])
    assert first.reset_index(drop=True).equals(again.reset_index(drop=True))
    assert set(table.pair_id) == {5, "b", 7}


def test_numbers_that_are_large_or_broken_survive(path: Path):
    made = plan(pairs=1)
    question = dataclasses.replace(made.questions[0], gold=10**22, twin=2.5)
    made = dataclasses.replace(made, questions=(question,))
    with Store(path) as store:
        table = store.table(fill(store, made).run)
    assert set(table.gold) == {1e22}
    assert set(table.twin) == {2.5}


def test_the_summary_counts_the_table(path: Path):
    made = plan(pairs=9, masks=((1, 2, 3), (2, 4)))
    with Store(path) as store:
        run = fill(store, made).run
        summary, table = store.summary(run), store.table(run)
    assert list(summary.columns) == [*SUMMARY, "positions"]
    keys = list(summary[["layer", "positions", "direction", "alpha"]].itertuples(index=False))
    assert [tuple(key) for key in keys] == [
        (layer, mask, label, alpha)
        for layer in (1, 2)
        for mask in ("1-3", "2,4")
        for label in ("mean_difference", "random-0")
        for alpha in (-1.0, 0.0, 1.0)
    ]
    for row in summary.itertuples(index=False):
        part = table[table.kind == "baseline"]
        if row.alpha:
            same = (table.layer == row.layer) & (table.positions == row.positions)
            part = table[same & (table.direction == row.direction) & (table.alpha == row.alpha)]
        assert row.n == len(part) == 9
        assert row.correct == part.correct.sum()
        assert row.flips == (part.flip != "").sum()
        counts = [(part.change == name).sum() for name in ("rose", "fell")]
        assert [row.rose, row.fell] == counts
        assert row.accuracy == pytest.approx(row.correct / 9)
        wanted = proportion_confint(row.correct, 9, 0.05, "wilson")
        assert (row.low, row.high) == pytest.approx(wanted, abs=1e-9)
    assert list(plan_summary(path).columns) == SUMMARY


def test_a_row_says_what_its_answer_does_beside_the_unedited_one(path: Path):
    with Store(path) as store:
        run = fill(store, plan(pairs=9)).run
        table, summary = store.table(run), store.summary(run)
    own = table[table.kind == "baseline"].set_index("question_index").answer
    counts = dict.fromkeys(("rose", "fell", "to_twin"), 0)
    for row in table.itertuples(index=False):
        before, now = own[row.question_index], row.answer
        none = [np.isnan(before), np.isnan(now)]
        kind = "stayed" if all(none) or before == now else "rose" if now > before else "fell"
        assert row.change == ("lost number" if any(none) and not all(none) else kind)
        counts["to_twin"] += now == row.twin != before
        counts["rose"] += row.change == "rose"
        counts["fell"] += row.change == "fell"
    assert {name: summary[name].sum() for name in counts} == counts
    assert min(counts["rose"], counts["fell"]) > 0


def test_before_the_unedited_answer_is_known_nothing_is_said_of_a_change(path: Path):
    made = plan(pairs=2)
    with Store(path) as store:
        ids = store.begin(made)
        store.write(ids, batch(made, ids, 0)[1:], seconds=0.5)
        table, summary = store.table(ids.run), store.summary(ids.run)
    assert table.change.isna().all()
    assert summary[["rose", "fell", "to_twin"]].to_numpy().sum() == 0


def plan_summary(path: Path) -> pd.DataFrame:
    with Store(path) as store:
        return store.summary(fill(store, plan()).run)


def test_an_unfinished_run_shows_what_there_is(path: Path):
    with Store(path) as store:
        ids = store.begin(plan())
        assert len(store.table(ids.run)) == 0
        assert list(store.table(ids.run).columns) == list(COLUMNS)
        assert set(store.summary(ids.run).n) == {0}
        assert store.summary(ids.run).accuracy.isna().all()
        fill(store, plan(), questions=(1,))
        assert set(store.table(ids.run).question_index) == {1}
        assert set(store.summary(ids.run).n) == {1}


# --- runs ----------------------------------------------------------------------------------------


def test_a_run_is_found_again_and_another_is_not_it(path: Path):
    with Store(path) as store:
        first = fill(store, plan(), questions=(0,))
        assert store.begin(plan()) == first
        others = [
            plan(alphas=(1.0,)),
            plan(pairs=2),
            plan(pair_ids="abc"),
            plan(setting=dataclasses.replace(SETTING, dtype="bfloat16")),
        ]
        for other in others:
            assert store.find(other) is None
            assert store.begin(other).run != first.run
        assert [record.id for record in store.runs()] == [1, 2, 3, 4, 5]
        assert store.find(plan()) == store.runs()[0]


def test_what_a_run_says_of_itself(path: Path):
    made = plan(layers=(None,), masks=((1, 2), (4,)))
    with Store(path) as store:
        run = fill(store, made, questions=(0, 2)).run
        record = store.run(run)
        assert (record.spec, record.curves) == (made.spec, made.curves)
        assert record.provenance == made.provenance
        assert (record.done, record.total) == (2 * len(made.cells), 3 * len(made.cells))
        assert record.finished is None
        assert record.seconds == 1.0
        store.finish(run)
        assert store.run(run).finished >= record.started
        with pytest.raises(UserError, match="run 9 is not among the 1 runs"):
            store.table(9)


def test_overlapping_runs_share_rows(path: Path):
    wide, narrow = plan(), plan(layers=(2,), alphas=(1.0,))
    with Store(path) as store:
        fill(store, wide)
        record = store.run(store.begin(narrow).run)
        assert record.done == record.total == 3 * 3
        table = store.table(record.id)
        assert len(table) == 9
        fill(store, narrow)
        (count,) = sqlite3.connect(path).execute("SELECT COUNT(*) FROM results").fetchone()
        assert count == 3 * len(wide.cells)


def test_a_setting_of_its_own_has_rows_of_its_own(path: Path):
    changed = {
        "model_sha256": "cd" * 32,
        "latents": 5,
        "dtype": "bfloat16",
        "device": "cuda",
        "max_new_tokens": 9,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(SETTING)}
    with Store(path) as store:
        fill(store, plan())
        for name, value in changed.items():
            other = plan(setting=dataclasses.replace(SETTING, **{name: value}))
            assert store.run(store.begin(other).run).done == 0, name


def test_what_is_stored_stays(path: Path):
    made = plan(pairs=1)
    with Store(path) as store:
        ids = fill(store, made)
        before = store.table(ids.run)
        rows = [
            dataclasses.replace(row, outcome=dataclasses.replace(row.outcome, text="other"))
            for row in batch(made, ids, 0)
        ]
        store.write(ids, rows)
        pd.testing.assert_frame_equal(store.table(ids.run), before)


def test_texts_are_stored_once(path: Path):
    with Store(path) as store:
        table = store.table(fill(store, plan(pairs=30)).run)
        (count,) = sqlite3.connect(path).execute("SELECT COUNT(*) FROM outputs").fetchone()
    assert count == len(table[["text", "token_ids"]].drop_duplicates()) < len(table) / 2


def test_what_is_stored_of_a_question_can_be_asked(path: Path):
    made = plan()
    with Store(path) as store:
        ids = store.begin(made)
        assert store.baselines(ids.setting, ids.questions) == {}
        rows = [row for row in batch(made, ids, 1) if row.edit == ids.edits[0]]
        store.write(ids, rows)
        asked = ids.questions[1]
        assert store.edits_of(ids.setting, asked) == {ids.edits[0]}
        assert store.baselines(ids.setting, [asked, 99]) == {asked: rows[0].outcome.answer}
        fill(store, made)
        wanted = {q: made_up(i, NO_EDIT).answer for i, q in enumerate(ids.questions)}
        assert store.baselines(ids.setting, ids.questions) == wanted
        assert store.baselines(ids.setting + 1, ids.questions) == {}


def test_in_memory_it_is_the_same(path: Path):
    with Store.memory() as memory, Store(path) as file:
        made = plan()
        pd.testing.assert_frame_equal(
            memory.table(fill(memory, made).run), file.table(fill(file, made).run)
        )


# --- whole batches, several at once --------------------------------------------------------------


def test_a_batch_that_fails_leaves_nothing(path: Path):
    made = plan()
    with Store(path) as store:
        ids = store.begin(made)
        rows = batch(made, ids, 0)
        rows[-1] = dataclasses.replace(rows[-1], question="none of this kind", edit=None)
        with pytest.raises(UserError, match="cannot be used"):
            store.write(ids, rows, seconds=3.0)
        assert store.run(ids.run).done == 0
        assert store.run(ids.run).seconds == 0
        store.write(ids, batch(made, ids, 0))
        assert store.run(ids.run).done == len(made.cells)


def test_a_reader_sees_whole_batches_only(path: Path):
    made = plan(pairs=60, labels=tuple(f"random-{i}" for i in range(30)))
    with Store(path) as store:
        ids = store.begin(made)
    seen: set[int] = set()
    finished = threading.Event()

    def read() -> None:
        with Store(path, create=False) as reader:
            while not finished.is_set():
                counts = reader.table(ids.run).question_index.value_counts()
                assert set(counts) <= {len(made.cells)}
                seen.add(len(counts))

    reader = threading.Thread(target=read)
    reader.start()
    with Store(path) as store:
        fill(store, made)
    finished.set()
    reader.join()
    assert len(seen) > 2, "the reader never looked while rows were written"


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from made_up_runs import fill, plan
from steer_core.pipeline.store import Store
with Store({path!r}) as store:
    fill(store, plan(pairs=40, labels=tuple(f"random-{{i}}" for i in range(20))))
"""


def test_processes_that_write_at_once_neither_lose_nor_double_anything(path: Path):
    script = WRITER.format(tests=str(Path(__file__).parent), path=str(path))
    command = [sys.executable, "-c", script]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors.decode()
    made = plan(pairs=40, labels=tuple(f"random-{i}" for i in range(20)))
    with Store(path) as store, Store.memory() as alone:
        (record,) = store.runs()
        assert record.done == record.total == 40 * len(made.cells)
        pd.testing.assert_frame_equal(store.table(1), alone.table(fill(alone, made).run))
    (found,) = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()
    assert found == "ok"


# --- files that are no store ---------------------------------------------------------------------


def test_a_file_that_is_no_store_is_refused_and_left_alone(path: Path):
    path.write_text("pair_id,answer\n" * 100)
    with pytest.raises(UserError, match=r"is no store .*; choose another folder"):
        Store(path)
    assert path.read_text().startswith("pair_id")


def test_another_programs_database_is_left_alone(path: Path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE results (x)")
    with pytest.raises(UserError, match="another program's database; choose"):
        Store(path)
    tables = sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("results",)]


def test_another_schema_is_refused(path: Path):
    Store(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version=7")
    with pytest.raises(UserError, match="schema 7, this version reads 1; choose another folder"):
        Store(path)


def test_a_missing_store_is_not_made_by_a_reader(path: Path):
    with pytest.raises(UserError, match="does not exist; run 'sweep --out"):
        Store(path, create=False)
    assert not path.exists()
    with pytest.raises(UserError, match=r"cannot be opened .*; choose another"):
        Store(path / "deeper" / "results.sqlite")


def test_a_folder_that_cannot_be_written_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch):
    with Store(path) as store:
        wanted = store.table(fill(store, plan()).run)
    monkeypatch.setattr(read_only.os, "access", lambda *_: False)
    with Store(path, create=False) as store:
        pd.testing.assert_frame_equal(store.table(1), wanted)
        with pytest.raises(UserError, match="cannot be written here"):
            store.begin(plan(pairs=1))


def test_an_empty_file_becomes_a_store(path: Path):
    path.touch()
    with Store(path) as store:
        assert store.runs() == []


def test_a_store_that_cannot_be_written_says_so(path: Path):
    with Store(path) as store:
        ids = store.begin(plan())
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE results")
        with pytest.raises(UserError, match=r"cannot be used \(no such table"):
            store.write(ids, batch(plan(), ids, 0))


@pytest.mark.parametrize(
    ("positions", "text"),
    [((1, 2, 3, 4, 5, 6), "1-6"), ((1, 3, 5), "1,3,5"), ((5, 1, 2, 0), "0-2,5"), ((), "")],
)
def test_positions_as_text(positions: tuple[int, ...], text: str):
    assert positions_text(positions) == text
