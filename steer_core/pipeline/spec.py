"""From a spec to the curves that are swept: every direction with its controls, at every place."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.names import (
    CONTROL_KINDS,
    MOVED,
    NUISANCE,
    RANDOM,
    REAL,
    DirectionRef,
    name_and_unit,
    with_unit,
)
from steer_core.pipeline.records import CurveKey, PartKey, SweepSpec, canonical
from steer_core.steering.background import Background
from steer_core.steering.controls import draw
from steer_core.steering.decode import Options
from steer_core.steering.directions import Direction, check_direction
from steer_core.steering.edits import check_alphas, check_positions
from steer_core.steering.fit import FIT, FitSet, bundled_fit_problems, fit_set
from steer_core.steering.library import cached_direction, find_direction, is_file_name, is_known
from steer_core.steering.nuisance import MOST as NUISANCES
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve, EditSpec, specs_of, undirected

EDITS = "edits"
"""What a curve of an edits file is called, and what several operations at once are."""
Shape = tuple[EditSpec, ...]
"""Edits that are made together, directions apart."""

__all__ = ["SpecCurve", "SweepSpec", "check_spec", "expand", "layers_of"]


@dataclass(frozen=True, slots=True, eq=False)
class SpecCurve:
    """A curve to decode, and what identifies it in a store."""

    curve: EditCurve
    key: CurveKey


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A direction under the label and kind it has in a run."""

    direction: Direction
    label: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A curve of edits under the label and kind it has in a run."""

    curve: EditCurve
    label: str
    kind: str


def layers_of(model: CodiModel, site: str, layers: Sequence[int] | None) -> tuple[int | None, ...]:
    """The layers of a spec: the middle one where none is given, (None,) at a site without layers.

    Raises:
        UserError: for layers at a site that has none.
    """
    if Site(site).has_layers:
        return tuple(layers or [model.config.middle_layer])
    if layers:
        raise UserError(
            f"site {site} has no layers, but layer {layers[0]} was given; leave it out or choose "
            "site residual"
        )
    return (None,)


def check_spec(model: CodiModel, spec: SweepSpec) -> None:
    """Raise a `UserError` for a spec that the model cannot decode; nothing is decoded for it."""
    names = () if spec.edits else (spec.site, *spec.sites)
    for name in names:
        Site(name, 1).check(model.config)  # the name; its layers are looked at below
    layered = [name for name in names if Site(name).has_layers]
    if not layered and not spec.edits:
        layers_of(model, spec.site, [layer for layer in spec.layers if layer is not None])
    for shape in shapes(model.config, spec):
        for part in shape:
            part.check(model.config)
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
        self.model, self.spec, self.shapes = model, spec, shapes(model.config, spec)
        self.given, self.found = fit, {}
        self.real = [self.real_curves(shape) for shape in self.shapes]
        if fit is None and set(spec.controls) - {RANDOM}:
            fit = fit_set(model, bundled_fit_problems(), FIT, twins=True, stop=stop)
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

    def real_curves(self, shape: Shape) -> list[Labelled]:
        """The curves of one shape, a curve for each direction; equal labels get their path."""
        if self.spec.edits:
            parts = tuple((part, self.named(part, part.direction).direction) for part in shape)
            return [Labelled(EditCurve(parts), EDITS, REAL)]
        each = [[self.named(part, name) for part in shape] for name in self.spec.directions]
        check_sizes([several[0] for several in each])
        count = Counter(several[0].label for several in each)
        return [
            Labelled(
                EditCurve(tuple(zip(shape, (one.direction for one in several), strict=True))),
                several[0].label if count[several[0].label] == 1 else name,
                several[0].kind,
            )
            for name, several in zip(self.spec.directions, each, strict=True)
        ]

    def named(self, part: EditSpec, name: str) -> Named:
        """A direction by name where a part acts, looked up once."""
        site, operation = part.site, OPERATIONS[part.operation]
        key = site, name, operation.directed, operation.towards
        if key not in self.found:
            self.found[key] = (
                named_direction(
                    self.model, site.name, site.layer, operation.towards or name, self.given
                )
                if operation.directed
                else Named(undirected(self.model, site), label_of(name), REAL)
            )
        return self.found[key]

    def curves(self, shown: Callable[[Labelled], Iterable[Labelled]]) -> list[SpecCurve]:
        """What is shown of each curve, by place, mask, operation and direction."""
        return [
            spec_curve(each) for several in self.real for real in several for each in shown(real)
        ]

    def controls(self, real: Labelled, numbers: Mapping[str, range]) -> Iterator[Labelled]:
        """Controls of a curve, by kind from one number to another: one of each of its directions.

        They are named by kind and seed; of several directions each has its own, named after it.
        """
        several = len(self.spec.directions) > 1
        for kind, seed in self.seeds(numbers):
            parts = tuple(
                (part, draw(kind, direction, seed, self.background(direction, kind)))
                for part, direction in real.curve.parts
            )
            label = str(DirectionRef(kind, seed, of=real.label if several else ""))
            yield Labelled(EditCurve(parts), label, kind)

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


def check_sizes(found: Sequence[Named]) -> None:
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
) -> Named:
    """One direction, see `find_direction`; those of the model itself come from `fit` if given."""
    ref = DirectionRef.parse(name)
    if fit is not None and (ref.terms or is_known(name)):
        direction = cached_direction(model, site, layer, name, fit)
    else:
        direction = find_direction(model, site, layer, name)
    label = label_of(name) if is_file_name(name) else direction.method
    check_direction(direction, model)
    return Named(direction, label, ref.kind)


def label_of(name: str) -> str:
    """What a direction is called in a run; a file by its name without folder and ending."""
    ref = DirectionRef.parse(name)
    if not is_file_name(name):
        return str(ref)
    return with_unit(Path(ref.method.removeprefix(MOVED)).stem.replace(":", "-"), ref.unit)


def spec_curve(each: Labelled) -> SpecCurve:
    """One curve with its identity."""
    parts = [part_key(spec, direction) for spec, direction in each.curve.parts]
    if len(parts) == 1 and parts[0].factor == 1:
        (part,) = parts
        key = CurveKey(
            *(part.site, part.layer, part.positions, each.label, each.kind, part.direction),
            operation=part.operation,
            schedule=part.schedule,
        )
        return SpecCurve(each.curve, key)
    sites = list(dict.fromkeys(part.site for part in parts))
    positions = sorted({k for part in parts for k in part.positions})
    content = hashlib.sha256(canonical([part.direction for part in parts]).encode()).hexdigest()
    place = " + ".join(sites), each.curve.layer, tuple(positions)
    done = {part.operation for part in parts}
    operation = done.pop() if len(done) == 1 else EDITS
    key = CurveKey(*place, each.label, each.kind, content, operation, parts=tuple(parts))
    return SpecCurve(each.curve, key)


def part_key(spec: EditSpec, direction: Direction) -> PartKey:
    """One edit of a curve with its identity."""
    place = spec.operation, spec.site.name, spec.site.layer, spec.positions
    return PartKey(*place, spec.factor, vectors_hash(direction.vectors), spec.schedule)


def shapes(config: CodiConfig, spec: SweepSpec) -> list[Shape]:
    """Edits of every curve of a spec, directions apart: by site, layer, mask and operation."""
    if spec.edits:
        return [tuple(specs_of(json.loads(spec.edits), config))]
    return [
        tuple(EditSpec(at, mask, operation=operation, schedule=spec.schedule) for at in together)
        for together in places_of(spec)
        for mask in spec.masks
        for operation in spec.operations
    ]


def places_of(spec: SweepSpec) -> list[tuple[Site, ...]]:
    """Where the curves of a spec act: one place each, or several at once."""
    found: list[tuple[Site, ...]] = []
    for name in (spec.site, *spec.sites):
        if not Site(name).has_layers:
            found.append((Site(name),))
        elif spec.at_once:
            found.append(tuple(Site(name, layer) for layer in spec.at_once))
        else:
            found += [(Site(name, layer),) for layer in spec.layers if layer is not None]
    return found


def vectors_hash(vectors: Tensor) -> str:
    """The sha256 of a direction's float32 bytes, little-endian, position by position."""
    return hashlib.sha256(vectors.contiguous().numpy().astype("<f4").tobytes()).hexdigest()
