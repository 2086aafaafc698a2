"""The vocabulary head: logits of normed hidden states, and the token of the largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.reordered import Reordered, reordered

VOCABULARY_AT_A_TIME = 4096
"""Tokens of the vocabulary whose logits a CPU computes at once, to never leave its cache."""
ALIGNED = 64
"""Rows of a weight are filled up to a multiple of it where an accelerator multiplies by them."""
GROUP = 64
"""Logits of which the largest is found at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits by a weight [V, D], whose last row is EOT's; `fast`, where a CPU has it, its parts.

    `wide`, on an accelerator: the weight and rows of zeros, the weight being a part of it.
    EOT starts answers and is never generated: it is excluded wherever a token is chosen.
    """

    weight: Tensor
    fast: tuple[Reordered, ...] = ()
    wide: Tensor | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Normed hidden states [..., D] to logits [..., V]."""
        if self.wide is not None and fits(self.wide, self.weight):
            return product(hidden, self.wide)[..., : len(self.weight)]
        return F.linear(hidden, self.weight)

    def without_eot(self, hidden: Tensor) -> Tensor:
        """The logits [..., V-1] of tokens that can be chosen."""
        if hidden.device.type != "cpu":
            return self.logits(hidden)[..., :-1]
        if not self.fast or not self.fast[0].suits(hidden, self.weight):
            return F.linear(hidden, self.weight[:-1])
        found = [logits for _, logits in self.in_parts(hidden)]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def choice(self, hidden: Tensor) -> Tensor:
        """The token [...] of the largest logit, of equals the first."""
        if hidden.device.type != "cpu":
            return self.without_eot(hidden).argmax(-1)
        best, token = None, torch.zeros(hidden.shape[:-1], dtype=torch.long)
        for start, logits in self.in_parts(hidden):
            found = first_largest(logits)
            value = logits.gather(-1, found[..., None])[..., 0]
            token = found if best is None else torch.where(value > best, found + start, token)
            best = value if best is None else torch.maximum(value, best)
        return token

    def in_parts(self, hidden: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First tokens of some tokens each, and the logits of those."""
        for index, rows in enumerate(self.parts()):
            if self.fast and self.fast[index].suits(hidden, self.weight):
                yield rows.start, self.fast[index](hidden)
            else:
                yield rows.start, F.linear(hidden, self.weight[rows])

    def parts(self) -> Iterator[slice]:
        """The rows of all tokens but EOT, in parts of about one size."""
        tokens = len(self.weight) - 1
        size = -(-tokens // -(-tokens // VOCABULARY_AT_A_TIME))
        for start in range(0, tokens, size):
            yield slice(start, min(start + size, tokens))

    def aligned(self) -> Head:
        """The same with a weight of `ALIGNED` rows, for no fast product has 128,258 columns."""
        rows = -(-len(self.weight) // ALIGNED) * ALIGNED
        wide = F.pad(self.weight, (0, 0, 0, rows - len(self.weight)))
        return replace(self, weight=wide[: len(self.weight)], wide=wide)

    def reordered(self) -> Head:
        """The same with a faster way for many rows."""
        fast = [reordered(self.weight, rows) for rows in self.parts()]
        return replace(self, fast=() if None in fast else tuple(fast))


def fits(wide: Tensor, weight: Tensor) -> bool:
    """Whether a wide weight still is the weight: who replaces that gets the product with his."""
    return wide.data_ptr() == weight.data_ptr()


def product(hidden: Tensor, weight: Tensor) -> Tensor:
    """Logits in float32 where the device can give them so: in half precision many are equal."""
    if hidden.dtype is torch.float32 or not gives_float32(hidden.device, hidden.dtype):
        return F.linear(hidden, weight)
    found = torch.mm(hidden.flatten(0, -2), weight.t(), out_dtype=torch.float32)
    return found.unflatten(0, hidden.shape[:-1])


@cache
def gives_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether products of half precision can be had as they are summed up; tried once."""
    some = torch.ones(16, 16, device=device, dtype=dtype)
    try:
        return torch.mm(some, some, out_dtype=torch.float32).dtype is torch.float32
    except (TypeError, RuntimeError, NotImplementedError):  # an older torch, or another device
        return False


def first_largest(x: Tensor) -> Tensor:
    """`x.argmax(-1)`, of equals the first.

    On a CPU that goes number by number, but the largest value of a group is found many at a time:
    so first the best group, then its best member.
    """
    size = x.shape[-1]
    if x.device.type != "cpu" or size < 2 * GROUP:
        return x.argmax(-1)
    whole = size // GROUP * GROUP
    best = x[..., :whole].unflatten(-1, (-1, GROUP)).amax(-1)
    if whole < size:
        best = torch.cat((best, x[..., whole:].amax(-1, keepdim=True)), -1)
    # The last group is filled up with members of the one before, all smaller than its best.
    start = (best.argmax(-1, keepdim=True) * GROUP).clamp_max(size - GROUP)
    members = x.gather(-1, start + torch.arange(GROUP))
    return start[..., 0] + members.argmax(-1)
