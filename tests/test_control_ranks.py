"""Ranks among control directions."""

import numpy as np
import pytest

from steer_core.analysis.controls import rank_among_controls
from steer_core.errors import UserError


def test_ranks_and_p_by_hand():
    real = [-0.10, 0.02, 0.0]
    controls = [[-0.05, 0.02, 0.0], [0.12, 0.01, 0.1], [0.03, -0.04, 0.0], [0.0, 0.0, -0.01]]
    result = rank_among_controls(real, controls, n=100, name="random")
    assert result.controls == 4
    assert result.rank.tolist() == [2, 3, 5]  # two-sided; ties count against the direction
    assert result.p == pytest.approx([2 / 5, 3 / 5, 5 / 5])
    assert (result.max_rank, result.max_p) == (2, pytest.approx(2 / 5))
    assert result.smallest_p == pytest.approx(1 / 5)


def test_excess_by_hand():
    # the others at the first α: mean −.02, standard deviation .02; one answer of 100 is .01
    result = rank_among_controls([-0.08, 0.0], [[-0.04, 0.3], [0.0, -0.3]], n=100)
    assert result.excess == pytest.approx([(0.08 - 0.02) / (0.02 + 0.01), 0.0])


def test_nineteen_controls_reach_five_percent_and_eighteen_do_not():
    for count, best in [(19, 0.05), (18, 1 / 19)]:
        result = rank_among_controls([0.3], np.zeros((count, 1)), n=100)
        assert result.p[0] == result.max_p == result.excess_p[0] == pytest.approx(best)


def test_an_effect_before_the_breakdown_is_seen():
    """At the second α every direction ruins the model; at the first only the real one acts."""
    rng = np.random.default_rng(0)
    controls = np.stack([rng.normal(0, 0.01, 20), rng.normal(-0.4, 0.08, 20)], axis=1)
    result = rank_among_controls([-0.15, -0.4], controls, n=240)
    assert result.max_p > 0.3
    assert result.excess_p[0] == pytest.approx(1 / 21)
    assert result.excess_p[1] > 0.3


def test_doing_less_than_the_controls_is_no_excess():
    rng = np.random.default_rng(0)
    result = rank_among_controls([-0.1], rng.normal(-0.4, 0.02, (20, 1)), n=240)
    assert result.excess[0] < 0
    assert result.excess_p[0] == 1
    opposite = rank_among_controls([0.1], rng.normal(-0.4, 0.02, (20, 1)), n=240)
    assert opposite.excess_p[0] == pytest.approx(1 / 21)


def test_p_is_uniform_when_the_direction_is_one_of_its_controls():
    rng = np.random.default_rng(1)
    lowest = {"max": [], "excess": []}
    for _ in range(2000):
        strength = rng.gamma(1.0, 0.04, (21, 1)) * np.arange(1, 7)
        pool = np.round(240 * (strength + rng.normal(0, 0.02, (21, 6)))) / 240
        result = rank_among_controls(pool[0], pool[1:], n=240)
        lowest["max"].append(result.max_p)
        lowest["excess"].append(result.excess_p.min())
    for values in lowest.values():
        p = np.array(values)
        for level in (1 / 21, 5 / 21, 10 / 21):
            assert np.mean(p <= level + 1e-9) < level + 3 * np.sqrt(level / 2000)
        assert np.mean(p <= 5 / 21 + 1e-9) > 0.18


def test_grids_of_layers_keep_their_shape():
    result = rank_among_controls(np.zeros((3, 5)), np.ones((20, 3, 5)), n=10)
    assert result.rank.shape == result.excess_p.shape == (3, 5)


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), ()])
def test_controls_of_another_grid_are_refused(shape: tuple[int, ...]):
    with pytest.raises(UserError, match="same α"):
        rank_among_controls(np.zeros(3), np.zeros(shape), n=10)
