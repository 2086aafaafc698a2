"""From paired answers of a sweep to the numbers that a verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from steer_core.analysis.clusters import cluster_numbers, cluster_sums, effective_pairs
from steer_core.analysis.controls import ControlRank, rank_among_controls
from steer_core.analysis.exchange import Exchange, exchange_test
from steer_core.analysis.measures import ACCURACY, Measure
from steer_core.analysis.permutation import MaxPermutation, max_permutation
from steer_core.analysis.statistics import Floats, Ints, paired_flips, paired_interval
from steer_core.errors import UserError
from steer_core.names import COMPARABLE, KIND_WORDS

LEVEL = 0.05
"""Of every test and, one-sided, of the bound on a change."""
EXCHANGES = 1999
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """One direction against its controls of one kind, at each of A α.

    Attributes:
        kind: such as "covariance".
        change: float64 [A], the direction's change in accuracy minus the controls' mean change.
        low, high: float64 [A], 95 % interval of it, over pairs and the draw of the controls.
        p: float64 [A], two-sided p of it over pairs, adjusted for the sweep and for looks: the
            larger of two, by sign flips and by exchange with the controls.
        rank: the direction among the controls.
        tests: number of independent tests that sign flips are adjusted for.
        z: |z| that the exchange needs for a p of `LEVEL`.
        looks: by how much the rank's p is raised for other looks, and for settings that this one
            was chosen from.
    """

    kind: str
    change: Floats
    low: Floats
    high: Floats
    p: Floats
    rank: ControlRank
    tests: float = 1.0
    z: float = 0.0
    looks: float = 1.0

    @property
    def name(self) -> str:
        """The kind as sentences name it."""
        return KIND_WORDS[self.kind]

    @property
    def comparable(self) -> bool:
        """Whether an effect can be told from this kind."""
        return self.kind in COMPARABLE

    @property
    def rank_p(self) -> Floats:
        """Exact p [A] of the rank, corrected over the sweep and for looks."""
        return np.minimum(1.0, self.rank.excess_p * self.looks)

    @property
    def smallest_p(self) -> float:
        """The least `rank_p` that this many controls can give."""
        return min(1.0, self.rank.smallest_p * self.looks)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One direction at one layer, site and mask over a grid of A α.

    Attributes:
        alphas: float64 [A], in the unit of the sweep; α = 0 may be among them.
        n: number of pairs.
        groups: number of clusters that they come in, `n` where each stands by itself.
        baseline: number of pairs answered right at α = 0.
        start: accuracy at α = 0, share; `baseline / n` but for pairs that are weighed.
        wrong_to_right: int [A], pairs won against the baseline.
        right_to_wrong: int [A], pairs lost.
        change: float64 [A], accuracy minus `start`, shares −1..1.
        low, high: float64 [A], 95 % interval of it.
        within: float64 [A], largest |change| that still fits (one-sided 95 %).
        p: float64 [A], two-sided, adjusted for every α (and layer) of the sweep and for looks.
        contrasts: one for each kind of controls; empty when there were none.
        relative: float64 [A] or None, largest ‖Δh‖ / ‖h‖ of any pair at the answer's first step.
        logits_changed: bool [A] or None, whether any logit of any pair's answer changed at all.
        looks: by how much p-values are raised for other looks at these pairs.
        measure: what is counted, where it says "right" and "accuracy" above.
    """

    alphas: Floats
    n: int
    groups: int
    baseline: int
    start: float
    wrong_to_right: Ints
    right_to_wrong: Ints
    change: Floats
    low: Floats
    high: Floats
    within: Floats
    p: Floats
    contrasts: tuple[Contrast, ...] = ()
    relative: Floats | None = None
    logits_changed: Bools | None = None
    looks: float = 1.0
    measure: Measure = ACCURACY

    def __post_init__(self):
        grids = [self.wrong_to_right, self.right_to_wrong, self.change, self.within, self.p]
        grids += [grid for grid in (self.relative, self.logits_changed) if grid is not None]
        grids += [each.change for each in self.contrasts]
        if self.alphas.ndim != 1 or any(grid.shape != self.alphas.shape for grid in grids):
            raise UserError(
                f"a curve has {self.alphas.shape} α but numbers of shapes "
                f"{[grid.shape for grid in grids]}; give one number for each α"
            )
        if not np.any(self.alphas):
            raise UserError("a curve needs an α other than 0; add one to the grid")

    @property
    def accuracy(self) -> Floats:
        """Accuracy, float64 [A], shares 0..1."""
        return self.start + self.change

    @property
    def steered(self) -> Bools:
        """Which α are edits, bool [A]."""
        return self.alphas != 0

    @property
    def comparable(self) -> tuple[Contrast, ...]:
        """The contrasts that an effect can be told from."""
        return tuple(each for each in self.contrasts if each.comparable)

    @property
    def clustered(self) -> bool:
        """Whether pairs hang together."""
        return self.groups < self.n


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one sweep over L curves, A α and n pairs.

    Attributes:
        alphas: float64 [A].
        baseline: bool [n], right at α = 0.
        steered: bool [L, A, n], right with the real direction, the same pairs in the same order.
        controls: bool [C, L, A, n] by kind: control c of every curve is one control of the sweep.
        clusters: int [n], equal for pairs that hang together, see `clusters.join_clusters`.
        weights: float64 [n], of mean 1: what each pair counts; all 1 but for pairs that were chosen
            by their answer.
        looks: at least 1: by how much p-values are raised for other looks at these pairs.
        chosen: at least 1: by how much those of ranks are raised besides, for the settings that
            this one was chosen from on other pairs. New pairs are a new draw for tests over pairs;
            the direction is the same one that stood out among its controls before.
    """

    alphas: Floats
    baseline: Bools
    steered: Bools
    controls: Mapping[str, Bools]
    clusters: Ints
    weights: Floats
    looks: float = 1.0
    chosen: float = 1.0

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.baseline.size

    @property
    def flip_weights(self) -> tuple[float, float]:
        """What a gain and a loss count; 1 where no pair could be the one or the other."""
        sides = (~self.baseline, self.baseline)
        gain, loss = (float(self.weights[side].max(initial=0)) or 1.0 for side in sides)
        return gain, loss

    @cached_property
    def differences(self) -> Floats:
        """What each pair adds to the change, float64 [L, A, n]."""
        return self.changes(self.steered)

    def changes(self, answers: Bools) -> Floats:
        """What each pair adds to the change that these answers [..., n] are."""
        return self.weights * (answers.astype(np.int8) - self.baseline.astype(np.int8))

    @cached_property
    def control_changes(self) -> dict[str, Floats]:
        """Change in accuracy of each control, float64 [C, L, A] by kind."""
        start = self.weights @ self.baseline
        return {
            kind: np.stack([each @ self.weights - start for each in answers]) / self.n
            for kind, answers in self.controls.items()
        }

    def against(self, kind: str) -> Floats:
        """What each pair adds to the contrast with the controls' mean, float64 [L, A, n]."""
        return self.weights * (self.steered - self.controls[kind].mean(0))


def answers_of(
    alphas: ArrayLike,
    baseline: ArrayLike,
    steered: ArrayLike,
    *,
    controls: Mapping[str, ArrayLike] | None = None,
    clusters: ArrayLike | None = None,
    before: float | None = None,
    looks: float = 1.0,
    chosen: float = 1.0,
) -> Answers:
    """The answers of a sweep, checked; the arguments are those of `Answers`.

    `before` is the share of right answers before pairs were balanced by them: they are weighed
    back to it. None for pairs that nobody chose by their answer.

    Raises:
        UserError: when shapes do not fit or an answer is neither right nor wrong.
    """
    grid, before_edit = np.asarray(alphas, float), truths(baseline)
    after = truths(steered)
    if after.ndim != 3 or after.shape[1:] != (grid.size, before_edit.size):
        raise UserError(
            f"answers of shape {after.shape} are not [curves, {grid.size} α, {before_edit.size} "
            "pairs]; for one curve add an axis of length 1 in front"
        )
    kinds = {kind: truths(each) for kind, each in (controls or {}).items()}
    for kind, each in kinds.items():
        if each.shape[1:] != after.shape or not len(each):
            raise UserError(
                f"{kind} controls of shape {each.shape} do not fit answers of shape {after.shape}; "
                "give [controls, *answers] with at least one control"
            )
    if not (looks >= 1 and chosen >= 1):
        raise UserError(
            f"looks is {looks} and chosen {chosen}, at least 1: this run is a look by itself"
        )
    groups = cluster_numbers(clusters, before_edit.size)  # type: ignore[arg-type]
    weights = pair_weights(before_edit, before)
    return Answers(grid, before_edit, after, kinds, groups, weights, float(looks), float(chosen))


def truths(answers: ArrayLike) -> Bools:
    """Answers as bool; anything that is neither 0 nor 1 is refused."""
    values = np.asarray(answers)
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise UserError("an answer is neither right nor wrong; leave out pairs without an answer")
    return values.astype(bool)


def pair_weights(baseline: Bools, before: float | None) -> Floats:
    """Weights [n] that give right answers at α = 0 the share `before`.

    Balancing keeps a larger part of the rarer kind of answer. An edit that only answers anew, and
    loses as many of all pairs as it wins, then wins or loses more of those that were kept. Weighed
    back, every number is again about the pairs that the balanced ones were drawn from.
    """
    now = baseline.mean()
    if before is None or not 0 < before < 1 or not 0 < now < 1:
        return np.ones(baseline.size)
    return np.where(baseline, before / now, (1 - before) / (1 - now))


def measure_curves(
    answers: Answers,
    *,
    relative: ArrayLike | None = None,
    logits_changed: ArrayLike | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[Curve, ...]:
    """Measure the curves of one sweep, corrected together.

    The p-values hold for the sweep as a whole: over its L curves (layers, masks) and A α, both
    against the baseline and against the controls.

    Args:
        answers: of the sweep.
        relative: float [L, A], see `Curve`.
        logits_changed: bool [L, A], see `Curve`.
        resamples: random sign patterns of the permutation tests.
        seed: seed of them.

    Returns:
        L curves, in the order of `answers.steered`.

    Raises:
        UserError: when shapes do not fit.
    """
    settings = {"clusters": answers.clusters, "resamples": resamples, "seed": seed}
    test = max_permutation(answers.differences, **settings)
    flips = paired_flips(answers.baseline, answers.steered)
    change = answers.differences.mean(-1)
    limits = change_limits(answers, flips.wrong_to_right, flips.right_to_wrong)
    contrasts = [contrast(answers, kind, settings) for kind in answers.controls]
    return tuple(
        Curve(
            alphas=answers.alphas,
            n=answers.n,
            groups=int(answers.clusters.max()) + 1,
            baseline=int(answers.baseline.sum()),
            start=float(answers.weights @ answers.baseline / answers.n),
            wrong_to_right=flips.wrong_to_right[row],
            right_to_wrong=flips.right_to_wrong[row],
            change=change[row],
            low=limits[0][row],
            high=limits[1][row],
            within=limits[2][row],
            p=raised(test, answers.looks)[row],
            contrasts=tuple(row_of_contrast(each, row) for each in contrasts),
            relative=row_of(relative, row, float),
            logits_changed=row_of(logits_changed, row, bool),
            looks=answers.looks,
        )
        for row in range(len(answers.steered))
    )


def raised(test: MaxPermutation, looks: float) -> Floats:
    """The p-values of a test, raised for looks."""
    return np.minimum(1.0, test.p * looks)


def change_limits(answers: Answers, won: Ints, lost: Ints) -> tuple[Floats, Floats, Floats]:
    """95 % limits of the change, and the largest |change| that fits (one-sided), [L, A] each."""
    groups = int(answers.clusters.max()) + 1
    shared = {
        "effective": effective_pairs(answers.differences, answers.clusters),
        "groups": groups if groups < answers.n else None,
        "weights": answers.flip_weights,
    }
    low, high = paired_interval(won, lost, answers.n, 1 - LEVEL, **shared)
    least, most = paired_interval(won, lost, answers.n, 1 - 2 * LEVEL, **shared)
    still = answers.alphas == 0
    return (
        np.where(still, 0.0, low),
        np.where(still, 0.0, high),
        np.where(still, 0.0, np.maximum(-least, most)),
    )


def contrast(answers: Answers, kind: str, settings: Mapping) -> Contrast:
    """All curves [L, A] against one kind of controls."""
    each = answers.against(kind)
    controls = answers.control_changes[kind]
    rank = rank_among_controls(answers.differences.mean(-1), controls, n=answers.n)
    change = each.mean(-1)
    half = half_width(each, answers.clusters, rank)
    test = max_permutation(each, **settings)
    swaps = exchanged(answers, kind, settings)
    p = np.maximum(test.p, swaps.p.reshape(change.shape))
    p = np.minimum(1.0, p * answers.looks)
    limits = change - half, change + half
    z = swaps.critical(LEVEL / answers.looks)
    more = answers.looks * answers.chosen
    return Contrast(kind, change, *limits, p, rank, test.independent, z, more)


def exchanged(answers: Answers, kind: str, settings: Mapping) -> Exchange:
    """The test that a direction answers pair by pair as its controls do, over L × A columns.

    With several curves, the same one of the directions is put in place of all of them.
    """
    changes = [answers.differences, *(answers.changes(each) for each in answers.controls[kind])]
    sums = [cluster_sums(each, answers.clusters).astype(np.float32) for each in changes]
    stacked: NDArray = np.stack(sums).reshape(len(sums), -1, sums[0].shape[-1])
    draws = min(settings["resamples"], EXCHANGES)
    return exchange_test(stacked, resamples=draws, seed=settings["seed"])


def half_width(each: Floats, clusters: Ints, rank: ControlRank) -> Floats:
    """Half of the 95 % interval of a contrast: Student's, over clusters and over controls."""
    groups = int(clusters.max()) + 1
    if groups < 2:
        return np.full(each.shape[:-1], np.inf)
    sums = cluster_sums(each - each.mean(-1, keepdims=True), clusters)
    pairs = np.square(sums).sum(-1) * groups / (groups - 1) / clusters.size**2
    return stats.t.isf(LEVEL / 2, groups - 1) * np.sqrt(pairs + rank.spread**2 / rank.controls)


def row_of_contrast(each: Contrast, row: int) -> Contrast:
    """The contrast of one curve."""
    grids = {name: getattr(each, name)[row] for name in ("change", "low", "high", "p")}
    return replace(each, rank=each.rank.at(row), **grids)


def row_of(values: ArrayLike | None, row: int, kind: type) -> NDArray | None:
    """One curve's numbers [A] of [L, A], None where they were not measured."""
    return None if values is None else np.asarray(values, kind)[row]
