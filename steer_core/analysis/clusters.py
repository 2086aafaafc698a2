"""Pairs that hang together: what shares a template or a question is one draw, not many."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from steer_core.analysis.statistics import Floats, Ints
from steer_core.errors import UserError


def join_clusters(keys: Iterable[Iterable[Hashable]]) -> Ints:
    """Number the groups of pairs that are connected by any key.

    Args:
        keys: Of each of n pairs the keys that it shares with what hangs together with it.

    Returns:
        int [n], groups numbered from 0 in the order of their first pair.
    """
    parent: list[int] = []

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[Hashable, int] = {}
    for i, mine in enumerate(keys):
        parent.append(i)
        for key in mine:
            parent[root(i)] = root(first.setdefault(key, i))
    roots = [root(i) for i in range(len(parent))]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[each] for each in roots], dtype=np.int64)


def cluster_numbers(clusters: Sequence[Hashable] | NDArray | None, n: int) -> Ints:
    """Clusters as numbers 0..G-1, int [n]; each pair its own where none are known.

    Raises:
        UserError: when there is not one for each pair.
    """
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise UserError(f"{len(clusters)} clusters do not fit {n} pairs; give one for each pair")
    return np.unique(np.asarray(clusters), return_inverse=True)[1]


def cluster_sums(values: NDArray, clusters: Ints) -> Floats:
    """Sums over each cluster: [..., n] -> float64 [..., G]."""
    groups = int(clusters.max()) + 1
    if groups == clusters.size:  # each pair its own: only a new order
        return np.asarray(values, float)[..., np.argsort(clusters)]
    member = np.zeros((clusters.size, groups))
    member[np.arange(clusters.size), clusters] = 1
    return np.asarray(values, float) @ member


def effective_pairs(contributions: Floats, clusters: Ints) -> Floats:
    """Independent pairs that would tell as much about a mean as these clustered ones.

    The design effect is estimated from the clusters' sums and drawn towards the largest that their
    sizes allow, as if two more flips had come as whole clusters: without any flip nothing is known
    of how they hang together.

    Args:
        contributions: float [..., n], what each pair adds to the mean; 0 where it did not flip.
        clusters: int [n], numbered from 0.

    Returns:
        float64 [...], between n over that largest design effect and n.
    """
    n, sizes = clusters.size, np.bincount(clusters)
    if sizes.size == n:
        return np.full(contributions.shape[:-1], float(n))
    most = np.square(sizes).sum() / n
    centred = contributions - contributions.mean(-1, keepdims=True)
    naive = np.square(centred).sum(-1)
    groups = max(sizes.size, 2)
    robust = np.square(cluster_sums(centred, clusters)).sum(-1) * groups / (groups - 1)
    seen = np.divide(robust, naive, out=np.full(naive.shape, most), where=naive > 0)
    flips = np.count_nonzero(contributions, axis=-1)
    effect = (flips * np.clip(seen, 1, most) + 2 * most) / (flips + 2)
    return n / np.clip(effect, 1, most)
