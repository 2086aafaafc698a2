"""A stored run as tidy tables, without a loop over its rows."""

from __future__ import annotations

import json
import math
import sqlite3

import numpy as np
import pandas as pd

from steer_core.analysis.statistics import wilson
from steer_core.names import BASELINE, KINDS
from steer_core.pipeline.changes import (
    CHANGES,
    COUNTED,
    change_codes,
    change_counts,
    changes,
)
from steer_core.pipeline.outcomes import FLIPS, SAME, SCORES
from steer_core.pipeline.outputs import ids_json
from steer_core.pipeline.records import CurveKey, RunRecord, cell_places, positions_text
from steer_core.pipeline.rows import Rows, RunRows, Unedited, cells_of, pairs_of
from steer_core.pipeline.tallies import Tally, tallies_of

COLUMNS = (
    *("site", "layer", "positions", "operation", "direction", "kind", "alpha"),
    *("pair_id", "question_index", "question", "cluster"),
    *("gold", "twin", "text", "token_ids", "answer", "correct", "flip", "change", *SCORES),
)
"""Columns of `full_table`."""
SUMMARY = [
    *("site", "layer", "operation", "alpha", "direction"),
    *("n", "correct", "accuracy", "low", "high", "flips", "nonfinite", *COUNTED),
]
"""Columns of `summary_table`; `positions` too where several masks were swept."""
NOWHERE = CurveKey("", None, (), BASELINE, BASELINE, "")
"""The place of unedited rows."""


def full_table(
    db: sqlite3.Connection, run: RunRecord, rows: RunRows, own: Unedited
) -> pd.DataFrame:
    """One row for each stored (pair, curve, α); α = 0 is there once a pair, as kind "baseline".

    Columns `COLUMNS`: the curve (`site`, `layer` NA without one, `positions` such as "1-6",
    `direction`, `kind`) and `alpha`; the pair (`pair_id`, `question_index` in the order of the run,
    `question`, `cluster`: a number that pairs which hang together share, NA in runs that did not
    note it, `gold`, `twin`); what was decoded (`text`, `token_ids` as a JSON list, `answer` NaN
    without a number, `correct`, `flip`, and `change` of the answer beside that at α = 0, one of
    `CHANGES`, NA before that is decoded and where numbers are not finite); `margin`,
    log-probabilities, `kl`, `kl_number` and `shift` in nats or logits, and `dose`, NaN where a row
    was not scored.
    """
    scores = {name: rows.scores[:, i].astype(np.float64) for i, name in enumerate(SCORES)}
    pairs = pair_columns(db, run, rows.pair)
    changed = changes(rows, own, pairs["twin"])
    columns = {
        **curve_columns(db, run, rows.cell),
        **pairs,
        **output_columns(db, rows.output),
        "answer": rows.answer,
        "change": pd.Categorical.from_codes(change_codes(*changed), list(CHANGES)),
        "correct": rows.correct,
        "flip": pd.Categorical.from_codes(rows.flip, list(FLIPS)),
        **scores,
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def summary_table(db: sqlite3.Connection, run: RunRecord, rows: Rows) -> pd.DataFrame:
    """One row for each layer, mask, direction and α of the grid, α = 0 included where it is in it.

    Columns `SUMMARY`: `site`, `layer` and `operation` of the curve; `n` decoded pairs, `correct`
    ones, `accuracy` with its Wilson 95 % interval `low`, `high` (shares; NaN where nothing is
    decoded), `flips`: answers other than at α = 0, and how many of them `rose`, `fell` or became
    the twin's (`to_twin`). `nonfinite` more pairs were decoded and their numbers overflowed: they
    are in no other count.
    """
    n, correct, flips, nonfinite = counts_of(db, run.id, rows)
    cells = {(c, a): i for i, (c, a) in enumerate(cell_places(run))}
    low, high = wilson(correct, np.maximum(n, 1))
    counted = changes_of(db, run, rows, len(n))
    found = []
    for c, curve in enumerate(run.curves):
        for alpha in run.spec.alphas:
            i = cells[c, alpha] if alpha else 0
            known = n[i] > 0
            share = [correct[i] / n[i], low[i], high[i]] if known else [math.nan] * 3
            counts = [int(n[i]), int(correct[i]), *map(float, share), int(flips[i])]
            counts.append(int(nonfinite[i]))
            counts += [int(each[i]) for each in counted]
            place = [curve.site, curve.layer, curve.operation, alpha, curve.direction]
            found.append([*place, *counts, positions_text(curve.positions)])
    table = pd.DataFrame(found, columns=[*SUMMARY, "positions"])
    return table if len(run.spec.masks) > 1 else table.drop(columns="positions")


def counts_of(db: sqlite3.Connection, run: int, rows: Rows) -> np.ndarray:
    """Pairs of each cell that are finite, right, flipped and not finite, int [4, cells]."""
    edits, pairs = cells_of(db, run), pairs_of(db, run)
    if len(set(pairs.tolist())) == len(pairs):
        found = tallies_of(db, run)
        each = [found.get(edit, Tally()) for edit in edits.tolist()]
        counts = [(t.rows - t.nonfinite, t.correct, t.flips, t.nonfinite) for t in each]
        return np.array(counts, dtype=np.int64).T
    counts = np.zeros((4, len(edits)), dtype=np.int64)
    for part in rows.parts():  # tallies count a question that comes twice once
        finite = part.finite
        kinds = (finite, part.correct & finite, finite & (part.flip != SAME), ~finite)
        counts += [np.bincount(part.cell[kind], minlength=len(edits)) for kind in kinds]
    return counts


def changes_of(db: sqlite3.Connection, run: RunRecord, rows: Rows, cells: int) -> np.ndarray:
    """Pairs of each cell with each outcome of `COUNTED`, int [outcomes, cells]."""
    twin, own = pair_table(db, run)["twin"].to_numpy(), rows.unedited()
    found = np.zeros((len(COUNTED), cells), dtype=np.int64)
    for part in rows.parts():
        counts = change_counts(*changes(part, own, twin[part.pair]), part.cell, cells)
        found += [counts[name] for name in COUNTED]
    return found


def tally_table(db: sqlite3.Connection, run: RunRecord) -> pd.DataFrame:
    """How many pairs are stored and right, for each curve and α of a run; cheap while it runs.

    One row a cell, the baseline first: `curve` (its place among the run's curves, -1 for the
    baseline), `alpha`, `n` and `correct` pairs, questions that come twice counted once; `nonfinite`
    pairs, counted in neither.
    """
    found, edits = tallies_of(db, run.id), cells_of(db, run.id).tolist()
    counts = [found.get(edit, Tally()) for edit in edits]
    rows = [
        (*place, each.rows - each.nonfinite, each.correct, each.nonfinite)
        for place, each in zip(cell_places(run), counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["curve", "alpha", "n", "correct", "nonfinite"])


def curve_columns(db: sqlite3.Connection, run: RunRecord, cell: np.ndarray) -> dict:
    """Where each row was edited, along what and how far."""
    places = cell_places(run)
    index, alpha = np.array([c for c, _ in places]), np.array([a for _, a in places])
    curves = [NOWHERE, *run.curves]
    which = index[cell] + 1
    layers = pd.array([curve.layer for curve in curves], dtype="Int64")
    return {
        "site": repeated([curve.site for curve in curves], which),
        "layer": layers.take(which),
        "positions": repeated([positions_text(curve.positions) for curve in curves], which),
        "operation": repeated([curve.doing for curve in curves], which),
        "direction": repeated([curve.direction for curve in curves], which),
        "kind": repeated([curve.kind for curve in curves], which, KINDS),
        "alpha": alpha[cell],
    }


def pair_table(db: sqlite3.Connection, run: RunRecord) -> pd.DataFrame:
    """The pairs of a run, one row each; columns as in `full_table`."""
    count = len(pairs_of(db, run.id))
    return pd.DataFrame(pair_columns(db, run, np.arange(count)))


def pair_columns(db: sqlite3.Connection, run: RunRecord, pair: np.ndarray) -> dict:
    """Which pair each row belongs to."""
    found = db.execute(
        """SELECT pair_id, text, gold, twin FROM run_pairs JOIN questions
        ON questions.id = question WHERE run = ? ORDER BY position""",
        (run.id,),
    ).fetchall()
    ids, text, gold, twin = zip(*found, strict=True)
    clusters = run.provenance.get("clusters") or [None] * len(ids)
    return {
        "pair_id": pd.Series([json.loads(each) for each in ids]).take(pair).array,
        "question_index": pair,
        "question": repeated(text, pair),
        "cluster": repeated(clusters, pair),
        "gold": np.array([float(each) for each in gold])[pair],
        "twin": np.array([float(each) for each in twin])[pair],
    }


def output_columns(db: sqlite3.Connection, output: np.ndarray) -> dict:
    """What each row says."""
    # By content, not by id: what was stored first is a matter of when a run was ended.
    found = db.execute(
        """SELECT id, text, token_ids FROM outputs
        WHERE id IN (SELECT value FROM json_each(?))""",
        (json.dumps(np.unique(output).tolist()),),
    )
    found = sorted(
        ((each, text, ids_json(token_ids)) for each, text, token_ids in found),
        key=lambda row: row[1:3],
    )
    ids, text, token_ids = zip(*found, strict=True) if found else ((), (), ())
    places = {each: place for place, each in enumerate(ids)}
    which = np.array([places[each] for each in output.tolist()], dtype=np.int64)
    return {
        "text": repeated(text, which),
        "token_ids": repeated(token_ids, which),
    }


def repeated(values, which: np.ndarray, categories=None) -> pd.Categorical:
    """Values by index as categories; None is none of them."""
    distinct = [value for value in dict.fromkeys(values) if value is not None]
    known = pd.Categorical(list(values), categories=categories or distinct)
    return pd.Categorical.from_codes(known.codes[which], dtype=known.dtype)
