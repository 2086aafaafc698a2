"""Weights in the order in which a CPU's fastest products read them.

torch hands a product to a general library, which brings the weights into its own order every time,
and slowly where there are few rows. oneDNN, which torch ships too, can keep its order, and finishes
a product (an activation, a sum) while its result is still in the cache. Those operations are what
`torch.compile` emits; they have no public name, so where they are missing all goes the plain way.
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor

MOST = 2**30
"""Bytes of a model's matrices beyond which they are not kept twice."""
LARGE = 2**18
"""Numbers in a matrix from which two rows are worth the call."""
FEW, MANY = 2, 256
"""Rows x that make a product by a large matrix, or a smaller one, faster than the plain way; by
smaller ones only where the CPU has AVX-512."""
ROWS = 512
"""Rows of x that the order is made for; others are served well by the same."""
ALL = slice(None)


class Reordered:
    """Products x W^T by rows W [out, in] of a weight that are kept in oneDNN's order.

    A copy, through which no gradients go; it stands for its weight as long as that is the same (see
    `suits`). It is none of the tensors of its model: nobody but oneDNN can read it.
    `activates`: oneDNN's GELU is faster than ours, as with AVX-512.

    Args:
        source: The weight.
        rows: Which rows of the weight.
    """

    __slots__ = ("activates", "least", "nbytes", "rows", "source", "version", "weight")

    def __init__(self, source: Tensor, rows: slice = ALL):
        weight = source.detach()[rows].contiguous()
        self.source, self.rows = source, rows
        self.version = version_of(source)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        self.nbytes = weight.nbytes
        self.least = FEW if weight.numel() >= LARGE else MANY
        self.activates = has_avx512()

    def __reduce__(self):
        """Made anew from its weight: torch copies and pickles nothing in oneDNN's order."""
        return Reordered, (self.source, self.rows)

    def suits(self, x: Tensor, weight: Tensor) -> bool:
        """Whether products of x [..., in] with rows of a weight can be had here, and faster."""
        rows = x.numel() // x.shape[-1]
        if rows < self.least or torch.is_grad_enabled():
            return False
        # Who replaces a weight, or writes into it, gets the product with the new one.
        return weight is self.source and version_of(weight) == self.version

    def __call__(
        self, x: Tensor, bias: Tensor | None = None, activation: str = "none", how: str = ""
    ) -> Tensor:
        """The product + bias, activated as oneDNN names it: swish, or gelu `how` none or tanh."""
        product = torch.ops.mkldnn._linear_pointwise.default
        return product(x, self.weight, bias, activation, [], how)

    def onto(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        """y + (the product + bias)."""
        return self.joined(x, y, bias, "add")

    def times(self, x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
        """y * (the product + bias)."""
        return self.joined(x, y, bias, "mul")

    def joined(self, x: Tensor, y: Tensor, bias: Tensor | None, how: str) -> Tensor:
        """y and the product + bias, `how` add or mul."""
        # By its full name: torch takes a while to find out which of both is meant.
        return torch.ops.mkldnn._linear_pointwise.binary(x, y, self.weight, bias, how)


def version_of(weight: Tensor) -> int:
    """How often a tensor was written to; torch does not count that of tensors for inference."""
    return 0 if weight.is_inference() else weight._version


def reordered(weight: Tensor, rows: slice = ALL) -> Reordered | None:
    """Some rows of a weight in oneDNN's order; None where products by so few are not faster."""
    size = weight[rows].numel()
    return Reordered(weight, rows) if size >= LARGE or has_avx512() else None


def has_avx512() -> bool:
    """Whether torch uses the CPU's widest registers; without, oneDNN gains less."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def can_reorder(like: Tensor) -> bool:
    """Whether weights like this one can be kept in oneDNN's order: float32 on an x86 CPU."""
    here = like.device.type == "cpu" and like.dtype is torch.float32
    known = platform.machine().lower() in ("x86_64", "amd64")
    return here and known and torch.backends.mkldnn.is_available() and has_operations()


def has_operations() -> bool:
    """Whether this torch has the operations."""
    names = "_reorder_linear_weight", "_linear_pointwise"
    return all(hasattr(torch.ops.mkldnn, name) for name in names)
