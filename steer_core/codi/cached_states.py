"""Keys and values of a position as states that can be edited: what a cache holds, read and written.

A state is [keys | values] of all heads, float32 [N, 2 * H_kv * d]: keys in front of rotary
positions, so that they mean the same at every place of a sequence, and in the checkpoint's order of
numbers. An edit changes what later positions read, not what the position itself made of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steer_core.codi.body import Body, rotate, turned_back


def cached_states(keys: Tensor, values: Tensor, rotary: Tensor | None) -> Tensor:
    """Stored keys and values [N, H_kv, d] as states; `rotary` (`Body.rotary`) turned the keys."""
    keys = keys.float()
    if rotary is not None:
        keys = unpaired(rotate(keys[:, None], turned_back(rotary))[:, 0])
    return torch.cat((keys.flatten(1), values.float().flatten(1)), -1)


def moved(
    keys: Tensor, values: Tensor, rotary: Tensor | None, change: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys and values [N, H_kv, d] whose states move by `change` [N, 2 * H_kv * d].

    A row that does not move stays as it is, bit for bit.
    """
    of_keys, of_values = (part.unflatten(-1, keys.shape[1:]) for part in change.chunk(2, -1))
    if rotary is not None:
        of_keys = rotate(paired(of_keys)[:, None], rotary)[:, 0]
    return (keys.float() + of_keys).to(keys.dtype), (values.float() + of_values).to(values.dtype)


def projected_states(body: Body, layer: int, x: Tensor) -> Tensor:
    """The states that block `layer` (1..L) caches of its inputs x [N, D], float32."""
    _, keys, values = body.blocks[layer - 1].project(x[:, None], None)
    keys = keys[:, 0].float()
    if body.inverse_frequencies is not None:
        keys = unpaired(keys)
    return torch.cat((keys.flatten(1), values[:, 0].float().flatten(1)), -1)


def paired(keys: Tensor) -> Tensor:
    """Heads [..., d] with both numbers of a rotary pair side by side, as a body stores them."""
    return keys.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


def unpaired(keys: Tensor) -> Tensor:
    """The inverse: the first of all pairs, then the second of all, as checkpoints have them."""
    return keys.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
