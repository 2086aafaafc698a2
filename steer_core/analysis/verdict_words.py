"""Numbers of a curve put into words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from steer_core.analysis.controls import ControlRank
from steer_core.analysis.curves import Curve


def number(value: float) -> str:
    """A number as short as it can be, with a true minus sign: "−2.5"."""
    return f"{value:g}".replace("-", "−")


def points(share: float, *, sign: bool = False) -> str:
    """A share in percentage points with one decimal: "5.2", or "+5.2" and "−5.2" with a sign."""
    rounded = round(100 * share, 1) + 0.0  # no "−0.0"
    text = f"{rounded:+.1f}" if sign and rounded else f"{rounded:.1f}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share in percent: "80 %", with a decimal below 10 and above 90 where there is one."""
    value = 100 * share
    text = f"{value:.0f}" if 10 <= value <= 90 else f"{value:.1f}".removesuffix(".0")
    return f"{text} %"


def probability(p: float, name: str = "p") -> str:
    """A p-value: "p = 0.048", "p < 0.001"."""
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.2g}"


def change_in_words(curve: Curve, at: int) -> str:
    """What happens to accuracy at the α of this index, with the counts behind it."""
    change = curve.change[at]
    return (
        f"at α = {number(curve.alphas[at])} accuracy {'rises' if change > 0 else 'falls'} by "
        f"{points(abs(change))} points, from {points(curve.baseline / curve.n)} % to "
        f"{points(curve.accuracy[at])} % of {curve.n} pairs ({curve.wrong_to_right[at]} won, "
        f"{curve.right_to_wrong[at]} lost, {probability(curve.p[at], 'adjusted p')})"
    )


def largest_in_words(curve: Curve, at: int) -> str:
    """The largest change on a flat curve, at the α of this index."""
    where = f"over {curve.steered.sum()} α on {curve.n} pairs"
    if not np.any((curve.wrong_to_right + curve.right_to_wrong)[curve.steered]):
        return f"{where} no answer changed between right and wrong"
    return (
        f"{where} the largest change is {points(curve.change[at], sign=True)} points, at α = "
        f"{number(curve.alphas[at])} ({probability(curve.p[at], 'adjusted p')})"
    )


def moved_in_words(curve: Curve) -> str:
    """That the edit arrived, with the size of what it did; nothing when that was not measured."""
    if curve.relative is None:
        return ""
    most = percent(curve.relative[curve.steered].max())
    return f"; the edit did arrive, moving hidden states at the answer by up to {most}"


def among(kinds: Sequence[ControlRank], at: int, where: str) -> str:
    """How many controls of each kind go as far beyond the others as the direction does there."""
    counts = " and ".join(
        f"{ahead(kind, at) or 'none'} of {kind.controls} {kind.name} directions "
        f"({probability(kind.excess_p[at])})"
        for kind in kinds
    )
    return f"{counts} stand out as much at {where} α"


def ahead(kind: ControlRank, at: int) -> int:
    """Number of controls at least as extreme, from their exact p."""
    return round(kind.excess_p[at] * (1 + kind.controls)) - 1


def named(kinds: Sequence[ControlRank]) -> str:
    """The kinds by name: "random and label-shuffled"."""
    return " and ".join(kind.name for kind in kinds)


def too_few(kinds: Sequence[ControlRank], level: float) -> str:
    """Why the direction cannot be told from so few controls."""
    least = max(kinds, key=lambda kind: kind.smallest_p)
    needed = math.ceil(1 / level - 1e-9) - 1
    return (
        f"{least.controls} {least.name} directions cannot give less than "
        f"{probability(least.smallest_p)}; decode at least {needed} of them"
    )
