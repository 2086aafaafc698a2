"""Does a direction come out the same from another half of the fit split?"""

from __future__ import annotations

from collections.abc import Sequence

from steer_core.analysis.stability import SplitHalf, split_half
from steer_core.codi.model import CodiModel
from steer_core.steering.directions import Direction, FitSet, site_states

LEAST = 4
"""Right and wrong answers each that two halves need."""


def stability(
    model: CodiModel, fit: FitSet, direction: Direction, seed: int = 0
) -> Sequence[SplitHalf | None]:
    """Split-half agreement of a mean difference at every position.

    Args:
        model: The model.
        fit: What the direction was computed from, one problem a pair: twins would agree because
            they are alike.
        direction: The direction, for its site and layer.
        seed: Of the halvings.

    Returns:
        K+1 results; None where the site has no state, and everywhere when there are too few right
        or wrong answers.
    """
    states = site_states(model, fit.states, direction.site, direction.layer)
    enough = min(fit.right.sum(), (~fit.right).sum()) >= LEAST
    return [
        split_half(states[:, k], fit.right, seed=seed) if enough and norm > 0 else None
        for k, norm in enumerate(direction.norms)
    ]
