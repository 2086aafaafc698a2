"""A word problem, and a pair of twins that differ in one number."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = re.compile(r"\b[A-Z][\w'’]*")
_SPACE = re.compile(r"\s+")
_GENDER = {"she": "he", "her": "his", "him": "his", "hers": "his"}
_GENDERED = re.compile(r"\b(she|hers|her|him)\b")


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


def question_key(text: str) -> str:
    """Return the normal form by which two questions count as the same problem.

    Names (any capitalised word), gender, letter case and spacing do not make a problem new:
    "Tom has 3 apples." and "Mia  has 3 apples." have one key. Numbers and other words do.
    """
    plain = _NAME.sub("@", text).lower()
    plain = _GENDERED.sub(lambda match: _GENDER[match[0]], plain)
    return _SPACE.sub(" ", plain).strip()


def problems_hash(problems: Iterable[Problem]) -> str:
    """One hash over questions and answers, in order."""
    rows = [[problem.question, problem.answer] for problem in problems]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
