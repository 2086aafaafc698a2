"""Probes and paths on planted states."""

from __future__ import annotations

import numpy as np
import pytest

from steer_core import UserError
from steer_core.analysis.folds import auc
from steer_core.data.problems import Problem
from steer_core.inspect.paths import mean_path, paths
from steer_core.inspect.probes import labels_of, probe, probe_direction

N, POSITIONS, LAYERS, D = 120, 7, 3, 24


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, POSITIONS, LAYERS, D)).astype(np.float32)


@pytest.mark.parametrize("kind", ["binary", "classes", "number"])
def test_a_planted_code_is_found_where_it_is(states: np.ndarray, kind: str):
    rng = np.random.default_rng(1)
    value = rng.integers(0, 2 if kind == "binary" else 4, N)
    labels = [f"kind {v}" for v in value] if kind == "classes" else value.astype(float)
    planted = states.copy()
    codes = rng.standard_normal((4, D))
    planted[:, 3, 2] += 2 * (np.outer(value, codes[0]) if kind != "classes" else codes[value])
    found = probe(planted, labels, label="planted", shuffled=19)
    assert found.kind == kind
    assert found.best == (3, 2)
    assert found.separable
    assert found.p[3, 2] == pytest.approx(1 / 20)
    others = np.delete(found.p.ravel(), 3 * LAYERS + 2)
    assert (others > 0.05).all()
    assert found.score[3, 2] > found.highest.max()


def test_pure_noise_is_not_separable(states: np.ndarray):
    labels = np.random.default_rng(2).integers(0, 2, N)
    assert not probe(states, labels, label="noise", shuffled=19).separable


def test_twins_are_never_parted(states: np.ndarray):
    """A code for the pair alone, with a label that both twins share, is not read."""
    rng = np.random.default_rng(3)
    pair = np.arange(N) // 2
    labels = rng.integers(0, 2, N // 2)[pair]
    codes = rng.standard_normal((N // 2, 8 * D))[pair].astype(np.float32)[:, None, None]
    apart = probe(codes, labels, label="pair", groups=pair, shuffled=19)
    parted = probe(codes, labels, label="pair", shuffled=19)
    assert parted.score > 0.8 > apart.score


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(8)
    wanted, said = (
        rng.integers(0, 2, (50, 3)).astype(float),
        rng.integers(0, 9, (50, 3)).astype(float),
    )
    each = [roc_auc_score(wanted[:, i], said[:, i]) for i in range(3)]
    np.testing.assert_allclose(auc(wanted, said), each)


def test_a_probes_direction_moves_what_it_says():
    rng = np.random.default_rng(4)
    states = rng.standard_normal((N, POSITIONS, D)).astype(np.float32)
    code = rng.standard_normal(D)
    value = rng.uniform(0, 10, N)
    states[:, 2] += np.outer(value, code).astype(np.float32)
    d = probe_direction(states, value).numpy()
    assert d.shape == (POSITIONS, D)
    assert np.dot(d[2], code) > 0.5 * np.linalg.norm(d[2]) * np.linalg.norm(code)


def test_labels_that_are_no_labels(states: np.ndarray):
    with pytest.raises(UserError, match="needs two kinds"):
        probe(states, [True] * N, label="correct")
    with pytest.raises(UserError, match="3 labels of correct for 120 problems"):
        probe(states, [1, 2, 3], label="correct")


def test_labels_of_solved_problems():
    problems = [
        Problem("q", 112, ("<<28/2=14>>", "<<14*8=112>>")),
        Problem("q", 5, ("<<2+3=5>>",)),
        Problem("q", 5),
    ]
    found = labels_of(problems, [True, False, True])
    assert found["result of step 1"] == [14, 5, None]
    assert found["result of step 2"] == [112, None, None]
    assert found["last operation"] == ["*", "+", None]
    assert found["number of steps"] == [2, 1, None]
    assert found["correct"] == [True, False, True]


def test_paths_find_planted_parity():
    rng = np.random.default_rng(5)
    states = rng.standard_normal((40, POSITIONS, D)).astype(np.float32)
    states[:, 2::2, 0] += 6
    found = paths(states, shuffled=19)
    assert found.points.shape == (40, POSITIONS - 1, 3)
    assert found.parity[0] > 0.95
    assert found.parity_p == pytest.approx(1 / 20)
    np.testing.assert_allclose(found.project(states[:, 1:]), found.points, atol=1e-4)
    assert 0 < found.variance.sum() <= 1


def test_paths_without_parity():
    states = np.random.default_rng(6).standard_normal((40, POSITIONS, D)).astype(np.float32)
    assert paths(states, shuffled=19).parity_p > 0.05


def test_mean_paths_by_group():
    points = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    found = mean_path(points, ["a", "b"])
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["b"], points[1])
