"""Where the real direction stands among control directions, with p-values that need no model.

If a direction were exchangeable with its controls (drawn as they were, decoded in the same run),
each of the C + 1 directions would be equally likely to be the most extreme one. So
p = (1 + controls at least as extreme) / (1 + C) is exact and needs no model, and C controls cannot
give less than 1 / (1 + C): 19 of them are needed for p = 0.05. Ties count against the direction,
and so do controls that are nearly as extreme (`MARGIN`).

How extreme a direction is at an α is its distance from the mean of all others there, either way, in
standard deviations of the others. Where every direction does harm, one that does none is extreme.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from steer_core.analysis.statistics import Floats, Ints
from steer_core.errors import UserError

TIE = 1e-9  # distances that differ by less are equal
MARGIN = 1.25
"""A control counts as standing out as much when it does so by this factor less.

Without it p is exact, and 4.8 % of directions that are like 20 controls of one kind would pass.
With it a direction must stand out clearly: 1.5 to 3.7 % pass, by how heavy the controls' tails are,
and p stays valid.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ControlRank:
    """The real direction among C controls on a grid of α (or layers × α) of shape [...].

    Attributes:
        controls: C.
        mean: float64 [...], mean change in accuracy of the controls.
        spread: float64 [...], their standard deviation.
        excess: float64 [...], signed distance of the real change from that mean, in standard
            deviations of the controls.
        here: int [...], controls that are as extreme at that α, but for the margin.
        p: float64 [...], p of `here`, for one α chosen beforehand.
        ahead: int [...], controls that are so anywhere on the grid.
        excess_p: float64 [...], p of `ahead`, corrected for the choice of α and layer.
    """

    controls: int
    mean: Floats
    spread: Floats
    excess: Floats
    here: Ints
    p: Floats
    ahead: Ints
    excess_p: Floats

    @property
    def smallest_p(self) -> float:
        """The least p that this many controls can give."""
        return 1 / (1 + self.controls)

    def at(self, row: int) -> ControlRank:
        """The ranks of one row of the grid."""
        grids = "mean spread excess here p ahead excess_p".split()
        return replace(self, **{field: getattr(self, field)[row] for field in grids})


def rank_among_controls(change: ArrayLike, controls: ArrayLike, *, n: int) -> ControlRank:
    """Rank the real direction's change in accuracy among those of its controls.

    Args:
        change: float [...], accuracy − baseline accuracy of the real direction at each α, shares.
        controls: float [C, ...], the same of each control.
        n: number of pairs behind each accuracy; one answer (1 / n) is added to the controls'
            standard deviation, so that a lone flip among silent controls is not a wonder.

    Raises:
        UserError: when there is no control, the grids differ or a change is not finite.
    """
    real, others = np.asarray(change, float), np.asarray(controls, float)
    if others.ndim < 1 or others.shape[1:] != real.shape or not len(others) or not real.size:
        raise UserError(
            f"controls of shape {others.shape} do not fit a grid of shape {real.shape}; give "
            "[controls, *grid] with at least one control, decoded at the same α"
        )
    if not (np.isfinite(real).all() and np.isfinite(others).all()):
        raise UserError(
            "the accuracy of a direction is not finite; leave out controls without answers"
        )
    beyond = excess(np.concatenate([real[None], others]), n)
    size = np.abs(beyond)
    here = ahead_of(size[0], size[1:])
    ahead = ahead_of(size[0], largest(size[1:]).reshape(-1, *[1] * real.ndim))
    count = len(others) + 1
    return ControlRank(
        controls=len(others),
        mean=others.mean(0),
        spread=others.std(0),
        excess=beyond[0],
        here=here,
        p=(1 + here) / count,
        ahead=ahead,
        excess_p=(1 + ahead) / count,
    )


def ahead_of(value: ArrayLike, others: Floats) -> Ints:
    """How many of `others` [C, ...] are as large as `value` [...], but for the margin."""
    return np.sum(MARGIN * others >= np.asarray(value) - TIE, axis=0)


def largest(values: Floats) -> Floats:
    """Largest entry [C] of each row of [C, ...]."""
    return values.reshape(len(values), -1).max(-1)


def excess(pool: Floats, n: int) -> Floats:
    """How far each of the directions [C + 1, ...] is from the mean of all others.

    Every direction is held against the rest in the same way, which is what keeps the ranks of
    these numbers exact.
    """
    rest = len(pool) - 1
    mean = (pool.sum(0) - pool) / rest
    variance = (np.square(pool).sum(0) - np.square(pool)) / rest - np.square(mean)
    return (pool - mean) / (np.sqrt(np.maximum(variance, 0)) + 1 / n)
