"""Fit sets: problems decoded once, with their states and labels, for directions to come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Problem, problems_hash
from steer_core.errors import UserError
from steer_core.steering.decode import (
    MAX_NEW_TOKENS,
    Decoded,
    Options,
    Row,
    decode_rows,
    stacked_states,
)
from steer_core.steering.sites import Site
from steer_core.version import versions

FIT = "fit"
"""Name of the bundled pairs that directions come from where no others are given."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which model, data and method a direction comes from.

    `model_sha256` identifies the weights, `problems_sha256` the questions with their answers,
    `correct` and `wrong` count the problems of each side; `versions` are those of the libraries.
    """

    model: str
    model_sha256: str
    problems: str
    problems_sha256: str
    correct: int
    wrong: int
    seed: int
    versions: dict[str, str]


def site_states(model: CodiModel, states: np.ndarray, site: str, layer: int | None) -> np.ndarray:
    """What a site's edit is added to, see `Site.states`."""
    return Site(site, layer).states(model, states)


@dataclass(frozen=True, slots=True, eq=False)
class FitSet:
    """Problems decoded once, unedited: what directions are computed from.

    `states` float32 [n, K+1, L+2, D]; `right` bool [n]: the answer was the gold answer; `problems`
    n, what was asked. `twins`: they are both twins of n / 2 pairs, clean, corrupted, clean, ...;
    where they are not, `with_both` decodes the set that is, if there is one.
    """

    states: np.ndarray
    right: np.ndarray
    provenance: Provenance
    problems: tuple[Problem, ...]
    twins: bool = False
    with_both: Callable[[], FitSet] | None = None

    @property
    def pair_numbers(self) -> np.ndarray:
        """int [n]: which pair each problem is of."""
        return np.arange(len(self.states)) // (2 if self.twins else 1)

    def with_twins(self) -> FitSet:
        """The same pairs with both twins.

        Raises:
            UserError: where the problems are not of pairs.
        """
        if self.twins:
            return self
        if self.with_both is None:
            raise UserError(
                "this direction needs both twins of every pair, and the problems are no pairs; "
                "give --pairs or --split"
            )
        return self.with_both()


def bundled_fit_problems() -> list[Problem]:
    """Both twins of every pair of the bundled fit set."""
    return [problem for pair in load_pairs(FIT) for problem in (pair.clean, pair.corrupted)]


def fit_set(
    model: CodiModel,
    problems: Sequence[Problem],
    name: str,
    *,
    right: np.ndarray | None = None,
    seed: int = 0,
    twins: bool = False,
    with_both: Callable[[], FitSet] | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FitSet:
    """Decode the problems of a fit set.

    Args:
        model: The model.
        problems: n problems.
        name: What they are called, for the provenance.
        right: bool [n], which of them count as right; without it each is scored against its own
            answer.
        seed: Of the split that the problems come from, for the provenance.
        twins: The problems are both twins of pairs, see `FitSet`.
        with_both: See `FitSet`.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.
        progress: Called before the first batch and after each, with questions done and of how many.

    Raises:
        UserError: when all answers are right or all are wrong.
    """
    if right is not None:
        check_labels(right)
    # Known labels need no answers, only the states in front of them.
    limit = MAX_NEW_TOKENS if right is None else 1
    decoded = decode_states(model, [p.question for p in problems], limit, stop, progress)
    if right is None:
        right = np.array(
            [same_number(d.answer, p.answer) for d, p in zip(decoded, problems, strict=True)]
        )
        check_labels(right)
    provenance = Provenance(
        model=model.name,
        model_sha256=model.sha256,
        problems=name,
        problems_sha256=problems_hash(problems),
        correct=int(right.sum()),
        wrong=int((~right).sum()),
        seed=seed,
        versions=versions(),
    )
    states = stacked_states(decoded)
    return FitSet(states, right, provenance, tuple(problems), twins, with_both)


def check_labels(right: np.ndarray) -> None:
    """Raise a `UserError` unless there are both right and wrong answers."""
    if right.all() or not right.any():
        raise UserError(
            f"{right.sum()} of {len(right)} answers are right; a mean difference needs both "
            "right and wrong ones: choose other problems"
        )


def decode_states(
    model: CodiModel,
    questions: Sequence[str],
    limit: int,
    stop: Callable[[], bool],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Decoded]:
    """Every question decoded with its states, at most `limit` tokens; equal ones once."""
    index = {question: i for i, question in enumerate(dict.fromkeys(questions))}
    rows = [Row(index[question]) for question in questions]
    found: dict[int, Decoded] = {}
    progress(0, len(rows))
    for batch in decode_rows(model, list(index), rows, Options(limit, hidden=True), stop):
        found |= batch
        progress(len(found), len(rows))
    return [found[i] for i in range(len(rows))]
