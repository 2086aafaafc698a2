"""The tidy tables of an analysis, one function each. Shares are 0..1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steer_core.analysis.bootstrap import bootstrap_mean, mean_by_pair
from steer_core.analysis.curves import Curve
from steer_core.analysis.grid import FLIPS, OUTCOMES, STATES, CurveName, Floats, Grid
from steer_core.analysis.statistics import holm, mcnemar_exact, paired_interval, wilson

NAME = ["site", "layer", "positions", "direction"]
CONTROL_WORDS = {"random": "random", "shuffled": "label-shuffled"}
"""Kinds of controls as sentences name them."""
STANDING_OUT = "alpha accuracy correct change change_low change_high p_max".split()


def name_columns(name: CurveName) -> dict[str, object]:
    """The first columns of every table."""
    return {column: getattr(name, column) for column in NAME}


def point_table(grid: Grid, curves: Sequence[Curve]) -> pd.DataFrame:
    """One row per curve and α.

    `alpha`, `n`, `correct`, `accuracy`, `low`, `high` (Wilson 95 %), `change` against α = 0 with
    `change_low`, `change_high` (paired, 95 %), `won`, `lost` (pairs, wrong to right and back),
    `p_mcnemar` (exact, one test), `p_holm` and `p_max` (adjusted over the run: Holm's, and the
    permutation test's that keeps the correlation of neighbouring α), `flips` (answers other than
    at α = 0) and one column for each kind of them.
    """
    parts = [points_of(name, curve) for name, curve in zip(grid.names, curves, strict=True)]
    table = pd.concat(parts, ignore_index=True)
    edited = table["alpha"].ne(0)
    table["p_holm"] = 1.0
    table.loc[edited, "p_holm"] = holm(table.loc[edited, "p_mcnemar"])
    for code, kind in enumerate(FLIPS):
        table[kind] = (grid.real.flip == code).sum(-1).ravel()
    table["flips"] = table[list(FLIPS)].sum(axis=1)
    return table


def points_of(name: CurveName, curve: Curve) -> pd.DataFrame:
    """The rows of one curve, without what needs the whole run."""
    won, lost, n = curve.wrong_to_right, curve.right_to_wrong, curve.n
    correct = curve.baseline + won - lost
    low, high = wilson(correct, n)
    change_low, change_high = paired_interval(won, lost, n)
    columns = {
        "alpha": curve.alphas,
        "n": n,
        "correct": correct,
        "accuracy": curve.accuracy,
        "low": low,
        "high": high,
        "change": curve.change,
        "change_low": np.where(curve.steered, change_low, 0.0),
        "change_high": np.where(curve.steered, change_high, 0.0),
        "won": won,
        "lost": lost,
        "p_mcnemar": mcnemar_exact(won, lost, curve.fair),
        "p_max": curve.p,
    }
    return pd.DataFrame(name_columns(name) | columns)


def band_table(grid: Grid, curves: Sequence[Curve]) -> pd.DataFrame:
    """One row per curve, kind of control and α.

    `kind`, `alpha`, `controls` (their number), accuracies of the controls: `least`, `low` (2.5 %),
    `middle` (median), `high` (97.5 %), `most`; `rank` of the real direction's |change| among all
    (1 is the largest) with its exact `p` at this α, and `excess_p`, the exact p of how far it goes
    beyond the controls, corrected over the run.
    """
    rows = [
        band_of(name, curve, kind, cells.correct[:, row].mean(-1))
        for row, (name, curve) in enumerate(zip(grid.names, curves, strict=True))
        for kind, cells in grid.controls.items()
    ]
    empty = pd.DataFrame(columns=[*NAME, "kind", "alpha"])
    return pd.concat(rows, ignore_index=True) if rows else empty


def band_of(name: CurveName, curve: Curve, kind: str, accuracy: Floats) -> pd.DataFrame:
    """The band of one kind of controls, accuracies [X, A], around one curve."""
    rank = next(each for each in curve.controls if each.name == CONTROL_WORDS[kind])
    columns = {"kind": kind, "alpha": curve.alphas, "controls": len(accuracy)}
    columns |= spread(accuracy) | {"rank": rank.rank, "p": rank.p, "excess_p": rank.excess_p}
    return pd.DataFrame(name_columns(name) | columns)


def spread(values: Floats) -> dict[str, Floats]:
    """Spread of X controls, values [X, A], at each α."""
    names = {"least": 0, "low": 2.5, "middle": 50, "high": 97.5, "most": 100}
    quantiles = np.percentile(values, list(names.values()), axis=0)
    return dict(zip(names, quantiles, strict=True))


def outcome_table(grid: Grid, *, resamples: int, seed: int) -> pd.DataFrame:
    """One row per curve, continuous outcome and α.

    `outcome`, `alpha`, `n` (pairs with a value at every α), `mean`, `change` against α = 0 with
    `low`, `high` (bootstrap by pair, 95 %), and for each kind of control the 2.5 and 97.5 % points
    of the controls' means: `random_low`, `random_high`, `shuffled_low`, `shuffled_high`. Margin in
    logits; log-probabilities and KL in nats; dose is a share.
    """
    parts = [
        rows
        for row, name in enumerate(grid.names)
        for outcome in OUTCOMES
        if outcome in grid.real.measured
        for rows in outcome_of(grid, row, name, outcome, resamples, seed)
    ]
    empty = pd.DataFrame(columns=[*NAME, "outcome", "alpha"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def outcome_of(
    grid: Grid, row: int, name: CurveName, outcome: str, resamples: int, seed: int
) -> list[pd.DataFrame]:
    """One outcome along one curve; nothing when fewer than two pairs have a value."""
    values = grid.real.measured[outcome][row]
    known = np.isfinite(values).all(0)
    ids = grid.pair_ids[known]
    if np.unique(ids).size < 2:
        return []
    values, zero = values[:, known], int(np.flatnonzero(grid.alphas == 0)[0])
    change = mean_by_pair(values - values[zero], ids)
    interval = bootstrap_mean(change, resamples=resamples, seed=seed)
    columns = {
        "outcome": outcome,
        "alpha": grid.alphas,
        "n": interval.n,
        "mean": mean_by_pair(values, ids).mean(-1),
        "change": interval.mean,
        "low": interval.low,
        "high": interval.high,
    }
    for kind, cells in grid.controls.items():
        means = np.nanmean(cells.measured[outcome][:, row][..., known], axis=-1)
        columns |= {f"{kind}_{k}": v for k, v in spread(means).items() if k in ("low", "high")}
    return [pd.DataFrame(name_columns(name) | columns)]


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
