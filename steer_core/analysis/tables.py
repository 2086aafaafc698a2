"""The tidy tables of an analysis, one function each. Shares are 0..1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steer_core.analysis.bootstrap import bootstrap_mean
from steer_core.analysis.cells import FLIPS, OUTCOMES, STATES, CurveName, Floats, Grid
from steer_core.analysis.clusters import effective_pairs
from steer_core.analysis.curves import Answers, Contrast, Curve
from steer_core.analysis.statistics import holm, mcnemar_exact, wilson

NAME = ["site", "layer", "positions", "direction"]
STANDING_OUT = "alpha accuracy correct change change_low change_high p_max".split()


def name_columns(name: CurveName) -> dict[str, object]:
    """The first columns of every table."""
    return {column: getattr(name, column) for column in NAME}


def point_table(grid: Grid, answers: Answers, curves: Sequence[Curve]) -> pd.DataFrame:
    """One row per curve and α.

    `alpha`, `n`, `correct`, `accuracy`, `low`, `high` (Wilson 95 %, at the number of independent
    pairs that would tell as much), `change` against α = 0 with `change_low`, `change_high` (paired,
    95 %), `won`, `lost` (pairs, wrong to right and back), `p_mcnemar` (exact, one test, each pair
    by itself), `p_holm` (the same, by Holm over the run) and `p_max` (adjusted over the run by sign
    flips of clusters, which keeps the correlation of neighbouring α), `flips` (answers other than
    at α = 0) and one column for each kind of them.
    """
    parts = [
        points_of(name, curve, answers, row)
        for row, (name, curve) in enumerate(zip(grid.names, curves, strict=True))
    ]
    table = pd.concat(parts, ignore_index=True)
    edited = table["alpha"].ne(0)
    table["p_holm"] = 1.0
    table.loc[edited, "p_holm"] = holm(table.loc[edited, "p_mcnemar"])
    for code, kind in enumerate(FLIPS):
        table[kind] = (grid.real.flip == code).sum(-1).ravel()
    table["flips"] = table[list(FLIPS)].sum(axis=1)
    return table


def points_of(name: CurveName, curve: Curve, answers: Answers, row: int) -> pd.DataFrame:
    """The rows of one curve, without what needs the whole run."""
    won, lost = curve.wrong_to_right, curve.right_to_wrong
    right = answers.weights * answers.steered[row]
    size = effective_pairs(right, answers.clusters)
    accuracy = np.clip(curve.accuracy, 0.0, 1.0)
    low, high = wilson(accuracy * size, size)
    gain, loss = answers.flip_weights
    fair = loss / (gain + loss)
    columns = {
        "alpha": curve.alphas,
        "n": curve.n,
        "correct": curve.baseline + won - lost,
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "change": curve.change,
        "change_low": curve.low,
        "change_high": curve.high,
        "won": won,
        "lost": lost,
        "p_mcnemar": mcnemar_exact(won, lost, fair),
        "p_max": curve.p,
    }
    return pd.DataFrame(name_columns(name) | columns)


def band_table(
    answers: Answers, names: Sequence[CurveName], curves: Sequence[Curve]
) -> pd.DataFrame:
    """One row per curve, kind of control and α.

    `kind`, `alpha`, `controls` (their number), accuracies of the controls: `least`, `low` (2.5 %),
    `middle` (median), `high` (97.5 %), `most`, `mean`; the real direction's `contrast` with that
    mean, its 95 % interval `contrast_low`, `contrast_high` and `contrast_p` over pairs, corrected
    over the run; its `rank` among all by distance from the others at this α (1 is the furthest)
    with its exact `p`, and `excess_p`, the exact p corrected over the run.
    """
    rows = [
        band_of(name, curve, each, curve.start + answers.control_changes[each.kind][:, row])
        for row, (name, curve) in enumerate(zip(names, curves, strict=True))
        for each in curve.contrasts
    ]
    empty = pd.DataFrame(columns=[*NAME, "kind", "alpha"])
    return pd.concat(rows, ignore_index=True) if rows else empty


def band_of(name: CurveName, curve: Curve, each: Contrast, accuracy: Floats) -> pd.DataFrame:
    """The band of one kind of controls, accuracies [X, A], around one curve."""
    columns = {"kind": each.kind, "alpha": curve.alphas, "controls": len(accuracy)}
    columns |= spread(accuracy) | {"mean": accuracy.mean(0), "contrast": each.change}
    columns |= {"contrast_low": each.low, "contrast_high": each.high, "contrast_p": each.p}
    columns |= {"rank": 1 + each.rank.here, "p": each.rank.p, "excess_p": each.rank_p}
    return pd.DataFrame(name_columns(name) | columns)


def spread(values: Floats) -> dict[str, Floats]:
    """Spread of X controls, values [X, A], at each α."""
    names = {"least": 0, "low": 2.5, "middle": 50, "high": 97.5, "most": 100}
    quantiles = np.percentile(values, list(names.values()), axis=0)
    return dict(zip(names, quantiles, strict=True))


def outcome_table(grid: Grid, weights: Floats, *, resamples: int, seed: int) -> pd.DataFrame:
    """One row per curve, continuous outcome and α.

    `outcome`, `alpha`, `n` (pairs with a value at every α), `mean`, `change` against α = 0 with
    `low`, `high` (bootstrap by cluster, 95 %), and for each kind of control the 2.5 and 97.5 %
    points of the controls' means, such as `random_low`, `random_high`. Margin in logits;
    log-probabilities and KL in nats; dose is a share.
    """
    parts = [
        rows
        for row in range(len(grid.names))
        for outcome in OUTCOMES
        if outcome in grid.real.measured
        for rows in outcome_of(grid, weights, row, outcome, {"resamples": resamples, "seed": seed})
    ]
    empty = pd.DataFrame(columns=[*NAME, "outcome", "alpha"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def outcome_of(
    grid: Grid, weights: Floats, row: int, outcome: str, settings: Mapping[str, Any]
) -> list[pd.DataFrame]:
    """One outcome along one curve; nothing when fewer than two clusters have a value."""
    values = grid.real.measured[outcome][row].astype(float)
    known = np.isfinite(values).all(0)
    if np.unique(grid.clusters[known]).size < 2:
        return []
    values, zero = values[:, known], int(np.flatnonzero(grid.alphas == 0)[0])
    counts, clusters = weights[known], grid.clusters[known]
    change = values - values[zero]
    interval = bootstrap_mean(change, clusters=clusters, weights=counts, **settings)
    columns = {
        "outcome": outcome,
        "alpha": grid.alphas,
        "n": interval.n,
        "mean": values @ counts / counts.sum(),
        "change": interval.mean,
        "low": interval.low,
        "high": interval.high,
    }
    for kind, cells in grid.controls.items():
        controls = cells.measured[outcome][:, row][..., known].astype(float)
        means = weighed_means(controls, counts)
        columns |= {f"{kind}_{k}": v for k, v in spread(means).items() if k in ("low", "high")}
    return [pd.DataFrame(name_columns(grid.names[row]) | columns)]


def weighed_means(values: Floats, weights: Floats) -> Floats:
    """Means [X, A] of values [X, A, n] over the pairs that have one."""
    known = np.isfinite(values)
    return np.where(known, values, 0) @ weights / np.maximum(known @ weights, 1e-12)


def transition_table(grid: Grid) -> pd.DataFrame:
    """One row per curve, α, answer `before` (at α = 0) and `after`: number of pairs `count`.

    Answers are sorted into `STATES`; pairs on the diagonal may still have another wrong number.
    """
    codes = grid.baseline.state * np.int8(len(STATES)) + grid.real.state
    cells = range(len(STATES) ** 2)
    counts = np.stack([(codes == cell).sum(-1) for cell in cells], -1)
    curve, alpha, cell = (axis.ravel() for axis in np.indices(counts.shape))
    names = pd.DataFrame([name_columns(name) for name in grid.names]).iloc[curve]
    words = np.array(STATES)
    return names.reset_index(drop=True).assign(
        alpha=grid.alphas[alpha],
        before=words[cell // len(STATES)],
        after=words[cell % len(STATES)],
        count=counts.ravel(),
    )


def best_table(points: pd.DataFrame) -> pd.DataFrame:
    """One row per curve: the baseline and the α that stands out on either side of 0.

    Suppression is the largest loss at α < 0, amplification the largest gain at α > 0; where a side
    has none, the largest change the other way, and where nothing changed, nan. Columns
    `baseline`, `n`, and for `suppression` and `amplification` each: the column names of
    `point_table` with that prefix (`suppression_alpha`, `suppression_change`, ...),
    and `suppression_swept`: whether any α of that side was.
    """
    rows = []
    for _, curve in points.groupby(NAME, sort=False):
        alpha = curve["alpha"].to_numpy()
        zero = curve[alpha == 0].iloc[0]
        row = {name: zero[name] for name in NAME} | {"baseline": zero["accuracy"], "n": zero["n"]}
        for side, sign in {"suppression": -1, "amplification": 1}.items():
            found = stand_out(pd.DataFrame(curve[sign * alpha > 0]), sign)
            row |= {f"{side}_{column}": value for column, value in found.items()}
            row[f"{side}_swept"] = bool((sign * alpha > 0).any())
        rows.append(row)
    return pd.DataFrame(rows)


def stand_out(side: pd.DataFrame, sign: int) -> dict[str, float]:
    """The row with the largest change of this sign, else of the other; ties go to the small α."""
    wanted = sign * side["change"].to_numpy().round(12)
    if not wanted.any():
        return dict.fromkeys(STANDING_OUT, np.nan)
    size = wanted if (wanted > 0).any() else -wanted
    order = np.lexsort((np.abs(side["alpha"].to_numpy()), -size))
    return {name: float(side[name].iloc[order[0]]) for name in STANDING_OUT}
