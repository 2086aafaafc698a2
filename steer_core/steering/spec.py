"""What is edited, as one value: from an option, a file or a slider to what the decoder gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError, shortened
from steer_core.names import MEAN_DIFFERENCE
from steer_core.steering.directions import Direction, check_direction
from steer_core.steering.edits import Edit, check_alphas, check_edit, check_positions
from steer_core.steering.library import find_direction
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.sites import DEFAULT, Site

MOST_EDITS = 256
"""Edits that may be made together."""
FIELDS = ("site", "layer", "positions", "direction", "alpha", "operation", "schedule")
"""What an object of an edits file may say."""
Find = Callable[[CodiModel, str, int | None, str], Direction]


@dataclass(frozen=True, slots=True)
class EditSpec:
    """One edit before its direction is looked up.

    `positions` of 0..K; `direction`: a name or a file, see `find_direction`; `operation`: one of
    `OPERATIONS`; `factor`: what of the α of its curve it gets; `schedule`: [K+1] further factors by
    position, None for 1 at each of `positions`.
    """

    site: Site
    positions: tuple[int, ...]
    direction: str = MEAN_DIFFERENCE
    operation: str = "add"
    factor: float = 1.0
    schedule: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_alphas([self.factor, *(self.schedule or ())])
        if self.operation not in OPERATIONS:
            raise UserError(
                f"unknown operation '{shown(self.operation)}'; choose one of "
                f"{', '.join(OPERATIONS)}"
            )

    @property
    def wanted(self) -> str:
        """The direction that is looked up: the one named, or what its operation moves to."""
        return OPERATIONS[self.operation].towards or self.direction

    def check(self, config: CodiConfig) -> None:
        """Raise a `UserError` where it does not fit a model."""
        self.site.check(config)
        check_positions(config, self.positions)
        if self.schedule is not None and len(self.schedule) != config.latents + 1:
            raise UserError(
                f"the schedule has {len(self.schedule)} factors, this model needs "
                f"{config.latents + 1} (positions 0..{config.latents}); give one for each position"
            )

    def edit(self, alpha: float, direction: Direction) -> Edit:
        """The edit at one α of its curve."""
        strength = alpha * self.factor
        by_position = self.schedule and tuple(strength * factor for factor in self.schedule)
        return Edit(
            direction.vectors,
            by_position or strength,
            self.site.name,
            self.site.layer,
            self.positions,
            self.operation,
            direction.subspace,
        )


@dataclass(frozen=True, slots=True, eq=False)
class EditCurve:
    """Edits that are made together and move with one α, each with its direction."""

    parts: tuple[tuple[EditSpec, Direction], ...]

    @classmethod
    def along(
        cls, direction: Direction, site: str, layer: int | None, positions: Sequence[int]
    ) -> EditCurve:
        """The usual curve: one direction, added at one place."""
        spec = EditSpec(Site(site, layer), tuple(positions), direction.method)
        return cls(((spec, direction),))

    @property
    def layer(self) -> int | None:
        """The block of its edits; None where they are at several, or at a site without layers."""
        layers = {spec.site.layer for spec, _ in self.parts}
        return layers.pop() if len(layers) == 1 else None

    @property
    def is_addition(self) -> bool:
        """Whether it is one direction that is added at one place, at every position alike."""
        spec, _ = self.parts[0]
        return len(self.parts) == 1 and spec.operation == "add" and spec.schedule is None

    def at(self, alpha: float) -> tuple[Edit, ...]:
        """The edits at one α, in their order."""
        return tuple(spec.edit(alpha, direction) for spec, direction in self.parts)

    def check(self, model: CodiModel) -> None:
        """Raise a `UserError` for directions of other weights, or that are not finite."""
        for _, direction in self.parts:
            check_direction(direction, model)


def resolved(model: CodiModel, specs: Sequence[EditSpec], find: Find = find_direction) -> EditCurve:
    """Edits with their directions looked up, checked against a model.

    Raises:
        UserError: for a spec that does not fit the model, or a direction that is not there.
    """
    parts = []
    for spec in specs:
        spec.check(model.config)
        direction = (
            find(model, spec.site.name, spec.site.layer, spec.wanted)
            if OPERATIONS[spec.operation].directed
            else undirected(model, spec.site)
        )
        check_edit(model.config, spec.edit(1.0, direction))
        parts.append((spec, direction))
    return EditCurve(tuple(parts))


def unedited(model: CodiModel, specs: Sequence[EditSpec]) -> EditCurve:
    """Edits that change nothing, whatever alpha: they need no direction of the model."""
    for spec in specs:
        spec.check(model.config)
    return EditCurve(tuple((spec, undirected(model, spec.site)) for spec in specs))


def undirected(model: CodiModel, site: Site) -> Direction:
    """The direction of an operation that has none."""
    import torch

    zeros = torch.zeros(model.config.latents + 1, site.width(model.config))
    return Direction(zeros, "none", site.name, site.layer)


def specs_of(entries: object, config: CodiConfig) -> list[EditSpec]:
    """Specs of the list that an edits file holds.

    Args:
        entries: A list of objects with any of `FIELDS`: `site` (residual), `layer` (the middle
            one), `positions` (1..K), `direction` (mean_difference), `alpha` (1), `operation` (add),
            `schedule` (none); the defaults in parentheses.
        config: Of the model that they are for.

    Raises:
        UserError: naming the entry and what is wrong with it.
    """
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_EDITS:
        raise UserError(
            f"an edits file holds a list of 1 to {MOST_EDITS} objects, such as "
            '[{"site": "residual", "layer": 2, "alpha": 1.5}]'
        )
    return [spec_of(entry, number, config) for number, entry in enumerate(entries, 1)]


def spec_of(entry: object, number: int, config: CodiConfig) -> EditSpec:
    """One object of an edits file."""
    if not isinstance(entry, dict):
        raise UserError(f"edit {number} is {shown(entry)}, not an object; give {', '.join(FIELDS)}")
    unknown = [name for name in entry if name not in FIELDS]
    if unknown:
        raise UserError(
            f"edit {number} has a field '{shown(unknown[0])}'; it may have {', '.join(FIELDS)}"
        )
    try:
        name = text_in(entry, "site", DEFAULT)
        spec = EditSpec(
            site=Site(name, layer_in(entry, name, config)),
            positions=positions_in(entry, config),
            direction=text_in(entry, "direction", MEAN_DIFFERENCE),
            operation=text_in(entry, "operation", "add"),
            factor=number_in(entry.get("alpha", 1.0), "alpha"),
            schedule=schedule_in(entry),
        )
        spec.check(config)
    except UserError as error:
        raise UserError(f"edit {number}: {error}") from error
    return spec


def layer_in(entry: Mapping[str, Any], site: str, config: CodiConfig) -> int | None:
    """The layer that is asked for; the middle one where none is and the site has layers."""
    layer = entry.get("layer")
    if not Site(site).has_layers:
        if layer is not None:
            raise UserError(f"site {site} has no layers; leave out layer {shown(layer)}")
        return None
    if layer is None:
        return config.middle_layer
    return whole(layer, "layer")


def positions_in(entry: Mapping[str, Any], config: CodiConfig) -> tuple[int, ...]:
    """The positions that are asked for, 1..K where none are."""
    found = entry.get("positions")
    if found is None:
        return config.positions[1:]
    if not isinstance(found, list):
        raise UserError(f"positions {shown(found)} are no list; give such as [1, 2, 3]")
    return tuple(dict.fromkeys(whole(each, "position") for each in found))


def schedule_in(entry: Mapping[str, Any]) -> tuple[float, ...] | None:
    """The schedule that is asked for, if any."""
    found = entry.get("schedule")
    if found is None:
        return None
    if not isinstance(found, list) or not found:
        raise UserError(f"schedule {shown(found)} is no list of factors; give one for 0..K each")
    return tuple(number_in(each, "factor of the schedule") for each in found)


def text_in(entry: Mapping[str, Any], name: str, default: str) -> str:
    """A field that is text."""
    found = entry.get(name, default)
    if not isinstance(found, str) or not found:
        raise UserError(f"{name} {shown(found)} is no text; give such as '{default}'")
    return found


def whole(value: object, name: str) -> int:
    """A whole number that is one in JSON, too."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{name} {shown(value)} is no whole number; give such as 2")
    return value


def number_in(value: object, name: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not finite(value):
        raise UserError(f"{name} {shown(value)} is no finite number; give such as 1.5")
    return float(value)


def finite(value: float) -> bool:
    """Whether a float can hold it."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def shown(value: object) -> str:
    """A value in a message."""
    return shortened(str(value))
