"""Accuracy against alpha over pairs: live for a page, as a table for notebooks and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.experiment.grid import ROWS_AT_A_TIME, Curve, CurveState, fill_grid
from steer_core.steering.directions import (
    Direction,
    fit_set,
    random_like,
    shuffled_like,
)
from steer_core.steering.edits import check_alphas, check_positions
from steer_core.steering.library import bundled_fit_problems, find_direction

SWEEP_ALPHAS = tuple(round(-3 + 0.5 * i, 1) for i in range(13))
COLUMNS = ["layer", "alpha", "direction", "n", "correct", "accuracy", "low", "high", "flips"]


def iter_sweep(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    site: str,
    layer: int | None,
    alphas: Sequence[float],
    positions: Sequence[int],
    direction: Direction,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[CurveState]:
    """Decode the clean twins at every alpha; yields the curve each time it grew.

    Args:
        model: The model.
        pairs: n pairs.
        site: residual, thought or embedding.
        layer: Layer of site residual, None for the others.
        alphas: A alphas in raw units.
        positions: Positions 0..K that are edited.
        direction: What is added, times alpha.
        stop: Asked before every decoding step; True raises `Cancelled`.
    """
    curve = Curve(direction, site, layer, tuple(positions))
    problems = [pair.clean for pair in pairs]
    for tally in fill_grid(model, problems, [curve], alphas, stop=stop):
        yield tally.state(0)


def sweep(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    layers: Sequence[int] | None = None,
    alphas: Sequence[float] = SWEEP_ALPHAS,
    site: str = "residual",
    positions: Sequence[int] | None = None,
    direction: str = "mean_difference",
    random: int = 0,
    shuffled: int = 0,
    seed: int = 0,
    max_new_tokens: int = 256,
    progress: Callable[[CurveState], None] | None = None,
) -> pd.DataFrame:
    """Accuracy against alpha over the clean twins of pairs.

    Args:
        model: The model.
        pairs: n pairs.
        layers: Layers of site residual; the middle one when not given.
        alphas: A alphas in raw units.
        site: residual, thought or embedding.
        positions: Positions 0..K that are edited; 1..K when not given.
        direction: Name or file, see `find_direction`.
        random: Number of random controls.
        shuffled: Number of label-shuffled controls, computed from the bundled fit set. All
            controls are matched to the direction in norm at every position.
        seed: Of the order of the problems, and of the first control of each kind; the others count
            up from it.
        max_new_tokens: Limit of generated tokens.
        progress: Called after every batch.

    Returns:
        One row per layer, direction and alpha: `layer`, `alpha` (raw units), `direction`, `n`,
        `correct`, `accuracy`, `low`, `high` (Wilson 95 %, shares), `flips` (answers that differ
        from the one at alpha = 0).

    Raises:
        UserError: for no pairs, or a layer, alpha, position or direction that does not fit.
    """
    if not pairs:
        raise UserError("there are no pairs to sweep over; give at least one")
    config = model.config
    where = tuple(config.positions[1:] if positions is None else positions)
    at = [None] if site != "residual" else list(layers or [config.middle_layer])
    check_alphas(alphas)
    check_positions(config, where)
    found = [find_direction(model, site, layer, direction) for layer in at]
    families = with_controls(model, found, random, shuffled, seed)
    each = [(layer, one) for layer, family in zip(at, families, strict=True) for one in family]
    curves = [Curve(one, site, layer, where) for layer, one in each]
    grid = fill_grid(
        model,
        [pair.clean for pair in pairs],
        curves,
        alphas,
        seed=seed,
        max_new_tokens=max_new_tokens,
        rows_at_a_time=ROWS_AT_A_TIME * 2,
    )
    for tally in grid:
        if progress:
            progress(tally.state(0))
    rows = [row for i, curve in enumerate(curves) for row in table(curve, tally.state(i))]
    return pd.DataFrame(rows, columns=COLUMNS)


def with_controls(
    model: CodiModel, directions: Sequence[Direction], random: int, shuffled: int, seed: int
) -> list[list[Direction]]:
    """Each direction and its controls, seeds `seed`, `seed` + 1, ... of each kind."""
    families = [
        [each, *(random_like(each, seed + i) for i in range(random))] for each in directions
    ]
    if shuffled:
        fit = fit_set(model, bundled_fit_problems(), "fit")
        for family in families:
            family += [shuffled_like(model, fit, family[0], seed + i) for i in range(shuffled)]
    return families


def table(curve: Curve, state: CurveState) -> list[list]:
    """Rows of `COLUMNS`, one per alpha."""
    return [
        [
            curve.layer,
            float(alpha),
            curve.direction.method,
            int(n),
            int(correct),
            float(correct / n),
            float(low),
            float(high),
            int(flipped),
        ]
        for alpha, n, correct, low, high, flipped in zip(
            state.alphas, state.done, state.correct, state.low, state.high, state.flips, strict=True
        )
    ]
