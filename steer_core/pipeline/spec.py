"""From a spec to the curves that are swept: every direction with its controls, at every place."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.experiment.grid import Curve
from steer_core.names import (
    CONTROL_KINDS,
    NUISANCE,
    RANDOM,
    REAL,
    DirectionRef,
    name_and_unit,
    with_unit,
)
from steer_core.pipeline.records import CurveKey, SweepSpec
from steer_core.steering.controls import Background, draw
from steer_core.steering.decode import Options
from steer_core.steering.directions import MOVED, Direction, check_direction, fitted
from steer_core.steering.edits import check_alphas, check_positions, check_site
from steer_core.steering.fit import FIT, FitSet, bundled_fit_problems, fit_set
from steer_core.steering.library import find_direction, is_file_name, is_known
from steer_core.steering.nuisance import MOST as NUISANCES
from steer_core.steering.units import in_unit

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
    counts = {name: getattr(spec, name) for name in (*CONTROL_KINDS, "most", "seed")}
    if low := [f"{name} {count}" for name, count in counts.items() if count < 0]:
        raise UserError(f"{', '.join(low)}: none may be below 0; give 0 or more")
    if max(spec.nuisance, spec.most if spec.nuisance else 0) > NUISANCES:
        raise UserError(
            f"nuisance {max(spec.nuisance, spec.most)} is more than the {NUISANCES} labels that "
            "there are; ask for fewer"
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
        fit: What `mean_difference` and the controls are computed from; without it they are the
            model's cached direction, and the bundled fit set, which is decoded for the controls.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.

    Raises:
        UserError: for a spec or a direction that does not fit the model.
    """
    return Drawer(model, spec, fit, stop).first()


class Drawer:
    """The directions of a spec at every layer, and any number of controls of each.

    Args:
        model: The model.
        spec: What is swept; checked.
        fit: See `expand`.
        stop: See `expand`.
    """

    def __init__(
        self,
        model: CodiModel,
        spec: SweepSpec,
        fit: FitSet | None,
        stop: Callable[[], bool] = lambda: False,
    ):
        check_spec(model, spec)
        self.model, self.spec = model, spec
        self.real = {layer: real_directions(model, spec, layer, fit) for layer in spec.layers}
        if fit is None and set(spec.controls) - {RANDOM}:
            fit = fit_set(model, bundled_fit_problems(), FIT, stop=stop)
        self.fit = fit
        self._backgrounds: dict[tuple[str, int | None], Background] = {}

    def first(self) -> list[SpecCurve]:
        """The directions and as many controls of each as the spec says."""
        counts = {kind: range(count) for kind, count in self.spec.controls.items()}
        return self.curves(lambda real: [real, *self.controls(real, counts)])

    def later(self, since: Mapping[str, int], until: Mapping[str, int]) -> list[SpecCurve]:
        """Controls by kind from one number to another, without their directions."""
        numbers = {kind: range(since[kind], count) for kind, count in until.items()}
        return self.curves(lambda real: self.controls(real, numbers))

    def curves(self, shown: Callable[[Labelled], Iterable[Labelled]]) -> list[SpecCurve]:
        """What is shown of each direction as curves, by layer, mask and direction."""
        families = {
            layer: [each for real in several for each in shown(real)]
            for layer, several in self.real.items()
        }
        return [
            spec_curve(each, self.spec.site, layer, mask)
            for layer in self.spec.layers
            for mask in self.spec.masks
            for each in families[layer]
        ]

    def controls(self, real: Labelled, numbers: Mapping[str, range]) -> Iterator[Labelled]:
        """Controls of a direction, by kind from one number to another.

        They are named by kind and seed; of several directions each has its own, named after it.
        """
        several = len(self.spec.directions) > 1
        for kind, seed in self.seeds(numbers):
            found = draw(kind, real.direction, seed, self.background(real.direction, kind))
            label = str(DirectionRef(kind, seed, of=real.label if several else ""))
            yield Labelled(found, label, kind)

    def seeds(self, numbers: Mapping[str, range]) -> Iterator[tuple[str, int]]:
        """(kind, seed) of controls by number."""
        for kind in CONTROL_KINDS:
            first = first_seed(self.spec, kind)
            yield from ((kind, first + number) for number in numbers.get(kind, ()))

    def background(self, direction: Direction, kind: str) -> Background | None:
        """What the controls of a direction are drawn from; noise needs nothing."""
        if kind == RANDOM:
            return None
        assert self.fit is not None
        place = direction.site, direction.layer
        if place not in self._backgrounds:
            self._backgrounds[place] = Background.at(self.model, self.fit, *place)
        return self._backgrounds[place]


def first_seed(spec: SweepSpec, kind: str) -> int:
    """The seed of the first control of a kind; nuisance labels are a list, from 0."""
    return 0 if kind == NUISANCE else spec.seed


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
    """Raise a `UserError` where a control that was asked for by name has another size.

    It is held against every direction of its place that is no control.
    """
    for one in found:
        others = [each for each in found if one.kind != REAL and each.kind == REAL]
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
    ref = DirectionRef.parse(name)
    if fit is not None and is_known(name):
        direction = in_unit(computed(model, site, layer, ref, fit), ref.unit)
    else:
        direction = find_direction(model, site, layer, name)
    stem = with_unit(Path(ref.method.removeprefix(MOVED)).stem.replace(":", "-"), ref.unit)
    label = stem if is_file_name(name) else direction.method
    check_direction(direction, model)
    return Labelled(direction, label, ref.kind)


def computed(
    model: CodiModel, site: str, layer: int | None, ref: DirectionRef, fit: FitSet
) -> Direction:
    """A method's direction of a fit set, or a control of its mean difference; in raw units."""
    if ref.kind == REAL:
        return fitted(model, fit, site, layer, ref.method)
    real = fitted(model, fit, site, layer)
    return draw(ref.kind, real, ref.seed or 0, Background.at(model, fit, site, layer))


def spec_curve(each: Labelled, site: str, layer: int | None, mask: tuple[int, ...]) -> SpecCurve:
    """One curve with its identity."""
    sha256 = vectors_hash(each.direction.vectors)
    key = CurveKey(site, layer, mask, each.label, each.kind, sha256)
    return SpecCurve(Curve(each.direction, site, layer, mask), key)


def vectors_hash(vectors: Tensor) -> str:
    """The sha256 of a direction's float32 bytes, little-endian, position by position."""
    return hashlib.sha256(vectors.contiguous().numpy().astype("<f4").tobytes()).hexdigest()
