"""What directions without meaning do on the same pairs and α: the null behind a live curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.experiment.grid import CurveState, fill_grid
from steer_core.names import RANDOM, SHUFFLED
from steer_core.steering.controls import draw
from steer_core.steering.directions import Direction
from steer_core.steering.library import background_of
from steer_core.steering.spec import EditCurve

COUNTS: Mapping[str, int] = {RANDOM: 20, SHUFFLED: 20}
"""Directions of each kind; of fewer no curve could be beyond all at p <= .05."""


@dataclass(frozen=True, slots=True, eq=False)
class NullState:
    """Controls so far, `done` of `rows` rows.

    `kinds` [C]; `change` float64 [C, A] of the accuracy against the unedited model on the pairs
    done, NaN where there is none; `baseline` accuracy.
    """

    kinds: tuple[str, ...]
    change: NDArray[np.float64]
    baseline: float | None
    done: int
    rows: int


def iter_nulls(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    curve: EditCurve,
    alphas: Sequence[float],
    counts: Mapping[str, int] = COUNTS,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[NullState]:
    """Decode the clean twins along controls of a curve's directions.

    A kind that this model's fit set cannot give (all of its answers right, or all wrong) is left
    out.

    Args:
        model: The model.
        pairs: n pairs.
        curve: The edits that the controls stand beside, in their norms.
        alphas: A alphas.
        counts: How many of each kind.
        stop: Asked before every decoding step; True raises `Cancelled`.
    """
    kinds, curves = [], []
    for kind, count in counts.items():
        with suppress(UserError):
            drawn = [control_curve(model, curve, kind, seed) for seed in range(count)]
            kinds += [kind] * count
            curves += drawn
    problems = [pair.clean for pair in pairs]
    for tally in fill_grid(model, problems, curves, alphas, stop=stop):
        states = [tally.state(index) for index in range(len(curves))]
        yield NullState(
            tuple(kinds),
            np.stack([change_of(state) for state in states]),
            states[0].baseline_accuracy,
            states[0].decoded,
            states[0].rows,
        )


def control_curve(model: CodiModel, curve: EditCurve, kind: str, seed: int) -> EditCurve:
    """The same edits along a control of each direction."""
    return EditCurve(
        tuple((spec, control_of(model, direction, kind, seed)) for spec, direction in curve.parts)
    )


def control_of(model: CodiModel, direction: Direction, kind: str, seed: int) -> Direction:
    """A control of one direction, by kind and seed."""
    background = None if kind == RANDOM else background_of(model, direction, None)
    return draw(kind, direction, seed, background)


def change_of(state: CurveState) -> NDArray[np.float64]:
    """Change of the accuracy on the pairs done, [A]."""
    gained = (state.wrong_to_right - state.right_to_wrong).astype(float)
    return np.where(state.done > 0, gained / np.maximum(state.done, 1), np.nan)
