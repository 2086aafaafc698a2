"""The stored rows of a run as arrays: read from SQLite a part at a time, or from its Parquet file.

SQLite is what is true, and what a running sweep is written to. Python takes microseconds for each
of its rows, so a run that is finished is written once more, as columns: `rows-N.parquet` beside the
store, which pyarrow reads a hundred times as fast, a row group at a time. pyarrow is here already:
pandas and the exports need it. DuckDB would group rows as quickly, but what is grouped most, the
tallies, is kept, and nothing else here needs SQL over columns. A file that does not fit what the
store says of the run is passed over.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from steer_core.files import replacing
from steer_core.pipeline.outcomes import NOT_FINITE, SCORES, unpack
from steer_core.pipeline.tallies import tallies_of

_log = logging.getLogger(__name__)
AT_ONCE = 50_000
"""Rows of SQLite that are Python objects at a time."""
GROUP = 250_000
"""Rows of a part that is read back at once."""
KEY = b"steer_core"
NUMBERS = ("question", "edit", "output", "correct", "flip")


@dataclass(frozen=True, slots=True, eq=False)
class RunRows:
    """n stored rows of a run, by cell and then by pair.

    `cell` and `pair` int32 [n]: positions in the run's cells and pairs; `output` int64 [n]: id of
    what was decoded, `answer` float64 [n], NaN without a number; `correct` bool [n], `flip` int8
    [n], `scores` float32 [n, 7].
    """

    cell: np.ndarray
    pair: np.ndarray
    output: np.ndarray
    answer: np.ndarray
    correct: np.ndarray
    flip: np.ndarray
    scores: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """Rows whose numbers did not overflow, bool [n]."""
        return self.flip != NOT_FINITE

    def take(self, index: np.ndarray | slice) -> RunRows:
        """Some of them."""
        return RunRows(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Unedited:
    """What each pair of a run is answered at α = 0: `answer` float64 and `known` bool, [pairs]."""

    answer: np.ndarray
    known: np.ndarray


class Rows:
    """The rows of one run; `parts` may be read again and again.

    Args:
        db: The store, in a transaction.
        run: Id of the run.
        folder: Where its Parquet file may lie; None for a store in memory.
    """

    def __init__(self, db: sqlite3.Connection, run: int, folder: Path | None):
        self._db, self._run = db, run
        self._path = folder and file_of(folder, run)
        self._read: RunRows | None = None

    def parts(self) -> Iterator[RunRows]:
        """All rows in order, `GROUP` of them at a time."""
        if self._read is None and self._path and is_of(self._path, mark_of(self._db, self._run)):
            yield from read_parts(self._path)
            return
        if self._read is None:
            self._read = rows_in(self._db, self._run)
        for start in range(0, max(len(self._read.cell), 1), GROUP):
            yield self._read.take(slice(start, start + GROUP))

    def unedited(self) -> Unedited:
        """The answers at α = 0, where they are stored and finite."""
        count = len(pairs_of(self._db, self._run))
        found = Unedited(np.full(count, np.nan), np.zeros(count, bool))
        for part in self.parts():  # cell 0 comes first
            base = (part.cell == 0) & part.finite
            found.answer[part.pair[base]], found.known[part.pair[base]] = part.answer[base], True
            if np.any(part.cell > 0):
                break
        return found

    def all(self) -> RunRows:
        """All rows at once."""
        parts = list(self.parts())
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(RunRows)]
        return RunRows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def rows_in(db: sqlite3.Connection, run: int) -> RunRows:
    """The rows of a run in SQLite, in order.

    Raises:
        KeyError: for a row whose output is missing.
    """
    columns = {name: [] for name in (*NUMBERS, "answer", "scores")}
    # "+edit": else each question and edit is sought by itself.
    cursor = db.execute(
        """SELECT question, edit, output, correct, flip, outputs.id IS NULL, answer, scores
        FROM results LEFT JOIN outputs ON outputs.id = output
        WHERE setting = (SELECT setting FROM runs WHERE id = :run)
        AND question IN (SELECT question FROM run_pairs WHERE run = :run)
        AND +edit IN (SELECT edit FROM run_cells WHERE run = :run)""",
        {"run": run},
    )
    while found := cursor.fetchmany(AT_ONCE):
        *numbers, lost, answers, blobs = zip(*found, strict=True)
        if any(lost):
            raise KeyError(f"output {numbers[2][lost.index(1)]}")
        for name, values in zip(NUMBERS, numbers, strict=True):
            columns[name].append(compact(name, values))
        columns["answer"].append(np.array(answers, dtype=np.float64))
        columns["scores"].append(unpack(blobs))
    return arranged(db, run, {name: joined(name, parts) for name, parts in columns.items()})


def compact(name: str, values: Sequence[int]) -> np.ndarray:
    """A column of whole numbers in as few bytes as it needs."""
    numbers = np.array(values, dtype=np.int64)
    return numbers.astype({"correct": bool, "flip": np.int8}.get(name, np.int64))


def joined(name: str, parts: list[np.ndarray]) -> np.ndarray:
    """The parts of a column as one, which may have no row."""
    empty = {"answer": np.zeros(0), "scores": np.zeros((0, len(SCORES)), np.float32)}
    return np.concatenate(parts) if parts else empty.get(name, compact(name, ()))


def arranged(db: sqlite3.Connection, run: int, columns: dict[str, np.ndarray]) -> RunRows:
    """Rows at their places in a run, in order.

    A question that a file holds twice, or an edit of two names, is stored once and shown twice.
    """
    pairs, cells = pairs_of(db, run), cells_of(db, run)
    row, pair = places(columns.pop("question"), pairs)
    again, cell = places(columns.pop("edit")[row], cells)
    row, pair = row[again], pair[again]
    order = np.lexsort((pair, cell))
    pick = row[order]
    return RunRows(
        cell=cell[order],
        pair=pair[order],
        **{name: values[pick] for name, values in columns.items()},
    )


def places(ids: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row, place in `known`) of every pair of equal ids, int64 and int32 [m]."""
    order = np.argsort(known, kind="stable")
    first = np.searchsorted(known[order], ids, "left")
    times = np.searchsorted(known[order], ids, "right") - first
    row = np.repeat(np.arange(len(ids)), times)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    return row, order[np.repeat(first, times) + nth].astype(np.int32)


def cells_of(db: sqlite3.Connection, run: int) -> np.ndarray:
    """Ids of the edits of a run's cells, int64 [cells]."""
    found = db.execute("SELECT edit FROM run_cells WHERE run = ? ORDER BY position", (run,))
    return np.array([edit for (edit,) in found], dtype=np.int64)


def pairs_of(db: sqlite3.Connection, run: int) -> np.ndarray:
    """Ids of the questions of a run's pairs, int64 [pairs]."""
    found = db.execute("SELECT question FROM run_pairs WHERE run = ? ORDER BY position", (run,))
    return np.array([question for (question,) in found], dtype=np.int64)


# --- the file of a finished run ------------------------------------------------------------------


def file_of(folder: Path, run: int) -> Path:
    """The Parquet file with the rows of a run."""
    return folder / f"rows-{run}.parquet"


def mark_of(db: sqlite3.Connection, run: int) -> bytes | None:
    """What the file of a run says of itself; None where it is not finished."""
    query = "SELECT key, finished FROM runs WHERE id = ? AND finished IS NOT NULL"
    found = db.execute(query, (run,)).fetchone()
    if found is None:
        return None
    counts = [(t.rows, t.correct, t.flips) for t in tallies_of(db, run).values()]
    return repr((*found, [sum(each) for each in zip(*counts, strict=True)])).encode()


def is_of(path: Path, mark: bytes | None) -> bool:
    """Whether a file holds the rows of a run as they are stored."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return mark is not None and (pq.read_schema(path).metadata or {}).get(KEY) == mark
    except (OSError, pa.ArrowException):
        return False


def write_file(db: sqlite3.Connection, run: int, folder: Path) -> None:
    """Write the rows of a finished run as Parquet; without it readers take the rows of SQLite."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    mark = mark_of(db, run)
    if mark is None or is_of(file_of(folder, run), mark):
        return
    rows = rows_in(db, run)
    schema = pa.schema(list(table_of(rows.take(slice(0)))), metadata={KEY: mark})
    try:
        with replacing(file_of(folder, run)) as part, pq.ParquetWriter(part, schema) as writer:
            for start in range(0, max(len(rows.cell), 1), GROUP):
                columns = table_of(rows.take(slice(start, start + GROUP)))
                arrays = list(columns.values())
                writer.write(pa.Table.from_arrays(arrays, schema=schema), GROUP)
    except OSError as error:
        _log.warning("%s cannot be written (%s); reading run %d stays slow", folder, error, run)


def table_of(rows: RunRows) -> dict:
    """Rows as the fields and arrays of a Parquet file."""
    import pyarrow as pa

    columns = {f.name: getattr(rows, f.name) for f in fields(rows) if f.name != "scores"}
    columns |= {name: rows.scores[:, i] for i, name in enumerate(SCORES)}
    arrays = {name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()}
    return {pa.field(name, array.type): array for name, array in arrays.items()}


def read_parts(path: Path) -> Iterator[RunRows]:
    """The rows of a file, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            columns = {name: table[name].to_numpy() for name in table.column_names}
            scores = np.stack([columns.pop(name) for name in SCORES], axis=-1)
            yield RunRows(**columns, scores=scores)
