"""Edits of a batch as tensors of fixed shapes, so that other edits are only other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steer_core.steering.edits import SITES, Edit

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


def table_of(
    rows: Sequence[Sequence[Edit]], latents: int, hidden: int, device: torch.device
) -> EditTable | None:
    """The edits of N rows as a table, or None where one of them is no addition.

    Rows are apart from position 1 on, or from 0 where an output of a block is edited there.
    """
    if any(edit.operation != "add" for edits in rows for edit in edits):
        return None
    bank: dict[int, Tensor] = {id(e.direction): e.direction for edits in rows for e in edits}
    index = {key: i for i, key in enumerate(bank)}
    slots = max((len(edits) for edits in rows), default=0) or 1
    place = torch.full((len(rows), slots), NOWHERE)
    which = torch.zeros(len(rows), slots, dtype=torch.long)
    alpha = torch.zeros(len(rows), slots, latents + 1)
    for n, edits in enumerate(rows):
        for s, edit in enumerate(edits):
            place[n, s] = place_of(edit.site, (edit.layer or 0) if edit.site == "residual" else 0)
            which[n, s] = index[id(edit.direction)]
            alpha[n, s] = torch.tensor([edit.coefficient(k) for k in range(latents + 1)])
    filled = -(-max(1, len(bank)) // BANK) * BANK
    vectors = torch.zeros(filled, latents + 1, hidden)
    for i, direction in enumerate(bank.values()):
        vectors[i] = direction.float()
    residual = [edit for edits in rows for edit in edits if edit.site == "residual"]
    first = (0 if any(edit.coefficient(0) for edit in residual) else 1), 0
    place, which, alpha, vectors = (x.to(device) for x in (place, which, alpha, vectors))
    return EditTable(place, which, alpha, vectors, first)
