"""Where directions are found, and how a name or a path becomes one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from steer_core.box import DIRECTIONS_DIR
from steer_core.codi.digests import cache_home
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.names import (
    CONTROL_KINDS,
    COVARIANCE,
    RANDOM,
    RAW,
    REAL,
    DirectionRef,
    name_and_unit,
)
from steer_core.steering.controls import Background, draw
from steer_core.steering.directions import MOVED, Direction, fitted, load_direction, place_name
from steer_core.steering.edits import check_site
from steer_core.steering.fit import FIT, FitSet, bundled_fit_problems, fit_set
from steer_core.steering.methods import MEAN_DIFFERENCE, METHODS
from steer_core.steering.sites import Site
from steer_core.steering.units import in_unit, listed_units

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
    model: CodiModel, site: str, layer: int | None, method: str = MEAN_DIFFERENCE
) -> Direction:
    """A direction by name.

    Args:
        model: The model it is for.
        site: residual, thought or embedding.
        layer: Layer of site residual.
        method: `mean_difference`, or a control of it by kind and seed, such as `covariance:3` or
            `random-3` (seed 0 where none is given); all but `random` decode the bundled fit set.
            With `:sd` or `:dose` behind it in another unit of alpha.

    Raises:
        UserError: for an unknown name, or a model that has no cached directions.
    """
    check_site(model.config, site, layer)
    ref = DirectionRef.parse(method)
    if ref.unit != RAW:
        return in_unit(cached_direction(model, site, layer, name_and_unit(method)[0]), ref.unit)
    if ref.kind != REAL:
        real = cached_direction(model, site, layer)
        return draw(ref.kind, real, ref.seed or 0, bundled_background(model, ref.kind, real))
    if method not in METHODS:
        raise UserError(
            f"unknown direction '{method}'; choose {listed(METHODS)}, a control such as "
            f"{COVARIANCE}:3 (of {listed(CONTROL_KINDS)}) or a file, with {listed_units()} behind "
            "it where alpha shall count another unit"
        )
    found = known_direction(model, site, layer) if method == MEAN_DIFFERENCE else None
    if found is None and (method != MEAN_DIFFERENCE or Site(site).cached):
        return fitted(model, bundled_fit(model), site, layer, method)
    if found is None:
        raise UserError(
            f"{model.name} has no cached direction for site {site}; compute it once with "
            f"'directions --model {model.name}'"
        )
    return found


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names)


def bundled_background(model: CodiModel, kind: str, direction: Direction) -> Background | None:
    """What a control of a named direction is drawn from; noise needs nothing.

    Raises:
        UserError: when all answers to the bundled fit set are right or all are wrong.
    """
    if kind == RANDOM:
        return None
    return Background.at(model, bundled_fit(model), direction.site, direction.layer)


def bundled_fit(model: CodiModel) -> FitSet:
    """The bundled fit set, decoded once and remembered with its model."""
    fit = model.session.get(FIT)
    if fit is None:
        fit = fit_set(model, bundled_fit_problems(), FIT)
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
    return ref.kind != REAL or ref.method in METHODS


def is_file_name(name: str) -> bool:
    """Whether a direction's name is that of a file."""
    name, _ = name_and_unit(name)
    path = Path(name.removeprefix(MOVED))
    return name.startswith(MOVED) or path.suffix == ".safetensors" or path.is_file()


def moved(name: str) -> str:
    """The name under which a file may be used at any site and layer; other names stay."""
    return MOVED + name if is_file_name(name) and not name.startswith(MOVED) else name
