"""Does a difference of means come out the same from another half of the fit split?"""

from __future__ import annotations

from collections.abc import Sequence

from steer_core.analysis.stability import SplitHalf, split_half
from steer_core.codi.model import CodiModel
from steer_core.names import DirectionRef
from steer_core.steering.background import Background
from steer_core.steering.directions import Direction, FitSet
from steer_core.steering.methods import METHODS, mean_difference, method_of

LEAST = 4
"""Problems on each side that two halves need."""


def stability(
    model: CodiModel, fit: FitSet, direction: Direction, seed: int = 0
) -> Sequence[SplitHalf | None]:
    """Split-half agreement of a difference of means at every position, of whatever label.

    Args:
        model: The model.
        fit: What the direction was computed from, one problem a pair: twins would agree because
            they are alike.
        direction: The direction, for its site and layer.
        seed: Of the halvings.

    Returns:
        K+1 results; None where the site has no state, and everywhere when a side has too few
        problems, when the sides are twins, or for another method.
    """
    ref = DirectionRef.of_label(direction.method)
    method = METHODS.get(ref.method)
    if method is None or method.labelled is not mean_difference:
        return [None] * len(direction.norms)
    here = Background.at(model, fit, direction.site, direction.layer)
    task = here.task(method_of(ref)[1])
    enough = min(task.sides.counts) >= LEAST and not task.sides.paired
    return [
        split_half(task.states[:, k], task.sides.high, seed=seed) if enough and norm > 0 else None
        for k, norm in enumerate(direction.norms)
    ]
