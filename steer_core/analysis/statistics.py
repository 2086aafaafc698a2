"""Counts of right answers: intervals, paired tests and their correction for many tests.

All functions take numpy arrays or numbers and know nothing of models. Shares are 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from steer_core.errors import UserError

FAIR = 0.5
"""Chance that a flip is a gain where an edit changes no accuracy, on pairs that nobody chose by
their answer; on others see `fair_after`."""

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


def fair_after(before: float, now: float) -> float:
    """Chance that a flip is a gain where an edit changes no accuracy, on pairs chosen by answer.

    Balancing keeps a larger part of the rarer kind of answer. An edit that only answers anew, and
    loses as many of all pairs as it wins, then wins or loses more of those that were kept; a test
    that takes the two for equally likely would call that an effect.

    Args:
        before: Share of right answers before the choice; without any kind of answer, `FAIR`.
        now: The same among those that were kept.
    """
    won, lost = before * (1 - now), (1 - before) * now
    return won / (won + lost) if min(won, lost) > 0 else FAIR


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
    wrong_to_right: ArrayLike, right_to_wrong: ArrayLike, fair: float = FAIR
) -> Floats:
    """Two-sided exact McNemar test on counts of flips.

    Under the null a pair that flips is won with probability `fair`, one half in McNemar's own test.
    There fewer than six flips cannot give p < 0.05: 0 against 5 has p = 0.0625, 0 against 6 has
    p = 0.03125.

    Args:
        wrong_to_right: Counts, any shape.
        right_to_wrong: Counts, broadcast against the first.
        fair: See `FAIR` and `fair_after`.

    Returns:
        p, float64, of the broadcast shape; 1 where nothing flipped.

    Raises:
        UserError: when `fair` is not between 0 and 1.
    """
    check_share(fair, "fair")
    won, lost = np.broadcast_arrays(np.asarray(wrong_to_right), np.asarray(right_to_wrong))
    few, many = (stats.binom(won + lost, chance) for chance in (fair, 1 - fair))
    return np.minimum(1.0, 2 * np.minimum(few.cdf(won), many.cdf(lost)))


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values, of the same shape; all entries are one family.

    Raises:
        UserError: when an entry is not between 0 and 1.
    """
    values = np.asarray(p, float)
    if not np.all((values >= 0) & (values <= 1)):
        raise UserError("p-values must lie in 0..1; leave out tests that were not made")
    if not values.size:
        return values
    adjusted = multipletests(values.ravel(), method="holm")[1]
    return np.asarray(adjusted, float).reshape(values.shape)


def paired_interval(
    wrong_to_right: ArrayLike, right_to_wrong: ArrayLike, n: int, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval of the change in accuracy on paired answers.

    The Wald interval with half an observation added to each cell of the 2 × 2 table (Agresti and
    Min, 2005), which keeps a width where nothing flipped.

    Args:
        wrong_to_right: Counts, any shape.
        right_to_wrong: Counts, of the same shape.
        n: Number of pairs.
        level: Confidence level between 0 and 1.

    Returns:
        Lower and upper limit of accuracy(steered) − accuracy(baseline), as shares −1..1.
    """
    check_share(level, "level")
    won, lost = ((np.asarray(flips) + 0.5) / (n + 2) for flips in (wrong_to_right, right_to_wrong))
    change = won - lost
    half = stats.norm.isf((1 - level) / 2) * np.sqrt((won + lost - change**2) / (n + 2))
    return np.maximum(change - half, -1.0), np.minimum(change + half, 1.0)


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
