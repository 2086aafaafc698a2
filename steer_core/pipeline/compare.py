"""Comparisons that decode: α of one's own for each problem, and models at equal depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steer_core.analysis.adaptive import AdaptiveAlpha, adaptive_alpha
from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.names import DOSE, with_unit
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import Store
from steer_core.steering.fit import decode_states
from steer_core.steering.methods import MEAN_DIFFERENCE
from steer_core.steering.sites import Site

DEPTHS = (0.25, 0.5, 0.875)
"""Parts of a model's blocks at which two models are compared."""


def adaptive(
    model: CodiModel,
    fit: Sequence[Pair],
    pairs: Sequence[Pair],
    *,
    site: Site,
    alphas: Sequence[float],
    direction: str = MEAN_DIFFERENCE,
    positions: Sequence[int] | None = None,
) -> AdaptiveAlpha:
    """How much is won by an α of its own for each problem, over the clean twins of pairs.

    Args:
        model: The model.
        fit: Pairs that the best fixed α and the predictor come from.
        pairs: Pairs that they are scored on; none of them may be among those of `fit`.
        site: Where is edited.
        alphas: A alphas; 0 is added.
        direction: By name, see `steer_core.steering.library`.
        positions: That are edited, 1..K when not given.

    Raises:
        UserError: for pairs on both sides, too few of them, or an edit that does not fit.
    """
    seen = {pair.clean.question for pair in fit}
    both = [pair for pair in pairs if pair.clean.question in seen]
    if both:
        raise UserError(
            f"{len(both)} of the pairs are fitted on as well, such as {both[0].pair_id}; give "
            "other --fit-pairs"
        )
    grid = tuple(sorted({*map(float, alphas), 0.0}))
    mask = tuple(model.config.positions[1:] if positions is None else positions)
    spec = SweepSpec(site.name, (site.layer,), grid, (mask,), (direction,))
    asked = [*fit, *pairs]
    with Store.memory() as store:
        run = run_sweep(model, asked, spec, store)
        margin, correct = by_alpha(store.table(run.id), grid)
    decoded = decode_states(model, [pair.clean.question for pair in asked], 1, lambda: False)
    kept = np.stack([row.states for row in decoded if row.states is not None])
    states = site.states(model, kept)[:, list(mask)].reshape(len(asked), -1).astype(np.float64)
    known = np.isfinite(margin).all(1)
    held_out = np.arange(len(asked)) >= len(fit)
    each = (margin[known], correct[known], states[known], held_out[known])
    return adaptive_alpha(np.array(grid), *each)


def by_alpha(table: pd.DataFrame, grid: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Margins and right answers [n, A] of the only curve of a run; the unedited rows are α = 0."""
    wide = table.pivot(index="question_index", columns="alpha", values=["margin", "correct"])
    margin, correct = (
        np.asarray(pd.DataFrame(wide[name])[list(grid)], float) for name in ("margin", "correct")
    )
    return margin, correct > 0


def layer_at(config: CodiConfig, depth: float) -> int:
    """The block at a part of a model's depth, 1 at least."""
    return max(1, round(depth * config.layers))


def at_depths(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    alphas: Sequence[float],
    direction: str = MEAN_DIFFERENCE,
    random: int = 0,
) -> pd.DataFrame:
    """A sweep at 25, 50 and 87.5 % of a model's depth, α in doses, so that models compare.

    Returns:
        The rows of a sweep (`summary_table`) with `model`, `depth` and `change`, accuracy minus
        that at α = 0 in points, in front.
    """
    layers = {layer_at(model.config, depth): depth for depth in reversed(DEPTHS)}
    spec = SweepSpec(
        "residual",
        tuple(sorted(layers)),
        tuple(sorted({*map(float, alphas), 0.0})),
        (tuple(model.config.positions[1:]),),
        (with_unit(direction, DOSE),),
        random=random,
    )
    with Store.memory() as store:
        rows = store.summary(run_sweep(model, pairs, spec, store).id)
    base = rows[rows.alpha == 0].accuracy.iloc[0]
    rows.insert(0, "model", model.name)
    rows.insert(1, "depth", [layers[int(layer)] for layer in rows.layer])
    rows.insert(2, "change", 100 * (rows.accuracy - base))
    return rows
