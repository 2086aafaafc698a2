"""Every tensor of a model's parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor


def tensors_of(part: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor below a tree of dataclasses and tuples, under its path of field names."""
    if isinstance(part, Tensor):
        yield prefix, part
    elif isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from tensors_of(item, f"{prefix}.{index}")
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from tensors_of(getattr(part, field.name), f"{prefix}.{field.name}".lstrip("."))
