"""How large an edit is beside the state that it is added to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve


class Doses:
    """The doses of C curves at α = 1: mean over the positions of the mask that can act.

    A dose is the norm of what is added over the norm of the state; other operations, and several
    edits at once, have none: NaN.

    Args:
        model: The model.
        curves: The curves.
    """

    def __init__(self, model: CodiModel, curves: Sequence[EditCurve]):
        self.model, self.count = model, len(curves)
        self.which = [i for i, curve in enumerate(curves) if curve.is_addition]
        parts = [curves[i].parts[0] for i in self.which]
        self.sites = list(dict.fromkeys(spec.site for spec, _ in parts))
        self.places = np.array([self.sites.index(spec.site) for spec, _ in parts], int)
        latents = model.config.latents + 1
        self.norms = np.zeros((len(parts), latents))
        self.alive = np.zeros((len(parts), latents), bool)
        for i, (spec, direction) in enumerate(parts):
            self.norms[i] = direction.norms
            dead = spec.site.dead(model.config)
            self.alive[i] = [k in spec.positions and k not in dead for k in range(latents)]

    def of(self, states: np.ndarray) -> np.ndarray:
        """Doses on a question, from its unedited states [K+1, L+2, D].

        Returns:
            float64 [C]: mean of norm of the direction over norm of the state; 0 where nothing acts.
        """
        found = np.full(self.count, np.nan)
        if self.which:
            size = sizes(self.model, states, self.sites)[self.places].astype(np.float64)
            acts = self.alive & (size > 0)
            share = np.divide(self.norms, size, out=np.zeros_like(size), where=acts)
            found[self.which] = share.sum(1) / np.maximum(acts.sum(1), 1)
        return found


def sizes(model: CodiModel, states: np.ndarray, sites: Sequence[Site]) -> np.ndarray:
    """Norms of the states that edits of S sites are added to, float32 [S, K+1]."""
    each = [np.linalg.norm(site.states(model, states), axis=-1) for site in sites]
    return np.stack(each).astype(np.float32)
