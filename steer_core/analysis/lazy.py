"""More controls only where the first ones leave a verdict open."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from steer_core.analysis.analyse import answers_in
from steer_core.analysis.cells import Grid
from steer_core.analysis.curves import LEVEL, Curve, measure_curves
from steer_core.analysis.grid import build_grid
from steer_core.analysis.verdict import one_way

RESAMPLES = 1999


def more_controls_needed(
    run: pd.DataFrame | Grid,
    *,
    looks: float = 1.0,
    chosen: float = 1.0,
    most: int = 99,
    before: float | None = None,
) -> tuple[str, ...]:
    """Kinds of controls of which more could still make some curve an effect.

    A curve is open while, at some α and one way, its contrast with the mean of every comparable
    kind is sure over pairs, and fewer controls of each kind stand out as much as are too many when
    all `most` are drawn. Stopping before can only turn an effect into none, so the chance of a
    false one stays at most the level, however often this is asked and however it is answered: the
    rank among all that were drawn is exact whatever their number, and what is left undrawn is left
    because the answer was no.

    Args:
        run: A complete run, as `Store.table` or `Store.grid` gives it.
        looks: As in `analyse`.
        chosen: As in `analyse`.
        most: Number of controls of a kind that are drawn at most.
        before: As in `analyse`.

    Returns:
        Kinds in stored order; empty when all verdicts are decided.

    Raises:
        UserError: as `analyse` does.
    """
    grid = run if isinstance(run, Grid) else build_grid(run)
    answers = answers_in(grid, before, looks, chosen)
    curves = measure_curves(answers, resamples=RESAMPLES)
    allowed = math.floor(LEVEL / looks / chosen * (most + 1) + 1e-9) - 1
    if not any(is_open(curve, allowed) for curve in curves):
        return ()
    return tuple(each.kind for each in curves[0].comparable if each.rank.controls < most)


def is_open(curve: Curve, allowed: int) -> bool:
    """Whether a curve can still be an effect when so many controls may stand out as much."""
    ahead = [each.rank.ahead <= allowed for each in curve.comparable]
    return bool(np.any(one_way(curve, LEVEL) & np.all(ahead or [False], axis=0)))
