"""The edits of a batch, arranged by where they act: each row has its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steer_core.codi.passes import NEVER
from steer_core.steering.edits import Edit
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.table import EditTable, table_of

Edits = tuple[Edit, ...]
"""What one row is changed by: no edit, one, or several (layers, sums of directions) in order."""

Place = tuple[str, int, int]
"""Site, layer (0 where the site has none), position."""


def reached(place: Place) -> tuple[int, int]:
    """Where a row is no longer as it was: position and layer, see `Intervention.first`."""
    site, layer, position = place
    return (position + 1, 0) if site == "thought" else (position, layer)


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

    Args:
        rows: For each row what it is changed by.
        device: Where the batch runs.
    """

    def __init__(self, rows: Sequence[Edits], device: torch.device):
        self.rows, self.device = rows, device
        self.bank_index: dict[int, int] = {}
        self.directions: list[Tensor] = []
        places: dict[Place, dict[tuple[int, str], list]] = defaultdict(lambda: defaultdict(list))
        same: dict[tuple[int, int], list[int]] = defaultdict(list)
        known: dict[int, Edit] = {}
        for row, edits in enumerate(rows):
            for order, edit in enumerate(edits):
                known[id(edit)] = edit
                same[id(edit), order].append(row)
        for (edit, order), some in same.items():
            self.place(places, some, order, known[edit])
        self.first = min(map(reached, places), default=NEVER)
        self.actions = self.compiled(places)

    def place(self, places, rows: Sequence[int], order: int, edit: Edit) -> None:
        """Note one edit of some rows at every position where it acts."""
        layer = (edit.layer or 0) if edit.site == "residual" else 0
        index = self.index_of(edit.direction)
        for position in edit.positions:
            alpha = edit.coefficient(position)
            # BOT is no latent thought: there is no such embedding to edit at position 0.
            if alpha != 0.0 and (edit.site, position) != ("embedding", 0):
                entries = places[edit.site, layer, position][order, edit.operation]
                entries += [(row, index, alpha) for row in rows]

    def index_of(self, direction: Tensor) -> int:
        """Index of a direction in the bank; the same tensor is stored once."""
        key = id(direction)
        if key not in self.bank_index:
            self.bank_index[key] = len(self.directions)
            self.directions.append(direction)
        return self.bank_index[key]

    def compiled(self, places) -> dict[Place, list[Action]]:
        """Tensors for every place; edits of one row keep their order."""
        if not self.directions:
            return {}
        bank = torch.stack([d.to(self.device, torch.float32) for d in self.directions])
        return {
            place: [
                self.action(operation, entries, bank)
                for (_, operation), entries in sorted(groups.items(), key=lambda item: item[0])
            ]
            for place, groups in places.items()
        }

    def action(self, operation: str, entries: list, bank: Tensor) -> Action:
        rows, which, alphas = zip(*entries, strict=True)
        return Action(
            operation,
            torch.tensor(rows, device=self.device),
            torch.tensor(which, device=self.device),
            torch.tensor(alphas, dtype=torch.float32, device=self.device)[:, None],
            bank,
        )

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.passes.Intervention`."""
        for action in self.actions.get((site, layer, position), ()):
            x = action(x, position)
        return x

    def as_data(self) -> EditTable | None:
        """See `steer_core.codi.passes.Intervention`."""
        shapes = [edit.direction.shape for edits in self.rows for edit in edits]
        if not shapes:
            return None
        return table_of(self.rows, shapes[0][0] - 1, shapes[0][1], self.device)
