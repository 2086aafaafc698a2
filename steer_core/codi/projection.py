"""CODI's projection `prj`: from the hidden state of one latent step to the input of the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from steer_core.codi.body import Linear, Norm


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Linear, exact GELU, Linear, LayerNorm.

    Each part can be absent; with none it is the identity. Dropout, which CODI has in
    front, acts in training only and is left out.
    """

    first: Linear | None = None
    second: Linear | None = None
    norm: Norm | None = None

    def __call__(self, hidden: Tensor) -> Tensor:
        """h_{k-1} [..., D] to the latent thought z_k [..., D]."""
        z = hidden
        if self.first is not None and self.second is not None:
            z = self.second(self.first.gelu(z, "none"))
        return z if self.norm is None else self.norm(z)

    def reordered(self) -> Projection:
        """The same with a faster way for many rows; see `Body.reordered`, which decides."""
        if self.first is None or self.second is None:
            return self
        return replace(self, first=self.first.reordered(), second=self.second.reordered())


def named_projection(projection: Projection) -> Iterator[tuple[str, Tensor]]:
    """The projection's tensors under CODI's names (`prj.0` and `prj.2` are dropout and GELU)."""
    for name, part in (("1", projection.first), ("3", projection.second), ("ln", projection.norm)):
        if part is not None and part.bias is not None:
            yield f"prj.{name}.weight", part.weight
            yield f"prj.{name}.bias", part.bias
