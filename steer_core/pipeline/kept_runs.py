"""Runs as a store keeps them: read whole, or found damaged with the reason."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from steer_core.errors import UserError
from steer_core.names import CONTROL_KINDS
from steer_core.pipeline.records import RunRecord, SweepSpec, read_curves
from steer_core.pipeline.tallies import tallies_of


@dataclass(frozen=True, slots=True)
class DamagedRun:
    """A run whose description cannot be read, and why."""

    id: int
    reason: str


def record(db: sqlite3.Connection, run: int) -> RunRecord:
    """A run as it stands."""
    found = db.execute(
        "SELECT name, started, finished, spec, curves, provenance, seconds FROM runs WHERE id = ?",
        (run,),
    ).fetchone()
    if found is None:
        count = db.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
        raise UserError(f"run {run} is not among the {count} runs of this store; choose another")
    name, started, finished, spec, curves, provenance, seconds = found
    done = sum(tally.rows for tally in tallies_of(db, run).values())
    (total,) = db.execute(
        """SELECT (SELECT COUNT(DISTINCT question) FROM run_pairs WHERE run = :run)
        * (SELECT COUNT(DISTINCT edit) FROM run_cells WHERE run = :run)""",
        {"run": run},
    ).fetchone()
    try:
        made = RunRecord(
            id=run,
            name=name,
            started=started,
            finished=finished,
            spec=SweepSpec.from_json(spec),
            curves=read_curves(curves),
            provenance=json.loads(provenance),
            done=done,
            total=total,
            seconds=seconds,
        )
        check_whole(db, made)
    except DAMAGE as error:
        raise UserError(f"run {run} is damaged ({what(error)}); sweep again with --out") from error
    return made


DAMAGE = (
    *(ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(AssertionError, OverflowError, RecursionError),
)
"""What reading a value of the wrong kind raises."""


def what(error: Exception) -> str:
    """A library's message in a few words."""
    said = " ".join(str(error).split())[:100]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def check_whole(db: sqlite3.Connection, found: RunRecord) -> None:
    """Raise a `ValueError` for a run whose parts do not belong together, or are of another kind."""
    kinds = {
        "name": isinstance(found.name, str),
        "started": isinstance(found.started, str),
        "finished": isinstance(found.finished, str | None),
        "seconds": isinstance(found.seconds, float | int),
        "provenance": isinstance(found.provenance, dict),
        "spec": is_spec(found.spec),
        "curves": all(isinstance(k, int) for curve in found.curves for k in curve.positions),
    }
    for name, fits in kinds.items():
        if not fits:
            raise ValueError(f"its {name} cannot be used")
    count = "SELECT COUNT(*) FROM run_cells WHERE run = ?"
    (cells,) = db.execute(count, (found.id,)).fetchone()
    wanted = 1 + len(found.curves) * sum(alpha != 0 for alpha in found.spec.alphas)
    if cells != wanted:
        raise ValueError(f"it has {cells} cells, its spec {wanted}")


def is_spec(spec: SweepSpec) -> bool:
    """Whether every field of a stored spec holds what it should."""
    counts = [getattr(spec, name) for name in (*CONTROL_KINDS, "most")]
    numbers = (*counts, spec.seed, spec.max_new_tokens)
    return (
        isinstance(spec.site, str)
        and all(isinstance(layer, int | None) for layer in spec.layers)
        and all(isinstance(k, int) for mask in spec.masks for k in mask)
        and all(isinstance(name, str) for name in spec.directions)
        and all(isinstance(number, int) for number in numbers)
    )


def record_or_reason(db: sqlite3.Connection, run: int) -> RunRecord | DamagedRun:
    """A run as it stands, or why it cannot be read."""
    try:
        return record(db, run)
    except UserError as error:
        return DamagedRun(run, str(error))


@contextmanager
def whole_rows(run: int) -> Iterator[None]:
    """Say of a run whose rows cannot be read that it is damaged."""
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"the rows of run {run} are damaged ({what(error)}); sweep again with --out"
        ) from error
