"""The exchange of a direction with its controls, pair by pair."""

import numpy as np
import pytest

from steer_core.analysis.exchange import exchange_test
from steer_core.analysis.permutation import max_permutation


def test_losing_nothing_where_every_direction_loses_one_of_twenty_is_no_wonder():
    """Sign flips about the controls' mean take 24 small gains for 24 draws."""
    rng = np.random.default_rng(0)
    controls = -(rng.random((20, 1, 24)) < 0.06).astype(float)
    real = np.zeros((1, 1, 24))
    result = exchange_test(np.concatenate([real, controls]))
    assert result.p[0] > 0.05
    assert max_permutation(real[0] - controls.mean(0)).p[0] < 0.001


def test_a_direction_like_its_controls_has_an_even_p():
    rng, below = np.random.default_rng(1), 0
    for seed in range(300):
        sums = -(rng.random((21, 4, 40)) < 0.05).astype(float)
        below += exchange_test(sums, resamples=199, seed=seed).p.min() <= 0.05
    assert below <= 25


def test_what_no_control_does_is_found():
    sums = np.zeros((21, 2, 30))
    sums[0, 1, :6] = -1
    result = exchange_test(sums)
    assert result.p[1] < 0.01
    assert result.p[0] == 1
    assert result.spread == pytest.approx([0, np.sqrt(6 / 21 * 20 / 21)])


def test_the_critical_value_divides_the_draws():
    sums = np.random.default_rng(2).normal(size=(21, 3, 50))
    result = exchange_test(sums, resamples=999)
    need = result.critical(0.05)
    assert (1 + np.sum(result.largest >= need)) / 1000 <= 0.05
    assert (2 + np.sum(result.largest >= need)) / 1000 >= 0.05
    assert result.critical(0.0005) == float("inf")
