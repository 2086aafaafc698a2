"""The table of one run as arrays: curves × α × pairs, and only what is complete of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steer_core.analysis.cells import (
    FLIPS,
    MEASURED,
    Bools,
    Cells,
    Coverage,
    CurveName,
    Floats,
    Grid,
    room_for,
)
from steer_core.analysis.clusters import join_clusters
from steer_core.data.problems import question_key
from steer_core.errors import UserError
from steer_core.names import REAL

PLACE = ["site", "layer", "positions"]
CLUSTERING = ("cluster", "pair_id", "question")
"""Columns that pairs hang together by: alike in any of them. The first and last may be absent."""
COLUMNS = [*PLACE, *"direction kind alpha pair_id question_index twin answer correct flip".split()]
USUAL = ("add", "")
"""Operations that a curve's place does not name."""


def build_grid(table: pd.DataFrame, expected: int | None = None) -> Grid:
    """Arrays from the table of one run.

    Args:
        table: One row per decoded (pair, curve, α), columns as `Store.table` gives them.
        expected: Rows of the finished run; the rows there are when not given.

    Raises:
        UserError: when columns, unedited rows or a real direction are missing, or no part of an
            unfinished run is complete.
    """
    check_columns(table)
    layers = table["layer"].astype("Int64").fillna(-1).astype(int)
    table = table.assign(layer=layers, site=place_words(table))
    kinds, alphas = table["kind"].to_numpy(object), table["alpha"].to_numpy(float)
    unedited, broken = kinds == "baseline", nonfinite(table)
    base = rows_where(table, unedited & ~broken).drop_duplicates(subset="question_index")
    base = base.sort_values("question_index")
    known = np.isin(table["question_index"].to_numpy(), base["question_index"].to_numpy())
    edited = rows_where(table, ~unedited & (alphas != 0) & known & ~broken)
    check_rows(int(broken.sum()), len(table), not base.empty, edited["kind"].unique())
    grid = assemble(base, edited, len(table), expected or len(table))
    return replace(grid, coverage=replace(grid.coverage, nonfinite=int(broken.sum())))


def check_rows(broken: int, rows: int, base: bool, kinds: Iterable[str]) -> None:
    """Raise a `UserError` where no unedited row, no edited one or no real direction is left.

    Args:
        broken: Rows with a score that is no number.
        rows: All rows.
        base: Whether there is an unedited one.
        kinds: Kinds of the edited ones.
    """
    found = set(kinds)
    if found and REAL not in found:
        raise UserError(
            "the run holds only control directions, so there is nothing to hold them against; "
            "sweep a direction such as mean_difference"
        )
    if not base or not found:
        raise UserError(nothing_left(broken, rows))


def nothing_left(broken: int, rows: int) -> str:
    """Why no row can be judged, and what to do."""
    if broken:
        return (
            f"{broken} of {rows} rows hold a score that is no number, and no pair is left to "
            "judge; sweep smaller α"
        )
    return (
        "the run holds no edited row together with its unedited one; resume the sweep until at "
        "least one pair is done"
    )


def nonfinite(table: pd.DataFrame) -> Bools:
    """Which rows are marked as broken, or hold a score that is infinite or no number, bool [rows].

    Every score but `shift` may be missing for a good reason; `shift` is there for every edited row
    of a run that was scored.
    """
    found = np.zeros(len(table), bool)
    if "nonfinite" in table:
        found |= table["nonfinite"].fillna(False).to_numpy(bool)
    for name in MEASURED:
        if name in table:
            found |= np.isinf(table[name].to_numpy(float, na_value=np.nan))
    if "shift" in table:
        shift = table["shift"].to_numpy(float, na_value=np.nan)
        scored = np.isfinite(shift).any()
        found |= np.isnan(shift) & scored & (table["kind"] != "baseline").to_numpy(bool)
    return found


def clusters_of(base: pd.DataFrame) -> NDArray[np.int64]:
    """The cluster of each unedited row, from the columns that pairs hang together by."""
    names = [name for name in CLUSTERING if name in base]
    columns = [base[name].astype(object).where(base[name].notna(), None) for name in names]
    return join_clusters(
        [
            cluster_key(name, value)
            for name, value in zip(names, row, strict=True)
            if value is not None
        ]
        for row in zip(*columns, strict=True)
    )


def cluster_key(name: str, value: object) -> tuple[str, str]:
    """A value of a clustering column; questions that differ in names alone are one."""
    return name, question_key(str(value)) if name == "question" else str(value)


def place_words(table: pd.DataFrame) -> NDArray[np.object_]:
    """The site of each row, with what is done there where that is not an addition.

    So an edit of another operation is a curve of its own, with controls of its own.
    """
    sites = table["site"].to_numpy(object)
    if "operation" not in table or set(table["operation"].unique()) <= set(USUAL):
        return sites  # of a run from before there were others, or without them
    return np.array([place_word(*each) for each in zip(sites, table["operation"], strict=True)])


def place_word(site: str, operation: str) -> str:
    """A site, with what is done there where that is not an addition."""
    return site if operation in USUAL else f"{site} {operation}"


def rows_where(table: pd.DataFrame, mask: Bools) -> pd.DataFrame:
    """Rows of a table; said as a type that the checker can follow."""
    return pd.DataFrame(table[mask])


def check_columns(table: pd.DataFrame) -> None:
    """Raise a `UserError` when the table lacks a column."""
    if missing := [name for name in COLUMNS if name not in table]:
        raise UserError(f"the table of the run lacks {', '.join(missing)}; sweep again")


def assemble(base: pd.DataFrame, edited: pd.DataFrame, rows: int, expected: int) -> Grid:
    """The grid of unedited and edited rows."""
    curve, found = pd.factorize(
        pd.MultiIndex.from_frame(pd.DataFrame(edited[[*PLACE, "direction", "kind"]])), sort=True
    )
    keys = [(CurveName(*key[:4]), str(key[4])) for key in found.tolist()]
    alphas, alpha = np.unique(edited["alpha"].to_numpy(float), return_inverse=True)
    pair = np.searchsorted(base["question_index"].to_numpy(), edited["question_index"].to_numpy())
    shape = len(keys), len(alphas), len(base)
    present = np.zeros(shape, bool)
    present[curve, alpha, pair] = True
    part = complete_part(present, np.array([kind == REAL for _, kind in keys]))
    keys = [keys[i] for i in part[0]]
    start, rows_of = cells_of(base), cells_of(edited)
    types = {name: values.dtype for name, values in rows_of.measured.items()}
    names, kinds = [name for name, _ in keys], [kind for _, kind in keys]
    room = room_for(names, kinds, alphas[part[1]], len(part[2]), types)
    at = [places_in(*each) for each in zip((curve, alpha, pair), shape, part, strict=True)]
    kept = np.all([each >= 0 for each in at], axis=0)
    cell = np.where(kept, at[0] * len(part[1]) + at[1], -1)
    for number in np.unique(cell[kept]):
        mine = np.flatnonzero(cell == number)
        room.put(*divmod(int(number), len(part[1])), at[2][mine], rows_of.take(mine))
    used = (len(keys) * len(part[1]) + 1) * len(part[2])
    twins = base["twin"].to_numpy(float, na_value=np.nan)[part[2]]
    coverage = Coverage(rows, used, max(expected, rows), left_out(shape, part))
    return room.grid(clusters_of(rows_at(base, part[2])), twins, start.take(part[2]), coverage)


def places_in(index: NDArray, size: int, kept: NDArray) -> NDArray:
    """Where indices below `size` lie among those that are kept, -1 for the others."""
    place = np.full(size, -1)
    place[kept] = np.arange(len(kept))
    return place[index]


def rows_at(table: pd.DataFrame, index: NDArray) -> pd.DataFrame:
    """Rows of a table by number; said as a type that the checker can follow."""
    return pd.DataFrame(table.iloc[index])


def complete_part(present: Bools, real: Bools) -> tuple[NDArray, NDArray, NDArray]:
    """Curves, α and pairs of the largest complete part of [F, A, n] that holds a real curve.

    A part leaves out pairs, or α, or curves, whichever keeps the most rows of real curves, then of
    all: an α at which a direction breaks the arithmetic costs that α, not the direction.

    Raises:
        UserError: when there is none.
    """
    whole = [np.ones(size, bool) for size in present.shape]
    parts = []
    for axis in range(3):
        others = tuple(i for i in range(3) if i != axis)
        keep = [*whole[:axis], present.all(others), *whole[axis + 1 :]]
        if (keep[0] & real).any():
            parts.append(keep)
    best = max(parts, key=lambda keep: rows_kept(keep, real))
    if not all(each.any() for each in best):
        raise UserError(
            "no pair has been decoded at every α of every curve yet, so nothing can be compared; "
            "resume the sweep"
        )
    curves, alphas, pairs = (np.flatnonzero(each) for each in best)
    return curves, alphas, pairs


def rows_kept(keep: Sequence[Bools], real: Bools) -> tuple[int, int]:
    """Rows of real curves, and of all, in a part."""
    cells = int(keep[1].sum() * keep[2].sum())
    return int((keep[0] & real).sum()) * cells, int(keep[0].sum()) * cells


def left_out(shape: Sequence[int], part: Sequence[NDArray]) -> tuple[str, ...]:
    """What an incomplete run's numbers leave out, in words."""
    words = ("curves and controls", "α", "pairs")
    missing = [size - len(kept) for size, kept in zip(shape, part, strict=True)]
    return tuple(
        f"{count} of {size} {word}"
        for count, size, word in zip(missing, shape, words, strict=True)
        if count
    )


def cells_of(table: pd.DataFrame) -> Cells:
    """Rows of the table as cells [rows]."""
    correct = table["correct"].to_numpy(bool)
    answer, twin = (table[name].to_numpy(float, na_value=np.nan) for name in ("answer", "twin"))
    state = states_of(correct, answer, twin)
    flip = pd.Index(FLIPS).get_indexer(table["flip"].to_numpy(object)).astype(np.int8)
    measured = {
        name: table[name].to_numpy(float, na_value=np.nan) for name in MEASURED if name in table
    }
    return Cells(correct, answer, state, flip, {k: v for k, v in measured.items() if len(v)})


def states_of(correct: Bools, answer: Floats, twin: Floats) -> NDArray[np.int8]:
    """What answers are, as indices into `STATES`."""
    return np.select([correct, np.isnan(answer), answer == twin], [0, 3, 1], 2).astype(np.int8)
