"""Labels of problems that have nothing to do with how they are answered.

Every feature of a question is a number: how many words it has, the place of its first letter in
the alphabet, its template, the size of its first, last and largest number. A label splits the right
answers and the wrong ones at the same quantile of a feature, each group for itself: so it says
nothing about correctness in this very fit set, even where long questions are answered worse. Equal
values are told apart by a hash of the question.

The list of labels is fixed, the plainest first: all features at the median, then at a third and at
two thirds; then sums and differences of the ranks of two features at the median; and, where that
does not do, hashes of the question. Later labels resemble earlier ones: forty labels are not forty
independent questions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from steer_core.data.problems import Problem
from steer_core.errors import UserError

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
QUANTILES = (1 / 2, 1 / 3, 2 / 3)
MOST, AT_ONCE = 1000, 50
"""Labels that there are, and how many are found at a time."""
PATIENCE = 200
"""Labels that may repeat an earlier one before that is let pass."""


@dataclass(frozen=True, slots=True, eq=False)
class NuisanceLabel:
    """One label: what it is about, and bool [n], which problems have more of it."""

    name: str
    labels: np.ndarray


def nuisance_label(problems: tuple[Problem, ...], right: np.ndarray, number: int) -> NuisanceLabel:
    """Label `number` of the list, from 0.

    Raises:
        UserError: for a number beyond `MOST`.
    """
    if not 0 <= number < MOST:
        raise UserError(f"there is no nuisance label {number}; choose 0..{MOST - 1}")
    several = min(MOST, (number // AT_ONCE + 1) * AT_ONCE)
    return _labels(problems, right.tobytes(), several)[number]


@lru_cache(maxsize=8)
def _labels(problems: tuple[Problem, ...], right: bytes, count: int) -> list[NuisanceLabel]:
    """Those that one fit set is asked for again and again, layer by layer."""
    return nuisance_labels(problems, np.frombuffer(right, dtype=bool), count)


def nuisance_labels(
    problems: Sequence[Problem], right: np.ndarray, count: int
) -> list[NuisanceLabel]:
    """The first labels of the list.

    Args:
        problems: n problems.
        right: bool [n], which are answered right; every label splits both sides alike.
        count: How many labels.
    """
    ties = np.array([hashed(problem.question) for problem in problems])
    found: list[NuisanceLabel] = []
    seen: set[bytes] = set()
    for tried, (name, values, share) in enumerate(criteria(problems)):
        if len(found) >= count:
            break
        labels = above(values, ties, right, share)
        # Few problems allow few labels; beyond them the same ones come again.
        if labels.tobytes() not in seen or tried > count + PATIENCE:
            found.append(NuisanceLabel(name, labels))
            seen |= {labels.tobytes(), (~labels).tobytes()}
    return found


def criteria(problems: Sequence[Problem]) -> Iterator[tuple[str, np.ndarray, float]]:
    """(what it is about, value of each problem [n], quantile), without end."""
    known = {name: np.array([of(p) for p in problems], float) for name, of in FEATURES.items()}
    ranks = {name: ranked(values) for name, values in known.items() if np.ptp(values) > 0}
    for share in QUANTILES:
        yield from ((f"{name}, upper {1 - share:.0%}", ranks[name], share) for name in ranks)
    for one, other in combinations(ranks, 2):
        yield f"{one} with {other}", ranks[one] + ranks[other], 1 / 2
        yield f"{one} against {other}", ranks[one] - ranks[other], 1 / 2
    salt = 0
    while True:
        salt += 1
        values = [hashed(f"{salt} {problem.question}") for problem in problems]
        yield f"hash {salt} of the question", np.array(values), 1 / 2


def above(values: np.ndarray, ties: np.ndarray, right: np.ndarray, share: float) -> np.ndarray:
    """Bool [n]: beyond the quantile of a value among the problems with the same outcome."""
    found = np.zeros(len(values), dtype=bool)
    for side in (right, ~right):
        members = np.flatnonzero(side)
        order = members[np.lexsort((ties[members], values[members]))]
        found[order[round(share * len(order)) :]] = True
    if found.all() or not found.any():  # two or three problems: nothing is left of one side
        found[:] = False
        found[np.lexsort((ties, values))[-1]] = True
    return found


def ranked(values: np.ndarray) -> np.ndarray:
    """Rank of each value among the distinct ones, from 0 to 1."""
    distinct, ranks = np.unique(values, return_inverse=True)
    return ranks / (len(distinct) - 1)


def hashed(text: str) -> float:
    """A number in 0..1 that only the text decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def numbers_of(problem: Problem) -> list[float]:
    """The numbers in a question; 0 where it has none."""
    found = [float(text.replace(",", "")) for text in _NUMBER.findall(problem.question)]
    return found or [0.0]


FEATURES: dict[str, Callable[[Problem], float]] = {
    "number of words": lambda p: len(p.question.split()),
    "first letter": lambda p: ord(p.question.lstrip()[:1].casefold()[:1] or " "),
    "template": lambda p: hashed(p.template or ""),
    "first number": lambda p: numbers_of(p)[0],
    "largest number": lambda p: max(numbers_of(p)),
    "last number": lambda p: numbers_of(p)[-1],
    "number of characters": lambda p: len(p.question),
    "sum of digits": lambda p: sum(int(c) for c in p.question if c in "0123456789"),
}
