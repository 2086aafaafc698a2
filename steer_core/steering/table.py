"""Edits of a batch as tensors of fixed shapes, so that other edits are only other numbers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.steering.sites import SITES
from steer_core.steering.uses import Use, columns_of

NOWHERE = -1
"""The place of a slot that holds no edit."""
BANK = 4
"""Directions are filled up to a multiple of it, so that few shapes come up."""


def place_of(site: str, layer: int) -> int:
    """A site and layer (0 where the site has none) as one number."""
    return layer * len(SITES) + SITES.index(site)


@dataclass(frozen=True, slots=True, eq=False)
class EditTable:
    """Additions to N rows, each with S slots of one edit; an `EditData` for the engine.

    `place` int [N, S]: `place_of` the edit; `which` int [N, S]: its direction in `bank` float32
    [U, K+1, D]; `alpha` float32 [N, S, K+1], 0 outside the mask.
    """

    place: Tensor
    which: Tensor
    alpha: Tensor
    bank: Tensor
    first: tuple[int, int]
    cached: Container[tuple[int, int]] = ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of it."""
        return self.place, self.which, self.alpha, self.bank

    def as_data(self) -> EditTable:
        """Itself."""
        return self

    def copied(self) -> EditTable:
        """The same with tensors of its own."""
        place, which, alpha, bank = (x.clone() for x in self.tensors)
        return EditTable(place, which, alpha, bank, self.first)

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.passes.Intervention`; a row without an edit here stays as it is."""
        here = self.place == place_of(site, layer)
        alpha = torch.where(here, self.alpha[:, :, position], 0.0)
        for slot in range(self.place.shape[1]):
            added = alpha[:, slot, None] * self.bank[self.which[:, slot], position]
            x = (x.float() + added).to(x.dtype)
        return x


def bank_of(directions: Sequence[Tensor]) -> Tensor:
    """Directions as float32 [U, K+1, D] on the CPU, filled up with zeros; see `BANK`.

    D is that of the widest; those of keys or values may be narrower.
    """
    filled = -(-max(1, len(directions)) // BANK) * BANK
    widest = max(direction.shape[1] for direction in directions)
    bank = torch.zeros(filled, len(directions[0]), widest)
    for vectors, direction in zip(bank, directions, strict=False):
        vectors[:, : direction.shape[1]].copy_(direction)
    return bank


def table_of(uses: Sequence[Use], rows: int, bank: Tensor) -> EditTable:
    """Additions to N rows as a table over their directions.

    Rows are apart from position 1 on, or from 0 where an output of a block is edited there.
    """
    columns = columns_of(uses)
    shape = rows, int(columns.order.max()) + 1
    place = np.full(shape, NOWHERE)
    which = np.zeros(shape, np.int64)
    alpha = np.zeros((*shape, bank.shape[1]), np.float32)
    at = columns.rows, columns.order
    places = [place_of(use.edit.site, use.layer) for use in uses]
    place[at] = np.repeat(places, [len(use.rows) for use in uses])
    which[at] = columns.which
    alpha[at] = columns.alphas
    first = min(1, *(use.first[0] for use in uses)), 0
    place, which, alpha = (torch.from_numpy(x).to(bank.device) for x in (place, which, alpha))
    return EditTable(place, which, alpha, bank, first)
