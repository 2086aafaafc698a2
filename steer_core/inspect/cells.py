"""Tables over pairs: shares and means by place with intervals, each beside its counterpart's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.analysis.statistics import wilson

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry of a table.

    `group`: what it counts, such as `z3`; `position`, `layer`, `step`: where, None where it has
    none. Over n: `value` with its 95 % interval, NaN where nothing is known; `control`, the same of
    the random counterpart. `p` of the value against the counterpart, where there is an exact one.
    """

    group: str
    position: int | None
    layer: int | None
    step: int | None
    n: int
    value: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Atlas:
    """A table over `done` of `total` pairs: what `measure` says, and what `control` is."""

    what: str
    measure: str
    control: str
    done: int
    total: int
    cells: tuple[Cell, ...]


Place = tuple[str, int | None, int | None, int | None]
"""Group, position, layer and step of a cell."""


@dataclass(slots=True, eq=False)
class Counts:
    """What was seen so far, by place: values of pairs, and of their counterparts."""

    seen: dict[Place, list[float]]
    random: dict[Place, list[float]]

    @classmethod
    def empty(cls) -> Counts:
        return cls({}, {})

    def note(self, place: Place, value: float | None, random: float | None = None) -> None:
        """Enter a pair's value and its counterpart's, where there is one."""
        for held, one in ((self.seen, value), (self.random, random)):
            kept = held.setdefault(place, [])
            if one is not None and math.isfinite(one):
                kept.append(float(one))

    def cells(self, shares: bool) -> tuple[Cell, ...]:
        """Every place, in the order in which they came."""
        between = share_of if shares else mean_of
        return tuple(
            Cell(*place, len(values), *between(values), *between(self.random[place]))
            for place, values in self.seen.items()
        )


def share_of(values: Sequence[float]) -> tuple[float, float, float]:
    """A share with its Wilson 95 % interval."""
    if not values:
        return math.nan, math.nan, math.nan
    hits, n = int(sum(values)), len(values)
    low, high = wilson(hits, n)
    return hits / n, float(low), float(high)


def mean_of(values: Sequence[float]) -> tuple[float, float, float]:
    """A mean with its normal 95 % interval."""
    if not values:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return mean, mean - Z95 * error, mean + Z95 * error
