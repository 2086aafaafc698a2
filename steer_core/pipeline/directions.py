"""Directions of a model from pairs, by name of the method, with what is known of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.names import REAL, DirectionRef
from steer_core.pipeline.necessity import both_twins
from steer_core.steering.background import Background
from steer_core.steering.directions import Direction
from steer_core.steering.fit import FitSet, fit_set
from steer_core.steering.library import cached_direction
from steer_core.steering.methods import MEAN_DIFFERENCE, METHODS, method_of
from steer_core.steering.separate import separation
from steer_core.steering.sites import DEFAULT, Site


def directions(
    model: CodiModel,
    pairs: Sequence[Pair],
    *,
    method: str = MEAN_DIFFERENCE,
    site: str = DEFAULT,
    layer: int | None = None,
) -> list[Direction]:
    """Directions from both twins of pairs.

    Args:
        model: The model.
        pairs: n pairs.
        method: One or several names, with commas, see `steer_core.steering.library`.
        site: Where they act.
        layer: Block of a site that has layers; the middle one when not given.

    Returns:
        One for each name; those of a method say how well they separate problems they were not
        fitted on (`Direction.separation`).

    Raises:
        UserError: for an unknown name, site or layer, or pairs that a method cannot use.
    """
    if Site(site).has_layers and layer is None:
        layer = model.config.middle_layer
    Site(site, layer).check(model.config)
    names = methods_of(method)
    fit = fit_set(model, both_twins(pairs), "pairs", twins=True)
    return [computed(model, fit, site, layer, name) for name in names]


def methods_of(text: str) -> list[str]:
    """The methods that are asked for, each known."""
    names = list(dict.fromkeys(map(str.strip, text.split(","))))
    for name in names:
        ref = DirectionRef.parse(name)
        if ref.kind == REAL and not ref.terms:
            method_of(ref)
    return names


def computed(model: CodiModel, fit: FitSet, site: str, layer: int | None, name: str) -> Direction:
    """One direction of a fit set, with how well it separates where it is a method's own."""
    direction = cached_direction(model, site, layer, name, fit)
    ref = DirectionRef.parse(name)
    if ref.method not in METHODS or METHODS[ref.method].state is not None:
        return direction
    found = separation(ref, Background.at(model, fit, site, layer))
    return dataclasses.replace(direction, separation=found)
