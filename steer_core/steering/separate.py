"""Does a method find anything? Its score on problems it was not fitted on, beside shuffled ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from steer_core.analysis.folds import auc, folds_of
from steer_core.names import DirectionRef
from steer_core.steering.background import Background, Task, mixed
from steer_core.steering.methods import Labelled, Method, method_of, negentropy, pca, unit_of
from steer_core.steering.trained import aims_of, budget_of, gains, train

LEVEL = 0.05
SHUFFLES = 19
"""Relabellings: the least p is 1 / (1 + SHUFFLES), which is `LEVEL`."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What a method reads off states, at every position, and whether noise would do the same.

    `measure`: AUC on problems that the direction was not fitted on (.5 is nothing, twins are never
    parted); of a principal component its share of the variance, of an independent one its
    negentropy, 0 for a Gaussian. `score` [K+1]; `highest`: the largest score that any of `shuffled`
    relabellings has anywhere; `p`: exact, of the largest score against the largest of each
    relabelling, so it is corrected for the choice of the position. `counts`: problems on the high
    and the low side, where there are sides. Of a trained direction `score` has one number, what it
    adds to the wanted token's log-probability on pairs it was not trained on, and `beside` it stand
    random directions of its length.
    """

    measure: str
    score: tuple[float, ...]
    highest: float
    p: float
    shuffled: int
    counts: tuple[int, ...] = ()
    beside: str = "shuffled"

    def __post_init__(self) -> None:
        for name in ("score", "counts"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def separable(self) -> bool:
        """Whether p is at most `LEVEL`."""
        return self.p <= LEVEL

    @property
    def words(self) -> str:
        """The result for a reader."""
        best = max(range(len(self.score)), key=self.score.__getitem__)
        where = f" at position {best}" if len(self.score) > 1 else ""
        result = "separable" if self.separable else "not separable"
        sides = f"; {self.counts[0]} against {self.counts[1]} problems" if self.counts else ""
        return (
            f"{result}: {self.measure} {self.score[best]:.2f}{where}, "
            f"{self.beside} up to {self.highest:.2f}, p {self.p:.2g}{sides}"
        )


def separation(ref: DirectionRef, here: Background, shuffles: int = SHUFFLES) -> Separation:
    """How well a method separates the states of a fit set.

    Args:
        ref: A method with its option.
        here: The fit set at a site and layer.
        shuffles: Relabellings; seeds 0, 1, ...

    Raises:
        UserError: for an unknown method or label.
    """
    method, option = method_of(ref)
    if method.labelled is not None:
        return by_label(method.labelled, here.task(option), shuffles)
    if method.trained is not None:
        return by_training(option, here, shuffles)
    return by_component(method, int(option), here, shuffles)


def by_training(target: str, here: Background, shuffles: int) -> Separation:
    """What a direction gains on a fifth of the pairs, trained on the others.

    Beside it random directions of its length, for each that is trained takes as long.
    """
    assert here.model is not None
    assert here.site is not None
    fit = here.fit.with_twins() if target == "twin" else here.fit
    aims = aims_of(here.model, fit, target)
    fitted, scored = next(folds_of(len(aims.questions), aims.pairs))
    budget = budget_of(here.model, here.site, here.fit)
    vectors = train(here.model, here.site, aims.some(fitted.tolist()), budget)
    chance = torch.Generator().manual_seed(0)
    others = [torch.randn(vectors.shape, generator=chance) for _ in range(shuffles)]
    each = [
        vectors,
        *(noise * (vectors.norm(dim=-1) / noise.norm(dim=-1))[:, None] for noise in others),
    ]
    found = gains(here.model, here.site, aims.some(scored.tolist()), each)
    measure = "gain in nats on held-out pairs"
    return against(measure, list(found[:, None]), "random directions")


def by_label(method: Labelled, task: Task, shuffles: int) -> Separation:
    """AUC of cross-validated components along a method's direction."""
    folds = list(folds_of(len(task.states), task.sides.pairs.tolist()))
    each = [task.sides.high, *(task.sides.shuffled(seed).high for seed in range(shuffles))]
    scores = [cross_validated(method, task.states, high, folds) for high in each]
    return dataclasses.replace(against("AUC", scores), counts=task.sides.counts)


def cross_validated(
    method: Labelled, states: np.ndarray, high: np.ndarray, folds: list
) -> np.ndarray:
    """The AUC at every position [K+1], on folds that a direction was not fitted on."""
    said = np.zeros(states.shape[:2])
    for fitted, scored in folds:
        if high[fitted].all() or not high[fitted].any():
            continue  # nothing to learn from: this fold says nothing
        vectors = method(states[fitted], high[fitted]).double().numpy()
        centred = states[scored] - states[fitted].mean(0, dtype=np.float64)
        said[scored] = components_along(centred, vectors)
    wanted = np.repeat(high[:, None], states.shape[1], 1).astype(float)
    return auc(wanted, said)


def by_component(method: Method, number: int, here: Background, shuffles: int) -> Separation:
    """Variance or negentropy of a component, beside those of states mixed among problems."""
    find = method.component
    assert find is not None
    measure, score = (
        ("share of variance", variance_share) if find is pca else ("negentropy", unlike_noise)
    )
    each = [here.states, *(mixed(here.states, seed) for seed in range(shuffles))]
    return against(measure, [score(states, find(states, number).numpy()) for states in each])


def variance_share(states: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Share of the states' variance along vectors, at every position."""
    along = components_along(states, vectors).var(0)
    total = states.var(0, dtype=np.float64).sum(-1)
    return np.divide(along, total, out=np.zeros_like(along), where=total > 0)


def unlike_noise(states: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Negentropy of the components along vectors, at every position; 0 along none."""
    along = components_along(states, vectors)
    along -= along.mean(0)
    return np.where(along.std(0) > 0, negentropy(along), 0.0)


def components_along(states: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The component of each state [n, K+1]."""
    units = np.stack([unit_of(vector.astype(np.float64)) for vector in vectors])
    return np.einsum("nkd,kd->nk", states.astype(np.float64), units)


def against(measure: str, scores: list[np.ndarray], beside: str = "shuffled") -> Separation:
    """The first of some scores [K+1] against the largest of each other."""
    found, *others = scores
    most = [float(other.max()) for other in others]
    beaten = sum(other >= float(found.max()) - 1e-12 for other in most)
    p = (1 + beaten) / (1 + len(most))
    return Separation(measure, tuple(found.tolist()), max(most), p, len(most), beside=beside)
