"""The vocabulary head: logits of normed hidden states, and the token of the largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.reordered import Reordered, reordered

VOCABULARY_AT_A_TIME = 4096
"""Tokens of the vocabulary whose logits a CPU computes at once, to never leave its cache."""
GROUP = 64
"""Logits of which the largest is found at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits by a weight [V, D], whose last row is EOT's; `fast`, where a CPU has it, its parts.

    EOT starts answers and is never generated: it is excluded wherever a token is chosen.
    """

    weight: Tensor
    fast: tuple[Reordered, ...] = ()

    def logits(self, hidden: Tensor) -> Tensor:
        """Normed hidden states [..., D] to logits [..., V]."""
        return F.linear(hidden, self.weight)

    def without_eot(self, hidden: Tensor) -> Tensor:
        """The logits [..., V-1] of tokens that can be chosen."""
        if not self.fast or not self.fast[0].suits(hidden, self.weight):
            return F.linear(hidden, self.weight[:-1])
        found = [logits for _, logits in self.in_parts(hidden)]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def choice(self, hidden: Tensor) -> Tensor:
        """The token [...] of the largest logit, of equals the first."""
        if hidden.device.type != "cpu":
            return F.linear(hidden, self.weight[:-1]).argmax(-1)
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

    def reordered(self) -> Head:
        """The same with a faster way for many rows."""
        fast = [reordered(self.weight, rows) for rows in self.parts()]
        return replace(self, fast=() if None in fast else tuple(fast))


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
