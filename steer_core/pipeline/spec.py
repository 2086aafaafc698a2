"""From a spec to the curves that are swept: every direction with its controls, at every place."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.experiment.grid import Curve
from steer_core.pipeline.records import RANDOM, REAL, SHUFFLED, CurveKey, SweepSpec
from steer_core.steering.decode import Options
from steer_core.steering.directions import (
    MEAN_DIFFERENCE,
    MOVED,
    Direction,
    FitSet,
    check_direction,
    fit_set,
    mean_difference,
    random_like,
    shuffled_like,
)
from steer_core.steering.edits import check_alphas, check_positions, check_site
from steer_core.steering.kept import bundled_fit_problems
from steer_core.steering.library import (
    RANDOM as RANDOM_NAME,
)
from steer_core.steering.library import (
    find_direction,
    is_file_name,
)
from steer_core.steering.units import in_unit, name_and_unit, with_unit

__all__ = ["SpecCurve", "SweepSpec", "check_spec", "expand", "layers_of"]


@dataclass(frozen=True, slots=True, eq=False)
class SpecCurve:
    """A curve to decode, and what identifies it in a store."""

    curve: Curve
    key: CurveKey


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A direction under the label and kind it has in a run."""

    direction: Direction
    label: str
    kind: str


def layers_of(model: CodiModel, site: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
    """The layers of a spec: the middle one where none is given, (None,) at a site without layers.

    Raises:
        UserError: for layers at a site that has none.
    """
    if site == "residual":
        return tuple(layers or [model.config.middle_layer])
    if layers:
        raise UserError(
            f"site {site} has no layers, but layer {layers[0]} was given; leave it out or choose "
            "site residual"
        )
    return (None,)


def check_spec(model: CodiModel, spec: SweepSpec) -> None:
    """Raise a `UserError` for a spec that the model cannot decode; nothing is decoded for it."""
    for layer in spec.layers:
        check_site(model.config, spec.site, layer)
        if layer is not None:
            layers_of(model, spec.site, [layer])
    check_alphas(spec.alphas)
    Options(spec.max_new_tokens)
    for mask in spec.masks:
        check_positions(model.config, mask)
    empty = [name for name in ("layers", "masks", "directions") if not getattr(spec, name)]
    if empty or not all(spec.masks):
        raise UserError(f"the sweep has no {(empty or ['positions'])[0]}; give at least one")
    if min(spec.random, spec.shuffled, spec.seed) < 0:
        raise UserError(
            f"random {spec.random}, shuffled {spec.shuffled}, seed {spec.seed}: none may be below "
            "0; give 0 or more"
        )


def expand(
    model: CodiModel,
    spec: SweepSpec,
    fit: FitSet | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[SpecCurve]:
    """All curves of a spec: by layer, mask, direction, and behind each direction its controls.

    Args:
        model: The model.
        spec: What is swept.
        fit: What `mean_difference` and the shuffled controls are computed from; without it they
            are the model's cached direction, and the bundled fit set, which is decoded for it.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.

    Raises:
        UserError: for a spec or a direction that does not fit the model.
    """
    check_spec(model, spec)
    real = {layer: real_directions(model, spec, layer, fit) for layer in spec.layers}
    if spec.shuffled and fit is None:
        fit = fit_set(model, bundled_fit_problems(), "fit", stop=stop)
    families = {
        layer: [each for one in ones for each in family(model, spec, one, fit, len(ones) > 1)]
        for layer, ones in real.items()
    }
    return [
        spec_curve(each, spec.site, layer, mask)
        for layer in spec.layers
        for mask in spec.masks
        for each in families[layer]
    ]


def real_directions(
    model: CodiModel, spec: SweepSpec, layer: int | None, fit: FitSet | None
) -> list[Labelled]:
    """The directions of a spec at one layer; labels that would be equal get their path."""
    found = [named_direction(model, spec.site, layer, name, fit) for name in spec.directions]
    check_sizes(found)
    count = Counter(each.label for each in found)
    return [
        each if count[each.label] == 1 else Labelled(each.direction, name, each.kind)
        for each, name in zip(found, spec.directions, strict=True)
    ]


def check_sizes(found: Sequence[Labelled]) -> None:
    """Raise a `UserError` where a random direction would be a control of another size.

    It is held against every direction of its place that is not random.
    """
    for one in found:
        others = [each for each in found if one.kind == RANDOM and each.kind == REAL]
        units = {name_and_unit(each.label)[1] for each in (one, *others)}
        if len(units) > 1:
            raise UserError(
                f"{one.label} would be a control of {others[0].label}, and alpha counts in "
                f"{' and '.join(sorted(units))}; give both the same unit, or sweep them in two runs"
            )


def named_direction(
    model: CodiModel, site: str, layer: int | None, name: str, fit: FitSet | None
) -> Labelled:
    """One direction, see `find_direction`; those of the model itself come from `fit` if given."""
    base, unit = name_and_unit(name)
    random = RANDOM_NAME.fullmatch(base)
    if fit is not None and (random or base == MEAN_DIFFERENCE):
        direction = mean_difference(model, fit, site, layer)
        direction = random_like(direction, int(random[1] or 0)) if random else direction
        direction = in_unit(direction, unit)
    else:
        direction = find_direction(model, site, layer, name)
    stem = with_unit(Path(base.removeprefix(MOVED)).stem.replace(":", "-"), unit)
    label = stem if is_file_name(name) else direction.method
    check_direction(direction, model)
    return Labelled(direction, label, RANDOM if random else REAL)


def family(
    model: CodiModel, spec: SweepSpec, real: Labelled, fit: FitSet | None, several: bool
) -> list[Labelled]:
    """A direction and its controls, matched to it in norm at every position.

    Controls are named by kind and seed; of several directions each has its own, named after it.
    """
    seeds = range(spec.seed, spec.seed + max(spec.random, spec.shuffled))
    suffix = f" of {real.label}" if several else ""
    randoms = [random_like(real.direction, seed) for seed in seeds[: spec.random]]
    found = [Labelled(each, each.method + suffix, RANDOM) for each in randoms]
    if spec.shuffled:
        assert fit is not None
        shuffled = [
            shuffled_like(model, fit, real.direction, seed) for seed in seeds[: spec.shuffled]
        ]
        found += [Labelled(each, each.method + suffix, SHUFFLED) for each in shuffled]
    return [real, *found]


def spec_curve(each: Labelled, site: str, layer: int | None, mask: tuple[int, ...]) -> SpecCurve:
    """One curve with its identity."""
    sha256 = vectors_hash(each.direction.vectors)
    key = CurveKey(site, layer, mask, each.label, each.kind, sha256)
    return SpecCurve(Curve(each.direction, site, layer, mask), key)


def vectors_hash(vectors: Tensor) -> str:
    """The sha256 of a direction's float32 bytes, little-endian, position by position."""
    return hashlib.sha256(vectors.contiguous().numpy().astype("<f4").tobytes()).hexdigest()
