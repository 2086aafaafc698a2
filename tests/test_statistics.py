"""Intervals and tests on counts, against hand values and other implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from steer_core.analysis.statistics import (
    holm,
    mcnemar_exact,
    paired_flips,
    paired_interval,
    wilson,
)
from steer_core.errors import UserError

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson_by_hand(correct: int, n: int) -> tuple[float, float]:
    """(p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), Wilson 1927."""
    p, z2 = correct / n, Z95 * Z95
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (p + z2 / (2 * n) - half) / (1 + z2 / n), (p + z2 / (2 * n) + half) / (1 + z2 / n)


@pytest.mark.parametrize(
    ("correct", "n", "percent"),
    [(3, 6, (18.8, 81.2)), (58, 107, (44.8, 63.3)), (732, 1319, (52.8, 58.2))],
)
def test_wilson_hand_values(correct: int, n: int, percent: tuple[float, float]):
    low, high = wilson(correct, n)
    assert (low, high) == pytest.approx(wilson_by_hand(correct, n), abs=1e-12)
    assert (round(100 * float(low), 1), round(100 * float(high), 1)) == percent
    assert (low, high) == pytest.approx(proportion_confint(correct, n, method="wilson"))
    reference = stats.binomtest(correct, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high))


def test_wilson_of_numbers_is_numbers():
    assert all(isinstance(limit, float) for limit in wilson(3, 6))


def test_wilson_takes_arrays_levels_and_nothing():
    low, high = wilson([[0, 3], [6, 0]], [[6, 6], [6, 0]], level=0.9)
    assert low.shape == high.shape == (2, 2)
    assert low[0, 0] == 0
    assert high[1, 0] == 1
    assert (low[1, 1], high[1, 1]) == (0, 1)  # no answers, no knowledge
    wide_low, wide_high = wilson(3, 6)
    assert wide_low < low[0, 1]
    assert high[0, 1] < wide_high


@pytest.mark.parametrize(("correct", "n"), [(7, 6), (-1, 6)])
def test_wilson_refuses_impossible_counts(correct: int, n: int):
    with pytest.raises(UserError, match="outside 0"):
        wilson(correct, n)


def test_wilson_refuses_a_level_in_percent():
    with pytest.raises(UserError, match="level is 95"):
        wilson(3, 6, level=95)


def test_mcnemar_hand_values():
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(0, 6) == 0.03125
    assert mcnemar_exact([0, 0, 3], [0, 1, 3]).tolist() == [1, 1, 1]
    # 1 against 8: 2 (C(9,0) + C(9,1)) / 2^9
    assert mcnemar_exact(1, 8) == pytest.approx(20 / 512)


@pytest.mark.parametrize(("won", "lost", "fair"), [(9, 2, 0.7), (2, 9, 0.7), (5, 5, 0.3)])
def test_flips_that_are_gains_by_choice_of_the_pairs_are_no_wonder(won, lost, fair):
    few = stats.binomtest(won, won + lost, fair, "less").pvalue
    many = stats.binomtest(won, won + lost, fair, "greater").pvalue
    assert mcnemar_exact(won, lost, fair) == pytest.approx(min(1, 2 * min(few, many)))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels(won: int, lost: int):
    table = [[5, lost], [won, 9]]
    assert mcnemar_exact(won, lost) == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_flips_are_counted_by_pair():
    baseline = [True, True, False, False, True]
    steered = [[True, True, False, False, True], [False, True, True, True, False]]
    flips = paired_flips(baseline, steered)
    assert flips.wrong_to_right.tolist() == [0, 2]
    assert flips.right_to_wrong.tolist() == [0, 2]
    assert paired_flips(baseline, [False] * 5).right_to_wrong == 3


def test_flips_of_other_pairs_are_refused():
    with pytest.raises(UserError, match="same pairs"):
        paired_flips([True, False], [True, False, True])


def test_holm_hand_values():
    # sorted .01, .02, .03, .04 times 4, 3, 2, 1, then made monotone
    assert holm([[0.01, 0.04], [0.03, 0.02]]) == pytest.approx(
        np.array([[0.04, 0.06], [0.06, 0.06]])
    )
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).shape == (0,)


def test_holm_refuses_missing_values():
    with pytest.raises(UserError, match=r"0\.\.1"):
        holm([0.1, float("nan")])


def test_an_interval_where_all_flips_go_one_way_is_the_exact_one():
    """Against statsmodels: Clopper and Pearson's limits of a share."""
    low, high = paired_interval(0, 7, 60)
    exact = proportion_confint(7, 60, method="beta")
    assert low <= -exact[1] + 1e-12  # and the share of gains, of which there was none, adds to it
    assert high <= -exact[0] + proportion_confint(0, 60, method="beta")[1]
    none, most = paired_interval(0, 0, 10, level=0.9)
    assert most == pytest.approx(1 - 0.05**0.1)  # no flip of 10 allows for 25.9 points
    assert none == -most


def test_paired_interval_hand_value():
    # 10 won, 4 lost of 98, joined as two shares of one sample
    (w_low, w_high), (l_low, l_high) = (
        proportion_confint(count, 98, method="beta") for count in (10, 4)
    )
    won, lost = 10 / 98, 4 / 98
    together = math.sqrt(won * lost / ((1 - won) * (1 - lost)))
    a, b = won - w_low, l_high - lost
    below = math.sqrt(a**2 + b**2 + 2 * together * a * b)
    a, b = w_high - won, lost - l_low
    above = math.sqrt(a**2 + b**2 + 2 * together * a * b)
    low, high = paired_interval(10, 4, 98)
    assert (low, high) == pytest.approx((6 / 98 - below, 6 / 98 + above), abs=1e-12)


def test_paired_interval_keeps_a_width_without_flips():
    low, high = paired_interval(np.zeros(3, int), np.zeros(3, int), 240)
    assert low.shape == (3,)
    assert np.all(low == -high)
    assert np.all((high > 0.01) & (high < 0.03))


@pytest.mark.parametrize(
    ("n", "won", "lost"), [(120, 0.04, 0.14), (24, 0.1, 0.0), (12, 0.0, 0.3), (60, 0.02, 0.02)]
)
def test_paired_interval_covers(n: int, won: float, lost: float):
    rng = np.random.default_rng(0)
    cells = rng.multinomial(n, [won, lost, 1 - won - lost], size=4000)
    low, high = paired_interval(cells[:, 0], cells[:, 1], n)
    change = won - lost
    assert np.mean((low <= change) & (high >= change)) > 0.945


def test_pairs_that_hang_together_widen_the_interval():
    alone = paired_interval(6, 2, 60)
    half = paired_interval(6, 2, 60, effective=30)
    few = paired_interval(6, 2, 60, effective=30, groups=8)
    assert half[1] - half[0] > 1.3 * (alone[1] - alone[0])
    assert few[1] - few[0] > half[1] - half[0]
    assert paired_interval(6, 2, 60, groups=1) == (-1, 1)


def test_flips_of_weighed_pairs_count_what_they_stand_for():
    low, high = paired_interval(40, 40, 248, weights=(0.628, 1.372))
    assert low < 40 * (0.628 - 1.372) / 248 < high < 0
