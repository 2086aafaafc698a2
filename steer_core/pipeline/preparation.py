"""What is said of prepared pairs without holding them: kept with every run that swept over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steer_core.pipeline.prepared import (
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
