"""Labels of problems that a direction may tell apart: correctness, sizes, steps, twins.

A label parts some of a fit set's problems in two sides, `high` and low; a direction points from the
low side to the high one.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steer_core.data.answers import Number
from steer_core.data.problems import Problem
from steer_core.errors import UserError, shortened
from steer_core.steering.fit import FitSet

CORRECT = "correct"


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Two sides of a fit set: `rows` int [m], which problems; `high` bool [m], on which side.

    `pairs` int [m]: twins share a number. `paired`: the sides are twins, so they are shuffled
    within pairs.
    """

    rows: np.ndarray
    high: np.ndarray
    pairs: np.ndarray
    paired: bool = False

    @property
    def counts(self) -> tuple[int, int]:
        """Problems on the high and on the low side."""
        return int(self.high.sum()), int((~self.high).sum())

    def shuffled(self, seed: int) -> Sides:
        """The same problems on random sides, as many on each as before."""
        chance = np.random.default_rng(seed)
        if not self.paired:
            return dataclasses.replace(self, high=chance.permutation(self.high))
        _, pair = np.unique(self.pairs, return_inverse=True)
        turned = chance.random(pair.max() + 1) < 0.5
        return dataclasses.replace(self, high=self.high ^ turned[pair])


@dataclass(frozen=True, slots=True)
class Label:
    """A label: `words` for high against low; `values` of a fit set's problems, `option` given.

    The values are bool or None for a problem on neither side. `twins`: it needs both twins of every
    pair, and tells them apart.
    """

    words: str
    values: Callable[[FitSet, str], list[bool | None]]
    twins: bool = False


def sides_of(fit: FitSet, label: str) -> tuple[FitSet, Sides]:
    """The sides of a label, and the fit set that they are of: the one given, or with twins.

    Args:
        fit: The fit set.
        label: One of `LABELS`, with a value behind `=` where one is chosen (`operation=*`).

    Raises:
        UserError: for an unknown label, or one that leaves a side empty.
    """
    name, _, option = label.partition("=")
    found = LABELS.get(name)
    if found is None:
        raise UserError(f"unknown label '{shortened(name)}'; choose one of {', '.join(LABELS)}")
    if found.twins:
        fit = fit.with_twins()
    values = found.values(fit, option)
    rows = np.array([i for i, value in enumerate(values) if value is not None], dtype=int)
    high = np.array([bool(values[i]) for i in rows], dtype=bool)
    if high.all() or not high.any():
        raise UserError(
            f"label {shortened(label)} has {high.sum()} of {len(values)} problems on one side and "
            f"{(~high).sum()} on the other; both need some: choose another label or other pairs"
        )
    return fit, Sides(rows, high, fit.pair_numbers[rows], found.twins)


def by_thirds(of: Callable[[Problem], float | None]) -> Callable[[FitSet, str], list[bool | None]]:
    """The top third of a number against its bottom third, those between on neither side."""

    def values(fit: FitSet, option: str) -> list[bool | None]:
        known = [of(problem) for problem in fit.problems]
        numbers = np.array([number for number in known if number is not None], float)
        if not len(numbers):
            return [None] * len(known)
        low, high = np.quantile(numbers, (1 / 3, 2 / 3), method="nearest")
        above = np.greater if low == high else np.greater_equal
        return [None if x is None else third(x, low, bool(above(x, high))) for x in known]

    return values


def third(value: float, low: float, above: bool) -> bool | None:
    """True above, False at `low` or below it, else None."""
    return True if above else False if value <= low else None


def by_class(of: Callable[[Problem], str | None]) -> Callable[[FitSet, str], list[bool | None]]:
    """One class, the commonest unless another is named, against all others."""

    def values(fit: FitSet, option: str) -> list[bool | None]:
        known = [of(problem) for problem in fit.problems]
        classes = Counter(name for name in known if name is not None)
        if option and option not in classes:
            raise UserError(
                f"no problem is of class '{shortened(option)}'; there are "
                f"{shortened(', '.join(sorted(classes)))}"
            )
        chosen = option or max(sorted(classes), key=classes.__getitem__, default="")
        return [None if name is None else name == chosen for name in known]

    return values


def larger_answers(fit: FitSet, option: str) -> list[bool | None]:
    """The twin with the larger answer, of pairs whose answers differ (by `option` if given)."""
    clean, corrupted = fit.problems[::2], fit.problems[1::2]
    found: list[bool | None] = []
    for one, other in zip(clean, corrupted, strict=True):
        gap = one.answer - other.answer
        counts = gap != 0 and (not option or abs(gap) == amount(option))
        found += [gap > 0, gap < 0] if counts else [None, None]
    return found


def amount(text: str) -> Number:
    """By how much answers shall differ."""
    try:
        return abs(float(text))
    except ValueError:
        raise UserError(f"'{shortened(text)}' is no number; write larger_answer=5") from None


def operation_of(problem: Problem) -> str | None:
    """The sign of the last step's last operation."""
    signs = [c for c in problem.chain[-1] if c in "+-*/"] if problem.chain else []
    return signs[-1] if signs else None


LABELS: dict[str, Label] = {
    CORRECT: Label("right answers against wrong ones", lambda fit, _: fit.right.tolist()),
    "answer_size": Label(
        "the largest third of gold answers against the smallest",
        by_thirds(lambda problem: abs(problem.answer)),
    ),
    "steps": Label(
        "the third of problems with most steps against that with fewest",
        by_thirds(lambda problem: problem.steps or None),
    ),
    "operation": Label(
        "one operation in the last step (operation=*; else the commonest) against the others",
        by_class(operation_of),
    ),
    "template": Label(
        "one template (template=NAME; else the commonest) against the others",
        by_class(lambda problem: problem.template),
    ),
    "clean": Label(
        "clean twins against their corrupted ones",
        lambda fit, _: [i % 2 == 0 for i in range(len(fit.problems))],
        twins=True,
    ),
    "larger_answer": Label(
        "the twin with the larger answer against the other (larger_answer=5: of pairs whose "
        "answers differ by 5)",
        larger_answers,
        twins=True,
    ),
}
