"""Intervals for continuous outcomes (margin, log-probability), with clusters as sampling unit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from steer_core.analysis.clusters import cluster_numbers, cluster_sums
from steer_core.analysis.statistics import Floats, check_share
from steer_core.errors import UserError

BLOCK_ENTRIES = 4_000_000  # numbers held at a time while resampling, 32 MB


@dataclass(frozen=True, slots=True, eq=False)
class MeanInterval:
    """Mean difference over pairs with its bootstrap interval, in the unit of the outcome.

    Attributes:
        mean: float64 [...].
        low: float64 [...], lower limit.
        high: float64 [...], upper limit.
        level: confidence level of each interval by itself.
        n: number of pairs.
    """

    mean: Floats
    low: Floats
    high: Floats
    level: float
    n: int


def bootstrap_mean(
    difference: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    method: Literal["percentile", "BCa"] = "BCa",
    resamples: int = 4999,
    seed: int = 0,
) -> MeanInterval:
    """Mean of steered − baseline over pairs, resampled by cluster.

    All rows are resampled with the same clusters, so intervals along α belong together.

    Args:
        difference: float [..., n], one number a pair.
        clusters: [n], equal for pairs that hang together; each pair by itself when not given.
        weights: float [n], what each pair counts; the same when not given.
        level: Confidence level between 0 and 1.
        method: "BCa" corrects for bias and skew, "percentile" does not. Where BCa is not defined
            (all differences equal) the interval is the mean itself.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        UserError: when there are fewer than two pairs or clusters, or a value is not finite.
    """
    check_share(level, "level")
    values = np.asarray(difference, float)
    if values.ndim < 1 or values.shape[-1] < 2:
        raise UserError(f"differences of shape {values.shape}: at least two pairs are needed")
    if not np.isfinite(values).all():
        raise UserError("a difference is not finite; leave out pairs without an answer, at every α")
    groups = cluster_numbers(clusters, values.shape[-1])  # type: ignore[arg-type]
    if groups.max() < 1:
        raise UserError("all pairs are of one cluster, so nothing is known of others; add pairs")
    weighed = np.ones(groups.size) if weights is None else np.asarray(weights, float)
    sums = cluster_sums(values * weighed, groups)
    sizes = np.broadcast_to(cluster_sums(weighed, groups), sums.shape)
    mean = ratio(sums, sizes, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (stats.DegenerateDataWarning, RuntimeWarning))
        interval = stats.bootstrap(
            (sums, sizes),
            ratio,
            paired=True,
            vectorized=True,
            axis=-1,
            n_resamples=resamples,
            batch=max(1, BLOCK_ENTRIES // sums.size),
            confidence_level=level,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = (np.where(np.isnan(limit), mean, limit) for limit in interval)
    return MeanInterval(mean, low, high, level, values.shape[-1])


def ratio(sums: Floats, sizes: Floats, axis: int) -> Floats:
    """The mean over clusters of these sums and sizes."""
    return sums.sum(axis) / sizes.sum(axis)
