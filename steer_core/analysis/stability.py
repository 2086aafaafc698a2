"""Does a mean-difference direction come out the same from other pairs?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from steer_core.analysis.statistics import Floats, check_share
from steer_core.errors import UserError

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SplitHalf:
    """Agreement of two directions, each computed from one half of the pairs.

    Attributes:
        cosine: mean cosine between the halves' directions over random splits; 0 for noise in many
            dimensions, 1 when sampling does not matter. Each half has half the pairs, so the
            direction of all pairs is more stable than this number.
        low: lower limit of the jackknife interval.
        high: upper limit.
        level: confidence level of the interval.
        norm: norm of the direction of all pairs, in the unit of the states.
        correct: number of right answers behind the direction.
        wrong: number of wrong ones.
    """

    cosine: float
    low: float
    high: float
    level: float
    norm: float
    correct: int
    wrong: int


def split_half(
    states: ArrayLike,
    correct: ArrayLike,
    *,
    splits: int = 50,
    level: float = 0.95,
    seed: int = 0,
) -> SplitHalf:
    """Cosine between mean(correct) − mean(wrong) of two halves, with an interval.

    Right and wrong answers are halved separately. The interval is the estimate ± z standard errors
    on the scale of arctanh(cosine), where the standard error is the jackknife's: each pair is left
    out once, of the same splits. A bootstrap would do worse here: resampled pairs are noisier than
    pairs, so its percentiles are too low as a whole, and intervals from its standard error held
    the expected cosine in only 85 to 94 % of simulated sets, where these held it in 96 to 100 %.

    Args:
        states: float [n, D], one state a pair at one layer and position.
        correct: bool [n], whether that pair was answered right.
        splits: Random halvings to average over.
        level: Confidence level between 0 and 1.
        seed: Seed of the splits.

    Raises:
        UserError: when shapes do not fit, a state is not finite, or there are fewer than four
            right or four wrong answers.
    """
    check_share(level, "level")
    x, right = checked(states, correct)
    x = x - x.mean(0)  # a difference of means does not see it, float sums do
    gram = x @ x.T  # [n, n]: afterwards the cost no longer depends on D
    generator = np.random.default_rng(seed)
    halves = np.stack([halve(right, generator) for _ in range(splits)])
    first, second = (Half.of(part, right, gram) for part in (halves, ~halves))
    estimate = float(np.mean(cosine(first.dot(second), first.size, second.size)))
    left_out = fisher((first.without(second) + second.without(first)).mean(0))
    error = np.sqrt((right.size - 1) * np.var(left_out))
    low, high = np.tanh(
        fisher(estimate) + stats.norm.isf((1 - level) / 2) * error * np.array([-1, 1])
    )
    return SplitHalf(
        cosine=estimate,
        low=float(low),
        high=float(high),
        level=level,
        norm=float(np.linalg.norm(x[right].mean(0) - x[~right].mean(0))),
        correct=int(right.sum()),
        wrong=int((~right).sum()),
    )


def checked(states: ArrayLike, correct: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """States as float64 [n, D] and correctness as bool [n], after a check."""
    x, right = np.asarray(states, float), np.asarray(correct, bool)
    if x.ndim != 2 or right.shape != x.shape[:1]:
        raise UserError(
            f"states of shape {x.shape} and correctness of shape {right.shape} do not fit; give "
            "[n, D] and [n], one layer and position at a time"
        )
    if not np.isfinite(x).all():
        raise UserError("a state is not finite; compute the states in float32")
    least = min(right.sum(), (~right).sum())
    if least < 4:
        raise UserError(
            f"{least} answers in the smaller group, at least 4 right and 4 wrong are needed for "
            "two halves; use more pairs"
        )
    return x, right


def halve(right: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.bool_]:
    """A random half of the pairs, bool [n], with half of the right and half of the wrong ones."""
    half = np.zeros(right.size, bool)
    for group in (right, ~right):
        members = generator.permutation(np.flatnonzero(group))
        half[members[: members.size // 2]] = True
    return half


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """The direction of one half of the pairs, for each of S splits, as inner products.

    Attributes:
        weights: float64 [2, S, n], which pairs are averaged: right ones, then wrong ones.
        products: float64 [2, S, n], inner product of either mean with each pair's state.
        squares: float64 [n], each state's squared norm.
    """

    weights: Floats
    products: Floats
    squares: Floats

    @classmethod
    def of(cls, members: Bools, right: Bools, gram: Floats) -> Half:
        """From the members [S, n] of the half, the labels [n] and the Gram matrix [n, n]."""
        groups = np.stack([members & right, members & ~right]).astype(float)
        weights = groups / groups.sum(-1, keepdims=True)
        return cls(weights, weights @ gram, np.diag(gram))

    @property
    def projection(self) -> Floats:
        """Inner product of the direction with each pair's state, [S, n]."""
        return self.products[0] - self.products[1]

    @property
    def size(self) -> Floats:
        """Squared norm of the direction, [S]."""
        return self.dot(self)

    def dot(self, other: Half) -> Floats:
        """Inner product with another half's direction, [S]."""
        return np.sum((self.weights[0] - self.weights[1]) * other.projection, -1)

    def without(self, other: Half) -> Floats:
        """Cosine [S, n] to the other half's direction with one pair of this half left out.

        Without the state x, the mean of m states moves by (mean − x) / (m − 1), so the inner
        products are updated instead of computed again. 0 for pairs outside this half.
        """
        left_out = np.zeros_like(self.weights[0])
        for sign, weight, product in zip((1, -1), self.weights, self.products, strict=True):
            step = sign / (1 / weight.max(-1, keepdims=True) - 1)
            dot = self.dot(other)[:, None] + step * below_mean(other.projection, weight)
            apart = below_mean(product, weight) - product + self.squares
            size = self.size[:, None] + 2 * step * below_mean(self.projection, weight)
            part = cosine(dot, size + step**2 * apart, other.size[:, None])
            left_out += (weight > 0) * part
        return left_out


def below_mean(values: Floats, weight: Floats) -> Floats:
    """Weighted mean of the values [S, n] of each row, minus the values."""
    return np.sum(weight * values, -1, keepdims=True) - values


def cosine(dot: Floats, first: Floats, second: Floats) -> Floats:
    """Cosine from an inner product and two squared norms; 0 where a direction is zero."""
    size = np.sqrt(np.maximum(first, 0) * np.maximum(second, 0))
    return np.divide(dot, size, out=np.zeros_like(dot), where=size > 0)


def fisher(value: ArrayLike) -> Floats:
    """arctanh, kept finite at −1 and 1."""
    return np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9))
