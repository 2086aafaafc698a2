"""How the engine's time grows with the number of alphas, pairs and layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from steer_core.bench.measure import engine
from steer_core.bench.shapes import Subject, spread

ALPHAS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Growth:
    """Seconds at several sizes of one thing; `exponent` fits seconds ~ size ** exponent.

    `doubling` is the geometric mean of what twice the size costs.
    """

    what: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    exponent: float
    doubling: float


def growths(subject: Subject, repeats: int) -> list[Growth]:
    """Over the alphas of one problem, the pairs and the layers, one at a time."""
    one = replace(subject, problems=subject.problems[:1], layers=subject.layers[:1])
    some = replace(subject, layers=subject.layers[:1])
    pairs = [n for n in (15, 30, 60, 120, 240) if n <= len(subject.problems)]
    part = cut(some, 30)
    layers = [n for n in (1, 2, 4, 8, 16) if n <= subject.model.config.layers]
    found = [growth("alphas of one problem", ALPHAS, lambda n: (one, alphas_of(n)), repeats)]
    if len(pairs) > 1:
        found.append(growth("pairs", pairs, lambda n: (cut(some, n), alphas_of(13)), repeats))
    if len(layers) > 1:
        found.append(growth("layers", layers, lambda n: (at(part, n), alphas_of(13)), repeats))
    return found


def growth(
    what: str,
    sizes: Sequence[int],
    case: Callable[[int], tuple[Subject, Sequence[float]]],
    repeats: int,
) -> Growth:
    """The best of several runs at every size, sizes in turn."""
    best = {size: float("inf") for size in sizes}
    for _ in range(repeats + 1):  # the first round warms up
        for size in sizes:
            subject, alphas = case(size)
            subject.model.session.forget()
            best[size] = min(best[size], engine(subject, alphas, None)[0])
    seconds = tuple(best[size] for size in sizes)
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return Growth(what, tuple(sizes), seconds, slope, 2.0**slope)


def alphas_of(count: int) -> list[float]:
    """So many alphas from -3 to 3, none of them 0."""
    return [-3 + 6 * (i + 0.5) / count for i in range(count + count % 2)][:count]


def cut(subject: Subject, problems: int) -> Subject:
    """The first problems only."""
    return replace(subject, problems=subject.problems[:problems])


def at(subject: Subject, layers: int) -> Subject:
    """So many layers, evenly apart."""
    return replace(subject, layers=spread(subject.model.config.layers, layers))
