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
    """A direction by name or by path of its file."""
    if Path(name).suffix == ".safetensors" or Path(name).is_file():
        return load_direction(Path(name), model, site, layer)
    return cached_direction(model, site, layer, name)


def bundled_fit_problems() -> list[Problem]:
    """Both twins of every pair of the bundled fit set."""
    return [problem for pair in load_pairs("fit") for problem in (pair.clean, pair.corrupted)]
