"""The table of one run as arrays: curves × α × pairs, and only what is complete of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steer_core.analysis.clusters import join_clusters
from steer_core.data.problems import question_key
from steer_core.errors import UserError
from steer_core.names import CONTROL_KINDS, DirectionRef

FLIPS = ("wrong to right", "right to wrong", "to twin", "other number", "no number")
"""Kinds of changed answers, exclusive; a flip is another answer than at α = 0."""
STATES = ("right", "the twin's answer", "another number", "no number")
"""What an answer is, exclusive, in this order of precedence."""
OUTCOMES = ("margin", "logprob_gold", "logprob_twin", "kl", "kl_number", "dose")
MEASURED = (*OUTCOMES, "shift")
PLACE = ["site", "layer", "positions"]
CLUSTERING = ("cluster", "pair_id", "question")
"""Columns that pairs hang together by: alike in any of them. The first and last may be absent."""
COLUMNS = [*PLACE, *"direction kind alpha pair_id question_index twin answer correct flip".split()]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, order=True)
class CurveName:
    """What a curve is of: `layer` is -1 where the site has none, `positions` such as "1-6"."""

    site: str
    layer: int
    positions: str
    direction: str

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it acts: site, layer, positions."""
        return self.site, self.layer, self.positions


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a run is there: `rows` of `expected` decoded, `used` of them in the numbers.

    Numbers need every curve at the same α on the same pairs, so of an unfinished run the largest
    such part is used; `left_out` names the parts that are not in it. `nonfinite` rows were decoded
    with a score that is no number, and count as missing.
    """

    rows: int
    used: int
    expected: int
    left_out: tuple[str, ...] = ()
    nonfinite: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return self.rows >= self.expected


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Answers, axes [..., n].

    `correct` bool; `answer` float64, NaN without a number; `state` and `flip` int8, indices into
    `STATES` and `FLIPS` (flip -1: the same answer); `measured` float64 by name of `MEASURED`, NaN
    where it was not measured.
    """

    correct: Bools
    answer: Floats
    state: NDArray[np.int8]
    flip: NDArray[np.int8]
    measured: dict[str, Floats]

    def take(self, *index) -> Cells:
        """The cells at a numpy index."""
        measured = {name: values[index] for name, values in self.measured.items()}
        return Cells(
            self.correct[index], self.answer[index], self.state[index], self.flip[index], measured
        )


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A run as arrays: C real curves, A α (0 among them), n pairs.

    `names` [C]; `alphas` float64 [A], sorted; `clusters` int [n]: pairs of one template, pair id or
    question have the same; `twins` float64 [n], the twins' answers; `baseline` cells [n]; `real`
    cells [C, A, n]; `controls` by kind: cells [X, C, A, n], control x acting where its curve does.
    At α = 0 every curve holds the baseline.
    """

    names: tuple[CurveName, ...]
    alphas: Floats
    clusters: NDArray[np.int64]
    twins: Floats
    baseline: Cells
    real: Cells
    controls: dict[str, Cells]
    coverage: Coverage


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
    if len(edited) and "real" not in set(edited["kind"]):
        raise UserError(
            "the run holds only control directions, so there is nothing to hold them against; "
            "sweep a direction such as mean_difference"
        )
    if base.empty or edited.empty:
        raise UserError(nothing_left(int(broken.sum()), len(table)))
    grid = assemble(base, edited, len(table), expected or len(table))
    return replace(grid, coverage=replace(grid.coverage, nonfinite=int(broken.sum())))


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
    if "operation" not in table:  # of a run from before there were others
        return sites
    usual = table["operation"].isin(("add", "")).to_numpy()
    if usual.all():
        return sites
    return np.where(usual, sites, sites + " " + table["operation"].to_numpy(object))


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
    index = np.ravel_multi_index((curve, alpha, pair), shape)
    present = np.zeros(shape, bool)
    present.ravel()[index] = True
    part = complete_part(present, np.array([kind == "real" for _, kind in keys]))
    full = fill(edited, index, shape).take(*np.ix_(*part))
    keys = [keys[i] for i in part[0]]
    start = cells_of(base).take(part[2])
    used = full.correct.size + start.correct.size
    return arrange(
        [each for each, _ in keys],
        [kind for _, kind in keys],
        alphas[part[1]],
        clusters_of(base.iloc[part[2]]),
        base["twin"].to_numpy(float, na_value=np.nan)[part[2]],
        start,
        full,
        Coverage(rows, used, max(expected, rows), left_out(shape, part)),
    )


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


def fill(table: pd.DataFrame, index: NDArray, shape: tuple[int, ...]) -> Cells:
    """Rows laid out on the grid at their flat index; what is missing is wrong or NaN."""

    def spread(values: NDArray, empty: float) -> NDArray:
        flat = np.full(int(np.prod(shape)), empty, values.dtype)
        flat[index] = values
        return flat.reshape(shape)

    rows = cells_of(table)
    measured = {name: spread(values, np.nan) for name, values in rows.measured.items()}
    return Cells(
        spread(rows.correct, False),
        spread(rows.answer, np.nan),
        spread(rows.state, 0),
        spread(rows.flip, -1),
        measured,
    )


def cells_of(table: pd.DataFrame) -> Cells:
    """Rows of the table as cells [rows]."""
    correct = table["correct"].to_numpy(bool)
    answer, twin = (table[name].to_numpy(float, na_value=np.nan) for name in ("answer", "twin"))
    state = np.select([correct, np.isnan(answer), answer == twin], [0, 3, 1], 2).astype(np.int8)
    flip = pd.Index(FLIPS).get_indexer(table["flip"].to_numpy(object)).astype(np.int8)
    measured = {
        name: table[name].to_numpy(float, na_value=np.nan) for name in MEASURED if name in table
    }
    return Cells(correct, answer, state, flip, {k: v for k, v in measured.items() if len(v)})


def arrange(
    names: list[CurveName],
    kinds: list[str],
    alphas: Floats,
    clusters: NDArray[np.int64],
    twins: Floats,
    baseline: Cells,
    full: Cells,
    coverage: Coverage,
) -> Grid:
    """Real curves, each with the controls that act where it does; α = 0 put among the α."""
    full = with_zero(full, baseline, at := int(np.searchsorted(alphas, 0)))
    real = [i for i, kind in enumerate(kinds) if kind == "real"]
    controls = {}
    for kind in CONTROL_KINDS:
        mine = {i: names[i] for i, each in enumerate(kinds) if each == kind}
        if rows := control_rows(mine, [names[i] for i in real]):
            controls[kind] = full.take(np.array(rows))
    return Grid(
        names=tuple(names[i] for i in real),
        alphas=np.insert(alphas, at, 0.0),
        clusters=clusters,
        twins=twins,
        baseline=baseline,
        real=full.take(np.array(real)),
        controls=controls,
        coverage=coverage,
    )


def control_rows(controls: dict[int, CurveName], real: Sequence[CurveName]) -> list[list[int]]:
    """For each control that every real curve has: its curves' numbers, one a real curve."""
    found: dict[str, dict[int, int]] = {}
    for number, name in controls.items():
        ref = DirectionRef.of_label(name.direction)
        label = str(replace(ref, of=""))
        for i, each in enumerate(real):
            if each.place == name.place and ref.of in ("", each.direction):
                found.setdefault(label, {})[i] = number
    whole = [label for label, curves in found.items() if len(curves) == len(real)]
    # "random-10" after "random-9"
    whole.sort(key=lambda label: (len(label), label))
    return [[found[label][i] for i in range(len(real))] for label in whole]


def with_zero(full: Cells, baseline: Cells, at: int) -> Cells:
    """Cells [F, A, n] with the baseline put in as α number `at`: [F, A + 1, n]."""

    def put(values: NDArray, unedited: NDArray) -> NDArray:
        return np.insert(values, at, unedited, axis=1)

    still = np.zeros(baseline.correct.size)  # unedited: nothing moved, whatever was stored
    own = {name: baseline.measured.get(name, still) for name in full.measured}
    own |= dict.fromkeys({"kl", "kl_number", "dose", "shift"} & set(own), still)
    return Cells(
        put(full.correct, baseline.correct),
        put(full.answer, baseline.answer),
        put(full.state, baseline.state),
        put(full.flip, np.full(still.size, -1, np.int8)),
        {name: put(values, own[name]) for name, values in full.measured.items()},
    )
