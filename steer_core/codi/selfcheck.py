"""Three short forwards that a loaded model must pass, or nothing it decodes means anything.

They find what the shapes of a checkpoint cannot show: numbers that overflow, latent thoughts that
never reach the answer, edits that never arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from steer_core.codi.config import FAMILIES
from steer_core.codi.engine import run_batch
from steer_core.codi.layout import as_used
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import NoIntervention
from steer_core.codi.tensors import tensors_of
from steer_core.errors import UserError

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does he have?"
SMALLEST = 1e-3
"""A change of the answer's logits below this share of their spread (its std) counts as none."""

Outcome = tuple[Tensor, Tensor]
"""States [N, K+1, L+2, D] and the answer's first logits [N, V]."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `value` is what was measured, `advice` the next move where it failed."""

    name: str
    passed: bool
    value: str
    advice: str


class Unrecorded(NoIntervention):
    """Plain decoding that never becomes a recorded program: the check is of the model alone."""

    def as_data(self) -> None:
        """See `steer_core.codi.passes.Intervention`."""


class Nothing(Unrecorded):
    """An edit of coefficient 0 at every site, layer and position behind BOT."""

    first = (1, 0)

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.engine.Intervention`."""
        return x + 0.0 * torch.ones_like(x)


class PushAndBlank(Unrecorded):
    """Of three rows the first is plain, the second pushed in one layer, the third has no latents.

    Args:
        layer: Block whose output gets noise of its own size, at every position.
    """

    first = (0, 0)

    def __init__(self, layer: int):
        self.layer = layer

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """See `steer_core.codi.engine.Intervention`."""
        x = x.clone()
        if site == "residual" and layer == self.layer:
            noise = torch.randn(x.shape[1], generator=torch.Generator().manual_seed(position))
            x[1] += noise.to(x) * x[1].norm() / noise.norm().to(x)
        if site == "embedding":
            x[2] = 0.0
        return x


def self_check(model: CodiModel) -> tuple[Check, ...]:
    """Everything that is wrong or right with a loaded model, in three short forwards.

    Returns:
        The checks: weights and numbers are finite, results have the model's shapes, a coefficient
        of 0 changes nothing bit for bit, an edit changes the answer's logits, and so do the latent
        thoughts.
    """
    plain = forward(model, Unrecorded(), 1)
    zero = forward(model, Nothing(), 1)
    edited = forward(model, PushAndBlank(model.config.middle_layer), 3)
    return (whole(model), *sound(model, plain), identical(plain, zero), *effects(model, edited))


def require_checks(model: CodiModel) -> None:
    """Raise a `UserError` for a model that fails its self-check."""
    for check in self_check(model):
        if not check.passed:
            raise UserError(
                f"{model.name} fails its self-check: {check.name} ({check.value}); {check.advice}"
            )


def forward(model: CodiModel, intervention: NoIntervention, rows: int) -> Outcome:
    """One question up to the first token of its answer: states and logits."""
    result = run_batch(
        model,
        [model.encode(QUESTION)],
        rows,
        intervention,
        max_new_tokens=1,
        record=True,
        first_logits=True,
    )
    assert result.states is not None
    assert result.first_logits is not None
    return result.states, result.first_logits


def whole(model: CodiModel) -> Check:
    """Finite weights, those of tokens that the question does not hold too."""
    parts = chain(
        as_used(model.body, FAMILIES[model.config.family]), tensors_of(model.projection, "prj")
    )
    # The extremes of a tensor are not finite if any of its numbers is not; they take no memory.
    strange = [name for name, x in parts if not all(e.isfinite() for e in x.detach().aminmax())]
    dtype = str(model.dtype).removeprefix("torch.")
    return Check(
        "weights are finite",
        not strange,
        f"{len(strange)} tensors in {dtype} are not, {strange[0]} first" if strange else "all",
        "load it with --dtype float32, or fetch its files again",
    )


def sound(model: CodiModel, plain: Outcome) -> Iterator[Check]:
    """Finite numbers in the right shapes."""
    states, logits = plain
    finite = bool(states.isfinite().all() and logits.isfinite().all())
    dtype = str(model.dtype).removeprefix("torch.")
    yield Check(
        "numbers are finite",
        finite,
        f"largest state {states.abs().max():.3g} in {dtype}",
        "load it with --dtype float32, or fetch its files again",
    )
    config = model.config
    wanted = (1, config.latents + 1, config.layers + 2, config.hidden), (1, config.vocabulary)
    found = tuple(states.shape), tuple(logits.shape)
    yield Check(
        "shapes are the config's",
        found == wanted,
        f"states {list(found[0])}, logits {list(found[1])}",
        "give the base model it was trained on",
    )


def identical(plain: Outcome, zero: Outcome) -> Check:
    """An edit of coefficient 0 is no edit."""
    far = max(float((a - b).abs().max()) for a, b in zip(plain, zero, strict=True))
    return Check(
        "alpha 0 changes nothing",
        far == 0.0,
        f"largest difference {far:.3g}",
        "decoding is not repeatable on this device; try --device cpu",
    )


def effects(model: CodiModel, edited: Outcome) -> Iterator[Check]:
    """What an edit and the latent thoughts do to the answer's logits, in units of their spread."""
    plain, pushed, blank = edited[1]
    spread = float(plain.std())
    moved = float((pushed - plain).abs().max()) / max(spread, 1e-30)
    yield Check(
        "an edit changes the answer's logits",
        moved > SMALLEST,
        f"by {moved:.3g} of their spread, edited in layer {model.config.middle_layer}",
        "fetch its files again",
    )
    if model.config.latents == 0:
        return
    moved = float((blank - plain).abs().max()) / max(spread, 1e-30)
    yield Check(
        "latent thoughts change the answer's logits",
        moved > SMALLEST,
        f"by {moved:.3g} of their spread against no latents",
        "it answers without them: check that this is a CODI checkpoint",
    )
