"""Counts of right answers: intervals, paired tests and their correction for many tests.

All functions take numpy arrays or numbers and know nothing of models. Shares are 0..1. scipy and
statsmodels take seconds to import and are, where a number is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steer_core.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """How paired answers changed against the baseline.

    Attributes:
        wrong_to_right: int [...], pairs won.
        right_to_wrong: int [...], pairs lost.
    """

    wrong_to_right: Ints
    right_to_wrong: Ints


def wilson(correct: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson score interval of a share.

    Args:
        correct: Number of right answers, any shape; 0 <= correct <= n.
        n: Number of answers, broadcast against `correct`.
        level: Confidence level between 0 and 1.

    Returns:
        Lower and upper limit as shares 0..1, float64, of the broadcast shape. Where n is 0
        nothing is known and the interval is 0..1.

    Raises:
        UserError: when a count is outside 0..n or the level outside 0..1.
    """
    from statsmodels.stats.proportion import proportion_confint

    check_share(level, "level")
    right, total = np.broadcast_arrays(np.asarray(correct, float), np.asarray(n, float))
    if np.any(right < 0) or np.any(right > total):
        raise UserError(
            "a count of right answers is outside 0..n; pass correct and n in this order"
        )
    known = total > 0
    low, high = proportion_confint(right, np.where(known, total, 1), 1 - level, method="wilson")
    # [()] makes plain numbers of results for plain numbers, as json needs them
    return np.where(known, low, 0.0)[()], np.where(known, high, 1.0)[()]


def paired_flips(baseline: ArrayLike, steered: ArrayLike) -> Flips:
    """Count the pairs that an edit won and lost.

    Args:
        baseline: bool [n], right at α = 0.
        steered: bool [..., n], right with the edit, the same pairs in the same order.

    Raises:
        UserError: when the numbers of pairs differ.
    """
    before, after = paired(baseline, steered)
    return Flips((~before & after).sum(-1), (before & ~after).sum(-1))


def mcnemar_exact(
    wrong_to_right: ArrayLike, right_to_wrong: ArrayLike, fair: float = 0.5
) -> Floats:
    """Two-sided exact McNemar test on counts of flips.

    Under the null a pair that flips is won with the chance `fair`, one half in McNemar's own test.
    There fewer than six flips cannot give p < 0.05: 0 against 5 has p = 0.0625, 0 against 6 has
    p = 0.03125.

    Args:
        wrong_to_right: Counts, any shape.
        right_to_wrong: Counts, broadcast against the first.
        fair: Where pairs were chosen by their answer and are weighed back, the weight of a loss
            over that of a loss and a gain: then as many of all pairs are won as lost.

    Returns:
        p, float64, of the broadcast shape; 1 where nothing flipped.

    Raises:
        UserError: when `fair` is not between 0 and 1.
    """
    from scipy import stats

    check_share(fair, "fair")
    won, lost = np.broadcast_arrays(np.asarray(wrong_to_right), np.asarray(right_to_wrong))
    few, many = (stats.binom(won + lost, chance) for chance in (fair, 1 - fair))
    return np.minimum(1.0, 2 * np.minimum(few.cdf(won), many.cdf(lost)))


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values, of the same shape; all entries are one family.

    Raises:
        UserError: when an entry is not between 0 and 1.
    """
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, float)
    if not np.all((values >= 0) & (values <= 1)):
        raise UserError("p-values must lie in 0..1; leave out tests that were not made")
    if not values.size:
        return values
    adjusted = multipletests(values.ravel(), method="holm")[1]
    return np.asarray(adjusted, float).reshape(values.shape)


def paired_interval(
    wrong_to_right: ArrayLike,
    right_to_wrong: ArrayLike,
    n: int,
    level: float = 0.95,
    *,
    effective: ArrayLike | None = None,
    groups: int | None = None,
    weights: tuple[float, float] = (1.0, 1.0),
) -> tuple[Floats, Floats]:
    """Interval of the change in accuracy on paired answers.

    The two shares of flips have Clopper and Pearson's exact limits, joined to limits of their
    difference with the correlation that two shares of one sample have (Newcombe, 1998, method 10).
    Where all flips go one way, the outer limit is the exact one; where nothing flipped it keeps a
    width: no flip of 10 still allows for a change of 26 points (one-sided 95 %).

    Args:
        wrong_to_right: Counts, any shape.
        right_to_wrong: Counts, of the same shape.
        n: Number of pairs.
        level: Confidence level between 0 and 1.
        effective: Independent pairs that would tell as much, see `clusters.effective_pairs`; `n`
            when not given.
        groups: Number of clusters where pairs hang together: so few draws widen the limits.
        weights: What a gain and a loss count, where pairs were chosen by their answer.

    Returns:
        Lower and upper limit of accuracy(steered) − accuracy(baseline), as shares −1..1.
    """
    check_share(level, "level")
    size = np.asarray(n if effective is None else effective, float)
    won, lost = (np.asarray(flips) / n for flips in (wrong_to_right, right_to_wrong))
    tail = (1 - level) / 2
    (won_low, won_high), (lost_low, lost_high) = (
        clopper_pearson(share, size, tail) for share in (won, lost)
    )
    gain, loss = weights
    together = np.sqrt(won * lost / np.maximum((1 - won) * (1 - lost), 1e-12))
    wider = widening(groups, tail)
    change = gain * won - loss * lost
    below = joined(gain * (won - won_low), loss * (lost_high - lost), together)
    above = joined(gain * (won_high - won), loss * (lost - lost_low), together)
    return np.maximum(change - wider * below, -1.0), np.minimum(change + wider * above, 1.0)


def clopper_pearson(share: Floats, n: Floats, tail: float) -> tuple[Floats, Floats]:
    """Exact limits of a share, each missed with the chance `tail`; `n` need not be whole."""
    from scipy import stats

    count = share * n
    with np.errstate(invalid="ignore"):
        low = np.where(count > 0, stats.beta.ppf(tail, count, n - count + 1), 0.0)
        high = np.where(count < n, stats.beta.isf(tail, count + 1, n - count), 1.0)
    return low, high


def joined(first: Floats, second: Floats, together: Floats) -> Floats:
    """Half a width of a difference, from those of its two parts and their correlation."""
    return np.sqrt(first**2 + second**2 + 2 * together * first * second)


def widening(groups: int | None, tail: float) -> float:
    """How much wider Student's limits are than normal ones, for a variance of so few clusters."""
    if groups is None:
        return 1.0
    from scipy import stats

    return float(stats.t.isf(tail, groups - 1) / stats.norm.isf(tail)) if groups > 1 else np.inf


def paired(baseline: ArrayLike, steered: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both as bool arrays, [n] and [..., n], after a check of their shapes."""
    before, after = np.asarray(baseline, bool), np.asarray(steered, bool)
    if before.ndim != 1 or after.ndim < 1 or after.shape[-1] != before.size:
        raise UserError(
            f"answers of shape {after.shape} cannot be paired with a baseline of shape "
            f"{before.shape}; the last axis must hold the same pairs in the same order"
        )
    return before, after


def check_share(value: float, name: str) -> None:
    """Raise a `UserError` unless the value lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise UserError(f"{name} is {value}, it must lie between 0 and 1; 0.95 or 0.05 are usual")
