"""Every tensor of a model's parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor


def tensors_of(part: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor below a tree of dataclasses and tuples, under its path of field names."""
    for name, leaf in leaves(part, prefix):
        if isinstance(leaf, Tensor):
            yield name, leaf


def leaves(part: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Everything below a tree of dataclasses and tuples that is neither, under its path."""
    if isinstance(part, tuple):
        for index, item in enumerate(part):
            yield from leaves(item, f"{prefix}.{index}")
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from leaves(getattr(part, field.name), f"{prefix}.{field.name}".lstrip("."))
    else:
        yield prefix, part
