"""Accuracy against alpha over pairs, curve by curve as it grows: what a page shows live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment.grid import CurveState, fill_grid
from steer_core.steering.spec import EditCurve

SWEEP_ALPHAS = tuple(round(-3 + 0.5 * i, 1) for i in range(13))


def iter_sweep(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    curve: EditCurve,
    alphas: Sequence[float],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[CurveState]:
    """Decode the clean twins at every alpha; yields the curve each time it grew.

    Args:
        model: The model.
        pairs: n pairs.
        curve: What is edited, moved by alpha.
        alphas: A alphas, lengths of the direction.
        stop: Asked before every decoding step; True raises `Cancelled`.
    """
    problems = [pair.clean for pair in pairs]
    for tally in fill_grid(model, problems, [curve], alphas, stop=stop):
        yield tally.state(0)
