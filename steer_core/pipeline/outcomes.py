"""What became of one decoded row: the kind of flip and the scores that are stored of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from steer_core.data.answers import Number, same_number
from steer_core.pipeline.records import Question

if TYPE_CHECKING:
    from steer_core.steering.decode import Decoded

SAME, TO_RIGHT, TO_WRONG, TO_TWIN, OTHER, NO_NUMBER, NOT_FINITE = range(7)
FLIPS = (
    *("", "wrong to right", "right to wrong", "to twin", "other number", "no number"),
    "not finite",
)
"""How an answer differs from the one at α = 0, by the codes above; exclusive.

The last is no flip: numbers overflowed, nothing was answered, and the row counts as missing.
"""
SCORES = ("margin", "logprob_gold", "logprob_twin", "kl", "kl_number", "shift", "dose")
"""Stored scores of a row, float32, in this order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row as it is stored.

    `answer` None without a number, `flip` an index of `FLIPS`, `scores` float32 [7] as in `SCORES`
    (NaN where something was not scored).
    """

    token_ids: tuple[int, ...]
    text: str
    answer: Number | None
    correct: bool
    flip: int
    scores: np.ndarray


def outcome(decoded: Decoded, question: Question, base: Number | None, dose: float) -> Outcome:
    """What is stored of a decoded row.

    Args:
        decoded: The row.
        question: Its question with gold and twin answer.
        base: The answer at α = 0, None without a number.
        dose: Of its edit.
    """
    return Outcome(
        token_ids=decoded.token_ids,
        text=decoded.text,
        answer=decoded.answer,
        correct=same_number(decoded.answer, question.gold),
        flip=flip_of(decoded.answer, base, question) if decoded.finite else NOT_FINITE,
        scores=np.array([*scores_of(decoded), dose], dtype=np.float32),
    )


def scores_of(decoded: Decoded) -> tuple[float, ...]:
    """The scores of a row but for its dose."""
    scores = decoded.scores
    if scores is None:
        return (math.nan,) * (len(SCORES) - 1)
    return scores.margin, *scores.logprobs, scores.kl, scores.kl_number, scores.shift


def flip_of(answer: Number | None, base: Number | None, question: Question) -> int:
    """The code of a flip; the first that fits, in the order below."""
    if same_number(answer, base):
        return SAME
    if answer is None:
        return NO_NUMBER
    if same_number(answer, question.gold):
        return TO_RIGHT
    if same_number(answer, question.twin):
        return TO_TWIN
    return TO_WRONG if same_number(base, question.gold) else OTHER


def pack(scores: np.ndarray) -> bytes:
    """Scores as stored: little-endian float32."""
    return scores.astype("<f4").tobytes()


def pack_rows(scores: Sequence[np.ndarray]) -> list[bytes]:
    """The scores of n rows as stored, each row's by itself."""
    whole, size = pack(np.stack(scores)) if scores else b"", 4 * len(SCORES)
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def unpack(blobs: Sequence[bytes]) -> np.ndarray:
    """Stored scores of n rows, float32 [n, 7]."""
    return np.frombuffer(b"".join(blobs), "<f4").reshape(-1, len(SCORES))
