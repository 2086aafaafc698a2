"""One test for a whole grid of α: sign-flip permutation with the maximum statistic."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from steer_core.analysis.clusters import cluster_numbers, cluster_sums
from steer_core.analysis.statistics import Floats
from steer_core.errors import UserError

BLOCK = 1000  # sign patterns at a time, so that memory stays at BLOCK × n


@dataclass(frozen=True, slots=True, eq=False)
class MaxPermutation:
    """Result of a permutation test that is joint over all its columns.

    Attributes:
        z: float64 [...], sum over the clusters over the root of their squares' sum. With single
            pairs that flip whole answers it is McNemar's z; 0 where nothing differs.
        p: float64 [...], two-sided and adjusted: the share of sign patterns whose largest
            |z| anywhere in the grid is at least as large. The chance that any of them is
            below 0.05 when no column has a mean other than 0 is at most 5 %.
        patterns: number of sign patterns behind p.
        exact: whether these were all patterns, rather than a random sample.
        independent: how many independent tests would need the same correction, from 1 (all α flip
            the same pairs) to the number of columns.
    """

    z: Floats
    p: Floats
    patterns: int
    exact: bool
    independent: float


def max_permutation(
    differences: ArrayLike,
    *,
    clusters: Sequence[Hashable] | NDArray | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> MaxPermutation:
    """Test every column of paired differences against 0, corrected for their number.

    Under the null a cluster's differences can change their signs. They change for all columns
    together, so the correlation between neighbouring α is kept and the correction is milder than
    Holm's. With one column of whole answers, single pairs and all patterns this is the exact
    McNemar test. Differences that are not symmetric about 0 (weighted ones, or against a mean) are
    tested exactly in the limit of many clusters only.

    Args:
        differences: float [..., n], steered − baseline of each pair: [A, n], or [layers, A, n] for
            a joint test over a whole sweep.
        clusters: [n], equal for pairs that hang together; each pair by itself when not given.
        resamples: number of random sign patterns. All patterns are used instead when there are no
            more of them than this.
        seed: seed of the random patterns.

    Raises:
        UserError: when shapes do not fit, a difference is not finite or no resamples are asked for.
    """
    if resamples < 1:
        raise UserError(f"resamples is {resamples}, at least 1 is needed; 9999 is usual")
    values = np.asarray(differences)
    if values.ndim < 1 or not np.isfinite(values).all():
        raise UserError("a difference is not finite; leave out pairs without an answer, at every α")
    sums = cluster_sums(values, cluster_numbers(clusters, values.shape[-1]))
    shape, sums = sums.shape[:-1], sums.reshape(-1, sums.shape[-1])
    sums = sums[:, np.any(sums != 0, axis=0)]  # clusters that never differ do not count
    each = standardised(sums)
    z = each.sum(-1)
    largest, exact = null_maxima(each, resamples, seed)
    hits = largest.size - np.searchsorted(largest, np.abs(z) - 1e-6)
    p = hits / largest.size if exact else (1 + hits) / (1 + largest.size)
    tests = independent_tests(largest, int(np.any(sums != 0, axis=-1).sum()))
    return MaxPermutation(z.reshape(shape), p.reshape(shape), largest.size, exact, tests)


def critical(level: float, tests: float) -> float:
    """|z| beyond which the largest of so many independent normal tests lies with this chance."""
    return float(stats.norm.isf(-np.expm1(np.log1p(-level) / tests) / 2))


def independent_tests(largest: Floats, columns: int) -> float:
    """Number of independent normal tests whose largest |z| has the same 95 % point."""
    each = 2 * stats.norm.sf(np.quantile(largest, 0.95, method="higher"))
    return float(np.clip(np.log(0.95) / np.log1p(-min(each, 0.5)), 1, max(columns, 1)))


def standardised(sums: Floats) -> Floats:
    """What every cluster adds to its column's z: sums [columns, clusters] over their length."""
    length = np.linalg.norm(sums, axis=-1, keepdims=True)
    return sums / np.where(length > 0, length, 1)


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
