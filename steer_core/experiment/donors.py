"""The states of another question as a direction: what replaces a state by it swaps the two."""

from __future__ import annotations

import numpy as np
import torch

from steer_core.codi.model import CodiModel
from steer_core.steering.decode import decode, stacked_states
from steer_core.steering.directions import Direction
from steer_core.steering.sites import Site


def states_of(
    model: CodiModel, question: str, site: str, layer: int | None, name: str
) -> Direction:
    """What a question's states are at a site, unedited, as a direction under a name.

    With the operation `replace`, α = 1 puts them in the place of those of the edited question.
    """
    decoded = decode(model, [question], hidden=True)
    (states,) = Site(site, layer).states(model, stacked_states(decoded))
    vectors = torch.from_numpy(np.ascontiguousarray(states, np.float32))
    return Direction(vectors, name, site, layer)
