"""Accuracy against alpha over pairs as one table, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment.sweep import SWEEP_ALPHAS
from steer_core.pipeline.records import SweepSpec, canonical
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.spec import layers_of
from steer_core.pipeline.store import Store
from steer_core.steering.sites import Site


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
    sites: Sequence[str] = (),
    directions: Sequence[str] = (),
    operations: Sequence[str] = ("add",),
    schedule: Sequence[float] | None = None,
    layers_at_once: Sequence[int] = (),
    edits: Sequence[Mapping[str, Any]] = (),
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
        sites: Several of them, instead of `site`.
        directions: Several of them, instead of `direction`.
        operations: What is done along each, see `steer_core.steering.operations`.
        schedule: K+1 factors of alpha, one for each position.
        layers_at_once: Blocks that are edited together, instead of `layers`.
        edits: Objects of an edits file, made together: they say all of this but alphas.
        progress: Called after every batch.

    Returns:
        One row per layer, direction and alpha, see `steer_core.pipeline.tables.summary_table`.

    Raises:
        UserError: for no pairs, or a layer, alpha, position or direction that does not fit.
    """
    sites = sites or (site,)
    at = layers_of(model, next(filter(layered, sites), sites[0]), layers)
    usual = model.config.positions[1 if schedule is None else 0 :]
    mask = tuple(usual if positions is None else positions)
    spec = SweepSpec(
        *(sites[0], at, tuple(alphas), (mask,), tuple(directions) or (direction,)),
        random=random,
        shuffled=shuffled,
        seed=seed,
        max_new_tokens=max_new_tokens,
        covariance=covariance,
        nuisance=nuisance,
        sites=tuple(sites[1:]),
        operations=tuple(operations),
        schedule=None if schedule is None else tuple(schedule),
        at_once=tuple(layers_at_once),
        edits=canonical(list(map(dict, edits))) if edits else "",
    )
    with Store.memory() as store:
        run = run_sweep(model, pairs, spec, store, progress=reporting(progress))
        return store.summary(run.id)


def layered(site: str) -> bool:
    """Whether a site has layers."""
    return Site(site).has_layers


def reporting(
    progress: Callable[[SweepProgress], None] | None,
) -> Callable[[int, int, float], None]:
    """A progress callback as `run_sweep` calls it."""
    return lambda *so_far: progress(SweepProgress(*so_far)) if progress else None
