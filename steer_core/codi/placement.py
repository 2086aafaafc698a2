"""A loaded model on another device: read once where there is time, moved where there is a GPU."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from steer_core.codi.model import CodiModel

CPU_ONLY = "fast"
"""Fields that hold weights in an order which only a CPU reads, see `steer_core.codi.reordered`."""


def moved(model: CodiModel, device: torch.device) -> CodiModel:
    """The same model with its weights on a device; the one that is given stays as it is."""
    known: dict[int, Tensor] = {}
    body, projection = (placed(part, device, known) for part in (model.body, model.projection))
    return replace(model, body=body, projection=projection)


def placed(part: Any, device: torch.device, known: dict[int, Tensor]) -> Any:
    """A part of a model on a device; a tensor in two places (tied weights) stays one tensor."""
    if isinstance(part, Tensor):
        if id(part) not in known:
            known[id(part)] = part.to(device)
        return known[id(part)]
    if isinstance(part, tuple):
        return tuple(placed(each, device, known) for each in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    return replace(
        part,
        **{
            field.name: field.default
            if field.name == CPU_ONLY
            else placed(getattr(part, field.name), device, known)
            for field in fields(part)
            if field.init
        },
    )
