"""Every decoded row, kept by content in one SQLite file: edited rows are not decoded again.

A row is keyed by setting (model and decoding), edit and question, so runs that overlap share rows.
Rows are written in whole batches: a reader never sees half of one, a killed process loses the one
that it was decoding.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.data.answers import Number
from steer_core.errors import UserError
from steer_core.pipeline import tallies
from steer_core.pipeline.database import Database
from steer_core.pipeline.kept_runs import DamagedRun, record, record_or_reason, whole_rows
from steer_core.pipeline.outcomes import Outcome, pack_rows
from steer_core.pipeline.outputs import output_ids
from steer_core.pipeline.records import (
    NO_EDIT,
    RunPlan,
    RunRecord,
    canonical,
    said,
)
from steer_core.pipeline.rows import Rows, write_file

if TYPE_CHECKING:
    import pandas as pd

    from steer_core.analysis.cells import Grid

_log = logging.getLogger(__name__)
FILE = "results.sqlite"
"""Name of the store in the folder of an experiment."""


@dataclass(frozen=True, slots=True)
class RunIds:
    """Where a run's parts are in the store: ids of run, setting, pairs' questions, cells' edits."""

    run: int
    setting: int
    questions: tuple[int, ...]
    edits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row to write, by the ids of its question and edit."""

    question: int
    edit: int
    outcome: Outcome


class Store:
    """The results of any number of runs; a context manager.

    Args:
        path: The file.
        create: Make it where there is none; False for readers.

    Raises:
        UserError: for a file that is missing, is no store, or has another schema.
    """

    def __init__(self, path: str | Path | None, create: bool = True):
        self.path = None if path is None else Path(path)
        self._database = Database(self.path, create)

    @classmethod
    def memory(cls) -> Store:
        """A store that is gone when it is closed."""
        return cls(None)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- writing ---------------------------------------------------------------------------------

    def begin(self, plan: RunPlan) -> RunIds:
        """Enter a run, or find it again."""
        self._database.upgrade()
        with self._database.transaction() as db:
            setting = entered(db, "settings", ("key",), [(plan.setting.key,)])[0]
            keys = [question.key for question in plan.questions]
            questions = entered(db, "questions", ("text", "gold", "twin"), keys)
            edits = entered(db, "edits", ("key",), [(edit.key,) for _, edit in plan.cells])
            run = enter_run(db, plan, setting)
            if run is None:
                (run,) = db.execute("SELECT id FROM runs WHERE key = ?", (plan.key,)).fetchone()
                enter_later(db, run, plan, edits)
            else:
                enter_parts(db, run, plan, questions, edits)
            tallies.count(db, run)
        return RunIds(run, setting, tuple(questions), tuple(edits))

    def write(self, ids: RunIds, rows: Sequence[StoredRow], seconds: float = 0.0) -> None:
        """Store a batch, all of it or nothing; rows that are stored stay as they are.

        Args:
            ids: Of the run.
            rows: The batch.
            seconds: Spent on it, added to those of the run.
        """
        with self._database.transaction() as db:
            outcomes = [row.outcome for row in rows]
            outputs, scores = (
                output_ids(db, outcomes),
                pack_rows([each.scores for each in outcomes]),
            )
            setting = ids.setting
            values = [
                (
                    setting,
                    row.question,
                    row.edit,
                    output,
                    row.outcome.correct,
                    row.outcome.flip,
                    one,
                )
                for row, output, one in zip(rows, outputs, scores, strict=True)
            ]
            db.executemany(
                "INSERT INTO results VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", values
            )
            db.execute("UPDATE runs SET seconds = seconds + ? WHERE id = ?", (seconds, ids.run))

    def finish(self, run: int) -> None:
        """Note that a run is complete, and write its rows as the columns that readers take."""
        with self._database.transaction() as db:
            when = "UPDATE runs SET finished = ? WHERE id = ? AND finished IS NULL"
            db.execute(when, (now(), run))
        if self.path is not None:
            with self._database.transaction(write=False) as db, whole_rows(run):
                write_file(db, run, self.path.parent)

    # --- what is there ---------------------------------------------------------------------------

    def edits_of(self, setting: int, question: int) -> set[int]:
        """Ids of the edits whose rows of a question are stored."""
        with self._database.transaction(write=False) as db:
            found = db.execute(
                "SELECT edit FROM results WHERE setting = ? AND question = ?", (setting, question)
            )
            return {edit for (edit,) in found}

    def baselines(self, setting: int, questions: Iterable[int]) -> dict[int, Number | None]:
        """The unedited answer of each question that has one stored; None without a number."""
        with self._database.transaction(write=False) as db:
            found = db.execute(
                """SELECT question, answer FROM results JOIN outputs ON outputs.id = output
                WHERE setting = ? AND question IN (SELECT value FROM json_each(?))
                AND edit = (SELECT id FROM edits WHERE key = ?)""",
                (setting, json.dumps(list(questions)), NO_EDIT.key),
            )
            return dict(found.fetchall())

    def runs(self) -> list[RunRecord]:
        """Every run that can be read, the oldest first; the others are `damaged`."""
        return [each for each in self._all() if isinstance(each, RunRecord)]

    def readable(self) -> list[RunRecord]:
        """The same for whoever shows one of them: those that are left out are said.

        Raises:
            UserError: where every run is damaged.
        """
        found = self._all()
        runs = [each for each in found if isinstance(each, RunRecord)]
        damaged = [each for each in found if isinstance(each, DamagedRun)]
        if damaged and not runs:
            raise UserError(f"{self.path}: {damaged[0].reason}")
        for each in damaged:
            _log.warning("%s: %s; it is left out", self.path, each.reason)
        return runs

    def damaged(self) -> list[DamagedRun]:
        """Every run that cannot be read, the oldest first."""
        return [each for each in self._all() if isinstance(each, DamagedRun)]

    def _all(self) -> list[RunRecord | DamagedRun]:
        with self._database.transaction(write=False) as db:
            ids = [run for (run,) in db.execute("SELECT id FROM runs ORDER BY id")]
            return [record_or_reason(db, run) for run in ids]

    def run(self, run: int) -> RunRecord:
        """One run.

        Raises:
            UserError: for an id that is not there.
        """
        with self._database.transaction(write=False) as db:
            return record(db, run)

    def find(self, plan: RunPlan) -> RunRecord | None:
        """The stored run of a plan, if it was begun."""
        with self._database.transaction(write=False) as db:
            found = db.execute("SELECT id FROM runs WHERE key = ?", (plan.key,)).fetchone()
            return found and record(db, found[0])

    def table(self, run: int) -> pd.DataFrame:
        """One row per stored (pair, curve, α) of a run; see `tables.full_table`."""
        from steer_core.pipeline.tables import full_table

        with self._database.transaction(write=False) as db, whole_rows(run):
            rows = self._rows(db, run)
            return full_table(db, record(db, run), rows.all(), rows.unedited())

    def tables(self, run: int) -> Iterator[pd.DataFrame]:
        """The same in parts, one after the other, for what is too large to hold.

        Texts are categories of their part alone.
        """
        from steer_core.pipeline.tables import full_table

        with self._database.transaction(write=False) as db, whole_rows(run):
            about, rows = record(db, run), self._rows(db, run)
            own = rows.unedited()
            for part in rows.parts():
                yield full_table(db, about, part, own)

    def pair_ids(self, run: int) -> list[object]:
        """The ids of a run's pairs, as their file has them."""
        query = "SELECT pair_id FROM run_pairs WHERE run = ? ORDER BY position"
        with self._database.transaction(write=False) as db:
            return [json.loads(each) for (each,) in db.execute(query, (run,))]

    def grid(self, run: int, expected: int | None = None) -> Grid:
        """The answers of a run as they are judged.

        Args:
            run: Its id.
            expected: Rows of the finished run; the rows there are when not given.

        Raises:
            UserError: where no part of the run can be judged.
        """
        from steer_core.pipeline.run_grid import run_grid
        from steer_core.pipeline.tables import pair_table

        with self._database.transaction(write=False) as db, whole_rows(run):
            about = record(db, run)
            return run_grid(about, self._rows(db, run), pair_table(db, about), expected)

    def _rows(self, db: sqlite3.Connection, run: int) -> Rows:
        return Rows(db, run, self.path and self.path.parent)

    def summary(self, run: int) -> pd.DataFrame:
        """Accuracy by layer, mask, direction and α of a run; see `tables.summary_table`."""
        from steer_core.pipeline.tables import summary_table

        with self._database.transaction(write=False) as db, whole_rows(run):
            return summary_table(db, record(db, run), self._rows(db, run))

    def tally(self, run: int) -> pd.DataFrame:
        """How much of each curve of a run is stored and right; see `tables.tally_table`."""
        from steer_core.pipeline.tables import tally_table

        with self._database.transaction(write=False) as db, whole_rows(run):
            return tally_table(db, record(db, run))


def entered(
    db: sqlite3.Connection, table: str, columns: Sequence[str], keys: Sequence[tuple]
) -> list[int]:
    """Ids of keys, new ones entered."""
    names, marks = ",".join(columns), ",".join("?" * len(columns))
    distinct = list(dict.fromkeys(keys))
    # Not "OR IGNORE", which would also ignore a value that is missing.
    insert = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    db.executemany(insert, distinct)
    query = f"SELECT id FROM {table} WHERE ({names}) = ({marks})"
    ids = {key: db.execute(query, key).fetchone()[0] for key in distinct}
    return [ids[key] for key in keys]


def enter_run(db: sqlite3.Connection, plan: RunPlan, setting: int) -> int | None:
    """Id of a new run; None when it is there."""
    found = db.execute(
        """INSERT INTO runs (key, name, setting, spec, curves, provenance, started)
        VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING RETURNING id""",
        (
            *(plan.key, plan.name, setting, canonical(plan.spec.content)),
            *(curves_json(plan), canonical(plan.provenance)),
            now(),
        ),
    ).fetchone()
    return found and found[0]


def enter_parts(
    db: sqlite3.Connection,
    run: int,
    plan: RunPlan,
    questions: Sequence[int],
    edits: Sequence[int],
) -> None:
    """The pairs and cells of a new run."""
    pairs = zip(questions, map(json.dumps, plan.pair_ids), strict=True)
    db.executemany(
        "INSERT INTO run_pairs VALUES (?,?,?,?)", [(run, i, *pair) for i, pair in enumerate(pairs)]
    )
    enter_cells(db, run, plan, edits, 0)


def enter_later(db: sqlite3.Connection, run: int, plan: RunPlan, edits: Sequence[int]) -> None:
    """The cells of controls that a run gets after it began; it is not finished then."""
    query = "SELECT COUNT(*) FROM run_cells WHERE run = ?"
    (known,) = db.execute(query, (run,)).fetchone()
    if known >= len(plan.cells):
        return
    enter_cells(db, run, plan, edits, known)
    curves = curves_json(plan)
    db.execute("UPDATE runs SET curves = ?, finished = NULL WHERE id = ?", (curves, run))


def enter_cells(
    db: sqlite3.Connection, run: int, plan: RunPlan, edits: Sequence[int], first: int
) -> None:
    """Cells of a run, from one of its places on."""
    cells = zip(edits, (curve for curve, _ in plan.cells), strict=True)
    rows = [(run, i, *cell) for i, cell in enumerate(cells)][first:]
    db.executemany("INSERT INTO run_cells VALUES (?,?,?,?)", rows)


def curves_json(plan: RunPlan) -> str:
    """All curves of a run, in the order of their cells."""
    return canonical([said(curve) for curve in (*plan.curves, *plan.later)])


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
