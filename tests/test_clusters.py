"""Pairs that hang together."""

import numpy as np
import pytest

from steer_core.analysis.clusters import (
    cluster_numbers,
    cluster_sums,
    effective_pairs,
    join_clusters,
)
from steer_core.errors import UserError


def test_pairs_are_joined_through_any_key():
    keys = [["a", 1], ["b"], ["a"], [], ["b", 2], [2, 1], []]
    assert join_clusters(keys).tolist() == [0, 0, 0, 1, 0, 0, 2]
    assert join_clusters([["x"], ["y"], ["x"]]).tolist() == [0, 1, 0]


def test_sums_are_over_the_pairs_of_a_cluster():
    values = np.arange(12.0).reshape(2, 6)
    sums = cluster_sums(values, np.array([0, 2, 1, 0, 2, 2]))
    assert sums.tolist() == [[3, 2, 10], [15, 8, 28]]
    assert cluster_sums(values, np.array([1, 0, 2, 3, 4, 5])).tolist() == [
        [1, 0, 2, 3, 4, 5],
        [7, 6, 8, 9, 10, 11],
    ]


def test_any_names_number_clusters():
    assert cluster_numbers(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert cluster_numbers(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="2 clusters do not fit 3 pairs"):
        cluster_numbers(["a", "b"], 3)


def test_copies_tell_as_much_as_one():
    rng = np.random.default_rng(0)
    single = rng.choice([-1.0, 0.0, 1.0], 400, p=(0.1, 0.7, 0.2))
    four = effective_pairs(np.repeat(single, 4), np.repeat(np.arange(400), 4))
    assert four == pytest.approx(400, rel=0.02)
    apart = rng.permutation(1600) // 4  # clusters of pairs that have nothing in common
    assert effective_pairs(np.repeat(single, 4), apart) > 1300
    assert effective_pairs(single, np.arange(400)) == 400


def test_without_a_flip_a_cluster_is_one_draw():
    assert effective_pairs(np.zeros((2, 60)), np.arange(60) // 6).tolist() == [10, 10]
