"""Answers of sweeps that were never decoded, with what every direction does known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

ALPHAS = np.arange(-3, 3.01, 0.5)
CONTROLS = {"covariance": 20, "shuffled": 20}


@dataclass(frozen=True, eq=False)
class Sweep:
    """Right or wrong, over L curves, A α, n pairs.

    `alphas` [A]; `baseline` bool [n]; `real` bool [L, A, n]; `controls` by kind, bool
    [C, L, A, n]; `clusters` int [n]; `before`: share of right answers before pairs were balanced
    by them, None for pairs that were not.
    """

    alphas: np.ndarray
    baseline: np.ndarray
    real: np.ndarray
    controls: dict[str, np.ndarray]
    clusters: np.ndarray
    before: float | None = None


def draw(
    rng: np.random.Generator,
    *,
    pairs: int = 240,
    layers: int = 1,
    alphas: np.ndarray = ALPHAS,
    controls: Mapping[str, int] = CONTROLS,
    harm: float = 0.06,
    spread: float = 0.3,
    tails: float = 0.0,
    right: float = 0.63,
    noise: float = 0.02,
    restless: float = 0.0,
    templates: int = 0,
    template_share: float = 0.5,
) -> Sweep:
    """One sweep whose real direction is drawn as its controls are.

    Every direction loses `harm` of all pairs per unit of α on average, each its own amount: gamma
    with this relative `spread`, or with `tails` lognormal. Beside it `noise` of all pairs is lost
    and as many are won, `restless` more of them along the real direction. With `templates`, that
    share of a pair's luck under a direction is its template's.
    """
    baseline = rng.random(pairs) < right
    clusters = rng.integers(templates, size=pairs) if templates else np.arange(pairs)
    count = 1 + sum(controls.values())
    amount = (count, layers, 1)
    if tails:
        own = harm * rng.lognormal(0, tails, amount)
    else:
        own = harm * rng.gamma(spread**-2, spread**2, amount)
    either = np.full(amount, noise)
    either[0] += restless
    edited = alphas != 0
    lose = np.clip((own * np.abs(alphas) + either * edited) / right, 0, 0.999)
    win = np.clip(either * edited / (1 - right), 0, 0.999)
    luck = luck_of(rng, (count, layers, alphas.size, pairs))
    if templates:
        theirs = rng.standard_normal((count, layers, 1, templates), np.float32)[..., clusters]
        luck = np.sqrt(1 - template_share) * luck + np.sqrt(template_share) * theirs
    after = baseline ^ (
        luck < np.where(baseline, ndtri(lose)[..., None], ndtri(win)[..., None]).astype(np.float32)
    )
    kinds, start = {}, 1
    for kind, number in controls.items():
        kinds[kind], start = after[start : start + number], start + number
    return Sweep(alphas, baseline, after[0], kinds, clusters)


def luck_of(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal luck [..., A, n], half a pair's own and half new at each α."""
    own = rng.standard_normal((*shape[:-2], 1, shape[-1]), np.float32)
    return (own + rng.standard_normal(shape, np.float32)) / np.float32(np.sqrt(2))


def planted(sweep: Sweep, change: float, rng: np.random.Generator) -> Sweep:
    """The same with a gain or a loss of this share of all pairs, along curve 0 at every α < 0."""
    accuracy = sweep.real[0].mean(-1, keepdims=True)
    room = (1 - accuracy if change > 0 else accuracy) + 1e-12
    hit = (rng.random(sweep.baseline.size) < abs(change) / room) & (sweep.alphas < 0)[:, None]
    real = sweep.real.copy()
    real[0] = np.where(hit, change > 0, real[0])
    return replace(sweep, real=real)


def doubled(sweep: Sweep) -> Sweep:
    """Every pair twice, as a file that repeats its questions has them."""
    twice = {kind: np.concatenate([each, each], -1) for kind, each in sweep.controls.items()}
    return replace(
        sweep,
        baseline=np.tile(sweep.baseline, 2),
        real=np.concatenate([sweep.real, sweep.real], -1),
        controls=twice,
        clusters=np.tile(sweep.clusters, 2),
    )


def balanced(sweep: Sweep, rng: np.random.Generator) -> Sweep:
    """As many right as wrong pairs of a sweep, which says how many were right before."""
    sides = [np.flatnonzero(sweep.baseline), np.flatnonzero(~sweep.baseline)]
    least = min(map(len, sides))
    kept = np.concatenate([rng.permutation(side)[:least] for side in sides])
    return replace(part(sweep, kept), before=float(sweep.baseline.mean()))


def part(sweep: Sweep, pairs: np.ndarray) -> Sweep:
    """Some pairs of a sweep."""
    return replace(
        sweep,
        baseline=sweep.baseline[pairs],
        real=sweep.real[..., pairs],
        controls={kind: each[..., pairs] for kind, each in sweep.controls.items()},
        clusters=sweep.clusters[pairs],
    )


def curves(sweep: Sweep, which: list[int]) -> Sweep:
    """Some curves of a sweep, with their controls."""
    kinds = {kind: each[:, which] for kind, each in sweep.controls.items()}
    return replace(sweep, real=sweep.real[which], controls=kinds)
