"""Sites: where an edit acts, and everything that depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.cached_states import projected_states
from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError

LAYERED = ("residual", "kv", "keys", "values")
"""Sites that every block has: its output, and what it caches of a position."""
SITES = ("residual", "thought", "embedding", "kv", "keys", "values")
"""Output of a block, h_k before the projection, z_k after it; keys and values of a position as
later ones read them, both or one of them."""
SITE_WORDS = {
    "residual": "output of a block",
    "thought": "hidden state h_k on its way into the projection",
    "embedding": "latent thought z_k behind the projection",
    "kv": "keys and values of a position, as later ones read them",
    "keys": "keys of a position, which later ones look for",
    "values": "values of a position, which later ones take",
}
CACHED = ("kv", "keys", "values")
DEFAULT = "residual"


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """One place in a model: a site by name, with its block 1..L where it has one (else None)."""

    name: str
    layer: int | None = None

    def __str__(self) -> str:
        return self.name if self.layer is None else f"{self.name} {self.layer}"

    @property
    def has_layers(self) -> bool:
        """Whether every block has this site."""
        return self.name in LAYERED

    @property
    def cached(self) -> bool:
        """Whether it is a part of what a block caches."""
        return self.name in CACHED

    def check(self, config: CodiConfig) -> None:
        """Raise a `UserError` for an unknown site, or a layer that the model does not have."""
        if self.name not in SITES:
            raise UserError(f"unknown site '{self.name}'; choose one of {', '.join(SITES)}")
        if self.has_layers and (self.layer is None or not 1 <= self.layer <= config.layers):
            raise UserError(f"layer {self.layer} is out of range; choose 1..{config.layers}")

    def width(self, config: CodiConfig) -> int:
        """Numbers of a state: D, or those of all heads that keys, values or both of them have."""
        each = config.kv_heads * config.head_dim
        return {"kv": 2 * each, "keys": each, "values": each}.get(self.name, config.hidden)

    def dead(self, config: CodiConfig) -> dict[int, str]:
        """Positions where an edit can change no answer, each with the reason.

        h_K is projected by nobody, so an edit of site `thought` at K is never read, and neither is
        one of the last block's output there: later tokens attend to what the blocks were fed, and
        behind the last block comes only h_K. Nothing is embedded at position 0, so an edit of site
        `embedding` there has nothing to act on. Keys and values are read by all that follows.
        """
        last = config.latents
        if self.name == "thought":
            return {last: f"nothing projects h_{last} any more"}
        if self.name == "residual" and self.layer == config.layers:
            why = f"after block {self.layer} only h_{last} follows, and nothing reads it"
            return {last: why}
        if self.name == "embedding":
            return {0: "it is fed the BOT token; there is no z_0"}
        return {}

    @property
    def shown_when_dead(self) -> bool:
        """Whether an edit that changes no answer is still seen among the hidden states."""
        return self.name == "residual"

    def first(self, position: int) -> tuple[int, int]:
        """Where rows that are edited at a position part: (position, layer) for the decoder."""
        if self.name == "thought":
            return position + 1, 0
        return position, (self.layer or 0) if self.has_layers else 0

    def states(self, model: CodiModel, states: np.ndarray) -> np.ndarray:
        """What an edit is added to: recorded states [..., K+1, L+2, D] to [..., K+1, width].

        The embedding site has no state at position 0 (BOT is a token): zeros there.
        """
        if self.name == "residual":
            return states[..., self.layer, :]
        if self.cached:
            return cached_part(model, self, states)
        hidden = states[..., -1, :]
        if self.name == "thought":
            return hidden
        there = torch.from_numpy(np.ascontiguousarray(hidden)).to(model.device)
        return thoughts(model, there).cpu().numpy()

    def part(self, numbers: int) -> slice:
        """Which of the numbers of a cached state [keys | values] are this site's."""
        half = numbers // 2
        return {"keys": slice(half), "values": slice(half, None)}.get(self.name, slice(None))


def every_site(config: CodiConfig, names: tuple[str, ...] = SITES) -> list[Site]:
    """The sites of a model with these names, block by block where they have layers."""
    blocks = range(1, config.layers + 1)
    return [
        site
        for name in names
        for site in ([Site(name, layer) for layer in blocks] if name in LAYERED else [Site(name)])
    ]


@torch.inference_mode()
def thoughts(model: CodiModel, hidden: Tensor) -> Tensor:
    """z_k of h_{k-1}: float32 states [..., K+1, D] to embeddings [..., K+1, D], zeros at 0."""
    fed = model.projection(hidden[..., :-1, :].to(model.dtype)).float()
    return torch.cat((torch.zeros_like(hidden[..., :1, :]), fed), dim=-2)


@torch.inference_mode()
def cached_part(model: CodiModel, site: Site, states: np.ndarray) -> np.ndarray:
    """What a block caches of its inputs among recorded states."""
    assert site.layer is not None
    inputs = np.ascontiguousarray(states[..., site.layer - 1, :])
    x = torch.from_numpy(inputs).flatten(0, -2).to(model.device, model.dtype)
    found = projected_states(model.body, site.layer, x).cpu().numpy()
    return found.reshape(*inputs.shape[:-1], -1)[..., site.part(found.shape[-1])]
