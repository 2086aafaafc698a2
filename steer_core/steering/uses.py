"""Which edits a batch has, and which of its rows each of them changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from steer_core.steering.edits import Edit

Edits = tuple[Edit, ...]
"""What one row is changed by: no edit, one, or several (layers, sums of directions) in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One edit and the `rows` of a batch that it changes.

    `order`: its place among the edits of such a row. `which`: index of its direction among those of
    the batch. `alphas`: its coefficient at each position 0..K, 0 where it does not act.
    """

    edit: Edit
    order: int
    which: int
    alphas: tuple[float, ...]
    rows: list[int]

    @property
    def layer(self) -> int:
        """Its layer, 0 where the site has none."""
        return self.edit.place.layer or 0

    @property
    def is_addition(self) -> bool:
        """Whether it is nothing but alpha times a direction, added to a state."""
        edit = self.edit
        return edit.operation == "add" and edit.subspace is None and not edit.place.cached

    @property
    def cached(self) -> list[tuple[int, int]]:
        """Where it changes keys or values: position and layer."""
        acting = [k for k, alpha in enumerate(self.alphas) if alpha]
        return [(k, self.layer) for k in acting if self.edit.place.cached]

    @property
    def first(self) -> tuple[int, int]:
        """Where its rows are no longer as they were: position and layer, see `Intervention`."""
        return self.edit.place.first(next(k for k, alpha in enumerate(self.alphas) if alpha))


def uses_of(rows: Sequence[Edits]) -> tuple[list[Use], list[Tensor]]:
    """The edits of N rows, as far as they act anywhere, and their distinct directions."""
    together: dict[int, list[int]] = {}
    for row, edits in enumerate(rows):  # rows of a grid share their edits
        together.setdefault(id(edits), []).append(row)
    uses: dict[tuple[int, int], Use] = {}
    directions: dict[int, tuple[int, Tensor]] = {}
    for some in together.values():
        for order, edit in enumerate(rows[some[0]]):
            if (id(edit), order) not in uses:
                new = len(directions), edit.direction
                which, _ = directions.setdefault(id(edit.direction), new)
                uses[id(edit), order] = Use(edit, order, which, coefficients(edit), [])
            uses[id(edit), order].rows.extend(some)
    acting = [use for use in uses.values() if any(use.alphas)]
    return acting, [direction for _, direction in directions.values()]


def coefficients(edit: Edit) -> tuple[float, ...]:
    """The coefficient at each position 0..K, 0 where the edit does not act."""
    alphas = [edit.coefficient(k) for k in range(len(edit.direction))]
    if edit.site == "embedding":
        alphas[0] = 0.0  # BOT is no latent thought: there is no such embedding at position 0
    return tuple(alphas)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Uses row by row: int64 [n] `rows`, `order` and `which`, float64 [n, K+1] `alphas`."""

    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    which: NDArray[np.int64]
    alphas: NDArray[np.float64]


def columns_of(uses: Sequence[Use]) -> Columns:
    """Each use once for every row that it changes."""
    each = [len(use.rows) for use in uses]
    return Columns(
        np.concatenate([np.array(use.rows, np.int64) for use in uses]),
        np.repeat([use.order for use in uses], each),
        np.repeat([use.which for use in uses], each),
        np.repeat([use.alphas for use in uses], each, axis=0),
    )
