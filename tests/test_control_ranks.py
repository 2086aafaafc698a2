"""Ranks among control directions."""

import numpy as np
import pytest

from steer_core.analysis.controls import rank_among_controls
from steer_core.errors import UserError


def test_ranks_and_p_by_hand():
    # at the first α the others' mean is .03 and .01 is one answer; at the second all are alike
    result = rank_among_controls([-0.10, 0.0], [[0.02, 0.0], [0.04, 0.0], [0.03, 0.0]], n=100)
    assert result.controls == 3
    assert result.mean == pytest.approx([0.03, 0.0])
    assert result.here.tolist() == [0, 3]  # ties count against the direction
    assert result.p == pytest.approx([1 / 4, 1])
    assert result.ahead.tolist() == [0, 3]
    assert result.smallest_p == pytest.approx(1 / 4)


def test_excess_by_hand():
    # the others at the first α: mean −.02, standard deviation .02; one answer of 100 is .01
    result = rank_among_controls([-0.08, 0.0], [[-0.04, 0.3], [0.0, -0.3]], n=100)
    assert result.excess == pytest.approx([(-0.08 + 0.02) / (0.02 + 0.01), 0.0])


def test_nineteen_controls_reach_five_percent_and_eighteen_do_not():
    for count, best in [(19, 0.05), (18, 1 / 19)]:
        result = rank_among_controls([0.3], np.zeros((count, 1)), n=100)
        assert result.p[0] == result.excess_p[0] == pytest.approx(best)


def test_an_effect_before_the_breakdown_is_seen():
    """At the second α every direction ruins the model; at the first only the real one acts."""
    rng = np.random.default_rng(0)
    controls = np.stack([rng.normal(0, 0.01, 20), rng.normal(-0.4, 0.08, 20)], axis=1)
    result = rank_among_controls([-0.15, -0.4], controls, n=240)
    assert result.excess_p[0] == pytest.approx(1 / 21)
    assert result.excess_p[1] > 0.3


@pytest.mark.parametrize("change", [-0.1, 0.1])
def test_doing_less_harm_than_every_control_stands_out(change: float):
    """A gain under general harm is one, whether or not accuracy stays below the baseline's."""
    controls = np.random.default_rng(0).normal(-0.4, 0.02, (20, 1))
    result = rank_among_controls([change], controls, n=240)
    assert result.excess[0] > 0
    assert result.excess_p[0] == pytest.approx(1 / 21)


def test_how_many_stand_out_here_and_anywhere_are_two_counts():
    """The largest loss at its α, where controls stand out as much at the other."""
    rng = np.random.default_rng(0)
    controls = np.stack([rng.normal(-0.2, 0.04, 20), np.zeros(20)], axis=1)
    controls[0, 1] = 0.3  # alone among silent ones
    result = rank_among_controls([-0.32, 0.0], controls, n=240)
    assert (result.here[0], result.ahead[0]) == (0, 1)


def test_p_is_uniform_when_the_direction_is_one_of_its_controls():
    rng = np.random.default_rng(1)
    lowest = []
    for _ in range(2000):
        strength = rng.standard_t(2, (21, 1)) * 0.04 * np.arange(1, 7)  # heavy tails
        pool = np.round(240 * (strength + rng.normal(0, 0.02, (21, 6)))) / 240
        lowest.append(rank_among_controls(pool[0], pool[1:], n=240).excess_p.min())
    p = np.array(lowest)
    for level in (1 / 21, 5 / 21, 10 / 21):
        assert np.mean(p <= level + 1e-9) < level + 3 * np.sqrt(level / 2000)
    assert np.mean(p <= 5 / 21 + 1e-9) > 0.12  # below the level by the margin


def test_a_control_that_is_nearly_as_extreme_counts():
    # others of mean 0 and standard deviation .1: one at twice that, one answer is nothing
    controls = np.array([[0.1], [-0.1]] * 10)
    out = rank_among_controls([1.2 * 0.1], controls, n=10**6)
    assert out.ahead.tolist() == [20]
    assert rank_among_controls([1.4 * 0.1], controls, n=10**6).ahead.tolist() == [0]


def test_grids_of_layers_keep_their_shape():
    result = rank_among_controls(np.zeros((3, 5)), np.ones((20, 3, 5)), n=10)
    assert result.here.shape == result.excess_p.shape == (3, 5)
    assert result.at(1).excess_p.shape == (5,)


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), ()])
def test_controls_of_another_grid_are_refused(shape: tuple[int, ...]):
    with pytest.raises(UserError, match="same α"):
        rank_among_controls(np.zeros(3), np.zeros(shape), n=10)


def test_an_accuracy_that_is_no_number_is_not_beaten_but_refused():
    controls = np.zeros((20, 3))
    controls[4, 1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        rank_among_controls(np.ones(3), controls, n=10)
    with pytest.raises(UserError, match="not finite"):
        rank_among_controls([0.0, np.nan, 0.0], np.zeros((20, 3)), n=10)
