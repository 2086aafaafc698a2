"""The edits of a batch, arranged by where they act: each row has its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.passes import NEVER, NoIntervention
from steer_core.steering.edits import Subspace
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.sites import Site
from steer_core.steering.table import EditTable, bank_of, table_of
from steer_core.steering.uses import Edits, Use, columns_of, uses_of

CACHE = "kv"
"""Site under which the decoder asks for edits of keys, values or both."""
Place = tuple[str, int, int]
"""Site, layer (0 where the site has none), position."""


class Kind(NamedTuple):
    """What edits share that are made in one go."""

    place: Site
    operation: str
    subspace: Subspace | None


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """One kind of edit of some rows at one place.

    `rows` [n]: which ones; `which` [n]: index of each one's direction in `bank` float32
    [U, K+1, D], the distinct directions of the batch; `alpha` float32 [n, 1].
    """

    kind: Kind
    rows: Tensor
    which: Tensor
    alpha: Tensor
    bank: Tensor

    def __call__(self, x: Tensor, position: int, before: Tensor) -> Tensor:
        """The states x [N, D], `before` any edit here, with this action's rows changed."""
        # In float32 whatever the model computes in: 2.9 and 3.0 are not the same edit.
        rows = x[self.rows].float()
        unedited = rows if before is x else before[self.rows].float()
        if self.kind.place.cached:
            part = self.kind.place.part(x.shape[1])
            rows[:, part] = self.edited(rows[:, part], position, unedited[:, part])
        else:
            rows = self.edited(rows, position, unedited)
        return x.index_copy(0, self.rows, rows.to(x.dtype))

    def edited(self, x: Tensor, position: int, before: Tensor) -> Tensor:
        """States [n, D] of its rows, edited."""
        d = self.bank[self.which, position, : x.shape[1]]
        edited = OPERATIONS[self.kind.operation](x, d, self.alpha, before)
        subspace = self.kind.subspace
        return edited if subspace is None else x + subspace.limit(edited - x, position)


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
        self.cached = frozenset(place for use in self.uses for place in use.cached)

    @cached_property
    def bank(self) -> Tensor:
        """The directions of the batch on its device."""
        return bank_of(self.directions).to(self.device)

    @cached_property
    def actions(self) -> dict[Place, list[Action]]:
        """Tensors for every place; edits of one row keep their order."""
        groups: dict[tuple, list[Use]] = defaultdict(list)
        for use in self.uses:
            kind = Kind(use.edit.place, use.edit.operation, use.edit.subspace)
            groups[use.order, kind.place, kind.operation, id(kind.subspace), kind].append(use)
        found: dict[Place, list[Action]] = defaultdict(list)
        for (*_, kind), uses in sorted(groups.items(), key=itemgetter(0)):
            site = CACHE if kind.place.cached else kind.place.name
            for position, action in self.everywhere(kind, uses):
                found[site, kind.place.layer or 0, position].append(action)
        return found

    def everywhere(self, kind: Kind, uses: Sequence[Use]) -> Iterator[tuple[int, Action]]:
        """One operation at every position where it changes any row."""
        columns = columns_of(uses)
        for position in np.flatnonzero(columns.alphas.any(0)).tolist():
            alpha = columns.alphas[:, position]
            here = alpha != 0
            rows, which, alpha = (
                torch.from_numpy(x[here]).to(self.device)
                for x in (columns.rows, columns.which, alpha.astype(np.float32))
            )
            yield position, Action(kind, rows, which, alpha[:, None], self.bank)

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.passes.Intervention`."""
        before = x
        for action in self.actions.get((site, layer, position), ()):
            x = action(x, position, before)
        return x

    def as_data(self) -> EditTable | NoIntervention | None:
        """See `steer_core.codi.passes.Intervention`; only additions to states can be data."""
        if not self.uses:
            return NoIntervention()
        if not all(use.is_addition for use in self.uses):
            return None
        return table_of(self.uses, self.count, self.bank)
