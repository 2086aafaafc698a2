"""Power through the whole verdict, against sweeps in which the change is really planted."""

import math

import numpy as np
import pytest
from simulated_answers import simulated

from steer_core.analysis.curves import measure_curves
from steer_core.analysis.power import GOALS, NO_POWER, Power, power_of
from steer_core.analysis.verdict import judge


def power(seed: int = 0, **options) -> Power:
    """Of one curve of a simulated sweep."""
    answers = simulated(seed, **options)
    return power_of(answers, measure_curves(answers, resamples=499))[0]


def found(change: float, runs: int = 40, **options) -> float:
    """Share of sweeps in which a planted change is an effect, of the right sign."""
    count = 0
    for seed in range(runs):
        answers = simulated(100 + seed, change=change, **options)
        verdict = judge(measure_curves(answers, resamples=299, seed=seed)[0])
        count += verdict.kind == "effect" and np.sign(verdict.contrast) == np.sign(change)
    return count / runs


@pytest.mark.parametrize("harm", [0.0, 0.05])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_promised_is_found(harm: float, sign: int):
    """80 % are promised; simulations err to the safe side, by pairs that differ from these."""
    named = power(harm=harm)
    size = named.gain if sign > 0 else named.loss
    assert 0.7 <= found(sign * size, harm=harm) <= 1
    assert found(sign * size / 2, harm=harm) <= 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_pairs_that_are_said_to_be_enough_are(sign: int):
    pairs = power().needed[0.1]
    assert pairs is not None
    assert found(sign * 0.1, pairs=pairs) >= 0.7


def test_more_pairs_are_needed_for_less_and_for_more_looks():
    once = power()
    assert once.needed[0.05] > 2 * once.needed[0.1]
    assert power(pairs=480).gain < once.gain
    assert (
        power(looks=2.0, controls={"covariance": 60}).gain > power(controls={"covariance": 60}).gain
    )


def test_controls_that_differ_widely_leave_no_number_of_pairs():
    assert power(harm=0.08, spread=1.0).needed[0.05] is None


def test_too_few_controls_or_none_that_compare_show_nothing():
    few = power(controls={"covariance": 5})
    assert math.isnan(few.gain)
    assert few.needed == dict.fromkeys(GOALS)
    assert power(controls={"random": 20}) is NO_POWER
    assert power(controls={}) is NO_POWER


def test_the_baseline_limits_what_can_change():
    """At 97 % right there is no room for a gain of ten points, and it is not asked for."""
    near = power(right=0.97, noise=0.005)
    assert math.isnan(near.gain) or near.gain <= 0.04
    assert near.needed[0.1] is not None


def test_the_seed_decides():
    assert power() == power()
