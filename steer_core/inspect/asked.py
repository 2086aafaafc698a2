"""What can be looked at in one question, as a value that knows no model: the key of caches."""

from __future__ import annotations

from dataclasses import dataclass

from steer_core.data.answers import Number

TRACE, LENS, EARLY, ATTENTION, SWAP, MAP, FLIP = LOOKS = (
    *("trace", "lens", "early", "attention"),
    *("swap", "map", "flip"),
)


@dataclass(frozen=True, slots=True)
class SwapAsked:
    """What a question's latents are replaced by.

    `kind`: see `steer_core.inspect.swap.KINDS`; `donor`: the question whose states are taken, for
    kind `question`; `site` and `layer` (None where it has none) of what is replaced; `positions` of
    0..K, None for all latent ones.
    """

    kind: str = "question"
    donor: str | None = None
    site: str = "embedding"
    layer: int | None = None
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LookAsked:
    """One instrument on one question.

    `what`: one of `LOOKS`; `values`: numbers whose place a lens marks, such as results of steps;
    `block`: whose heads are shown one by one (attention), None for the mean of each block; `tuned`:
    a lens with translators; `swap`: what of, for a swap.
    """

    what: str
    question: str
    values: tuple[Number, ...] = ()
    block: int | None = None
    tuned: bool = False
    swap: SwapAsked | None = None
