"""How large an edit is beside the state that it is added to."""

from __future__ import annotations

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


def dose_of(config: CodiConfig, curve: Curve, sizes: np.ndarray) -> float:
    """Mean dose of a curve at α = 1 over the positions of its mask where it can act.

    Args:
        config: Of the model.
        curve: The curve.
        sizes: Of the question's unedited states, `state_sizes`.

    Returns:
        Mean of norm of the direction over norm of the state; 0 where no position can act.
    """
    row = sizes[place_index(config, curve.site, curve.layer)]
    alive = alive_positions(config, curve, row)
    if not alive:
        return 0.0
    return float(np.mean(curve.direction.norms[alive].astype(np.float64) / row[alive]))


def alive_positions(config: CodiConfig, curve: Curve, sizes: np.ndarray) -> list[int]:
    """Positions of a mask whose edit can change an answer and has a state to act on."""
    dead = dead_positions(config, curve.site, curve.layer, curve.positions)
    return [k for k in curve.positions if k not in dead and sizes[k] > 0]


def place_index(config: CodiConfig, site: str, layer: int | None) -> int:
    """Row of a place in `state_sizes`."""
    if site == "residual":
        assert layer is not None
        return layer - 1
    return config.layers + (site == "embedding")
