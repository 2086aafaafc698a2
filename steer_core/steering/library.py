"""Where directions are found, and how a name or a path becomes one."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import torch

from steer_core.codi.digests import cache_home
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.steering.directions import (
    MEAN_DIFFERENCE,
    MOVED,
    Direction,
    load_direction,
    place_name,
    random_like,
)
from steer_core.steering.edits import check_site
from steer_core.steering.units import RAW, in_unit, listed_units, name_and_unit

DIRECTIONS_DIR = Path(__file__).parents[2] / "cached_directions"
"""Those that come with the project."""
OWN_DIR = "STEER_DIRECTIONS"
"""Environment variable: the folder of those that were computed on this machine."""
RANDOM = re.compile(r"random(?:-(\d{1,18}))?")


def cache_folder(model: CodiModel, folder: Path) -> Path:
    """Where a model's mean differences are kept below `folder`; hub owners and parents dropped."""
    return folder / Path(model.name).name / MEAN_DIFFERENCE


def kept_folder(model: CodiModel) -> Path:
    """Where a model's mean differences are kept once they are computed, see `keep_directions`."""
    home = Path(os.environ.get(OWN_DIR) or cache_home() / "directions").expanduser()
    return home / f"{model.sha256[:32]}-{model.config.latents}" / MEAN_DIFFERENCE


def direction_path(folder: Path, site: str, layer: int | None) -> Path:
    """The file of one site and layer."""
    place = f"{site}-{layer}" if site == "residual" else site
    return folder / f"{place}.safetensors"


def cached_direction(
    model: CodiModel, site: str, layer: int | None, method: str = MEAN_DIFFERENCE
) -> Direction:
    """A direction by name.

    Args:
        model: The model it is for.
        site: residual, thought or embedding.
        layer: Layer of site residual.
        method: `mean_difference`, or `random-SEED` (`random` is seed 0): its random control. With
            `:sd` or `:dose` behind it in another unit of alpha, see `steer_core.steering.units`.

    Raises:
        UserError: for an unknown name, or a model that has no cached directions.
    """
    check_site(model.config, site, layer)
    method, unit = name_and_unit(method)
    if unit != RAW:
        return in_unit(cached_direction(model, site, layer, method), unit)
    random = RANDOM.fullmatch(method)
    if random:
        return random_like(cached_direction(model, site, layer), int(random[1] or 0))
    if method != MEAN_DIFFERENCE:
        raise UserError(
            f"unknown direction '{method}'; choose {MEAN_DIFFERENCE}, random-SEED or a file, with "
            f"{listed_units()} behind it where alpha shall count another unit"
        )
    found = known_direction(model, site, layer)
    if found is None:
        raise UserError(
            f"{model.name} has no cached direction for site {site}; compute it once with "
            f"'directions --model {model.name}'"
        )
    return found


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


def no_direction(model: CodiModel, site: str, layer: int | None) -> Direction:
    """Nothing to add: what decodes without an edit needs no direction, and no model lacks this."""
    config = model.config
    return Direction(torch.zeros(config.latents + 1, config.hidden), "none", site, layer)


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
    known = name == MEAN_DIFFERENCE or RANDOM.fullmatch(name)
    if Path(name).is_dir() and not known:
        check_site(model.config, site, layer)
        return load_direction(direction_path(Path(name), site, layer), model, site, layer)
    return cached_direction(model, site, layer, name)


def is_file_name(name: str) -> bool:
    """Whether a direction's name is that of a file."""
    name, _ = name_and_unit(name)
    path = Path(name.removeprefix(MOVED))
    return name.startswith(MOVED) or path.suffix == ".safetensors" or path.is_file()


def moved(name: str) -> str:
    """The name under which a file may be used at any site and layer; other names stay."""
    return MOVED + name if is_file_name(name) and not name.startswith(MOVED) else name
