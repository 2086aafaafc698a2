"""Units of alpha: what an alpha of 1 stands for at every position.

`raw`: the direction as it is, as published experiments give it. `sd`: one standard deviation of the
component of the fit set's states along the mean difference. `dose`: the mean norm of those states.
In the last two an alpha means about the same at every position, site and layer. A control is as
long as its direction in every unit: along itself states may spread less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from steer_core.errors import UserError
from steer_core.names import DOSE, RAW, SD, UNITS, name_and_unit, with_unit

if TYPE_CHECKING:
    from steer_core.steering.directions import Direction


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """How large states of a fit set are at each position, float32 [K+1] each.

    `sd`: standard deviation of their component along a direction; `dose`: their mean norm.
    """

    sd: Tensor
    dose: Tensor


def scales_of(states: np.ndarray, vectors: Tensor) -> Scales:
    """Those of states [n, K+1, D] along a direction [K+1, D]."""
    states, along = states.astype(np.float64), vectors.numpy().astype(np.float64)
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), TINY)
    sd = np.einsum("nkd,kd->nk", states, along).std(0)
    dose = np.linalg.norm(states, axis=-1).mean(0)
    return Scales(*(torch.from_numpy(x.astype(np.float32)) for x in (sd, dose)))


MEANING = {
    RAW: "the direction as it was computed",
    SD: "one standard deviation of the fit set's states along the mean difference",
    DOSE: "as much as the fit set's states measure on average",
}
"""What an alpha of 1 adds, also along its controls, which have its length."""
TINY = 1e-12


def unit_words(directions: Sequence[str]) -> str:
    """What an alpha of 1 adds, for directions by name."""
    counted = {name: name_and_unit(name)[1] for name in directions}
    if len(set(counted.values())) == 1:
        return f"1 adds {MEANING[counted[directions[0]]]}"
    return "; ".join(f"1 adds {MEANING[unit]} ({name})" for name, unit in counted.items())


def listed_units() -> str:
    """What may stand behind a name, for messages."""
    return " or ".join(f":{unit}" for unit in UNITS if unit != RAW)


def in_unit(direction: Direction, unit: str) -> Direction:
    """A direction that is one unit long at every position; where it is zero it stays zero.

    Args:
        direction: The direction; its control has its units too, so that both stay matched in norm.
        unit: One of `UNITS`.

    Raises:
        UserError: when the direction does not say how the states of its fit set lie.
    """
    if unit == RAW:
        return direction
    if direction.scales is None:
        raise UserError(
            f"direction '{direction.method}' does not say how large the states of its fit set are, "
            f"so alpha cannot count in {unit}; compute it with 'directions', or use raw units"
        )
    vectors = as_long_as(direction.vectors, direction.scales, unit)
    method = with_unit(direction.method, unit)
    return dataclasses.replace(direction, vectors=vectors, method=method)


def as_long_as(vectors: Tensor, scales: Scales, unit: str) -> Tensor:
    """Vectors [K+1, D] one unit long at every position, other than `raw`."""
    length = vectors.norm(dim=-1, keepdim=True).clamp_min(TINY)
    return vectors / length * getattr(scales, unit)[:, None]
