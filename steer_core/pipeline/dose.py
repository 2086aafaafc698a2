"""How large an edit is beside the state that it is added to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.experiment.grid import Curve
from steer_core.steering.directions import places, site_states
from steer_core.steering.edits import dead_positions


def state_sizes(model: CodiModel, states: np.ndarray) -> np.ndarray:
    """Norms of the states that edits are added to: [K+1, L+2, D] to float32 [L+2, K+1].

    Rows are the places of `steering.directions.places`: blocks 1..L, thought, embedding.
    """
    each = [site_states(model, states, site, layer) for site, layer in places(model)]
    return np.linalg.norm(np.stack(each), axis=-1).astype(np.float32)


class Doses:
    """The doses of C curves at α = 1: mean over the positions of the mask that can act.

    Args:
        config: Of the model.
        curves: The curves.
    """

    def __init__(self, config: CodiConfig, curves: Sequence[Curve]):
        self.places = np.array([place_index(config, c.site, c.layer) for c in curves])
        self.norms = np.stack([c.direction.norms for c in curves]).astype(np.float64)
        self.alive = np.stack([alive_positions(config, c) for c in curves])

    def of(self, sizes: np.ndarray) -> np.ndarray:
        """Doses on a question, from its unedited `state_sizes`.

        Returns:
            float64 [C]: mean of norm of the direction over norm of the state; 0 where nothing acts.
        """
        size = sizes[self.places].astype(np.float64)
        acts = self.alive & (size > 0)
        share = np.divide(self.norms, size, out=np.zeros_like(size), where=acts)
        return share.sum(1) / np.maximum(acts.sum(1), 1)


def alive_positions(config: CodiConfig, curve: Curve) -> np.ndarray:
    """Which of 0..K a curve edits with a chance to change an answer, bool [K+1]."""
    dead = dead_positions(config, curve.site, curve.layer, curve.positions)
    return np.array([k in curve.positions and k not in dead for k in config.positions])


def place_index(config: CodiConfig, site: str, layer: int | None) -> int:
    """Row of a place in `state_sizes`."""
    if site == "residual":
        assert layer is not None
        return layer - 1
    return config.layers + (site == "embedding")
