"""Settings under a name: experiments of others, as this decoder does them."""

from __future__ import annotations

from dataclasses import dataclass

from steer_core.errors import UserError


@dataclass(frozen=True, slots=True)
class Preset:
    """A number of latents K to load the model with, and the site and positions of the edit.

    `any_layer`: a direction's file may have been computed at another site or layer.
    """

    name: str
    latents: int
    site: str
    positions: tuple[int, ...]
    about: str
    any_layer: bool = False


SEED_REPLAY = Preset(
    name="seed-replay",
    latents=5,
    site="thought",
    positions=(0, 1, 2, 3, 4, 5),
    about=(
        "five latents, edited in front of the projection at positions 0..5, whatever layer the "
        "direction was taken from"
    ),
    any_layer=True,
)
"""The steering experiment that found no effect of a direction on LLaMA-3.2-1B CODI.

It fed BOT as the first of six loop steps, so five latents were consumed, and it edited each final
hidden state; nothing read its sixth edit.
"""
PRESETS = {preset.name: preset for preset in (SEED_REPLAY,)}


def preset_of(name: str) -> Preset:
    """A preset by name, or a `UserError` that lists them."""
    if name not in PRESETS:
        raise UserError(f"unknown preset '{name}'; choose {', '.join(PRESETS)}")
    return PRESETS[name]
