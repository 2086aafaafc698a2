"""Intervals for continuous outcomes (margin, log-probability), with pairs as the sampling unit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

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
    level: float = 0.95,
    method: Literal["percentile", "BCa"] = "BCa",
    resamples: int = 4999,
    seed: int = 0,
) -> MeanInterval:
    """Mean of steered − baseline over pairs, resampled by pair.

    All rows are resampled with the same pairs, so intervals along α belong together.

    Args:
        difference: float [..., n], one number a pair; rows of one pair (clean and corrupted twin)
            are first averaged with `mean_by_pair`.
        level: Confidence level between 0 and 1.
        method: "BCa" corrects for bias and skew, "percentile" does not. Where BCa is not defined
            (all differences equal) the interval is the mean itself.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Raises:
        UserError: when there are fewer than two pairs, or a value is not finite.
    """
    check_share(level, "level")
    values = np.asarray(difference, float)
    if values.ndim < 1 or values.shape[-1] < 2:
        raise UserError(f"differences of shape {values.shape}: at least two pairs are needed")
    if not np.isfinite(values).all():
        raise UserError("a difference is not finite; leave out pairs without an answer, at every α")
    mean = values.mean(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (stats.DegenerateDataWarning, RuntimeWarning))
        interval = stats.bootstrap(
            (values,),
            np.mean,
            axis=-1,
            n_resamples=resamples,
            batch=max(1, BLOCK_ENTRIES // values.size),
            confidence_level=level,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = (np.where(np.isnan(limit), mean, limit) for limit in interval)
    return MeanInterval(mean, low, high, level, values.shape[-1])


def mean_by_pair(values: ArrayLike, pair_ids: ArrayLike) -> Floats:
    """Average the rows of each pair, so that a pair counts once.

    Args:
        values: float [..., rows].
        pair_ids: [rows], the pair each row belongs to.

    Returns:
        float64 [..., n], pairs in sorted order of their ids.

    Raises:
        UserError: when there is not one id for each row.
    """
    rows, ids = np.asarray(values, float), np.asarray(pair_ids)
    if ids.ndim != 1 or rows.shape[-1:] != ids.shape:
        raise UserError(f"{ids.shape} pair ids do not fit values of shape {rows.shape}")
    _, pair, count = np.unique(ids, return_inverse=True, return_counts=True)
    member = pair[:, None] == np.arange(count.size)
    return rows @ (member / count)
