"""What is said of prepared pairs without holding them: kept with every run that swept over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steer_core.pipeline.funnel import (
    BALANCED,
    EVERY,
    FIT_BALANCED,
    OF_THESE,
    PASS,
    SWAPPED,
    TURNED,
)
from steer_core.pipeline.prepared import (
    CORRECT,
    FIT,
    FunnelStep,
    Necessity,
    Prepared,
    plain,
    read_positions,
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Where the pairs of a run come from.

    `counts`: pairs of each split by label; `set_aside`: unused pairs by the reason; the others are
    those of `Prepared`.
    """

    pairs_name: str
    command: str
    necessity: Necessity
    funnel: tuple[FunnelStep, ...]
    counts: Mapping[str, Mapping[str, int]]
    set_aside: Mapping[str, int]
    findings: tuple[str, ...]

    @classmethod
    def of(cls, prepared: Prepared) -> Preparation:
        """What a set of prepared pairs says of itself."""
        return cls(**{name.name: getattr(prepared, name.name) for name in dataclasses.fields(cls)})

    def before_balance(self, split: str | None) -> FunnelStep | None:
        """Right answers among those a split was balanced from; None where it was not."""
        steps = {step.name: step for step in self.funnel}
        chosen = BALANCED in steps or (FIT_BALANCED in steps and split == FIT)
        return steps.get(f"{OF_THESE} {CORRECT}") if chosen else None

    @property
    def swapped(self) -> tuple[FunnelStep, FunnelStep] | None:
        """Pairs whose answer is another on the twin's latents, and the twin's; None: not tested."""
        steps = {step.name: step for step in self.funnel}
        return (steps[TURNED], steps[SWAPPED]) if SWAPPED in steps else None

    @property
    def filter(self) -> FunnelStep | None:
        """The step that kept pairs by their need of latents; None where all were kept."""
        steps = (step for step in self.funnel if step.name.startswith(PASS))
        return next((step for step in steps if step.name != f"{PASS} '{EVERY}'"), None)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Preparation:
        """The inverse of `to_json`."""
        return cls(
            **{
                **value,
                "necessity": Necessity(**read_positions(value["necessity"])),
                "funnel": tuple(FunnelStep(**step) for step in value["funnel"]),
                "findings": tuple(value["findings"]),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
