"""Controls: directions without meaning, as like the real one as can be.

Every control has the norm of its direction at every position, so equal alphas are equal doses. How
comparable a kind is beyond that, `Likeness` measures: noise lies across the few directions in which
states vary and changes at every position, and so does far less than a direction does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.names import COVARIANCE, NUISANCE, RANDOM, SHUFFLED, DirectionRef
from steer_core.steering.background import Background, nuisance, relabelled, shuffled
from steer_core.steering.directions import TINY, Direction
from steer_core.steering.fit import FitSet

LEADING = 8
"""Principal components of the states that `Likeness.leading` speaks of."""


def random_like(direction: Direction, seed: int) -> Direction:
    """Isotropic noise, drawn anew at every position: the weakest control."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(direction.vectors.shape, generator=generator)
    return control(RANDOM, direction, seed, noise)


def shuffled_like(direction: Direction, seed: int, background: Background) -> Direction:
    """The same method on problems on random sides: as many on each as before."""
    vectors = relabelled(ref_of(direction), background, shuffled(seed))
    return control(SHUFFLED, direction, seed, vectors, background.fit)


def nuisance_like(direction: Direction, seed: int, background: Background) -> Direction:
    """The same method on label number `seed` that is unrelated to its own, see `nuisance`."""
    vectors = relabelled(ref_of(direction), background, nuisance(seed))
    return control(NUISANCE, direction, seed, vectors, background.fit)


def covariance_like(direction: Direction, seed: int, background: Background) -> Direction:
    """Gaussian with the states' covariance, at and between positions, as coherent as the direction.

    A sum of centred states with Gaussian weights has their covariance exactly. It is turned as
    little as possible so that cosines between positions become the direction's.
    """
    states = background.states.astype(np.float64)
    weights = np.random.default_rng(seed).standard_normal(len(states))
    # Not a matrix product: its last bits depend on the machine, and a control is known by its bits.
    drawn = ((weights - weights.mean())[:, None, None] * states).sum(0)
    vectors = coherent(drawn, direction.vectors.double().numpy())
    return control(COVARIANCE, direction, seed, torch.from_numpy(vectors).float(), background.fit)


def coherent(drawn: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The unit vectors nearest to those of `drawn` [K+1, D] with the cosines of `like`'s rows.

    Where either has no length, zero. With C the cosines, any such vectors are C^½ Q for orthonormal
    rows Q, and the polar factor of C^½ · drawn is the Q that brings them nearest.
    """
    rows = (lengths(like) > TINY) & (lengths(drawn) > TINY)
    found = np.zeros_like(drawn)
    if not rows.any():
        return found
    ours, theirs = units(drawn[rows]), units(like[rows])
    values, axes = np.linalg.eigh(theirs @ theirs.T)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    left, _, right = np.linalg.svd(root @ ours, full_matrices=False)
    found[rows] = root @ (left @ right)
    return found


def lengths(vectors: np.ndarray) -> np.ndarray:
    """The norm of each row."""
    return np.linalg.norm(vectors, axis=-1)


def units(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero row stays zero."""
    return vectors / np.maximum(lengths(vectors), TINY)[:, None]


def ref_of(direction: Direction) -> DirectionRef:
    """How a direction was computed; its length does not matter to controls, which get its norms."""
    return DirectionRef.of_label(direction.method)


def control(
    kind: str, direction: Direction, seed: int, vectors: Tensor, fit: FitSet | None = None
) -> Direction:
    """Vectors [K+1, D] as a control of a direction: in its norms and its units."""
    origin = direction.provenance if fit is None else fit.provenance
    if fit is not None:
        origin = dataclasses.replace(fit.provenance, seed=seed)
    return dataclasses.replace(
        direction,
        vectors=matched(vectors, direction.vectors),
        method=str(DirectionRef(kind, seed)),
        separation=None,
        provenance=origin,
    )


def matched(vectors: Tensor, to: Tensor) -> Tensor:
    """Vectors [K+1, D] scaled to the norms of others, row by row; a zero row stays zero."""
    size = vectors.norm(dim=-1, keepdim=True)
    return vectors / size.clamp_min(TINY) * to.norm(dim=-1, keepdim=True)


FROM_STATES: dict[str, Callable[[Direction, int, Background], Direction]] = {
    SHUFFLED: shuffled_like,
    COVARIANCE: covariance_like,
    NUISANCE: nuisance_like,
}


def draw(kind: str, direction: Direction, seed: int, background: Background | None) -> Direction:
    """A control of a direction, by kind and seed.

    Args:
        kind: One of `CONTROL_KINDS`.
        direction: The direction.
        seed: Which one; of nuisance labels their number.
        background: The fit set where the direction acts; noise needs none.
    """
    if kind == RANDOM:
        return random_like(direction, seed)
    assert background is not None
    return FROM_STATES[kind](direction, seed, background)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a direction lies among the states of a fit set, averaged over positions.

    `coherence`: mean cosine between two positions, -1..1; `leading`: share of its squared norm in
    the states' `LEADING` first principal components at that position, 0..1. NaN where it is zero.
    """

    coherence: float
    leading: float


def likeness(vectors: Sequence[Tensor], states: np.ndarray) -> list[Likeness]:
    """Of each of some directions [K+1, D], among states [n, K+1, D].

    Positions where a direction is zero, or there are no states, do not count.
    """
    axes = [leading_axes(states[:, k]) for k in range(states.shape[1])]
    return [likeness_along(each.double().numpy(), axes) for each in vectors]


def likeness_along(vectors: np.ndarray, axes: Sequence[np.ndarray]) -> Likeness:
    """Of one direction [K+1, D], given the leading axes [<= LEADING, D] at each position."""
    rows = np.flatnonzero(lengths(vectors) > TINY).tolist()
    unit = units(vectors)
    cosines = (unit[rows] @ unit[rows].T)[~np.eye(len(rows), dtype=bool)]
    shares = [np.square(axes[k] @ unit[k]).sum() for k in rows]
    return Likeness(*(float(np.mean(x)) if len(x) else float("nan") for x in (cosines, shares)))


def leading_axes(states: np.ndarray) -> np.ndarray:
    """The first principal components of states [n, D], orthonormal rows."""
    centred = states.astype(np.float64) - states.mean(0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    return axes[:LEADING][sizes[:LEADING] > TINY]
