"""Edits: what is changed, where, and which of them cannot act."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steer_core.codi.config import CodiConfig
from steer_core.errors import UserError
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.sites import Site

ORTHONORMAL = 1e-3
"""How far products of the rows of a basis may be from 0 and 1."""
LARGEST_ALPHA = 1e12
"""Beyond it squares of edited states overflow float32, and what is decoded means nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """A part of the states' space: `basis` [K+1, r, D], orthonormal rows at each position.

    An edit of a subspace changes the components `inside` it, or with `inside` False all others.
    """

    basis: Tensor
    inside: bool = True

    def limit(self, change: Tensor, position: int) -> Tensor:
        """What is left of a change of states [n, D] at a position."""
        basis = self.basis[position].to(change)
        within = change @ basis.T @ basis
        return within if self.inside else change - within


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change of a model's latent reasoning.

    `direction` [K+1, D]: row k acts at position k (of sites `kv`, `keys`, `values` the numbers of
    all heads instead of D). `alpha`: signed coefficient in raw units (the edit is
    alpha * direction[k]), or one per position, [K+1] values: a schedule. `site`: see `SITES`; with
    `layer` 1..L where every block has it. `positions`: which of 0..K are edited. `operation`: see
    `OPERATIONS`. `subspace`: what of the change is made; None for all of it.
    """

    direction: Tensor
    alpha: float | tuple[float, ...]
    site: str = "residual"
    layer: int | None = None
    positions: tuple[int, ...] = ()
    operation: str = "add"
    subspace: Subspace | None = None

    @property
    def place(self) -> Site:
        """Where it acts; a layer that the site does not have is not looked at."""
        site = Site(self.site, self.layer)
        return site if site.has_layers else Site(self.site)

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
    width = edit.place.width(config)
    wanted = (config.latents + 1, width)
    if tuple(edit.direction.shape) != wanted:
        raise UserError(
            f"the direction has shape {list(edit.direction.shape)}, this model needs "
            f"{list(wanted)} (positions 0..{config.latents}, {width} numbers at site "
            f"{edit.site}); compute it with this model"
        )
    if not edit.direction.isfinite().all():
        raise UserError("the direction holds values that are not finite; compute it again")
    if edit.subspace is not None:
        check_subspace(edit.subspace, *wanted)


def check_subspace(subspace: Subspace, positions: int, width: int) -> None:
    """Raise a `UserError` for a basis of another shape, or one that is not orthonormal."""
    shape = tuple(subspace.basis.shape)
    if len(shape) != 3 or shape[::2] != (positions, width) or shape[1] > width:
        raise UserError(
            f"the subspace has shape {list(shape)}, this edit needs [{positions}, r, {width}] with "
            f"r at most {width}; compute it for this model and site"
        )
    product = subspace.basis.float() @ subspace.basis.float().transpose(1, 2)
    if not torch.allclose(product, torch.eye(shape[1]).expand_as(product), atol=ORTHONORMAL):
        raise UserError(
            "the rows of the subspace are not orthonormal at every position; give an orthonormal "
            "basis, such as the Q of a QR decomposition"
        )


def check_site(config: CodiConfig, site: str, layer: int | None) -> None:
    """Raise a `UserError` for an unknown site or a layer the model does not have."""
    Site(site, layer).check(config)


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
    """Positions whose edit can change no answer, each with the reason; see `Site.dead`."""
    dead = Site(site, layer).dead(config)
    return {position: dead[position] for position in sorted(positions) if position in dead}


def can_act(config: CodiConfig, edit: Edit) -> bool:
    """Whether an edit can change anything, hidden states included; else it is plain decoding."""
    # At K the last block's output changes no answer, but it is shown among the hidden states.
    return is_read(config, edit) or (edit.place.shown_when_dead and any_coefficient(edit))


def is_read(config: CodiConfig, edit: Edit) -> bool:
    """Whether an answer can depend on an edit."""
    return any_coefficient(edit, edit.place.dead(config))


def any_coefficient(edit: Edit, but: Container[int] = ()) -> bool:
    """Whether an edit has a coefficient other than 0 at any position, some left out."""
    return any(edit.coefficient(k) != 0.0 for k in edit.positions if k not in but)
