"""What a checkpoint may say of itself beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from steer_core.data.json_file import read_json
from steer_core.errors import UserError

LATENTS, MOST_LATENTS = 6, 64
NOTES = "codi.json"
"""The official layout has no such file."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What `codi.json` may say."""

    latents: int = LATENTS
    keep_eos: bool = False


def read_notes(folder: Path) -> Notes:
    """The notes of a checkpoint, or the usual ones.

    Raises:
        UserError: for a file that says something else, or a number of latents out of range.
    """
    path = folder / NOTES
    if not path.is_file():
        return Notes()
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path} is no JSON object; correct or delete it")
    latents, keep_eos = found.get("latents", LATENTS), found.get("keep_eos", False)
    whole = type(latents) is int and 0 <= latents <= MOST_LATENTS
    if not whole or type(keep_eos) is not bool:
        raise UserError(
            f"{path} says latents {latents!r:.40}, keep_eos {keep_eos!r:.40}; they must be "
            f"0..{MOST_LATENTS} and true or false"
        )
    return Notes(latents, keep_eos)
