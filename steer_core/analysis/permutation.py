"""One test for a whole grid of α: sign-flip permutation with the maximum statistic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from steer_core.analysis.statistics import FAIR, Floats, check_share, paired
from steer_core.errors import UserError

BLOCK = 1000  # sign patterns at a time, so that memory stays at BLOCK × n


@dataclass(frozen=True, slots=True, eq=False)
class MaxPermutation:
    """Result of a permutation test that is joint over all its columns.

    Attributes:
        z: float64 [...], McNemar's z of each α (or layer × α), the net number of flips over the
            square root of all flips; positive where accuracy rose, 0 where nothing flipped. Gains
            weigh 1 − fair and losses fair, which is the same for fair = 0.5.
        p: float64 [...], two-sided and adjusted: the share of sign patterns whose largest
            |z| anywhere in the grid is at least as large. The chance that any of them is
            below 0.05 when no edit changes accuracy is at most 5 %.
        patterns: number of sign patterns behind p.
        exact: whether these were all patterns, rather than a random sample.
        independent: how many independent tests would need the same correction, from 1 (all α flip
            the same pairs) to the number of columns; for power at `level / independent`.
    """

    z: Floats
    p: Floats
    patterns: int
    exact: bool
    independent: float


def max_permutation(
    baseline: ArrayLike,
    steered: ArrayLike,
    *,
    fair: float = FAIR,
    resamples: int = 9999,
    seed: int = 0,
) -> MaxPermutation:
    """Test every α of a grid against the baseline, corrected for the size of the grid.

    Under the null a pair's baseline and steered answers can be swapped. They are swapped for all
    columns together, so the correlation between neighbouring α is kept and the correction is
    milder than Holm's. With one column and all patterns this is the exact McNemar test. On pairs
    balanced by their baseline answer, weights make gains and losses even again under the null; the
    test is then exact in the limit of many flips only.

    Args:
        baseline: bool [n], right at α = 0.
        steered: bool [..., n], right with each edit: [A, n], or [layers, A, n] for a joint test
            over a whole sweep.
        fair: see `steer_core.analysis.statistics.fair_after`.
        resamples: number of random sign patterns. All patterns are used instead when there are no
            more of them than this.
        seed: seed of the random patterns.

    Raises:
        UserError: when shapes do not fit or no resamples are asked for.
    """
    if resamples < 1:
        raise UserError(f"resamples is {resamples}, at least 1 is needed; 9999 is usual")
    check_share(fair, "fair")
    before, after = paired(baseline, steered)
    shape = after.shape[:-1]
    change = after.reshape(-1, before.size).astype(np.int8) - before.astype(np.int8)
    change = change[:, np.any(change != 0, axis=0)]  # pairs that never flip do not count
    flips = np.abs(change).sum(-1)
    each = standardised(change, fair)
    z = each.sum(-1)
    largest, exact = null_maxima(each, resamples, seed)
    hits = largest.size - np.searchsorted(largest, np.abs(z) - 1e-6)
    p = hits / largest.size if exact else (1 + hits) / (1 + largest.size)
    tests = independent_tests(largest, int(np.count_nonzero(flips)))
    return MaxPermutation(z.reshape(shape), p.reshape(shape), largest.size, exact, tests)


def independent_tests(largest: Floats, columns: int) -> float:
    """Number of independent normal tests whose largest |z| has the same 95 % point."""
    each = 2 * stats.norm.sf(np.quantile(largest, 0.95, method="higher"))
    return float(np.clip(np.log(0.95) / np.log1p(-min(each, 0.5)), 1, max(columns, 1)))


def standardised(change: NDArray[np.int8], fair: float) -> Floats:
    """What every pair adds to its column's z: weighted change [columns, pairs] over its length."""
    weighted = np.where(change > 0, 2 * (1 - fair), np.where(change < 0, -2 * fair, 0.0))
    length = np.linalg.norm(weighted, axis=-1, keepdims=True)
    return weighted / np.where(length > 0, length, 1)


def null_maxima(each: Floats, resamples: int, seed: int) -> tuple[Floats, bool]:
    """Largest |z| over the columns of every sign pattern, sorted, and whether these are all."""
    flippers = each.shape[1]
    # |z| is the same for a pattern and its opposite, so one sign can be held.
    exact = flippers - 1 <= np.log2(resamples)
    blocks = every_pattern(flippers) if exact else random_patterns(flippers, resamples, seed)
    maxima = [np.abs(block @ each.T).max(-1, initial=0) for block in blocks]
    return np.sort(np.concatenate(maxima)), bool(exact)


def every_pattern(flippers: int) -> Iterator[NDArray[np.int8]]:
    """All patterns of −1 and 1 whose last sign is 1, in blocks [≤ BLOCK, flippers]."""
    total = 2 ** max(flippers - 1, 0)
    for start in range(0, total, BLOCK):
        codes = np.arange(start, min(start + BLOCK, total))[:, None]
        yield (1 - 2 * ((codes >> np.arange(flippers)) & 1)).astype(np.int8)


def random_patterns(flippers: int, resamples: int, seed: int) -> Iterator[NDArray[np.int8]]:
    """Random patterns of −1 and 1 in blocks [≤ BLOCK, flippers], `resamples` rows in all."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK):
        rows = min(BLOCK, resamples - start)
        yield 1 - 2 * generator.integers(0, 2, size=(rows, flippers), dtype=np.int8)
