"""Where directions are found, and how a name or a path becomes one."""

from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from pathlib import Path

from steer_core.box import DIRECTIONS_DIR
from steer_core.codi.digests import cache_home
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError, shortened
from steer_core.names import (
    CONTROL_KINDS,
    COVARIANCE,
    MOVED,
    RANDOM,
    RAW,
    REAL,
    DirectionRef,
    name_and_unit,
)
from steer_core.steering.background import Background, combined
from steer_core.steering.controls import draw
from steer_core.steering.directions import (
    Direction,
    check_direction,
    fitted,
    load_direction,
    place_name,
)
from steer_core.steering.edits import check_site
from steer_core.steering.fit import FIT, FitSet, bundled_fit_problems, fit_set, site_states
from steer_core.steering.methods import MEAN_DIFFERENCE, METHODS, listed
from steer_core.steering.sites import Site
from steer_core.steering.units import in_unit, listed_units, scales_of

OWN_DIR = "STEER_DIRECTIONS"
"""Environment variable: the folder of those that were computed on this machine."""


def cache_folder(model: CodiModel, folder: Path) -> Path:
    """Where a model's mean differences are kept below `folder`; hub owners and parents dropped."""
    return folder / Path(model.name).name / MEAN_DIFFERENCE


def kept_folder(model: CodiModel) -> Path:
    """Where a model's mean differences are kept once they are computed, see `keep_directions`."""
    home = Path(os.path.expanduser(os.environ.get(OWN_DIR) or cache_home() / "directions"))
    return home / f"{model.sha256[:32]}-{model.config.latents}" / MEAN_DIFFERENCE


def direction_path(folder: Path, site: str, layer: int | None) -> Path:
    """The file of one site and layer."""
    place = f"{site}-{layer}" if Site(site).has_layers else site
    return folder / f"{place}.safetensors"


def cached_direction(
    model: CodiModel,
    site: str,
    layer: int | None,
    method: str = MEAN_DIFFERENCE,
    fit: FitSet | None = None,
) -> Direction:
    """A direction by name.

    Args:
        model: The model it is for.
        site: One of `SITES`.
        layer: Layer of a site that has layers.
        method: One of `METHODS`, with a label or a number behind it (`contrast:answer_size`,
            `pca:2`); a control of the mean difference by kind and seed, such as `covariance:3` or
            `random-3` (seed 0 where none is given), or of another direction
            (`shuffled:3 of lda`); an expression of such names. With `:sd` or `:dose` behind a name
            in another unit of alpha.
        fit: What it is computed from; without it the mean difference is the model's own, and what
            needs states has those of the bundled fit set.

    Raises:
        UserError: for an unknown name, or a model that has no cached directions.
    """
    check_site(model.config, site, layer)
    return by_ref(model, site, layer, DirectionRef.parse(method), fit)


def by_ref(
    model: CodiModel, site: str, layer: int | None, ref: DirectionRef, fit: FitSet | None
) -> Direction:
    """See `cached_direction`."""
    if ref.terms:
        return expressed(model, site, layer, ref, fit)
    if ref.unit != RAW:
        raw = dataclasses.replace(ref, unit=RAW)
        return in_unit(by_ref(model, site, layer, raw, fit), ref.unit)
    if ref.kind != REAL:
        of = DirectionRef.of_label(ref.of or MEAN_DIFFERENCE)
        real = by_ref(model, site, layer, of, fit)
        here = None if ref.kind == RANDOM else background_of(model, real, fit)
        return named_after(draw(ref.kind, real, ref.seed or 0, here), ref.of)
    if ref.method not in METHODS:
        raise UserError(
            f"unknown direction '{shortened(str(ref))}'; choose {listed(METHODS)}, a control such "
            f"as {COVARIANCE}:3 (of {listed(CONTROL_KINDS)}) or a file, with {listed_units()} "
            "behind it where alpha shall count another unit"
        )
    if fit is None and ref == DirectionRef(MEAN_DIFFERENCE):
        return own_mean_difference(model, site, layer)
    return fitted(model, fit or bundled_fit(model), site, layer, str(ref))


def own_mean_difference(model: CodiModel, site: str, layer: int | None) -> Direction:
    """The mean difference that a model has; keys' and values' is computed when it is asked for."""
    found = known_direction(model, site, layer)
    if found is None and Site(site).cached:
        return fitted(model, bundled_fit(model), site, layer)
    if found is None:
        raise UserError(
            f"{model.name} has no cached direction for site {site}; compute it once with "
            f"'directions --model {model.name}'"
        )
    return found


def named_after(control: Direction, of: str) -> Direction:
    """A control with the name of whose it is, where that was said."""
    return dataclasses.replace(control, method=f"{control.method} of {of}") if of else control


def expressed(
    model: CodiModel, site: str, layer: int | None, ref: DirectionRef, fit: FitSet | None
) -> Direction:
    """An expression of directions, in the units that its names say."""
    each = {
        str(one): term(model, site, layer, one, fit)
        for one in (*(found for _, found in ref.terms), *([ref.across] if ref.across else []))
    }
    vectors = combined(ref, lambda one: each[str(one)].vectors)
    scales = None
    if any(direction.scales is not None for direction in each.values()):
        fit = fit or bundled_fit(model)
        scales = scales_of(site_states(model, fit.states, site, layer), vectors)
    origin = next((d.provenance for d in each.values() if d.provenance is not None), None)
    return Direction(vectors, str(ref), site, layer, origin, scales)


def term(
    model: CodiModel, site: str, layer: int | None, ref: DirectionRef, fit: FitSet | None
) -> Direction:
    """A direction that an expression names."""
    if is_known(str(ref)):
        return by_ref(model, site, layer, ref, fit)
    found = find_direction(model, site, layer, str(ref))
    check_direction(found, model)
    return found


def background_of(model: CodiModel, direction: Direction, fit: FitSet | None) -> Background:
    """What a control of a direction is drawn from.

    Raises:
        UserError: when all answers to the bundled fit set are right or all are wrong.
    """
    return Background.at(model, fit or bundled_fit(model), direction.site, direction.layer)


def bundled_fit(model: CodiModel) -> FitSet:
    """The bundled fit set, decoded once and remembered with its model."""
    fit = model.session.get(FIT)
    if fit is None:
        fit = fit_set(model, bundled_fit_problems(), FIT, twins=True)
        model.session.put(FIT, fit, fit.states.nbytes)
    return fit


def known_direction(model: CodiModel, site: str, layer: int | None) -> Direction | None:
    """The mean difference that comes with the project, or was computed on this machine.

    A file under the model's name that is another model's, or damaged, is as good as none.
    """
    for folder in (cache_folder(model, DIRECTIONS_DIR), kept_folder(model)):
        path = direction_path(folder, site, layer)
        with suppress(UserError):
            if path.is_file():
                return load_direction(path, model, site, layer)
    return None


def find_direction(model: CodiModel, site: str, layer: int | None, name: str) -> Direction:
    """A direction by name or by path.

    Args:
        model: The model it is for.
        site: Where it will be used.
        layer: Layer of site residual.
        name: A name of `cached_direction`, a file, a folder with one file for each site and layer,
            or `moved:` and a file: a direction that is used elsewhere than where it was computed.
            Without `moved:` a file of another site or layer is refused. With `:sd` or `:dose`
            behind it in another unit of alpha, see `steer_core.steering.units`.

    Raises:
        UserError: when there is no such direction, or it does not fit.
    """
    if DirectionRef.parse(name).terms:
        return cached_direction(model, site, layer, name)
    name, unit = name_and_unit(name)
    found = raw_direction(model, site, layer, name)
    if unit != RAW and (found.site, found.layer) != (site, layer):
        raise UserError(
            f"{name.removeprefix(MOVED)} was computed at {place_name(found.site, found.layer)}, so "
            f"alpha cannot count in {unit} at {place_name(site, layer)}; leave the unit out"
        )
    return in_unit(found, unit)


def raw_direction(model: CodiModel, site: str, layer: int | None, name: str) -> Direction:
    """See `find_direction`; in raw units."""
    if is_file_name(name):
        path = Path(name.removeprefix(MOVED))
        return load_direction(path, model, site, layer, moved=name.startswith(MOVED))
    if Path(name).is_dir() and not is_known(name):
        check_site(model.config, site, layer)
        return load_direction(direction_path(Path(name), site, layer), model, site, layer)
    return cached_direction(model, site, layer, name)


def is_known(name: str) -> bool:
    """Whether a name is that of a method or a control."""
    ref = DirectionRef.parse(name)
    if ref.terms:
        return all(is_known(str(one)) for _, one in ref.terms)
    return ref.kind != REAL or ref.method in METHODS


def is_file_name(name: str) -> bool:
    """Whether a direction's name is that of a file."""
    name, _ = name_and_unit(name)
    if DirectionRef.parse(name).terms:
        return False
    path = Path(name.removeprefix(MOVED))
    return name.startswith(MOVED) or path.suffix == ".safetensors" or path.is_file()


def moved(name: str) -> str:
    """The name under which a file may be used at any site and layer; other names stay."""
    return MOVED + name if is_file_name(name) and not name.startswith(MOVED) else name
