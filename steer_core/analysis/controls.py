"""Where the real direction stands among control directions, with exact p-values.

If a direction were exchangeable with its controls (drawn as they were, decoded in the same run),
each of the C + 1 directions would be equally likely to be the most extreme one. So
p = (1 + controls at least as extreme) / (1 + C) is exact and needs no model, and C controls cannot
give less than 1 / (1 + C): 19 of them are needed for p = 0.05. Ties count against the direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from steer_core.analysis.statistics import Floats, Ints
from steer_core.errors import UserError

TIE = 1e-9  # changes of accuracy that differ by less are equal


@dataclass(frozen=True, slots=True, eq=False)
class ControlRank:
    """The real direction among C controls on a grid of α (or layers × α) of shape [...].

    Attributes:
        name: kind of controls, such as "random".
        controls: C.
        rank: int [...], place of |change in accuracy| among the C + 1 directions at each α; 1 is
            the most extreme.
        p: float64 [...], exact two-sided p of that rank at each α, for one α chosen beforehand.
        max_rank: place of the largest |change| anywhere on the grid.
        max_p: exact p of `max_rank`.
        excess: float64 [...], by how much the change goes beyond the mean of the controls in its
            own direction, in standard deviations of the controls at that α; 0 where nothing
            changed, negative where the controls change more.
        excess_p: float64 [...], exact p of `excess` against the largest excess that each control
            has anywhere on the grid, so it is corrected for the choice of α. Unlike `max_p` it
            also sees an effect at a small α when every direction breaks the model at a large one.
    """

    name: str
    controls: int
    rank: Ints
    p: Floats
    max_rank: int
    max_p: float
    excess: Floats
    excess_p: Floats

    @property
    def smallest_p(self) -> float:
        """The least p that this many controls can give."""
        return 1 / (1 + self.controls)

    def at(self, row: int) -> ControlRank:
        """The ranks of one row of the grid; `max_rank` and `max_p` stay those of the whole grid."""
        grids = {field: getattr(self, field)[row] for field in ("rank", "p", "excess", "excess_p")}
        return replace(self, **grids)


def rank_among_controls(
    change: ArrayLike, controls: ArrayLike, *, n: int, name: str = "control"
) -> ControlRank:
    """Rank the real direction's change in accuracy among those of its controls.

    Args:
        change: float [...], accuracy − baseline accuracy of the real direction at each α, shares.
        controls: float [C, ...], the same of each control.
        n: number of pairs behind each accuracy; one answer (1 / n) is added to the controls'
            standard deviation, so that a lone flip among silent controls is not a wonder.
        name: kind of controls, for sentences and tables.

    Raises:
        UserError: when there is no control or the grids differ.
    """
    real, others = np.asarray(change, float), np.asarray(controls, float)
    if others.ndim < 1 or others.shape[1:] != real.shape or not len(others) or not real.size:
        raise UserError(
            f"controls of shape {others.shape} do not fit a grid of shape {real.shape}; give "
            "[controls, *grid] with at least one control, decoded at the same α"
        )
    pool = np.concatenate([real[None], others])
    size = np.abs(pool)
    rank = place(size[0], size[1:])
    max_rank = int(place(size[0].max(), largest(size[1:])))
    beyond = excess(pool, n)
    excess_rank = place(beyond[0], largest(beyond[1:]).reshape(-1, *[1] * real.ndim))
    count = len(others) + 1
    return ControlRank(
        name=name,
        controls=len(others),
        rank=rank,
        p=rank / count,
        max_rank=max_rank,
        max_p=max_rank / count,
        excess=beyond[0],
        excess_p=excess_rank / count,
    )


def place(value: ArrayLike, others: Floats) -> Ints:
    """1 + how many of `others` [C, ...] are at least as large as `value` [...]."""
    return 1 + np.sum(others >= np.asarray(value) - TIE, axis=0)


def largest(values: Floats) -> Floats:
    """Largest entry [C] of each row of [C, ...]."""
    return values.reshape(len(values), -1).max(-1)


def excess(pool: Floats, n: int) -> Floats:
    """How far each of the directions [C + 1, ...] goes beyond all others in its own direction.

    Every direction is held against the rest in the same way, which is what keeps the ranks of
    these numbers exact.
    """
    rest = len(pool) - 1
    mean = (pool.sum(0) - pool) / rest
    variance = (np.square(pool).sum(0) - np.square(pool)) / rest - np.square(mean)
    spread = np.sqrt(np.maximum(variance, 0)) + 1 / n
    return np.where(np.abs(pool) < TIE, 0.0, np.sign(pool) * (pool - mean) / spread)
