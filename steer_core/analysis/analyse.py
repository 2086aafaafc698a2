"""What one run shows: every number of a report, from the table of the run alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from steer_core.analysis import tables
from steer_core.analysis.curves import Curve, measure_curves
from steer_core.analysis.grid import Bools, Coverage, CurveName, Grid, build_grid
from steer_core.analysis.power import pairs_needed
from steer_core.analysis.statistics import FAIR, fair_after
from steer_core.analysis.verdict import GOAL, Verdict, judge

LEVEL = 0.05  # of the tests and of the power
POWER = 0.8
ARRIVED = 1e-5  # nats; a log-probability that moves by less is rounding in float32
ARRIVED_KL = 1e-6  # nats, where only the divergence was stored


@dataclass(frozen=True, slots=True, eq=False)
class CurveResult:
    """One real direction at one place.

    Attributes:
        name: site, layer, positions and direction.
        curve: numbers over α that the verdict rests on, see `Curve`.
        verdict: one of the five kinds, with a sentence; `verdict.smallest` is the smallest change
            that these pairs would have shown with 80 % power.
        needed: pairs that would show a change of five points, None when no number would.
    """

    name: CurveName
    curve: Curve
    verdict: Verdict
    needed: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Everything that is computed from one run. Shares are 0..1, changes −1..1.

    Every table begins with the columns site, layer (-1 where there is none), positions, direction.

    Attributes:
        results: one per curve, in the order of the tables.
        alphas: float64 [A], sorted, 0 among them.
        n: number of pairs.
        correct: how many of them are answered right at α = 0.
        points: per α: accuracy, change, intervals, p-values, flips by kind; `point_table`.
        bands: per kind of control and α: their spread, rank of the real direction; `band_table`.
        outcomes: per continuous outcome and α: mean, change, interval; `outcome_table`.
        transitions: per α: pairs by answer at α = 0 and with the edit; `transition_table`.
        best: per curve: largest suppression and amplification; `best_table`.
        coverage: how much of the run this is.
        controls: number of control directions by kind.
    """

    results: tuple[CurveResult, ...]
    alphas: np.ndarray
    n: int
    correct: int
    points: pd.DataFrame
    bands: pd.DataFrame
    outcomes: pd.DataFrame
    transitions: pd.DataFrame
    best: pd.DataFrame
    coverage: Coverage
    controls: dict[str, int]

    @property
    def baseline(self) -> float:
        """Accuracy at α = 0, share."""
        return self.correct / self.n


def analyse(
    table: pd.DataFrame,
    *,
    expected: int | None = None,
    before: float | None = None,
    resamples: int = 9999,
    bootstrap: int = 1999,
    seed: int = 0,
) -> Analysis:
    """Analyse one run.

    All curves of the run are one family: the p-values of the permutation test, Holm's and those
    against the controls are corrected over every curve and α.

    Args:
        table: One row per decoded (pair, curve, α), columns as `Store.table` gives them.
        expected: Rows of the finished run, so that an unfinished one is seen as such.
        before: Share of right answers at α = 0 before pairs were balanced by them; None for pairs
            that nobody chose so.
        resamples: Sign patterns of the permutation test.
        bootstrap: Resamples behind the intervals of continuous outcomes.
        seed: Of the permutation test and the bootstrap.

    Raises:
        UserError: when the table lacks a column or no part of the run is complete.
    """
    grid = build_grid(table, expected)
    now = float(grid.baseline.correct.mean())
    curves = measure_curves(
        grid.alphas,
        grid.baseline.correct,
        grid.real.correct,
        controls={
            tables.CONTROL_WORDS[kind]: cells.correct.mean(-1)
            for kind, cells in grid.controls.items()
        },
        logits_changed=logits_changed(grid),
        fair=FAIR if before is None else fair_after(before, now),
        resamples=resamples,
        seed=seed,
    )
    results = tuple(map(result, grid.names, curves))
    points = tables.point_table(grid, curves)
    return Analysis(
        results=results,
        alphas=grid.alphas,
        n=grid.pair_ids.size,
        correct=int(grid.baseline.correct.sum()),
        points=points,
        bands=tables.band_table(grid, curves),
        outcomes=tables.outcome_table(grid, resamples=bootstrap, seed=seed),
        transitions=tables.transition_table(grid),
        best=tables.best_table(points),
        coverage=grid.coverage,
        controls={kind: len(cells.correct) for kind, cells in grid.controls.items()},
    )


def result(name: CurveName, curve: Curve) -> CurveResult:
    """Judge one curve, and say how many pairs five points would take."""
    needed = pairs_needed(
        GOAL,
        curve.baseline / curve.n,
        noise=curve.noise,
        power=POWER,
        level=LEVEL / curve.tests,
    )
    return CurveResult(name, curve, judge(curve, level=LEVEL, power=POWER), needed)


def logits_changed(grid: Grid) -> Bools | None:
    """Whether any answer's logits moved by more than rounding, [C, A]; None if not measured."""
    for name, limit in (("shift", ARRIVED), ("kl", ARRIVED_KL)):
        if (values := grid.real.measured.get(name)) is not None:
            return np.any(np.nan_to_num(values) > limit, axis=-1, keepdims=False)
    return None
