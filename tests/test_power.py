"""Power of the exact McNemar test, against enumeration by hand and simulation."""

import math

import numpy as np
import pytest

from steer_core.analysis.power import mcnemar_power, pairs_needed, smallest_change
from steer_core.analysis.statistics import mcnemar_exact
from steer_core.errors import UserError


def test_power_without_noise_is_the_chance_of_six_flips():
    tail = sum(math.comb(40, k) * 0.2**k * 0.8 ** (40 - k) for k in range(6))
    assert mcnemar_power(40, 0.2) == pytest.approx(1 - tail)


def test_power_by_the_full_table():
    """Sum the multinomial over all tables of 12 pairs, each tested by itself."""
    n, change, noise, level = 12, 0.4, 0.2, 0.1
    lose, win = change + noise / 2, noise / 2
    total = 0.0
    for lost in range(n + 1):
        for won in range(n + 1 - lost):
            rest = n - lost - won
            ways = math.factorial(n) // math.prod(map(math.factorial, (lost, won, rest)))
            if lost > won and mcnemar_exact(won, lost) <= level:
                total += ways * lose**lost * win**won * (1 - lose - win) ** rest
    assert mcnemar_power(n, change, noise=noise, level=level) == pytest.approx(total)
    assert mcnemar_power(n, -change, noise=noise, level=level) == pytest.approx(total)


@pytest.mark.parametrize(("n", "noise", "level"), [(107, 0.0, 0.05), (240, 0.1, 0.05 / 12)])
def test_simulated_sweeps_find_the_smallest_change_four_times_in_five(n, noise, level):
    change = smallest_change(n, 0.6, noise=noise, level=level)
    rng = np.random.default_rng(0)
    baseline = rng.random((4000, n)) < 0.6
    # chances given the baseline answer, so that over all pairs they are the model's
    lose, win = (change + noise / 2) / 0.6, (noise / 2) / 0.4
    flips = rng.random((4000, n)) < np.where(baseline, lose, win)
    won, lost = (flips & ~baseline).sum(-1), (flips & baseline).sum(-1)
    found = np.mean((mcnemar_exact(won, lost) <= level) & (lost > won))
    assert found == pytest.approx(0.8, abs=0.025)  # standard error 0.006


def test_six_pairs_can_show_nothing():
    assert math.isnan(smallest_change(6, 0.5))
    assert mcnemar_power(5, 1.0) == 0
    assert mcnemar_power(6, 1.0) == 1


def test_known_sizes():
    """8 expected flips make 6 or more likely enough: 7.9 of 240 pairs, 158 pairs for 5 points."""
    assert 100 * smallest_change(240, 0.6) == pytest.approx(3.27, abs=0.05)
    assert pairs_needed(0.05, 0.6) == 157
    assert pairs_needed(0.05, 0.6, noise=0.1) > 400


def test_more_noise_and_stricter_levels_need_more():
    plain = smallest_change(240, 0.6)
    assert plain < smallest_change(240, 0.6, noise=0.05) < smallest_change(240, 0.6, noise=0.2)
    assert plain < smallest_change(240, 0.6, level=0.05 / 12)
    assert smallest_change(1000, 0.6) < plain
    assert plain < smallest_change(240, 0.6, power=0.95)


@pytest.mark.parametrize("noise", [0.0, 0.07, 0.3])
def test_power_rises_with_the_change(noise: float):
    values = [mcnemar_power(107, x, noise=noise) for x in np.linspace(0, 0.6, 40)]
    assert np.all(np.diff(values) > -1e-9)


@pytest.mark.parametrize(("change", "noise"), [(0.05, 0.0), (0.05, 0.08), (0.1, 0.3)])
def test_pairs_needed_and_smallest_change_agree(change: float, noise: float):
    n = pairs_needed(change, 0.6, noise=noise)
    assert mcnemar_power(n, change, noise=noise) >= 0.8 > mcnemar_power(n - 1, change, noise=noise)
    assert smallest_change(n, 0.6, noise=noise) == pytest.approx(change, rel=0.02)


def test_the_baseline_limits_what_can_change():
    assert pairs_needed(0.7, 0.6) is None  # neither lost from 60 % nor won from 40 %
    assert pairs_needed(0.7, 0.2) is not None  # won from 80 % wrong
    assert pairs_needed(0.55, 0.6, noise=0.2) is None
    assert pairs_needed(1e-5, 0.5) is None  # more pairs than anyone has
    assert math.isnan(smallest_change(100, 0.5, noise=1.0))


def test_shares_out_of_range_are_refused():
    with pytest.raises(UserError, match="shares of all pairs"):
        mcnemar_power(100, 0.7, noise=0.5)
    with pytest.raises(UserError, match="power is 80"):
        smallest_change(100, 0.5, power=80)
    with pytest.raises(UserError, match="baseline 60"):
        pairs_needed(0.05, 60)
    with pytest.raises(UserError, match="change is 5"):
        pairs_needed(5, 0.6)
