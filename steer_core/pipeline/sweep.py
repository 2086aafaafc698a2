"""Accuracy against alpha over pairs as one table, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment.sweep import SWEEP_ALPHAS
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.spec import layers_of
from steer_core.pipeline.store import Store


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is: `decoded` of `rows` rows after `seconds`."""

    decoded: int
    rows: int
    seconds: float


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
    covariance: int = 0,
    nuisance: int = 0,
    seed: int = 0,
    max_new_tokens: int = 256,
    progress: Callable[[SweepProgress], None] | None = None,
) -> pd.DataFrame:
    """Accuracy against alpha over the clean twins of pairs.

    Args:
        model: The model.
        pairs: n pairs.
        layers: Layers of site residual; the middle one when not given.
        alphas: A alphas, lengths of the direction.
        site: residual, thought or embedding.
        positions: Positions 0..K that are edited; 1..K when not given.
        direction: Name or file, see `find_direction`.
        random: Number of controls of isotropic noise, matched to the direction in norm at every
            position, as all controls are; the weakest kind.
        shuffled: Number of label-shuffled controls, from the bundled fit set.
        covariance: Number of controls drawn from the covariance of that set's states.
        nuisance: Number of controls computed from labels that say nothing of correctness.
        seed: Of the order, and of the first control of each kind; the others count up from it.
        max_new_tokens: Limit of generated tokens.
        progress: Called after every batch.

    Returns:
        One row per layer, direction and alpha, see `steer_core.pipeline.tables.summary_table`.

    Raises:
        UserError: for no pairs, or a layer, alpha, position or direction that does not fit.
    """
    at = layers_of(model, site, layers)
    mask = tuple(model.config.positions[1:] if positions is None else positions)
    spec = SweepSpec(
        *(site, at, tuple(alphas), (mask,), (direction,)),
        random=random,
        shuffled=shuffled,
        seed=seed,
        max_new_tokens=max_new_tokens,
        covariance=covariance,
        nuisance=nuisance,
    )
    with Store.memory() as store:
        run = run_sweep(model, pairs, spec, store, progress=reporting(progress))
        return store.summary(run.id)


def reporting(
    progress: Callable[[SweepProgress], None] | None,
) -> Callable[[int, int, float], None]:
    """A progress callback as `run_sweep` calls it."""
    return lambda *so_far: progress(SweepProgress(*so_far)) if progress else None
