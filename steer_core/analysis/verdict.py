"""One plain sentence on what a sweep shows, computed from its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steer_core.analysis.curves import Curve
from steer_core.analysis.power import mcnemar_power, pairs_needed, smallest_change
from steer_core.analysis.statistics import check_share, paired_interval
from steer_core.analysis.verdict_words import (
    ahead,
    among,
    change_in_words,
    largest_in_words,
    moved_in_words,
    named,
    number,
    percent,
    points,
    too_few,
)

Kind = Literal["effect", "no effect", "edit never arrived", "too small to tell", "as random"]

ARRIVED = 1e-5  # relative change of a hidden state below this is rounding in float32
GOAL = 0.05  # the change that "pairs needed" speaks of: five points


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a curve shows.

    Attributes:
        kind: one of the five kinds.
        headline: the kind in a few words; "no effect larger than x points (power y)" with numbers.
        sentence: one sentence that says why, with the numbers it rests on.
        alpha: the α that the sentence speaks of, None when it speaks of none.
        change: change in accuracy at that α, share −1..1.
        smallest: smallest change that this sweep would have found with the asked power, share;
            nan when it could not have found any.
    """

    kind: Kind
    headline: str
    sentence: str
    alpha: float | None
    change: float | None
    smallest: float


def judge(curve: Curve, *, level: float = 0.05, power: float = 0.8, limit: float = 0.15) -> Verdict:
    """Judge one curve.

    In this order:

    1. *edit never arrived*: nothing flipped, and no logit of the answer changed or no hidden state
       there moved by more than rounding.
    2. Some α differs from the baseline (adjusted p <= level). If it also goes beyond every kind of
       control (exact p over the whole grid <= level), *effect*; if controls of a kind do as much,
       *as random*, and the headline names the kind; if there are too few controls for that p, *too
       small to tell*. Without any controls it is an *effect*, and the sentence says what is
       missing.
    3. No α differs. x is the smallest change that would have been found with the asked power, or
       the largest change that still fits the observed answers where that is more. If x is at most
       `limit`, *no effect larger than x points (power y)*, else *too small to tell*.

    That step 2 asks for both tests is what holds false positives down: a direction that is one of
    its controls in all but name passes the second with a chance of at most `level`.

    Args:
        curve: the numbers, see `Curve`.
        level: significance level.
        power: chance of finding a change that counts as enough.
        limit: largest x, share of pairs, that may still be called no effect. The default, 15
            points, is a little more than the largest effect that was reported for this kind of
            steering (12.8 points on GPT-2).

    Raises:
        UserError: when level, power or limit is not between 0 and 1.
    """
    for value, name in ((level, "level"), (power, "power"), (limit, "limit")):
        check_share(value, name)
    smallest = smallest_change(
        curve.n,
        curve.baseline / curve.n,
        noise=curve.noise,
        power=power,
        level=level / curve.tests,
    )
    if not arrived(curve):
        return never(curve, smallest)
    if np.any(differs := curve.steered & (curve.p <= level)):
        return different(curve, differs, level, smallest)
    return flat(curve, level, power, limit, smallest)


def arrived(curve: Curve) -> bool:
    """Whether any edit changed anything that the answer is made of, as far as was measured."""
    edits = curve.steered
    if np.any((curve.wrong_to_right + curve.right_to_wrong)[edits]):
        return True
    if curve.logits_changed is not None and not np.any(curve.logits_changed[edits]):
        return False
    return curve.relative is None or bool(np.any(curve.relative[edits] > ARRIVED))


def never(curve: Curve, smallest: float) -> Verdict:
    """The verdict on an edit that changed nothing at the answer."""
    if curve.logits_changed is not None and not curve.logits_changed[curve.steered].any():
        what = "it left every logit of the answer unchanged"
    else:
        what = "it moved no hidden state at the answer by more than rounding"
    sentence = (
        f"The edit never arrived: at each of {curve.steered.sum()} α and on all {curve.n} pairs "
        f"{what}, so this flat line says nothing about the direction."
    )
    return Verdict("edit never arrived", "edit never arrived", sentence, None, None, smallest)


def different(curve: Curve, differs: NDArray[np.bool_], level: float, smallest: float) -> Verdict:
    """The verdict on a curve that differs from the baseline at the marked α."""
    at = telling(curve, differs)
    alike = [kind for kind in curve.controls if ahead(kind, at) and kind.excess_p[at] > level]
    others = [kind for kind in curve.controls if kind not in alike]
    few = [kind for kind in others if kind.excess_p[at] > level]
    kind: Kind = "as random" if alike else "too small to tell" if few else "effect"
    headline = f"{kind}, like {named(alike)} directions" if alike else kind
    if alike:
        why = f", but {among(alike, at, 'some')}"
        why += f"; {among(others, at, 'any')}" if others else ""
    elif few:
        why = f", but {too_few(few, level)}"
    elif others:
        why = f"; {among(others, at, 'any')}"
    else:
        why = "; no controls were decoded, so a random direction might do the same"
    return Verdict(
        kind,
        headline,
        f"{headline.capitalize()}: {change_in_words(curve, at)}{why}.",
        float(curve.alphas[at]),
        float(curve.change[at]),
        smallest,
    )


def telling(curve: Curve, differs: NDArray[np.bool_]) -> int:
    """The α among the marked ones that is furthest from the controls, then the baseline."""
    size = np.abs(curve.change)
    worst = np.max([np.zeros_like(size), *(kind.excess_p for kind in curve.controls)], axis=0)
    order = np.lexsort((-size, curve.p, worst, ~differs))
    return int(order[0])


def flat(curve: Curve, level: float, power: float, limit: float, smallest: float) -> Verdict:
    """The verdict on a curve that differs from the baseline nowhere."""
    # All α must stay within x, which needs no correction for their number: one-sided at `level`.
    low, high = paired_interval(
        curve.wrong_to_right, curve.right_to_wrong, curve.n, level=1 - 2 * level
    )
    fits = float(np.max(np.maximum(-low, high)[curve.steered]))
    x = max(smallest, fits) if np.isfinite(smallest) else float("inf")
    if x > limit:
        return too_small(curve, level, power, x, smallest)
    chance = mcnemar_power(
        curve.n, min(x, 1 - curve.noise), noise=curve.noise, level=level / curve.tests
    )
    at = int(np.argmax(np.where(curve.steered, np.abs(curve.change), -1)))
    headline = f"no effect larger than {points(x)} points (power {percent(chance)})"
    sentence = f"{headline.capitalize()}: {largest_in_words(curve, at)}{moved_in_words(curve)}."
    return Verdict(
        "no effect",
        headline,
        sentence,
        float(curve.alphas[at]),
        float(curve.change[at]),
        smallest,
    )


def too_small(curve: Curve, level: float, power: float, x: float, smallest: float) -> Verdict:
    """The verdict on a flat curve whose pairs could not have shown much."""
    needed = pairs_needed(
        GOAL,
        curve.baseline / curve.n,
        noise=curve.noise,
        power=power,
        level=level / curve.tests,
    )
    can = (
        f"only changes of more than {points(x)} points can be ruled out"
        if np.isfinite(x)
        else "no change in accuracy could have been found"
    )
    more = "" if needed is None else f"; to find {number(100 * GOAL)} points takes {needed} pairs"
    sentence = (
        f"Too small to tell: with {curve.n} pairs and {curve.steered.sum()} α {can} with power "
        f"{percent(power)}{more}."
    )
    return Verdict("too small to tell", "too small to tell", sentence, None, None, smallest)
