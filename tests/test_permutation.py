"""The permutation test over a grid of α."""

import itertools

import numpy as np
import pytest
from scipy.stats import permutation_test

from steer_core.analysis.permutation import max_permutation
from steer_core.analysis.statistics import mcnemar_exact
from steer_core.errors import UserError


def answers(n: int, columns: int, lost: float, won: float, seed: int):
    """Baseline bool [n] and steered bool [columns, n] with flips of these rates, unrelated."""
    rng = np.random.default_rng(seed)
    baseline = rng.random(n) < 0.6
    change = rng.random((columns, n)) < np.where(baseline, lost, won)
    return baseline, baseline ^ change


def of(baseline, steered, **options):
    """The test on paired answers."""
    return max_permutation(steered.astype(int) - baseline.astype(int), **options)


@pytest.mark.parametrize(("won", "lost"), [(0, 5), (0, 6), (2, 7), (4, 4), (0, 1), (0, 0)])
def test_one_column_is_the_exact_mcnemar_test(won: int, lost: int):
    baseline = np.array([False] * won + [True] * lost + [True, False])
    steered = np.concatenate([~baseline[: won + lost], baseline[won + lost :]])
    result = of(baseline, steered[None])
    assert result.exact
    assert result.p[0] == pytest.approx(mcnemar_exact(won, lost), abs=1e-12)


def test_exact_agrees_with_every_swap_written_out():
    baseline, steered = answers(30, 3, 0.15, 0.15, seed=4)
    change = steered.astype(int) - baseline.astype(int)
    change = change[:, np.any(change != 0, axis=0)]
    flips = np.sqrt(np.abs(change).sum(-1))
    maxima = np.array(
        [
            max(abs(change @ signs) / flips)
            for signs in itertools.product([-1, 1], repeat=change.shape[1])
        ]
    )
    observed = np.abs(change.sum(-1)) / flips
    expected = [(maxima >= value - 1e-9).mean() for value in observed]
    result = of(baseline, steered)
    assert result.exact
    assert result.p == pytest.approx(expected, abs=1e-12)
    assert result.patterns == 2 ** (change.shape[1] - 1)


def test_random_patterns_agree_with_scipy():
    baseline, steered = answers(80, 1, 0.5, 0.3, seed=2)
    result = of(baseline, steered)
    assert not result.exact
    reference = permutation_test(
        (steered[0].astype(int), baseline.astype(int)),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        random_state=np.random.default_rng(5),
    )
    flips = (baseline != steered[0]).sum()
    assert result.z[0] == pytest.approx(reference.statistic / np.sqrt(flips))
    assert result.p[0] == pytest.approx(reference.pvalue, abs=0.02)
    assert result.p[0] == pytest.approx(
        mcnemar_exact(
            *np.array([[(~baseline & steered[0]).sum()], [(baseline & ~steered[0]).sum()]])
        ),
        abs=0.02,
    )


def test_the_correction_grows_with_the_grid_and_shrinks_with_correlation():
    baseline, steered = answers(120, 12, 0.12, 0.02, seed=1)
    alone = of(baseline, steered[7:8]).p[0]
    among = of(baseline, steered).p[7]
    copies = of(baseline, np.repeat(steered[7:8], 12, axis=0)).p
    assert alone < 0.2 < among
    assert copies == pytest.approx(alone, abs=0.01)


def test_independent_tests_count_what_the_correction_costs():
    baseline, steered = answers(400, 12, 0.3, 0.3, seed=1)
    unrelated = of(baseline, steered).independent
    copies = of(baseline, np.repeat(steered[:1], 12, axis=0)).independent
    nothing = of(baseline, np.repeat(baseline[None], 12, axis=0)).independent
    assert 9 < unrelated <= 12
    assert 1 <= copies < 1.5
    assert nothing == 1


def test_a_grid_of_layers_keeps_its_shape_and_the_baseline_its_p_of_one():
    baseline, steered = answers(60, 4, 0.2, 0.2, seed=3)
    grid = np.stack([steered, steered[::-1]])
    grid[0, 0] = baseline
    result = of(baseline, grid)
    assert result.p.shape == result.z.shape == (2, 4)
    assert result.p[0, 0] == 1
    assert result.z[0, 0] == 0


def test_signs_follow_the_change_and_the_seed_decides():
    baseline, steered = answers(100, 2, 0.5, 0.0, seed=6)
    first, again = (of(baseline, steered, seed=9, resamples=500) for _ in range(2))
    assert np.all(first.z < 0)
    assert first.patterns == 500
    assert np.array_equal(first.p, again.p)
    assert first.p.min() == pytest.approx(1 / 501)


def test_false_positives_stay_below_the_level():
    """Both ways equally likely, neighbouring α alike: few grids may show any p < .05."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        baseline = rng.random(100) < 0.5
        flips = rng.random(100)[None] < np.linspace(0.05, 0.3, 8)[:, None]
        result = of(baseline, baseline ^ flips, resamples=199)
        found += result.p.min() <= 0.05
    assert 2 <= found <= 25  # 15 expected at most; the test is not idle either


def test_wrong_shapes_are_refused():
    with pytest.raises(UserError, match="4 clusters do not fit 5 pairs"):
        max_permutation(np.ones((2, 5)), clusters=[0, 0, 1, 1])
    with pytest.raises(UserError, match="resamples is 0"):
        max_permutation(np.ones((2, 5)), resamples=0)
    with pytest.raises(UserError, match="not finite"):
        max_permutation([[1.0, np.nan]])


def test_clusters_flip_together():
    """Twelve pairs in four clusters are four draws: no p below 1/8 is possible."""
    change = np.array([[-1] * 12])
    result = max_permutation(change, clusters=np.repeat(np.arange(4), 3))
    assert (result.p[0], result.patterns) == (1 / 8, 8)
    assert max_permutation(change).p[0] == pytest.approx(2 / 2**12)


def test_one_column_of_clusters_agrees_with_scipy():
    rng = np.random.default_rng(3)
    clusters = rng.integers(15, size=60)
    change = rng.integers(-1, 2, 60)
    sums = np.bincount(clusters, change)
    reference = permutation_test(
        (sums,), np.sum, permutation_type="samples", vectorized=False, n_resamples=np.inf
    )
    result = max_permutation(change[None], clusters=clusters, resamples=2**15)
    assert result.exact
    assert result.p[0] == pytest.approx(reference.pvalue)


def test_doubled_pairs_are_no_new_draws():
    """Every pair three times under new ids: taken for single ones they cry wolf."""
    rng, found = np.random.default_rng(0), {"clusters": 0, "single": 0}
    for _ in range(200):
        change = np.repeat(rng.choice([-1, 0, 1], (1, 40), p=(0.1, 0.8, 0.1)), 3, axis=1)
        for name, clusters in (("clusters", np.repeat(np.arange(40), 3)), ("single", None)):
            found[name] += max_permutation(change, clusters=clusters, resamples=299).p[0] <= 0.05
    assert found["clusters"] <= 16
    assert found["single"] >= 40
