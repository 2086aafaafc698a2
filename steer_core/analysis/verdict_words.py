"""Numbers of a curve put into words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from steer_core.analysis.curves import Contrast, Curve
from steer_core.analysis.power import GOALS, Power
from steer_core.names import COMPARABLE


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


def moved(change: float) -> str:
    """Which way accuracy goes: "falls by 25.0 points"; "does not change"."""
    if not round(100 * change, 1):
        return "does not change"
    return f"{'rises' if change > 0 else 'falls'} by {points(abs(change))} points"


def happens(curve: Curve, at: int) -> str:
    """What the count does at the α of this index: "accuracy falls by 25.0 points"."""
    if not curve.measure.do:
        return f"{curve.measure.of} {moved(curve.change[at])}"
    return f"{points(curve.accuracy[at])} % of answers {curve.measure.do}"


def apart(contrast: float) -> str:
    """Where a change lies against another: "20.0 points above"."""
    return f"{points(abs(contrast))} points {'above' if contrast > 0 else 'below'}"


def sample(curve: Curve) -> str:
    """The pairs behind a curve, and that they hang together."""
    together = f" in {curve.groups} clusters" if curve.clustered else ""
    return f"{curve.n} pairs{together}"


def adjusted(curve: Curve, at: int) -> str:
    """The adjusted p of a change against α = 0, and for how many looks."""
    looks = f", for {number(round(curve.looks, 2))} looks at these pairs" if curve.looks > 1 else ""
    return f"{probability(curve.p[at], 'adjusted p')}{looks}"


def change_in_words(curve: Curve, at: int) -> str:
    """What happens at the α of this index, with the counts behind it."""
    if curve.measure.do:
        counts = f"{curve.wrong_to_right[at]} of {sample(curve)}"
        return f"at α = {number(curve.alphas[at])} {happens(curve, at)} ({counts})"
    return (
        f"at α = {number(curve.alphas[at])} accuracy {moved(curve.change[at])}, from "
        f"{points(curve.start)} % to {points(curve.accuracy[at])} % of {sample(curve)} "
        f"({curve.wrong_to_right[at]} won, {curve.right_to_wrong[at]} lost; against α = 0 "
        f"{adjusted(curve, at)})"
    )


def against(curve: Curve, at: int) -> str:
    """Where the change lies among the controls of each kind, comparable ones first."""
    first = sorted(curve.contrasts, key=lambda each: not each.comparable)
    return "; ".join(among(each, at) for each in first)


def among(each: Contrast, at: int) -> str:
    """The contrast with one kind, and how many of its controls stand out as much."""
    rank = each.rank
    return (
        f"{apart(each.change[at])} the mean of {rank.controls} {each.name} directions "
        f"({probability(each.p[at], 'adjusted p')}), of which {rank.here[at] or 'none'} "
        f"{'stand' if rank.here[at] != 1 else 'stands'} out as much at this α and "
        f"{rank.ahead[at] or 'none'} at any α of any curve ({probability(each.rank_p[at])})"
    )


def largest_in_words(curve: Curve, at: int) -> str:
    """The largest change on a flat curve, at the α of this index."""
    where = f"over {curve.steered.sum()} α on {sample(curve)}"
    if curve.measure.do:
        if not curve.wrong_to_right[curve.steered].any():
            return f"{where} no answer {curve.measure.does}"
        return f"{where} at most {happens(curve, at)}, at α = {number(curve.alphas[at])}"
    if not np.any((curve.wrong_to_right + curve.right_to_wrong)[curve.steered]):
        return f"{where} no answer changed between right and wrong"
    return (
        f"{where} the largest change is {points(curve.change[at], sign=True)} points, at α = "
        f"{number(curve.alphas[at])} ({adjusted(curve, at)})"
    )


def moved_in_words(curve: Curve) -> str:
    """That the edit arrived, with the size of what it did; nothing when that was not measured."""
    if curve.relative is None:
        return ""
    most = percent(curve.relative[curve.steered].max())
    return f"; the edit did arrive, moving hidden states at the answer by up to {most}"


def power_in_words(curve: Curve, power: Power) -> str:
    """What would have been called an effect with a chance of 80 %, and what more would take."""
    if curve.measure.do:
        return "how large a share would have been found was not simulated"
    if not curve.comparable:
        return f"nothing could have been called an effect without {kinds_in_words()} controls"
    sizes = [
        f"a {name} of {points(size)} points"
        for name, size in (("gain", power.gain), ("loss", power.loss))
        if not math.isnan(size)
    ]
    could = " or ".join(sizes) or "no change in accuracy"
    text = f"{could} at every α of one sign would have been called an effect with power 80 %"
    return f"{text}{needed_in_words(power)}"


def needed_in_words(power: Power) -> str:
    """How many pairs would show the changes that are usually asked for."""
    parts = [
        f"{number(100 * goal)} points takes {power.needed[goal]} pairs"
        for goal in GOALS
        if power.needed[goal] is not None
    ]
    return f"; to show {' and '.join(parts)}" if parts else ""


def named(kinds: Sequence[Contrast]) -> str:
    """The kinds by name: "random and label-shuffled"."""
    return " and ".join(each.name for each in kinds)


def kinds_in_words() -> str:
    """The comparable kinds, as commands take them."""
    return f"{', '.join(COMPARABLE[:-1])} or {COMPARABLE[-1]}"


def enough_controls(level: float, looks: float) -> int:
    """How many controls of a kind give a p of the level."""
    return math.ceil(looks / level - 1e-9) - 1


def too_few(kinds: Sequence[Contrast], level: float) -> str:
    """Why the direction cannot be told from so few controls, and the command that adds more."""
    least = max(kinds, key=lambda each: each.smallest_p)
    needed = enough_controls(level, least.looks)
    option = ",".join(f"{each.kind}={needed}" for each in kinds)
    return (
        f"{least.rank.controls} {least.name} directions cannot give less than "
        f"{probability(least.smallest_p)}: sweep with --controls {option}"
    )


def missing(curve: Curve, level: float) -> str:
    """That no comparable controls were decoded, and the command that adds them."""
    only = "only isotropic noise was" if curve.contrasts else "no controls were"
    return (
        f"{only} decoded beside it, and a direction without meaning that lies where the states "
        f"vary ({kinds_in_words()}) might do the same: sweep with --controls "
        f"{COMPARABLE[0]}={enough_controls(level, curve.looks)}"
    )
