"""Which models have a name, and the sizes of a model that is not loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from safetensors import safe_open

from steer_core.codi import hub
from steer_core.codi.config import plain_config, sizes_of
from steer_core.codi.known import KNOWN
from steer_core.codi.notes import LATENTS, read_notes
from steer_core.codi.places import MODELS_DIR, bundled_names, locate
from steer_core.data.json_file import read_json


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model that can be named; `available` means without a network.

    `parameters` is None for a checkpoint of which nobody has counted them.
    """

    name: str
    source: str
    layers: int
    hidden: int
    latents: int
    parameters: int | None
    available: bool


def list_models() -> list[ModelInfo]:
    """Every model that has a name: the bundled ones, then the known checkpoints."""
    return [bundled_info(name) for name in bundled_names()] + [
        ModelInfo(
            name=name,
            source="hub",
            layers=known.layers,
            hidden=known.hidden,
            latents=LATENTS,
            parameters=known.parameters,
            available=hub.is_cached(known),
        )
        for name, known in KNOWN.items()
    ]


def bundled_info(name: str) -> ModelInfo:
    """Sizes of a bundled model, read from its files without loading them."""
    folder = MODELS_DIR / name
    sizes = sizes_of(plain_config(read_json(folder / "config.json")))
    with safe_open(folder / "model.safetensors", "np") as file:
        names = list(file.keys())
        shapes = [file.get_slice(name).get_shape() for name in names]
    return ModelInfo(
        name=name,
        source="bundled",
        layers=sizes["layers"],
        hidden=sizes["hidden"],
        latents=read_notes(folder).latents,
        parameters=sum(map(math.prod, shapes)),
        available=True,
    )


def model_info(name: str) -> ModelInfo:
    """Sizes of one model from its config; its files are fetched, its weights are not read.

    Raises:
        UserError: for an unknown name, or files that cannot be had or are no such model.
    """
    from steer_core.codi.load import read_config

    place = locate(name, None)
    listed = {info.name: info for info in list_models()}
    if name in listed:
        return listed[name]
    sizes = sizes_of(read_config(place.base))
    return ModelInfo(
        name=name,
        source=place.source,
        layers=sizes["layers"],
        hidden=sizes["hidden"],
        latents=read_notes(place.weights).latents,
        parameters=None,
        available=True,
    )
