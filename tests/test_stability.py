"""Split-half agreement of mean-difference directions."""

import numpy as np
import pytest

from steer_core.analysis.stability import halve, split_half
from steer_core.errors import UserError


def labelled(n: int, dimensions: int, gap: float, seed: int):
    """States [n, D] of unit noise, half of the pairs right and moved by `gap` along one axis."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(np.arange(n) < n // 2)
    states = rng.normal(size=(n, dimensions))
    states[right, 0] += gap
    return states, right


def direction(states, right, members):
    return states[members & right].mean(0) - states[members & ~right].mean(0)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_the_slow_way_gives_the_same():
    """Split, average, and leave each pair out, in loops over states."""
    states, right = labelled(20, 6, 2.0, seed=0)
    generator = np.random.default_rng(3)
    halves = [halve(right, generator) for _ in range(4)]

    def mean_cosine(kept):
        return np.mean(
            [
                cosine(direction(states, right, h & kept), direction(states, right, ~h & kept))
                for h in halves
            ]
        )

    left_out = np.arctanh([mean_cosine(np.arange(20) != i) for i in range(20)])
    error = np.sqrt(19 / 20 * np.sum((left_out - left_out.mean()) ** 2))
    estimate = mean_cosine(np.ones(20, bool))
    result = split_half(states, right, splits=4, seed=3)
    assert result.cosine == pytest.approx(estimate)
    limits = np.tanh(np.arctanh(estimate) + 1.959964 * error * np.array([-1, 1]))
    assert (result.low, result.high) == pytest.approx(tuple(limits))
    assert result.norm == pytest.approx(np.linalg.norm(direction(states, right, np.ones(20, bool))))
    assert (result.correct, result.wrong) == (10, 10)


def test_a_strong_direction_is_stable_and_noise_is_not():
    strong = split_half(*labelled(400, 64, 4.0, seed=1))
    noise = split_half(*labelled(400, 64, 0.0, seed=1))
    assert strong.low > 0.8
    assert noise.low < 0 < noise.high
    assert strong.high - strong.low < noise.high - noise.low


@pytest.mark.parametrize(("n", "dimensions", "gap"), [(80, 32, 0.0), (80, 32, 0.8), (120, 24, 3.0)])
def test_the_interval_holds_the_expected_cosine(n: int, dimensions: int, gap: float):
    results = [split_half(*labelled(n, dimensions, gap, seed=s), splits=20) for s in range(200)]
    expected = np.mean([r.cosine for r in results])
    held = np.mean([r.low <= expected <= r.high for r in results])
    assert held >= 0.94
    # not by being idle: at most twice as wide as the spread asks for
    spread = np.std([r.cosine for r in results])
    assert np.mean([r.high - r.low for r in results]) < 2 * 3.92 * spread


def test_a_constant_added_to_all_states_changes_nothing():
    states, right = labelled(60, 8, 1.0, seed=2)
    assert split_half(states + 1e4, right).cosine == pytest.approx(split_half(states, right).cosine)


def test_halves_are_disjoint_and_balanced():
    right = np.arange(31) < 11
    half = halve(right, np.random.default_rng(0))
    assert (half & right).sum() == 5
    assert (half & ~right).sum() == 10


def test_states_without_any_difference_have_no_direction():
    result = split_half(np.ones((20, 4)), np.arange(20) < 10)
    assert (result.cosine, result.norm) == (0, 0)


@pytest.mark.parametrize(
    ("states", "right", "message"),
    [
        (np.zeros((10, 3)), np.arange(10) < 3, "3 answers in the smaller group"),
        (np.zeros((10, 2, 3)), np.arange(10) < 5, "one layer and position"),
        (np.full((10, 3), np.nan), np.arange(10) < 5, "not finite"),
    ],
)
def test_unusable_states_are_refused(states, right, message):
    with pytest.raises(UserError, match=message):
        split_half(states, right)
