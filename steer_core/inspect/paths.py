"""Paths: the latent thoughts of many problems in their first principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from steer_core.analysis.folds import auc
from steer_core.errors import UserError

COMPONENTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Latent positions 1..K of n problems in C principal components of their states.

    `mean` float32 [D], `components` float32 [C, D], unit rows; `variance` float64 [C]: share of the
    variance that each holds, the rest is in none; `points` float32 [n, K, C]. `parity` float64 [C]:
    AUC of even against odd positions along a component, from .5 (apart in no way) to 1; `parity_p`
    the exact p of the largest of them, positions exchanged within problems.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variance: NDArray[np.float64]
    points: NDArray[np.float32]
    parity: NDArray[np.float64]
    parity_p: float

    def project(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """States [..., D] in the same components, [..., C]."""
        return ((states - self.mean) @ self.components.T).astype(np.float32)


def paths(
    states: NDArray[np.float32], *, components: int = COMPONENTS, shuffled: int = 99, seed: int = 0
) -> Paths:
    """Principal components of the latent positions of problems.

    Args:
        states: float32 [n, K+1, D] of one site and layer; position 0 is left out.
        components: C.
        shuffled: Exchanges of positions behind `parity_p`.
        seed: Of those.

    Raises:
        UserError: for fewer problems than components.
    """
    n, latents = len(states), states.shape[1] - 1
    if n * latents <= components:
        raise UserError(f"{n} problems are too few for {components} components; give more")
    flat = states[:, 1:].reshape(-1, states.shape[-1])
    pca = PCA(components, svd_solver="covariance_eigh").fit(flat.astype(np.float64))
    points = pca.transform(flat).reshape(n, latents, components)
    even = np.arange(1, latents + 1) % 2 == 0
    parity, p = separation(points, even, shuffled, seed)
    return Paths(
        mean=flat.mean(0, dtype=np.float64).astype(np.float32),
        components=np.asarray(pca.components_, np.float32),
        variance=pca.explained_variance_ratio_,
        points=points.astype(np.float32),
        parity=parity,
        parity_p=p,
    )


def separation(
    points: NDArray[np.float64], even: NDArray[np.bool_], shuffled: int, seed: int
) -> tuple[NDArray[np.float64], float]:
    """AUC of a split of positions along each component, and the exact p of the largest."""
    rng = np.random.default_rng(seed)
    n = len(points)

    def apart(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        flat = points.reshape(-1, points.shape[2])
        found = auc(np.broadcast_to(which.reshape(-1, 1), flat.shape).astype(float), flat)
        return np.maximum(found, 1 - found)

    if even.all() or not even.any():
        return np.full(points.shape[2], 0.5), 1.0
    own = apart(np.tile(even, (n, 1)))
    # The same exchange for all problems would only rename positions: each has its own.
    others = [apart(rng.permuted(np.tile(even, (n, 1)), axis=1)).max() for _ in range(shuffled)]
    return own, (1 + sum(other >= own.max() for other in others)) / (1 + shuffled)


def mean_path(points: NDArray[np.float32], groups: Sequence[object]) -> dict[str, NDArray]:
    """The mean path [K, C] of each group of problems, by the group's name."""
    names = np.array(list(map(str, groups)))
    return {name: points[names == name].mean(0) for name in sorted(set(names))}
