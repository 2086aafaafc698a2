"""A stored run as the grid that is judged, without a table of its rows in between.

It is the grid that `analysis.grid.build_grid` makes of the run's table, for runs whose table would
not fit into memory: rows go to their places a part at a time, scores as the float32 that they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from steer_core.analysis.cells import (
    MEASURED,
    Cells,
    Coverage,
    CurveName,
    Grid,
    Room,
    empty_cells,
    room_for,
)
from steer_core.analysis.grid import (
    check_rows,
    clusters_of,
    complete_part,
    left_out,
    place_word,
    rows_at,
    states_of,
)
from steer_core.names import REAL
from steer_core.pipeline.outcomes import NOT_FINITE, SCORES
from steer_core.pipeline.records import RunRecord, cell_places, positions_text
from steer_core.pipeline.rows import Rows, RunRows

SHIFT = SCORES.index("shift")
LOGITS = [SCORES.index(name) for name in MEASURED]
Key = tuple[str, int, str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Where the cells of a run lie on curves x α: `keys` of F curves, sorted, and α [A], sorted.

    `curve` and `alpha` int [cells], -1 for the baseline.
    """

    keys: list[Key]
    alphas: np.ndarray
    curve: np.ndarray
    alpha: np.ndarray


def axes_of(run: RunRecord) -> Axes:
    """The axes of a run."""
    places = cell_places(run)
    names: list[Key] = [
        (
            place_word(curve.site, curve.doing),
            -1 if curve.layer is None else curve.layer,
            *(positions_text(curve.positions), curve.direction, curve.kind),
        )
        for curve in run.curves
    ]
    keys = sorted(set(names))
    index = {key: i for i, key in enumerate(keys)}
    alphas = np.unique([alpha for _, alpha in places[1:]])
    curve = np.array([-1 if c < 0 else index[names[c]] for c, _ in places])
    alpha = np.searchsorted(alphas, [alpha for _, alpha in places])
    return Axes(keys, alphas, curve, np.where(curve < 0, -1, alpha))


def by_cell(rows: Rows) -> Iterator[tuple[int, RunRows]]:
    """The rows of each cell, in order; a cell may come in two parts."""
    for part in rows.parts():
        starts = np.flatnonzero(np.diff(part.cell, prepend=-1))
        ends = [*starts[1:], len(part.cell)] if len(starts) else []
        for start, end in zip(starts, ends, strict=True):
            yield int(part.cell[start]), part.take(slice(start, end))


def is_broken(rows: RunRows, edited: bool, scored: bool) -> np.ndarray:
    """Which rows hold a score that is infinite, or lack one that edited rows have, bool [n]."""
    found = np.asarray(np.isinf(rows.scores[:, LOGITS]).any(1))
    return found | np.isnan(rows.scores[:, SHIFT]) if edited and scored else found


@dataclass(slots=True, eq=False)
class Presence:
    """What is there of a run: of each curve, α and pair, bool [F, A, P], and of unedited pairs [P].

    `rows` are finite, `broken` ones of them hold a score that is no number.
    """

    edited: np.ndarray
    base: np.ndarray
    rows: int = 0
    broken: int = 0


def presence_of(rows: Rows, axes: Axes, pairs: int, scored: bool) -> Presence:
    """One look at all rows of a run over so many pairs."""
    shape = len(axes.keys), len(axes.alphas), pairs
    found = Presence(np.zeros(shape, bool), np.zeros(pairs, bool))
    for cell, part in by_cell(rows):
        finite = part.flip != NOT_FINITE
        broken = is_broken(part, cell > 0, scored) & finite
        found.rows += int(finite.sum())
        found.broken += int(broken.sum())
        where = found.base if cell == 0 else found.edited[axes.curve[cell], axes.alpha[cell]]
        where[part.pair[finite & ~broken]] = True
    return found


def is_scored(rows: Rows) -> bool:
    """Whether any row of a run was scored."""
    return any(np.isfinite(p.scores[p.flip != NOT_FINITE, SHIFT]).any() for p in rows.parts())


def run_grid(run: RunRecord, rows: Rows, base: pd.DataFrame, expected: int | None = None) -> Grid:
    """The grid of a run.

    Args:
        run: The run.
        rows: Its rows.
        base: Its pairs, one row each: `pair_id`, `question`, `cluster`, `twin`.
        expected: Rows of the finished run; the rows there are when not given.

    Raises:
        UserError: as `build_grid` does.
    """
    axes, scored = axes_of(run), is_scored(rows)
    there = presence_of(rows, axes, len(base), scored)
    there.edited &= there.base
    curves, alphas = (np.flatnonzero(there.edited.any(axis)) for axis in ((1, 2), (0, 2)))
    kinds = [axes.keys[i][4] for i in curves]
    check_rows(there.broken, there.rows, bool(there.base.any()), kinds)
    pairs = np.flatnonzero(there.base)
    present = there.edited[np.ix_(curves, alphas, pairs)]
    part = complete_part(present, np.array([kind == REAL for kind in kinds]))
    kept = curves[part[0]], alphas[part[1]], pairs[part[2]]
    names = [CurveName(*axes.keys[i][:4]) for i in kept[0]]
    types: dict[str, np.dtype] = {name: np.dtype(np.float32) for name in MEASURED}
    kinds = [axes.keys[i][4] for i in kept[0]]
    room = room_for(names, kinds, axes.alphas[kept[1]], len(kept[2]), types)
    twins = base["twin"].to_numpy(float)[kept[2]]
    start = fill(room, rows, axes, kept, twins, scored)
    used = (len(names) * len(kept[1]) + 1) * len(kept[2])
    missing = left_out(present.shape, part)
    coverage = Coverage(there.rows, used, max(expected or 0, there.rows), missing, there.broken)
    return room.grid(clusters_of(rows_at(base, kept[2])), twins, start, coverage)


def fill(
    room: Room,
    rows: Rows,
    axes: Axes,
    kept: tuple[np.ndarray, np.ndarray, np.ndarray],
    twins: np.ndarray,
    scored: bool,
) -> Cells:
    """Put the rows of a run into their places; returns its unedited cells."""
    curve, alpha = (
        dict(zip(each.tolist(), range(len(each)), strict=True)) for each in (kept[0], kept[1])
    )
    place = np.full(1 + max(kept[2].tolist()), -1)
    place[kept[2]] = np.arange(len(kept[2]))
    start = empty_cells(twins.shape, {k: v.dtype for k, v in room.real.measured.items()})
    for cell, part in by_cell(rows):
        good = (part.flip != NOT_FINITE) & ~is_broken(part, cell > 0, scored)
        good &= (part.pair < len(place)) & (place[np.minimum(part.pair, len(place) - 1)] >= 0)
        part = part.take(good)
        where = place[part.pair]
        if cell == 0:
            start.put((where,), cells_of(part, twins[where]))
        elif int(axes.curve[cell]) in curve and int(axes.alpha[cell]) in alpha:
            at = curve[int(axes.curve[cell])], alpha[int(axes.alpha[cell])]
            room.put(*at, where, cells_of(part, twins[where]))
    return start


def cells_of(rows: RunRows, twins: np.ndarray) -> Cells:
    """Rows as cells [n]; `twins` are the twins' answers."""
    measured = {name: rows.scores[:, SCORES.index(name)] for name in MEASURED}
    states = states_of(rows.correct, rows.answer, twins)
    # Codes of a store begin with the same answer, those of a grid with the first flip.
    return Cells(rows.correct, rows.answer, states, rows.flip - np.int8(1), measured)
