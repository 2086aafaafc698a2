"""One sentence on an edit: where it died, or what it moved. Computed, never written by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.config import CodiConfig
from steer_core.data.answers import Number
from steer_core.steering.edits import any_coefficient, is_read
from steer_core.steering.uses import Edits

ABSORBED = 0.01
"""Relative change of every latent thought below which the projection's LayerNorm took the edit."""
UNREAD_KL, UNREAD_MARGIN = 1e-4, 1e-2
"""Nats, and logits, below which nothing reached the answer's first number."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a sentence rests on, as in `Trace`; `answers`: of the baseline and edited."""

    edits: Edits
    thought: NDArray[np.float32]
    cached: NDArray[np.float32]
    read: NDArray[np.float32]
    kl: float
    margin: float
    answers: tuple[Number | None, Number | None]


def finding(config: CodiConfig, found: Finding) -> tuple[str, str]:
    """The outcome in one or two words, and the sentence."""
    return nothing(config, found) or stopped(found) or arrived(found)


def nothing(config: CodiConfig, found: Finding) -> tuple[str, str] | None:
    """Edits that cannot act, and why; None where one can."""
    edits = found.edits
    if not any(edit.positions for edit in edits):
        return "empty mask", "No position is chosen, so nothing is edited."
    if not any(any_coefficient(edit) for edit in edits):
        return "no edit", "α is 0 at every chosen position, so nothing is edited."
    moving = [edit for edit in edits if moves(edit)]
    if not moving:
        return "zero direction", "The direction is zero at every edited position."
    if not any(is_read(config, edit) for edit in moving):
        reasons = {
            f"position {k}: {why}"
            for edit in moving
            for k, why in edit.place.dead(config).items()
            if k in edit.positions
        }
        return "dead site", f"The edit is never read: {'; '.join(sorted(reasons))}."
    return None


def moves(edit) -> bool:
    """Whether an edit has anything to move along, at a position with a coefficient."""
    if edit.operation in ("scale", "replace", "restore_norm"):
        return True
    acting = [k for k in edit.positions if edit.coefficient(k) != 0.0]
    return bool(acting) and bool(edit.direction[acting].any())


def stopped(found: Finding) -> tuple[str, str] | None:
    """Edits that were made and died on the way."""
    left = float(found.thought.max(initial=0.0))
    if all(edit.site == "thought" for edit in found.edits) and left < ABSORBED:
        return "absorbed", (
            f"Absorbed: behind the projection's LayerNorm no latent thought moves by more than "
            f"{share(left)} (below {share(ABSORBED)})."
        )
    if found.kl < UNREAD_KL and abs(found.margin) < UNREAD_MARGIN:
        k, layer = strongest(found.cached)
        return "not read", (
            f"Arrived, but off what the answer reads: keys and values move by up to "
            f"{share(float(found.cached.max()))} (position {k}, block {layer + 1}), latent "
            f"thoughts by {share(left)}, and the answer's first number by {found.kl:.1g} nats."
        )
    return None


def arrived(found: Finding) -> tuple[str, str]:
    """Edits that reached the answer."""
    k, layer = strongest(found.read)
    one, two = found.answers
    flips = (
        "the answer stays" if one == two else f"the answer turns from {said(one)} to {said(two)}"
    )
    return "arrived", (
        f"Arrived: the answer reads it most at position {k}, block {layer + 1}; its first number "
        f"changes by {found.kl:.2g} nats, the margin by {found.margin:+.2g}, and {flips}."
    ).replace("-", "−")


def said(answer: Number | None) -> str:
    """An answer in a sentence."""
    return "no number" if answer is None else str(answer)


def strongest(values: NDArray[np.float32]) -> tuple[int, int]:
    """Row and column of the largest."""
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.2g} %"
