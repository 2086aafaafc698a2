"""What a sweep of n pairs can see: power of the exact McNemar test.

The model of flips. A change in accuracy of size x (share of all pairs) is made by x·n one-way
flips, all in the direction of the change. On top of it a share `noise` of all pairs flips for
reasons that have nothing to do with it, half of them each way. So a loss of x has

    P(right → wrong) = x + noise / 2,    P(wrong → right) = noise / 2,

a gain the other way round, and the expected number of flips is (x + noise)·n. `noise = 0` is the
best case: an edit that breaks some answers and repairs none. Two-way flips seen in a sweep
(2·min(won, lost) / n) estimate `noise`. Only right answers can be lost and only wrong ones won, so
the baseline accuracy limits both: a loss to baseline − noise / 2, a gain to 1 − baseline −
noise / 2; the functions take the roomier of the two, for power is the same both ways.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from steer_core.analysis.statistics import Ints, check_share
from steer_core.errors import UserError

MOST_PAIRS = 200_000  # beyond this no pair file will go


def mcnemar_power(n: int, change: float, *, noise: float = 0.0, level: float = 0.05) -> float:
    """Chance that the two-sided exact McNemar test finds a change, in the right direction.

    Exact under the model of flips at the top of this module: the number of flips is binomial, and
    given it the number in the direction of the change is.

    Args:
        n: Number of pairs.
        change: Size of the change in accuracy, share of all pairs; its sign does not matter.
        noise: Share of all pairs that flip besides, half each way.
        level: Significance level of the test; where several α are tested, divide it by their
            number, or by `MaxPermutation.independent`.

    Raises:
        UserError: when a share is outside 0..1.
    """
    check_share(level, "level")
    share = abs(change) + noise
    if n < 1 or noise < 0 or share > 1:
        raise UserError(
            f"{n} pairs, change {change} and noise {noise}: at least 1 pair is needed, and change "
            "and noise are shares of all pairs that add up to at most 1"
        )
    if share == 0:
        return 0.0
    flips = np.arange(n + 1)
    against = (noise / 2) / share
    found = stats.binom.cdf(most_against(n, level), flips, against)
    return float(stats.binom.pmf(flips, n, share) @ found)


@lru_cache(maxsize=32)
def most_against(n: int, level: float) -> Ints:
    """For 0..n flips the most that may go against the change with p <= level; −1 for never."""
    flips = np.arange(n + 1)
    most = stats.binom.ppf(level / 2, flips, 0.5)
    most = np.where(stats.binom.cdf(most, flips, 0.5) <= level / 2, most, most - 1)
    return np.maximum(most, -1).astype(int)


def smallest_change(
    n: int, baseline: float, *, noise: float = 0.0, power: float = 0.8, level: float = 0.05
) -> float:
    """Smallest change in accuracy that n pairs find with this power.

    Args:
        n: Number of pairs.
        baseline: Accuracy at α = 0, share.
        noise: Share of all pairs that flip besides, half each way.
        power: Chance of finding the change.
        level: Significance level of one test, after correction.

    Returns:
        The change as a share of all pairs, nan when even the largest change that the baseline
        leaves room for is not found with this power.

    Raises:
        UserError: when a share is outside 0..1.
    """
    check_share(power, "power")
    limit = room(baseline, noise)

    def lack(change: float) -> float:
        return mcnemar_power(n, change, noise=noise, level=level) - power

    if limit <= 0 or lack(limit) < 0:
        return float("nan")
    return optimize.root_scalar(lack, bracket=(0.0, limit), method="brentq", xtol=1e-6).root


def pairs_needed(
    change: float, baseline: float, *, noise: float = 0.0, power: float = 0.8, level: float = 0.05
) -> int | None:
    """Smallest number of pairs that finds a change in accuracy with this power.

    Args:
        change: Size of the change, share of all pairs; 0.05 is five points.
        baseline: Accuracy at α = 0, share.
        noise: Share of all pairs that flip besides, half each way.
        power: Chance of finding the change.
        level: Significance level of one test, after correction.

    Returns:
        The number of pairs; None when the baseline leaves no room for such a change, or when more
        than 200,000 pairs would be needed.

    Raises:
        UserError: when a share is outside 0..1 or the change is 0.
    """
    check_share(abs(change), "change")
    check_share(power, "power")
    if abs(change) > room(baseline, noise):
        return None

    def enough(n: int) -> bool:
        return mcnemar_power(n, change, noise=noise, level=level) >= power

    high = 8
    while not enough(high):
        high *= 2
        if high > MOST_PAIRS:
            return None
    # An exact test steps, so power dips a little between steps: this is the first n of the last
    # rise that the halving meets, within a few pairs of any other reading.
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def room(baseline: float, noise: float) -> float:
    """Largest change that this baseline leaves room for beside the noise, as a share."""
    if not 0 <= baseline <= 1 or not 0 <= noise <= 1:
        raise UserError(f"baseline {baseline} and noise {noise} must be shares between 0 and 1")
    return min(max(baseline, 1 - baseline) - noise / 2, 1 - noise)
