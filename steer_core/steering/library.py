"""The directions that come with the project, and how a name or a path becomes a direction."""

from __future__ import annotations

import re
from pathlib import Path

from steer_core.codi.model import CodiModel
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Problem
from steer_core.errors import UserError
from steer_core.steering.directions import (
    MEAN_DIFFERENCE,
    MOVED,
    Direction,
    load_direction,
    random_like,
)
from steer_core.steering.edits import check_site

DIRECTIONS_DIR = Path(__file__).parents[2] / "cached_directions"
RANDOM = re.compile(r"random(?:-(\d{1,18}))?")


def cache_folder(model: CodiModel, folder: Path) -> Path:
    """Where a model's mean differences are kept below `folder`; hub owners and parents dropped."""
    return folder / Path(model.name).name / MEAN_DIFFERENCE


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
        method: `mean_difference`, or `random-SEED` (`random` is seed 0): its random control.

    Raises:
        UserError: for an unknown name, or a model that has no cached directions.
    """
    check_site(model.config, site, layer)
    random = RANDOM.fullmatch(method)
    if random:
        return random_like(cached_direction(model, site, layer), int(random[1] or 0))
    if method != MEAN_DIFFERENCE:
        raise UserError(
            f"unknown direction '{method}'; choose {MEAN_DIFFERENCE}, random-SEED or a file"
        )
    path = direction_path(cache_folder(model, DIRECTIONS_DIR), site, layer)
    if not path.is_file():
        raise UserError(
            f"{model.name} has no cached direction for site {site}; compute one with "
            f"'directions --model {model.name}' and pass its file"
        )
    return load_direction(path, model, site, layer)


def find_direction(model: CodiModel, site: str, layer: int | None, name: str) -> Direction:
    """A direction by name or by path.

    Args:
        model: The model it is for.
        site: Where it will be used.
        layer: Layer of site residual.
        name: A name of `cached_direction`, a file, a folder with one file for each site and layer,
            or `moved:` and a file: a direction that is used elsewhere than where it was computed.
            Without `moved:` a file of another site or layer is refused.

    Raises:
        UserError: when there is no such direction, or it does not fit.
    """
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
    path = Path(name.removeprefix(MOVED))
    return name.startswith(MOVED) or path.suffix == ".safetensors" or path.is_file()


def moved(name: str) -> str:
    """The name under which a file may be used at any site and layer; other names stay."""
    return MOVED + name if is_file_name(name) and not name.startswith(MOVED) else name


def bundled_fit_problems() -> list[Problem]:
    """Both twins of every pair of the bundled fit set."""
    return [problem for pair in load_pairs("fit") for problem in (pair.clean, pair.corrupted)]
