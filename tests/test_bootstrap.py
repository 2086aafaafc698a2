"""Bootstrap by cluster for continuous outcomes."""

import warnings

import numpy as np
import pytest

from steer_core.analysis.bootstrap import bootstrap_mean
from steer_core.errors import UserError


def test_the_interval_of_normal_differences_is_the_usual_one():
    values = np.random.default_rng(0).normal(0.3, 1.0, 300)
    for method in ("percentile", "BCa"):
        result = bootstrap_mean(values, method=method)
        half = 1.96 * values.std(ddof=1) / np.sqrt(300)
        assert result.mean == pytest.approx(values.mean())
        assert result.low == pytest.approx(values.mean() - half, abs=0.01)
        assert result.high == pytest.approx(values.mean() + half, abs=0.01)
        assert (result.level, result.n) == (0.95, 300)


def test_bca_follows_the_skew():
    values = np.random.default_rng(1).exponential(size=40)
    result = bootstrap_mean(values)
    assert result.high - result.mean > result.mean - result.low


def test_coverage_of_a_skewed_outcome():
    rng = np.random.default_rng(2)
    results = bootstrap_mean(rng.exponential(size=(1, 60)), resamples=999)
    assert results.mean.shape == (1,)
    held = 0
    for seed in range(150):
        result = bootstrap_mean(rng.exponential(size=60), resamples=499, seed=seed)
        held += result.low <= 1 <= result.high
    assert 0.88 * 150 <= held <= 149


def test_rows_are_resampled_with_the_same_pairs():
    values = np.random.default_rng(3).normal(size=50)
    result = bootstrap_mean(np.stack([values, values + 1, -values]), method="percentile")
    assert result.low[1] == pytest.approx(result.low[0] + 1)
    assert result.high[2] == pytest.approx(-result.low[0])


def test_seed_and_level_decide():
    values = np.random.default_rng(4).normal(size=50)
    first, again, other = (bootstrap_mean(values, seed=s) for s in (1, 1, 2))
    assert first.low == again.low != other.low
    assert bootstrap_mean(values, level=0.5).low > first.low


def test_no_difference_is_a_point_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bootstrap_mean(np.stack([np.zeros(20), np.full(20, 2.0)]))
    assert result.low.tolist() == result.high.tolist() == [0, 2]


def test_pairs_of_one_cluster_are_drawn_together():
    """Each value four times: four times as many pairs tell no more."""
    values = np.random.default_rng(5).normal(size=30)
    alone = bootstrap_mean(values, method="percentile")
    four = bootstrap_mean(np.repeat(values, 4), clusters=np.repeat(np.arange(30), 4))
    single = bootstrap_mean(np.repeat(values, 4))
    assert four.mean == pytest.approx(alone.mean)
    assert four.n == 120
    assert four.high - four.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert single.high - single.low < 0.6 * (four.high - four.low)


def test_clusters_of_other_sizes_count_by_their_pairs():
    result = bootstrap_mean([1.0, 1.0, 1.0, 5.0], clusters=["a", "a", "a", "b"])
    assert result.mean == pytest.approx(2.0)
    weighed = bootstrap_mean([1.0, 3.0], weights=[1.5, 0.5])
    assert weighed.mean == pytest.approx(1.5)


def test_unusable_values_are_refused():
    with pytest.raises(UserError, match="two pairs"):
        bootstrap_mean([1.0])
    with pytest.raises(UserError, match="not finite"):
        bootstrap_mean([1.0, np.nan])
    with pytest.raises(UserError, match="one cluster"):
        bootstrap_mean([1.0, 2.0], clusters=[0, 0])
