"""What a pass in training goes on from: keys and values so far, which grow and can be forked."""

from __future__ import annotations

import torch
from torch import Tensor

HIDDEN = -1e9
"""Added to the score of what may not be attended to; finite, so that no row of padding is NaN."""


class Context:
    """Keys and values of every block [N, L, H_kv, d], and which positions are real [N, L].

    They grow by concatenation, so gradients flow.

    Args:
        layers: Blocks.
    """

    def __init__(self, layers: int):
        self.kept: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * layers
        self.real: Tensor | None = None

    def fork(self) -> Context:
        """A context that goes on from here without changing this one; tensors are shared."""
        other = Context(len(self.kept))
        other.kept, other.real = list(self.kept), self.real
        return other

    def grow(self, real: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Announce T more positions, bool [N, T] (False is padding).

        Returns their absolute positions [N, T] and what is added to attention scores [N, T, L + T]:
        0 where they may attend, which is to real positions up to themselves and, with `allowed`
        [N, L + T], only to those in it.
        """
        new = real.shape[1]
        before = 0 if self.real is None else self.real.shape[1]
        self.real = real if self.real is None else torch.cat((self.real, real), 1)
        positions = (self.real.cumsum(1)[:, before:] - 1).clamp_min(0)
        seen = self.real if allowed is None else self.real & allowed
        order = torch.ones(new, before + new, dtype=torch.bool, device=real.device).tril(before)
        seen = seen[:, None] & order
        return positions, torch.zeros(seen.shape, device=real.device).masked_fill_(~seen, HIDDEN)
