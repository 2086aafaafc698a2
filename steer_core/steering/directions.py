"""Directions: computing them, and their files with provenance."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Problem
from steer_core.errors import UserError
from steer_core.files import replacing
from steer_core.names import MOVED, DirectionRef
from steer_core.steering.background import Background, vectors_of
from steer_core.steering.edits import Subspace, check_site
from steer_core.steering.fit import FitSet, Provenance, fit_set
from steer_core.steering.methods import MEAN_DIFFERENCE, PRINCIPAL_STATE
from steer_core.steering.separate import Separation
from steer_core.steering.sites import Site
from steer_core.steering.states import leading_subspace
from steer_core.steering.units import Scales, scales_of

SCALES = ("sd", "dose")
"""Tensors of a file beside the direction, see `Scales`."""
TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """A direction for one site: `vectors` float32 [K+1, D], row k acts at position k.

    `method` names how it was made; `layer` is None where the site has none; a file from elsewhere
    may come without `provenance`, without `scales`, for units of alpha, and without `separation`,
    how well it tells its two sides apart. `subspace`: what an edit along it changes, None for all.
    """

    vectors: Tensor
    method: str
    site: str
    layer: int | None
    provenance: Provenance | None = None
    scales: Scales | None = None
    separation: Separation | None = None
    subspace: Subspace | None = None

    @property
    def norms(self) -> np.ndarray:
        """Norm at each position, [K+1]."""
        return self.vectors.norm(dim=-1).numpy()


def fitted(
    model: CodiModel, fit: FitSet, site: str, layer: int | None, method: str = MEAN_DIFFERENCE
) -> Direction:
    """The direction that a method finds in a fit set, by name: `lda`, `contrast:answer_size`."""
    here = Background.at(model, fit, site, layer)
    vectors = vectors_of(DirectionRef.of_label(method), here)
    scales = scales_of(here.states, vectors)
    outside = leading_subspace(here.states) if method == PRINCIPAL_STATE else None
    return Direction(vectors, method, site, layer, fit.provenance, scales, subspace=outside)


def mean_differences(model: CodiModel, problems: Sequence[Problem], name: str) -> list[Direction]:
    """The mean difference at every layer of site residual, and at thought and embedding."""
    fit = fit_set(model, problems, name)
    return [fitted(model, fit, site, layer) for site, layer in places(model)]


def places(model: CodiModel) -> list[tuple[str, int | None]]:
    """Every (site, layer) of a model."""
    blocks = range(1, model.config.layers + 1)
    return [*(("residual", layer) for layer in blocks), ("thought", None), ("embedding", None)]


def save_direction(direction: Direction, path: Path) -> None:
    """Write `direction` [K+1, D] and its `scales`, with its provenance as safetensors metadata."""
    about = {
        "method": direction.method,
        "site": direction.site,
        "layer": direction.layer,
        "provenance": direction.provenance and dataclasses.asdict(direction.provenance),
    }
    if direction.separation is not None:
        about["separation"] = dataclasses.asdict(direction.separation)
    tensors = {"direction": direction.vectors.contiguous()}
    if direction.scales is not None:
        tensors |= {name: getattr(direction.scales, name) for name in SCALES}
    with replacing(path) as part:
        save_file(tensors, part, metadata={"steer_core": json.dumps(about, sort_keys=True)})


def load_direction(
    path: Path, model: CodiModel, site: str, layer: int | None, *, moved: bool = False
) -> Direction:
    """Read a direction for a model and a site.

    Args:
        path: Safetensors with `direction` [K+1, D], [K, D] (positions 1..K) or [D] (all positions).
            Of a file with provenance, computed with more latents than `model` is decoded with, the
            rows of the positions that are left.
        model: The model it is for.
        site: Where it will be used; a file that says where it was computed keeps that.
        layer: Layer of site residual.
        moved: It may have been computed at another site or layer than the one it is used at.

    Raises:
        UserError: when the file cannot be read, is of another model or shape, or, unless `moved`,
            of another site or layer.
    """
    check_site(model.config, site, layer)
    try:
        with safe_open(path, "pt") as file:
            vectors = file.get_tensor("direction").float()
            known = set(file.keys()).intersection(SCALES)
            scales = {name: file.get_tensor(name) for name in known}
            about = json.loads((file.metadata() or {}).get("steer_core", "{}"))
        origin = about.get("provenance")
        provenance = None if origin is None else Provenance(**origin)
        read = about.get("separation")
        separation = read and Separation(**read)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(
            f"{path} is no direction file ({first_line(error)}); "
            "it needs a safetensors file with a tensor 'direction'"
        ) from error
    if provenance is not None and vectors.dim() == 2:
        vectors = vectors[: model.config.latents + 1]
    direction = Direction(
        vectors=all_positions(vectors, model, path, about.get("site", site)),
        method=about.get("method", path.stem),
        site=about.get("site", site),
        layer=about.get("layer", layer),
        provenance=provenance,
        scales=scales_from(scales, model) if provenance is not None else None,
        separation=separation,
    )
    check_direction(direction, model)
    if not moved:
        check_place(direction, model, site, layer, path)
    return direction


def scales_from(found: dict[str, Tensor], model: CodiModel) -> Scales | None:
    """The scales of a file, of the positions that are left; None where it has none of all."""
    wanted = model.config.latents + 1
    if len(found) < len(SCALES) or any(x.dim() != 1 or len(x) < wanted for x in found.values()):
        return None
    return Scales(**{name: x[:wanted].float() for name, x in found.items()})


def check_place(
    direction: Direction, model: CodiModel, site: str, layer: int | None, path: Path
) -> None:
    """Raise a `UserError` for a direction that was computed at another site or layer."""
    if (direction.site, direction.layer) != (site, layer):
        computed, used = (
            place_name(*at) for at in ((direction.site, direction.layer), (site, layer))
        )
        raise UserError(
            f"{path} was computed at {computed}, not at {used}; compute one there with "
            f"'directions --model {model.name}', or write '{MOVED}{path}' to use it all the same"
        )


def place_name(site: str, layer: int | None) -> str:
    """A site and its layer in words."""
    return site if layer is None else f"{site} {layer}"


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return str(error).partition("\n")[0]


def all_positions(vectors: Tensor, model: CodiModel, path: Path, site: str) -> Tensor:
    """One row per position 0..K."""
    latents, hidden = model.config.latents, Site(site).width(model.config)
    if vectors.shape == (hidden,):
        return vectors.expand(latents + 1, -1).clone()
    if vectors.shape == (latents, hidden):
        return torch.cat((torch.zeros(1, hidden), vectors))
    if vectors.shape == (latents + 1, hidden):
        return vectors
    raise UserError(
        f"{path} has a direction of shape {list(vectors.shape)}, {model.name} needs "
        f"[{latents + 1}, {hidden}], [{latents}, {hidden}] or [{hidden}]; "
        f"compute it with 'directions --model {model.name}'"
    )


def check_direction(direction: Direction, model: CodiModel) -> None:
    """Raise a `UserError` for values that are not finite or weights it was not computed from."""
    if not torch.isfinite(direction.vectors).all():
        raise UserError(
            f"direction '{direction.method}' holds values that are not finite; "
            f"compute it with 'directions --model {model.name}'"
        )
    origin = direction.provenance
    if origin is not None and origin.model_sha256 != model.sha256:
        raise UserError(
            f"direction '{direction.method}' was computed from {origin.model} "
            f"({origin.model_sha256[:12]}), not from {model.name} ({model.sha256[:12]}); "
            f"compute it with 'directions --model {model.name}'"
        )
