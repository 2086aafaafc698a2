"""The edits of a batch, arranged by where they act: each row has its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.passes import NEVER, NoIntervention
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.table import EditTable, bank_of, table_of
from steer_core.steering.uses import Edits, Use, columns_of, uses_of

Place = tuple[str, int, int]
"""Site, layer (0 where the site has none), position."""


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One operation on some rows at one place.

    `rows` [n]: which ones; `which` [n]: index of each one's direction in `bank` float32
    [U, K+1, D], the distinct directions of the batch; `alpha` float32 [n, 1].
    """

    operation: str
    rows: Tensor
    which: Tensor
    alpha: Tensor
    bank: Tensor

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """The states x [N, D] with this action's rows changed; out of place."""
        # In float32 whatever the model computes in: 2.9 and 3.0 are not the same edit.
        d = self.bank[self.which, position]
        changed = OPERATIONS[self.operation](x[self.rows].float(), d, self.alpha)
        return x.index_copy(0, self.rows, changed.to(x.dtype))


class EditPlan:
    """All edits of a batch of N rows; an `Intervention` for the engine.

    A batch that runs as recorded asks for `as_data`, any other one for `actions`; neither is made
    before it is asked for.

    Args:
        rows: For each row what it is changed by.
        device: Where the batch runs.
    """

    def __init__(self, rows: Sequence[Edits], device: torch.device):
        self.count, self.device = len(rows), device
        self.uses, self.directions = uses_of(rows)
        self.first = min((use.first for use in self.uses), default=NEVER)

    @cached_property
    def bank(self) -> Tensor:
        """The directions of the batch on its device."""
        return bank_of(self.directions).to(self.device)

    @cached_property
    def actions(self) -> dict[Place, list[Action]]:
        """Tensors for every place; edits of one row keep their order."""
        groups: dict[tuple[str, int, int, str], list[Use]] = defaultdict(list)
        for use in self.uses:
            groups[use.edit.site, use.layer, use.order, use.edit.operation].append(use)
        found: dict[Place, list[Action]] = defaultdict(list)
        for (site, layer, _, operation), uses in sorted(groups.items(), key=itemgetter(0)):
            for position, action in self.everywhere(operation, uses):
                found[site, layer, position].append(action)
        return found

    def everywhere(self, operation: str, uses: Sequence[Use]) -> Iterator[tuple[int, Action]]:
        """One operation at every position where it changes any row."""
        columns = columns_of(uses)
        for position in np.flatnonzero(columns.alphas.any(0)).tolist():
            alpha = columns.alphas[:, position]
            here = alpha != 0
            rows, which, alpha = (
                torch.from_numpy(x[here]).to(self.device)
                for x in (columns.rows, columns.which, alpha.astype(np.float32))
            )
            yield position, Action(operation, rows, which, alpha[:, None], self.bank)

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.passes.Intervention`."""
        for action in self.actions.get((site, layer, position), ()):
            x = action(x, position)
        return x

    def as_data(self) -> EditTable | NoIntervention | None:
        """See `steer_core.codi.passes.Intervention`; only additions can be data."""
        if not self.uses:
            return NoIntervention()
        if any(use.edit.operation != "add" for use in self.uses):
            return None
        return table_of(self.uses, self.count, self.bank)
