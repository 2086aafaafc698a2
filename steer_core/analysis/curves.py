"""From paired answers of a sweep to the numbers that a verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steer_core.analysis.controls import ControlRank, rank_among_controls
from steer_core.analysis.permutation import max_permutation
from steer_core.analysis.statistics import FAIR, Floats, Ints, paired_flips
from steer_core.errors import UserError


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One direction at one layer, site and mask over a grid of A α.

    Attributes:
        alphas: float64 [A], in the unit of the sweep; α = 0 may be among them.
        n: number of pairs.
        baseline: number of pairs answered right at α = 0.
        wrong_to_right: int [A], pairs won against the baseline.
        right_to_wrong: int [A], pairs lost.
        p: float64 [A], two-sided, adjusted for every α (and layer) of the sweep.
        tests: number of independent tests that p is adjusted for; at most the number of columns.
        controls: one rank for each kind of controls, on this grid; empty when there were none.
        relative: float64 [A] or None, largest ‖Δh‖ / ‖h‖ of any pair at the answer's first step.
        logits_changed: bool [A] or None, whether any logit of any pair's answer changed at all.
        fair: chance that a flip is a gain where nothing changes, see `statistics.fair_after`.
    """

    alphas: Floats
    n: int
    baseline: int
    wrong_to_right: Ints
    right_to_wrong: Ints
    p: Floats
    tests: float
    controls: tuple[ControlRank, ...] = ()
    relative: Floats | None = None
    logits_changed: NDArray[np.bool_] | None = None
    fair: float = FAIR

    def __post_init__(self):
        grids = [self.wrong_to_right, self.right_to_wrong, self.p]
        grids += [grid for grid in (self.relative, self.logits_changed) if grid is not None]
        grids += [kind.excess_p for kind in self.controls]
        if self.alphas.ndim != 1 or any(grid.shape != self.alphas.shape for grid in grids):
            raise UserError(
                f"a curve has {self.alphas.shape} α but numbers of shapes "
                f"{[grid.shape for grid in grids]}; give one number for each α"
            )
        if not np.any(self.alphas):
            raise UserError("a curve needs an α other than 0; add one to the grid")
        if not 0 <= self.baseline <= self.n or self.n < 1:
            raise UserError(f"{self.baseline} right of {self.n} pairs is no baseline")
        if np.any(self.right_to_wrong > self.baseline) or np.any(
            self.wrong_to_right > self.n - self.baseline
        ):
            raise UserError(
                f"more flips than the baseline of {self.baseline} right of {self.n} allows; count "
                "flips against α = 0 on the same pairs"
            )

    @property
    def change(self) -> Floats:
        """Accuracy minus baseline accuracy, float64 [A], shares −1..1."""
        return (self.wrong_to_right - self.right_to_wrong) / self.n

    @property
    def accuracy(self) -> Floats:
        """Accuracy, float64 [A], shares 0..1."""
        return self.baseline / self.n + self.change

    @property
    def steered(self) -> NDArray[np.bool_]:
        """Which α are edits, bool [A]."""
        return self.alphas != 0

    @property
    def noise(self) -> float:
        """Share of pairs that flip without a net change, at the α where it is largest."""
        return float(2 * np.minimum(self.wrong_to_right, self.right_to_wrong).max() / self.n)


def measure_curves(
    alphas: ArrayLike,
    baseline: ArrayLike,
    steered: ArrayLike,
    *,
    controls: Mapping[str, ArrayLike] | None = None,
    relative: ArrayLike | None = None,
    logits_changed: ArrayLike | None = None,
    fair: float = FAIR,
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[Curve, ...]:
    """Measure the curves of one sweep, corrected together.

    The p-values hold for the sweep as a whole: over its L curves (layers, masks) and A α, both
    against the baseline and against the controls. Control c of every curve is taken as one
    control of the sweep.

    Args:
        alphas: float [A].
        baseline: bool [n], right at α = 0.
        steered: bool [L, A, n], right with the real direction, the same pairs in the same order.
        controls: accuracy of control directions on the same pairs, float [C, L, A] by kind, such
            as "random" and "label-shuffled".
        relative: float [L, A], see `Curve`.
        logits_changed: bool [L, A], see `Curve`.
        fair: see `Curve`.
        resamples: random sign patterns of the permutation test.
        seed: seed of the permutation test.

    Returns:
        L curves, in the order of `steered`.

    Raises:
        UserError: when shapes do not fit.
    """
    grid = np.asarray(alphas, float)
    before, after = np.asarray(baseline, bool), np.asarray(steered, bool)
    check_answers(after, grid)
    flips = paired_flips(before, after)
    test = max_permutation(before, after, fair=fair, resamples=resamples, seed=seed)
    change = after.mean(-1) - before.mean()
    ranks = ranks_of(change, before, controls or {})
    return tuple(
        Curve(
            alphas=grid,
            n=before.size,
            baseline=int(before.sum()),
            wrong_to_right=flips.wrong_to_right[row],
            right_to_wrong=flips.right_to_wrong[row],
            p=test.p[row],
            tests=test.independent,
            controls=tuple(kind.at(row) for kind in ranks),
            relative=row_of(relative, row, float),
            logits_changed=row_of(logits_changed, row, bool),
            fair=fair,
        )
        for row in range(len(after))
    )


def ranks_of(
    change: Floats, before: NDArray[np.bool_], controls: Mapping[str, ArrayLike]
) -> list[ControlRank]:
    """Where changes [L, A] stand among those of each kind of control."""
    return [
        rank_among_controls(change, np.asarray(accuracy) - before.mean(), n=before.size, name=name)
        for name, accuracy in controls.items()
    ]


def check_answers(steered: NDArray[np.bool_], alphas: Floats) -> None:
    """Raise a `UserError` unless the answers are [L, A, n] for these A α."""
    if steered.ndim != 3 or steered.shape[1] != alphas.size:
        raise UserError(
            f"answers of shape {steered.shape} are not [curves, {alphas.size} α, pairs]; for one "
            "curve add an axis of length 1 in front"
        )


def row_of(values: ArrayLike | None, row: int, kind: type) -> NDArray | None:
    """One curve's numbers [A] of [L, A], None where they were not measured."""
    return None if values is None else np.asarray(values, kind)[row]
