"""A word problem, and a pair of twins that differ in one number."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steer_core.data.answers import Number, parse_answer

_NAME = re.compile(r"\b[A-Z][\w'’]*")
_SPACE = re.compile(r"\s+")
NUMBER_WORDS: Mapping[int, str] = dict(
    enumerate("two three four five six seven eight nine ten eleven twelve".split(), start=2)
)
"""Numbers that questions may write as words."""
_EVEN = {"she": "he", "her": "his", "him": "his", "hers": "his"}
_EVEN |= {word: str(number) for number, word in NUMBER_WORDS.items()}
_EVENED = re.compile(rf"\b({'|'.join(_EVEN)})\b")


@dataclass(frozen=True, slots=True)
class Problem:
    """One word problem.

    Attributes:
        question: the text that a model reads.
        answer: the gold answer.
        chain: solution steps such as "<<3*4=12>>", the last one ending in the answer; empty when
            the solution is not known.
        template: id of the template that wrote it, None for a problem from elsewhere.
    """

    question: str
    answer: int | float
    chain: tuple[str, ...] = ()
    template: str | None = None

    @property
    def steps(self) -> int:
        """Number of solution steps; 0 when the solution is not known."""
        return len(self.chain)

    @property
    def step_results(self) -> tuple[Number, ...] | None:
        """The result of every step; None when a step shows none or the solution is not known."""
        results = [found for step in self.chain if (found := _result(step)) is not None]
        return tuple(results) if results and len(results) == self.steps else None


@dataclass(frozen=True, slots=True)
class Pair:
    """A clean question and its corrupted twin, in which one number was changed.

    Attributes:
        pair_id: name of the pair in its file.
        clean: the original problem.
        corrupted: the twin, with its own answer.
        held_out: whether the template was never used in training.
    """

    pair_id: int | str
    clean: Problem
    corrupted: Problem
    held_out: bool = False

    @property
    def changed_step(self) -> int | None:
        """The first step, from 1, that the changed number enters.

        None when a solution is not known, or the two do not take the same steps.
        """
        if self.clean.steps != self.corrupted.steps:
            return None
        steps = zip(self.clean.chain, self.corrupted.chain, strict=True)
        return next((k for k, (one, other) in enumerate(steps, start=1) if one != other), None)


def _result(step: str) -> Number | None:
    """What stands behind the last equals sign of a step."""
    _, sign, text = step.rpartition("=")
    return parse_answer(text.rstrip("> ")) if sign else None


def question_key(text: str) -> str:
    """Return the normal form by which two questions count as the same problem.

    Names (any capitalised word), gender, letter case and spacing do not make a problem new:
    "Tom has 3 apples." and "Mia  has three apples." have one key. Other numbers and words do.
    """
    plain = _NAME.sub("@", text).lower()
    plain = _EVENED.sub(lambda match: _EVEN[match[0]], plain)
    return _SPACE.sub(" ", plain).strip()


def problems_hash(problems: Iterable[Problem]) -> str:
    """One hash over questions and answers, in order."""
    rows = [[problem.question, problem.answer] for problem in problems]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
