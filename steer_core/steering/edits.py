"""Edits: what is changed, where, and which of them cannot act."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from steer_core.codi.config import CodiConfig
from steer_core.errors import UserError
from steer_core.steering.operations import OPERATIONS

SITES = ("residual", "thought", "embedding")
"""Where an edit acts: output of a block, h_k before the projection, z_k after it."""

LARGEST_ALPHA = 1e12
"""Beyond it squares of edited states overflow float32, and what is decoded means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change of a model's latent reasoning.

    `direction` [K+1, D]: row k acts at position k. `alpha`: signed coefficient in raw units
    (the edit is alpha * direction[k]), or one per position, [K+1] values: a schedule. `site`:
    `residual` (output of block `layer`, counted from 1), `thought` or `embedding`, which have no
    layer. `positions`: which of 0..K are edited. `operation`: see `OPERATIONS`.
    """

    direction: Tensor
    alpha: float | tuple[float, ...]
    site: str = "residual"
    layer: int | None = None
    positions: tuple[int, ...] = ()
    operation: str = "add"

    def coefficient(self, position: int) -> float:
        """The coefficient at a position; 0 outside the mask."""
        if position not in self.positions:
            return 0.0
        return self.alpha[position] if isinstance(self.alpha, tuple) else self.alpha


def check_edit(config: CodiConfig, edit: Edit) -> None:
    """Raise a `UserError` where an edit does not fit the model."""
    check_site(config, edit.site, edit.layer)
    check_positions(config, edit.positions)
    if edit.operation not in OPERATIONS:
        raise UserError(
            f"unknown operation '{edit.operation}'; choose one of {', '.join(OPERATIONS)}"
        )
    check_schedule(config, edit.alpha)
    wanted = (config.latents + 1, config.hidden)
    if tuple(edit.direction.shape) != wanted:
        raise UserError(
            f"the direction has shape {list(edit.direction.shape)}, this model needs "
            f"{list(wanted)} (positions 0..{config.latents}, hidden size {config.hidden}); "
            "compute it with this model"
        )
    if not edit.direction.isfinite().all():
        raise UserError("the direction holds values that are not finite; compute it again")


def check_site(config: CodiConfig, site: str, layer: int | None) -> None:
    """Raise a `UserError` for an unknown site or a layer the model does not have."""
    if site not in SITES:
        raise UserError(f"unknown site '{site}'; choose one of {', '.join(SITES)}")
    if site == "residual" and (layer is None or not 1 <= layer <= config.layers):
        raise UserError(f"layer {layer} is out of range; choose 1..{config.layers}")


def check_positions(config: CodiConfig, positions: Sequence[int]) -> None:
    """Raise a `UserError` for positions outside 0..K."""
    wrong = [k for k in positions if not 0 <= k <= config.latents]
    if wrong:
        raise UserError(f"position {wrong[0]} is out of range; choose from 0..{config.latents}")


def check_schedule(config: CodiConfig, alpha: float | tuple[float, ...]) -> None:
    """Raise a `UserError` for an alpha that is not finite, or a schedule of another length."""
    check_alphas(alpha if isinstance(alpha, tuple) else (alpha,))
    wanted = config.latents + 1
    if isinstance(alpha, tuple) and len(alpha) != wanted:
        raise UserError(
            f"the schedule has {len(alpha)} alphas, this model needs {wanted} "
            f"(positions 0..{config.latents}); give one for each position"
        )


def check_alphas(alphas: Sequence[float]) -> None:
    """Raise a `UserError` for an alpha that is not finite or too large, or for none at all."""
    if not len(alphas):
        raise UserError("no alpha given; give at least one finite number, such as 1.5")
    wrong = [a for a in alphas if not math.isfinite(a)]
    if wrong:
        raise UserError(f"alpha {wrong[0]} is not finite; give a finite number, such as 1.5")
    large = [a for a in alphas if abs(a) > LARGEST_ALPHA]
    if large:
        raise UserError(f"alpha {large[0]:g} is beyond ±{LARGEST_ALPHA:g}; give a smaller one")


def dead_positions(
    config: CodiConfig, site: str, layer: int | None, positions: Sequence[int]
) -> dict[int, str]:
    """Positions whose edit can change no answer, each with the reason.

    h_K is projected by nobody, so an edit of site `thought` at K is never read, and neither is one
    of the last block's output there: later tokens attend to what the blocks were fed, and behind
    the last block comes only h_K. Nothing is embedded at position 0, so an edit of site `embedding`
    there has nothing to act on.
    """
    dead = {}
    for position in sorted(positions):
        last = position == config.latents
        if site == "thought" and last:
            dead[position] = f"nothing projects h_{position} any more"
        if site == "residual" and layer == config.layers and last:
            dead[position] = f"after block {layer} only h_{position} follows, and nothing reads it"
        if site == "embedding" and position == 0:
            dead[position] = "it is fed the BOT token; there is no z_0"
    return dead


def can_act(config: CodiConfig, edit: Edit) -> bool:
    """Whether an edit can change anything, hidden states included; else it is plain decoding."""
    dead = dead_positions(config, edit.site, edit.layer, edit.positions)
    # At K the last block's output changes no answer, but it is shown among the hidden states.
    shown = edit.site == "residual"
    return any(edit.coefficient(k) != 0.0 for k in edit.positions if shown or k not in dead)


def is_read(config: CodiConfig, edit: Edit) -> bool:
    """Whether an answer can depend on an edit."""
    dead = dead_positions(config, edit.site, edit.layer, edit.positions)
    return any(edit.coefficient(k) != 0.0 for k in edit.positions if k not in dead)
