"""How many rows of each edit a run has, kept as rows are written: nobody counts them again.

Triggers keep the counts, so that they are right whoever writes or deletes rows, and for every run
that shares them. A store of an earlier version gets them when it is first written; until then, and
where it can only be read, its rows are counted.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from steer_core.pipeline.outcomes import NOT_FINITE, SAME

# Rows of a run: its setting x its questions x its edits, as far as they are stored.
ROWS_OF_RUN = """
FROM results WHERE setting = (SELECT setting FROM runs WHERE id = :run)
AND question IN (SELECT question FROM run_pairs WHERE run = :run)
AND edit IN (SELECT edit FROM run_cells WHERE run = :run)
"""
COUNTS = f"""
COUNT(*) rows, SUM(correct AND flip != {NOT_FINITE}) correct,
SUM(flip NOT IN ({SAME}, {NOT_FINITE})) flips, SUM(flip = {NOT_FINITE}) nonfinite
"""
NAMES = "rows, correct, flips, nonfinite"
OF_ROW = """
WHERE edit = {row}.edit AND run IN (
    SELECT run FROM run_pairs JOIN runs ON runs.id = run
    WHERE run_pairs.question = {row}.question AND runs.setting = {row}.setting
)
"""


def changed(row: str, sign: str) -> str:
    """The statement that counts a row in, or out, wherever it belongs."""
    steps = {
        "rows": "1",
        "correct": f"({row}.correct AND {row}.flip != {NOT_FINITE})",
        "flips": f"({row}.flip NOT IN ({SAME}, {NOT_FINITE}))",
        "nonfinite": f"({row}.flip = {NOT_FINITE})",
    }
    sums = ", ".join(f"{name} = {name} {sign} {step}" for name, step in steps.items())
    return f"UPDATE tallies SET {sums} {OF_ROW.format(row=row)};"


TABLES = (
    """
    CREATE TABLE tallies (
        edit INTEGER NOT NULL, run INTEGER NOT NULL, rows INTEGER NOT NULL,
        correct INTEGER NOT NULL, flips INTEGER NOT NULL, nonfinite INTEGER NOT NULL,
        PRIMARY KEY (edit, run)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX tallies_of_run ON tallies (run)",
    "CREATE INDEX runs_of_question ON run_pairs (question)",
    f"CREATE TRIGGER row_in AFTER INSERT ON results BEGIN {changed('NEW', '+')} END",
    f"CREATE TRIGGER row_out AFTER DELETE ON results BEGIN {changed('OLD', '-')} END",
    f"""
    CREATE TRIGGER row_changed AFTER UPDATE ON results
    BEGIN {changed("OLD", "-")} {changed("NEW", "+")} END
    """,
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Stored rows of one edit of a run, questions that come twice counted once.

    Of `rows`, `nonfinite` hold numbers that overflowed and are in no other count; `correct` ones
    are right, `flips` have another answer than at α = 0.
    """

    rows: int = 0
    correct: int = 0
    flips: int = 0
    nonfinite: int = 0


def make(db: sqlite3.Connection) -> None:
    """Make what keeps tallies in a store that has none, and count what it holds."""
    for statement in TABLES:
        db.execute(statement)
    for (run,) in db.execute("SELECT id FROM runs").fetchall():
        count(db, run)


def are_kept(db: sqlite3.Connection) -> bool:
    """Whether a store has tallies."""
    found = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'tallies' AND type = 'table'"
    return bool(db.execute(found).fetchone()[0])


def count(db: sqlite3.Connection, run: int) -> None:
    """Count the rows that are there of the edits of a run that have no tally yet."""
    new = """SELECT DISTINCT edit FROM run_cells WHERE run = :run
    AND edit NOT IN (SELECT edit FROM tallies WHERE run = :run)"""
    db.execute(
        f"""INSERT INTO tallies WITH new AS ({new}), known AS (
            SELECT edit, {COUNTS} {ROWS_OF_RUN} AND edit IN new GROUP BY edit
        ) SELECT edit, :run, 0, 0, 0, 0 FROM new WHERE edit NOT IN (SELECT edit FROM known)
        UNION ALL SELECT edit, :run, {NAMES} FROM known""",
        {"run": run},
    )


def tallies_of(db: sqlite3.Connection, run: int) -> dict[int, Tally]:
    """The tally of each edit of a run by its id; edits without rows may be missing."""
    if are_kept(db):
        query = f"SELECT edit, {NAMES} FROM tallies WHERE run = :run"
    else:
        query = f"SELECT edit, {COUNTS} {ROWS_OF_RUN} GROUP BY edit"
    return {edit: Tally(*counts) for edit, *counts in db.execute(query, {"run": run})}
