"""A key-value cache for training: it grows by concatenation, so gradients flow, and forks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.cache import KeysValues


class GrowingCache:
    """Keys and values so far, per block [N, H_kv, T, d], and which positions are real [N, T]."""

    def __init__(self) -> None:
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.real: Tensor | None = None
        self.allowed: Tensor | None = None

    def fork(self) -> GrowingCache:
        """A cache that goes on from here without changing this one; tensors are shared."""
        other = GrowingCache()
        other.keys, other.values, other.real = dict(self.keys), dict(self.values), self.real
        return other

    def begin(self, real: Tensor) -> GrowingCache:
        """Announce the next T positions, bool [N, T] (False is padding), before a body runs."""
        new = real.shape[1]
        causal = torch.ones(new, new, dtype=torch.bool, device=real.device).tril()
        inside = causal & real[:, None, :]
        if self.real is None:
            self.real, allowed = real, inside
        else:
            before = self.real[:, None, :].expand(-1, new, -1)
            self.real, allowed = torch.cat((self.real, real), 1), torch.cat((before, inside), 2)
        # A padding query may see itself: an empty row of the softmax would be NaN and poison
        # gradients.
        itself = torch.eye(new, dtype=torch.bool, device=real.device)
        allowed = torch.cat((allowed[..., :-new], allowed[..., -new:] | itself), -1)
        self.allowed = allowed[:, None]
        return self

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        k, v = self.store(layer, k, v)
        grouped = q.shape[2] != k.shape[1]
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, attn_mask=self.allowed, enable_gqa=grouped
        )
        return out.transpose(1, 2)

    def store(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """Append keys and values [N, t, H_kv, d]; all so far, heads first."""
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if layer in self.keys:
            k, v = torch.cat((self.keys[layer], k), 2), torch.cat((self.values[layer], v), 2)
        self.keys[layer], self.values[layer] = k, v
        return k, v
