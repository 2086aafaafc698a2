"""What one run shows: every number of a report, from the table of the run alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from steer_core.analysis import tables
from steer_core.analysis.cells import Bools, Cells, Coverage, CurveName, Grid
from steer_core.analysis.curves import Answers, Curve, answers_of, measure_curves
from steer_core.analysis.grid import build_grid
from steer_core.analysis.measures import CHANGES, holds
from steer_core.analysis.power import Power, power_of
from steer_core.analysis.verdict import Verdict, judge

ARRIVED = 1e-5  # nats; a log-probability that moves by less is rounding in float32
ARRIVED_KL = 1e-6  # nats, where only the divergence was stored


@dataclass(frozen=True, slots=True, eq=False)
class CurveResult:
    """One real direction at one place.

    Attributes:
        name: site, layer, positions and direction.
        curve: numbers over α that the verdict rests on, see `Curve`.
        verdict: one of the six kinds, with a sentence, and what the run would have shown.
    """

    name: CurveName
    curve: Curve
    verdict: Verdict

    @property
    def power(self) -> Power:
        """What these pairs would have shown, see `Power`."""
        return self.verdict.power


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Everything that is computed from one run. Shares are 0..1, changes −1..1.

    Every table begins with the columns site, layer (-1 where there is none), positions, direction.

    Attributes:
        results: one per curve, in the order of the tables.
        alphas: float64 [A], sorted, 0 among them.
        n: number of pairs.
        groups: number of clusters that they come in: pairs of one template, pair id or question.
        correct: how many of them are answered right at α = 0.
        baseline: accuracy at α = 0, share; that before balancing where `weighed`.
        weighed: whether pairs were balanced by their answer, and are weighed back.
        looks: by how much p-values are raised for other looks at these pairs.
        points: per α: accuracy, change, intervals, p-values, flips by kind; `point_table`.
        bands: per kind of control and α: their spread, rank of the real direction; `band_table`.
        outcomes: per continuous outcome and α: mean, change, interval; `outcome_table`.
        transitions: per α: pairs by answer at α = 0 and with the edit; `transition_table`.
        best: per curve: largest suppression and amplification; `best_table`.
        coverage: how much of the run this is.
        controls: number of control directions by kind.
        changes: the same curves judged by what answers do, right or wrong: by name of
            `measures.CHANGES`, in the order of `results`. All of these are one family besides that
            of accuracy: p-values are corrected over every curve, α and measure.
    """

    results: tuple[CurveResult, ...]
    alphas: np.ndarray
    n: int
    groups: int
    correct: int
    baseline: float
    weighed: bool
    looks: float
    points: pd.DataFrame
    bands: pd.DataFrame
    outcomes: pd.DataFrame
    transitions: pd.DataFrame
    best: pd.DataFrame
    coverage: Coverage
    controls: dict[str, int]
    changes: dict[str, tuple[CurveResult, ...]]


def analyse(table: pd.DataFrame, *, expected: int | None = None, **settings: Any) -> Analysis:
    """Analyse one run from its table; see `analyse_grid`.

    Args:
        table: One row per decoded (pair, curve, α), columns as `Store.table` gives them.
        expected: Rows of the finished run, so that an unfinished one is seen as such.
        settings: As in `analyse_grid`.

    Raises:
        UserError: when the table lacks a column or no part of the run is complete.
    """
    return analyse_grid(build_grid(table, expected), **settings)


def analyse_grid(
    grid: Grid,
    *,
    before: float | None = None,
    looks: float = 1.0,
    chosen: float = 1.0,
    resamples: int = 9999,
    bootstrap: int = 1999,
    seed: int = 0,
) -> Analysis:
    """Analyse one run.

    All curves of the run are one family: the p-values of the permutation test, Holm's and those
    against the controls are corrected over every curve and α.

    Args:
        grid: Its answers.
        before: Share of right answers at α = 0 before pairs were balanced by them, to which they
            are weighed back in every number; None for pairs that nobody chose so.
        looks: At least 1: every corrected p is multiplied by it, for what was looked at on these
            pairs besides. With the curves of all looks over those of this run, the chance of any
            false effect among them all stays at the level (the union bound).
        chosen: At least 1: the number of settings that this one was chosen from on other pairs, by
            which the p of ranks among controls are multiplied besides.
        resamples: Sign patterns of the permutation test.
        bootstrap: Resamples behind the intervals of continuous outcomes.
        seed: Of the permutation test and the bootstrap.
    """
    answers = answers_in(grid, before, looks, chosen)
    settings: dict[str, Any] = {"resamples": resamples, "seed": seed}
    settings["logits_changed"] = logits_changed(grid)
    curves = measure_curves(answers, **settings)
    powers = power_of(answers, curves, seed=seed)
    judged = zip(grid.names, curves, powers, strict=True)
    points = tables.point_table(grid, answers, curves)
    return Analysis(
        results=tuple(CurveResult(name, c, judge(c, power)) for name, c, power in judged),
        alphas=grid.alphas,
        n=answers.n,
        groups=curves[0].groups,
        correct=curves[0].baseline,
        baseline=curves[0].start,
        weighed=bool((answers.weights != 1).any()),
        looks=answers.looks,
        points=points,
        bands=tables.band_table(answers, grid.names, curves),
        outcomes=tables.outcome_table(grid, answers.weights, resamples=bootstrap, seed=seed),
        transitions=tables.transition_table(grid),
        best=tables.best_table(points),
        coverage=grid.coverage,
        controls={kind: len(cells.correct) for kind, cells in grid.controls.items()},
        changes=judged_by_changes(grid, answers, settings),
    )


def judged_by_changes(
    grid: Grid, answers: Answers, settings: Mapping[str, Any]
) -> dict[str, tuple[CurveResult, ...]]:
    """The curves of a grid judged by what answers do, all measures one family."""
    counted = answers_of(
        grid.alphas,
        np.zeros(answers.n, bool),
        each_measure(grid, grid.real),
        controls={kind: each_measure(grid, cells) for kind, cells in grid.controls.items()},
        clusters=grid.clusters,
        looks=answers.looks,
        chosen=answers.chosen,
    )
    settings = {**settings, "logits_changed": repeated(settings["logits_changed"])}
    curves = measure_curves(counted, **settings)
    found = {}
    for i, measure in enumerate(CHANGES):
        mine = curves[i * len(grid.names) : (i + 1) * len(grid.names)]
        judged = (replace(curve, measure=measure) for curve in mine)
        results = zip(grid.names, judged, strict=True)
        found[measure.name] = tuple(CurveResult(name, each, judge(each)) for name, each in results)
    return found


def each_measure(grid: Grid, cells: Cells) -> Bools:
    """Answers [..., C, A, n] by one measure of `CHANGES` after the other: [..., 3 C, A, n]."""
    return np.concatenate([holds(measure, grid, cells) for measure in CHANGES], axis=-3)


def repeated(logits: Bools | None) -> Bools | None:
    """What was measured of each curve [C, A], for every measure of it."""
    return None if logits is None else np.concatenate([logits] * len(CHANGES))


def answers_in(
    grid: Grid, before: float | None, looks: float = 1.0, chosen: float = 1.0
) -> Answers:
    """The answers of a grid, as tests take them."""
    return answers_of(
        grid.alphas,
        grid.baseline.correct,
        grid.real.correct,
        controls={kind: cells.correct for kind, cells in grid.controls.items()},
        clusters=grid.clusters,
        before=before,
        looks=looks,
        chosen=chosen,
    )


def logits_changed(grid: Grid) -> Bools | None:
    """Whether any answer's logits moved by more than rounding, [C, A]; None if not measured."""
    for name, limit in (("shift", ARRIVED), ("kl", ARRIVED_KL)):
        values = grid.real.measured.get(name)
        if values is not None and np.isfinite(values[:, grid.alphas != 0]).any():
            return np.any(~(values.astype(float) <= limit), axis=-1)  # what is no number has moved
    return None
