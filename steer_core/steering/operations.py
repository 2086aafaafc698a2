"""What an edit does to a state: each operation as one function over rows.

Every function takes states x [n, D], directions d [n, D], coefficients alpha [n, 1] and the states
`before` [n, D] that any edit of the row changed them here, all float32, and returns the edited
states [n, D]. Rows with alpha = 0 are never handed in: for every operation that is no edit, also
for `clamp` (a component of 0 is `project_out` with alpha 1). Where d is zero there is nothing to
move along: x stays, but for `replace`, `scale` and `restore_norm`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-12
PARALLEL = 1e-5
"""Sine of the angle below which the plane of two float32 vectors is rounding noise."""


def add(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """x + alpha * d."""
    return x + alpha * d


def project_out(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """Remove the fraction alpha of the component along d (1: all of it)."""
    unit = unit_of(d)
    return x - alpha * (x * unit).sum(-1, keepdim=True) * unit


def clamp(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """Set the component along d to alpha times the norm of d."""
    unit = unit_of(d)
    wanted = alpha * d.norm(dim=-1, keepdim=True)
    return x + (wanted - (x * unit).sum(-1, keepdim=True)) * unit


def rotate(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """Turn x by alpha radians towards d in their common plane; the norm stays.

    Parallel x and d span no plane: x stays.
    """
    along, unit = unit_of(x), unit_of(d)
    across = unit - (unit * along).sum(-1, keepdim=True) * along
    size = x.norm(dim=-1, keepdim=True)
    turned = size * (along * alpha.cos() + unit_of(across) * alpha.sin())
    return torch.where(across.norm(dim=-1, keepdim=True) > PARALLEL, turned, x)


def scale(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """x * (1 + alpha), whatever the direction."""
    return x * (1 + alpha)


def replace(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """Move the fraction alpha of the way from x to d (1: the state becomes d).

    With the fit set's mean states for d, it pulls towards what is usual; of an edit with a subspace
    only in there, or outside it.
    """
    return torch.lerp(x, d, alpha)


def restore_norm(x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
    """Give x the fraction alpha of the way back to the norm it had before other edits (1: all)."""
    size = x.norm(dim=-1, keepdim=True)
    wanted = torch.lerp(size, before.norm(dim=-1, keepdim=True), alpha)
    return torch.where(size > TINY, x * (wanted / size.clamp_min(TINY)), x)


def unit_of(d: Tensor) -> Tensor:
    """Rows of length 1; a zero row stays zero."""
    return d / d.norm(dim=-1, keepdim=True).clamp_min(TINY)


Function = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: `words` for a reader, and its function.

    `directed`: whether it needs a direction. `towards`: the method whose states it moves to instead
    of a direction of one's own.
    """

    words: str
    function: Function
    directed: bool = True
    towards: str = ""

    def __call__(self, x: Tensor, d: Tensor, alpha: Tensor, before: Tensor) -> Tensor:
        """States [n, D], edited."""
        return self.function(x, d, alpha, before)


OPERATIONS: dict[str, Operation] = {
    "add": Operation("add α times the direction", add),
    "project_out": Operation("remove the fraction α of the component along it", project_out),
    "clamp": Operation("set the component along it to α times its length", clamp),
    "rotate": Operation("turn the state by α radians towards it, norm kept", rotate),
    "scale": Operation("multiply the state by 1 + α", scale, directed=False),
    "replace": Operation("go the fraction α of the way to the direction as a state", replace),
    "restore_norm": Operation(
        "give back the fraction α of the norm that edits before it changed",
        restore_norm,
        directed=False,
    ),
    "pull_mean": Operation(
        "go the fraction α of the way to the fit set's mean state", replace, towards="mean_state"
    ),
    "pull_principal": Operation(
        "remove the fraction α of what lies outside the fit set's leading principal components",
        replace,
        towards="principal_state",
    ),
}
