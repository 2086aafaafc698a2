"""Is a direction's answer to each pair one that its controls might have given?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steer_core.analysis.statistics import Floats

BLOCK_ENTRIES = 4_000_000  # numbers held at a time while drawing, 16 MB


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """Result of a test that is joint over all its columns.

    Attributes:
        p: float64 [M], two-sided and adjusted for the number of columns.
        spread: float64 [M], standard deviation over draws, in the unit of the sums.
        largest: float64 [draws], sorted: the largest |z| over the columns of every draw.
    """

    p: Floats
    spread: Floats
    largest: Floats

    def critical(self, level: float) -> float:
        """|z| that an adjusted p of the level takes; inf where so few draws cannot give it."""
        most = int(level * (1 + self.largest.size) + 1e-9) - 1
        return float(self.largest[-1 - most]) + 1e-6 if most >= 0 else float("inf")


def exchange_test(sums: Floats, *, resamples: int = 1999, seed: int = 0) -> Exchange:
    """Test the first of C + 1 directions against all of them, pair by pair.

    Under the null each cluster's answers along the direction might as well be those along any
    control. So a direction is put together anew in every draw, for each cluster from one of the
    C + 1, the same for all columns. Flips that are rare or mostly one way keep their own
    distribution, which sign flips about a mean do not: where every direction loses one pair of
    twenty, losing none of a dozen is no wonder.

    Args:
        sums: float [C + 1, M, G], what each direction changes in each cluster, the real one first.
        resamples: number of draws.
        seed: of the draws.
    """
    apart = (sums - sums.mean(0)).astype(np.float32)
    spread = np.sqrt(np.square(apart).mean(0).sum(-1), dtype=np.float64)
    unit = np.where(spread > 0, spread, 1)
    by_cluster = np.ascontiguousarray(apart.transpose(2, 0, 1))  # [G, C + 1, M]
    groups, count, columns = by_cluster.shape
    generator, clusters = np.random.default_rng(seed), np.arange(groups)
    block = max(1, BLOCK_ENTRIES // max(groups * columns, 1))
    largest = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        pick = generator.integers(count, size=(rows, groups))
        drawn = by_cluster[clusters, pick].sum(1)
        largest.append((np.abs(drawn) / unit).max(-1, initial=0))
    order = np.sort(np.concatenate(largest))
    z = np.abs(apart[0].sum(-1)) / unit
    hits = order.size - np.searchsorted(order, z - 1e-4)
    return Exchange((1 + hits) / (1 + order.size), spread, order)
