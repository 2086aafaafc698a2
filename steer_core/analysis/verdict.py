"""One plain sentence on what a sweep shows, computed from its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steer_core.analysis import verdict_words as words
from steer_core.analysis.curves import LEVEL, Bools, Contrast, Curve
from steer_core.analysis.power import GOALS, NO_POWER, Power
from steer_core.analysis.statistics import check_share

Kind = Literal[
    "effect",
    "no effect",
    "edit never arrived",
    "too small to tell",
    "as random",
    "too few controls",
]

ARRIVED = 1e-5  # relative change of a hidden state below this is rounding in float32
GOAL = GOALS[0]  # the change that "pairs needed" speaks of: five points


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a curve shows.

    Attributes:
        kind: one of the six kinds.
        headline: the kind in a few words, with its number.
        sentence: one sentence that says why, with the numbers it rests on.
        alpha: the α that the sentence speaks of, None when it speaks of none.
        change: change in accuracy against α = 0 there, share −1..1.
        contrast: that change minus the mean of the nearest comparable controls there, share; None
            without such controls.
        bound: largest change in accuracy that still fits the answers at every α (95 %), share.
        power: what this run would have shown.
    """

    kind: Kind
    headline: str
    sentence: str
    alpha: float | None
    change: float | None
    contrast: float | None
    bound: float
    power: Power

    @property
    def smallest(self) -> float:
        """Smallest change, either way, that would have been called an effect; nan when none."""
        return max(self.power.gain, self.power.loss)


def judge(
    curve: Curve, power: Power = NO_POWER, *, level: float = LEVEL, limit: float = 0.15
) -> Verdict:
    """Judge one curve.

    In this order:

    1. *edit never arrived*: nothing flipped, and no logit of the answer changed or no hidden state
       there moved by more than rounding.
    2. *effect*: at one α, and in one direction, the change in accuracy differs from the mean of
       every comparable kind of controls, over pairs (adjusted p <= level) and among directions
       (exact p over the whole grid <= level). Where only the number of controls stands in the way,
       or there are no comparable ones and accuracy differs from α = 0, *too few controls*.
    3. Accuracy differs from α = 0 (adjusted p <= level), and so it does along controls: *as
       random*, and the headline names the kind.
    4. No α differs. x is the largest change that still fits the answers. If it is at most `limit`,
       *no effect on accuracy larger than x points*, else *too small to tell*.

    That step 2 asks for both tests is what holds false positives down: a direction that is one of
    its controls in all but name passes the second with a chance of at most `level`.

    Args:
        curve: the numbers, see `Curve`.
        power: what the run would have shown, see `power.power_of`.
        level: significance level.
        limit: largest x, share of pairs, that may still be called no effect. The default, 15
            points, is a little more than the largest effect that was reported for this kind of
            steering (12.8 points on GPT-2).

    Raises:
        UserError: when level or limit is not between 0 and 1.
    """
    for value, name in ((level, "level"), (limit, "limit")):
        check_share(value, name)
    if not arrived(curve):
        return never(curve, power)
    if (cells := effects(curve, level)).any():
        return effect(curve, telling(curve, cells), power)
    differs = curve.steered & (curve.p <= level)
    if (cells := unsettled(curve, level)).any() or (differs.any() and not curve.comparable):
        cells = cells if cells.any() else differs
        return too_few(curve, telling(curve, cells), level, power)
    if differs.any():
        return as_random(curve, telling(curve, differs), level, power)
    return flat(curve, limit, power)


def arrived(curve: Curve) -> bool:
    """Whether any edit changed anything that the answer is made of, as far as was measured."""
    edits = curve.steered
    if np.any((curve.wrong_to_right + curve.right_to_wrong)[edits]):
        return True
    if curve.logits_changed is not None and not np.any(curve.logits_changed[edits]):
        return False
    return curve.relative is None or bool(np.any(curve.relative[edits] > ARRIVED))


def effects(curve: Curve, level: float) -> Bools:
    """Where every comparable kind is passed, one way, by both tests, bool [A]."""
    return one_way(curve, level) & all_of(curve, lambda each: each.rank_p <= level)


def unsettled(curve: Curve, level: float) -> Bools:
    """Where only the number of controls stands between a curve and an effect, bool [A]."""

    def stands(each: Contrast) -> Bools:
        few = each.smallest_p > level
        return (each.rank_p <= level) | (few & (each.rank.ahead == 0))

    return one_way(curve, level) & all_of(curve, stands)


def one_way(curve: Curve, level: float) -> Bools:
    """Where it differs from every comparable kind's mean over pairs, in one direction, bool [A]."""
    if not curve.comparable:
        return np.zeros(curve.alphas.shape, bool)
    signs = [np.sign(each.change) * (each.p <= level) for each in curve.comparable]
    return curve.steered & (np.abs(np.sum(signs, axis=0)) == len(signs))


def all_of(curve: Curve, holds: Callable[[Contrast], Bools]) -> Bools:
    """Where something holds of every comparable kind, bool [A]."""
    return np.all([holds(each) for each in curve.comparable] or [False], axis=0)


def telling(curve: Curve, cells: Bools) -> int:
    """The α among the marked ones that is furthest from the controls, then the baseline."""
    worst = np.max(
        [np.zeros(cells.size), *(max_p(each) for each in curve.comparable)],
        axis=0,
    )
    order = np.lexsort((-np.abs(nearest(curve)), curve.p, worst, ~cells))
    return int(order[0])


def max_p(each: Contrast) -> np.ndarray:
    """The larger p [A] of the two tests."""
    return np.maximum(each.p, each.rank_p)


def nearest(curve: Curve) -> np.ndarray:
    """The smallest contrast [A] with a comparable kind; the change itself without any."""
    if not curve.comparable:
        return curve.change
    each = np.stack([kind.change for kind in curve.comparable])
    return np.take_along_axis(each, np.abs(each).argmin(0)[None], 0)[0]


def verdict(
    curve: Curve, kind: Kind, headline: str, rest: str, at: int | None, power: Power
) -> Verdict:
    """A verdict whose sentence begins with its headline."""
    return Verdict(
        kind=kind,
        headline=headline,
        sentence=f"{headline[0].upper()}{headline[1:]}: {rest}.",
        alpha=None if at is None else float(curve.alphas[at]),
        change=None if at is None else float(curve.change[at]),
        contrast=float(nearest(curve)[at]) if at is not None and curve.comparable else None,
        bound=float(curve.within[curve.steered].max()),
        power=power,
    )


def never(curve: Curve, power: Power) -> Verdict:
    """The verdict on an edit that changed nothing at the answer."""
    if curve.logits_changed is not None and not curve.logits_changed[curve.steered].any():
        what = "it left every logit of the answer unchanged"
    else:
        what = "it moved no hidden state at the answer by more than rounding"
    rest = (
        f"at each of {curve.steered.sum()} α and on all {curve.n} pairs {what}, so this flat line "
        "says nothing about the direction"
    )
    return verdict(curve, "edit never arrived", "edit never arrived", rest, None, power)


def effect(curve: Curve, at: int, power: Power) -> Verdict:
    """The verdict on a curve that stands apart from every comparable kind of controls."""
    headline = f"effect on {curve.measure.of}: {words.apart(nearest(curve)[at])} its controls"
    rest = f"{words.change_in_words(curve, at)}; {words.against(curve, at)}"
    return verdict(curve, "effect", headline, rest, at, power)


def too_few(curve: Curve, at: int, level: float, power: Power) -> Verdict:
    """The verdict on a curve that would be an effect if there were controls to tell it from."""
    headline = f"too few controls: {words.happens(curve, at)}"
    few = [each for each in curve.comparable if each.smallest_p > level]
    why = words.too_few(few, level) if few else words.missing(curve, level)
    shown = f"; {words.against(curve, at)}" if curve.contrasts else ""
    rest = f"{words.change_in_words(curve, at)}{shown}; {why}"
    return verdict(curve, "too few controls", headline, rest, at, power)


def as_random(curve: Curve, at: int, level: float, power: Power) -> Verdict:
    """The verdict on a curve that differs from the baseline as its controls do."""
    alike = [each for each in curve.comparable if max_p(each)[at] > level]
    names = words.named(alike or curve.comparable)
    headline = f"as random: {words.happens(curve, at)}, like {names} directions"
    rest = f"{words.change_in_words(curve, at)}; {words.against(curve, at)}"
    return verdict(curve, "as random", headline, rest, at, power)


def flat(curve: Curve, limit: float, power: Power) -> Verdict:
    """The verdict on a curve that differs from the baseline nowhere."""
    # All α must stay within x, which needs no correction for their number: one-sided at `level`.
    x = float(curve.within[curve.steered].max())
    could = words.power_in_words(curve, power)
    if x > limit:
        rest = (
            f"with {words.sample(curve)} and {curve.steered.sum()} α a change in "
            f"{curve.measure.of} of up to {words.points(x)} points still fits the answers "
            f"(95 % bound); {could}"
        )
        return verdict(curve, "too small to tell", "too small to tell", rest, None, power)
    at = int(np.argmax(np.where(curve.steered, np.abs(curve.change), -1)))
    headline = f"no effect on {curve.measure.of} larger than {words.points(x)} points (95 % bound)"
    rest = f"{words.largest_in_words(curve, at)}{words.moved_in_words(curve)}; {could}"
    return verdict(curve, "no effect", headline, rest, at, power)
