"""Answers of sweeps that were never decoded, as tests of verdicts take them."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated import draw, planted
from steer_core.analysis.curves import Answers, answers_of


def simulated(seed: int, *, change: float = 0.0, looks: float = 1.0, **settings) -> Answers:
    """One sweep, with a change planted at every α < 0; settings as `draw` has them."""
    rng = np.random.default_rng(seed)
    sweep = draw(rng, **({"harm": 0.0, "right": 0.6} | settings))
    sweep = planted(sweep, change, rng) if change else sweep
    return answers_of(
        sweep.alphas,
        sweep.baseline,
        sweep.real,
        controls=sweep.controls,
        clusters=sweep.clusters,
        looks=looks,
    )
