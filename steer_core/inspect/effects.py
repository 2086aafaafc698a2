"""Effect map and flip distance: what each place does alone, how far an answer is from turning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number
from steer_core.inspect.swap import candidates_scored
from steer_core.steering.decode import (
    MAX_NEW_TOKENS,
    Decoded,
    acting,
    decode,
)
from steer_core.steering.edits import LARGEST_ALPHA, Edit
from steer_core.steering.uses import Edits

EditAt = Callable[[int], Edit]
"""The edit of all positions at a layer 1..L; the map takes its positions one by one."""
FARTHEST = 1000.0
"""|α| beyond which no flip is looked for."""
GROWTH = 8
"""Values of α tried at once, both ways."""


@dataclass(frozen=True, slots=True, eq=False)
class EffectMap:
    """Each position and layer edited alone, [K+1, L].

    `margin` float32: change of the logit of the baseline's number minus the best other one, at the
    answer's first number; `kl` float32 in nats there; `answers` object: numbers or None; `flipped`
    bool: another answer than the baseline's. NaN in `margin` where the vocabulary cannot write the
    baseline's number.
    """

    question: str
    baseline_answer: Number | None
    layers: tuple[int, ...]
    margin: NDArray[np.float32]
    kl: NDArray[np.float32]
    answers: NDArray[np.object_]
    flipped: NDArray[np.bool_]


def effect_map(
    model: CodiModel,
    question: str,
    edit_at: EditAt,
    *,
    layers: Sequence[int] | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> EffectMap:
    """Edit one position at one layer at a time, all of them in one batch.

    Args:
        model: The model.
        question: The question.
        edit_at: What is done at a layer; its positions are replaced.
        layers: Which of 1..L; all when not given. Sites without layers have one: give [1].
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    return effect_maps(model, question, [edit_at], layers=layers, max_new_tokens=max_new_tokens)[0]


def effect_maps(
    model: CodiModel,
    question: str,
    each: Sequence[EditAt],
    *,
    layers: Sequence[int] | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[EffectMap]:
    """Several maps of one question in one batch, such as those at several alphas."""
    chosen = tuple(layers or range(1, model.config.layers + 1))
    (plain,) = decode(model, [question], max_new_tokens=max_new_tokens)
    cells = [(k, i) for k in model.config.positions for i in range(len(chosen))]
    wide = [[edit_at(layer) for layer in chosen] for edit_at in each]
    edits = [acting(model, replace(one[i], positions=(k,))) for one in wide for k, i in cells]
    base, *rows = candidates_scored(model, question, [(), *edits], [plain.answer], max_new_tokens)
    shape = len(model.config.positions), len(chosen)
    assert base.scores is not None
    return [
        mapped(plain, base.scores.margin, chosen, shape, rows[start : start + len(cells)])
        for start in range(0, len(rows), len(cells))
    ]


def mapped(
    plain: Decoded,
    margin: float,
    layers: tuple[int, ...],
    shape: tuple[int, int],
    rows: Sequence[Decoded],
) -> EffectMap:
    """One map from its scored rows, layer by layer at each position."""
    scores = [row.scores for row in rows if row.scores is not None]
    margins = np.array([each.margin - margin for each in scores], np.float32)
    answers = np.empty(len(rows), object)
    answers[:] = [row.answer for row in rows]
    return EffectMap(
        question=plain.question,
        baseline_answer=plain.answer,
        layers=layers,
        margin=(
            np.full(shape, np.nan, np.float32) if plain.answer is None else margins.reshape(shape)
        ),
        kl=np.array([each.kl_number for each in scores], np.float32).reshape(shape),
        answers=answers.reshape(shape),
        flipped=np.array([row.answer != plain.answer for row in rows]).reshape(shape),
    )


@dataclass(frozen=True, slots=True)
class Flip:
    """How far one answer is from turning, one way.

    `alpha`: the α nearest to 0, within `tolerance` of it, where the answer is another one than the
    baseline's, None when there is none up to `searched`. `answer` there; None is no number.
    """

    alpha: float | None
    answer: Number | None
    searched: float


@dataclass(frozen=True, slots=True)
class FlipDistance:
    """Both ways from α = 0; between the values that were tried an answer may turn and turn back."""

    question: str
    baseline_answer: Number | None
    below: Flip
    above: Flip

    @property
    def distance(self) -> float:
        """The smaller |α|, inf where the answer never turns."""
        found = [abs(each.alpha) for each in (self.below, self.above) if each.alpha is not None]
        return min(found, default=math.inf)


def flip_distance(
    model: CodiModel,
    question: str,
    edit_of: Callable[[float], Edits],
    *,
    start: float = 0.25,
    farthest: float = FARTHEST,
    tolerance: float = 0.01,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> FlipDistance:
    """The smallest |α| each way that changes an answer: bracketed, then cut into parts.

    Args:
        model: The model.
        question: The question.
        edit_of: The edits at an α.
        start: The first α tried; each next one is half as large again.
        farthest: The last.
        tolerance: How exactly, relative to the α found.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    farthest = min(farthest, LARGEST_ALPHA)

    def answers(alphas: Sequence[float]) -> list[Number | None]:
        edits = [edit_of(alpha) for alpha in alphas]
        rows = decode(model, [question] * len(edits), edits, max_new_tokens=max_new_tokens)
        return [row.answer for row in rows]

    (base,) = answers([0.0])
    ways = [
        nearest(lambda alphas, way=way: answers([way * a for a in alphas]), base, start, farthest)
        for way in (-1, 1)
    ]
    below, above = (
        refined(lambda alphas, way=way: answers([way * a for a in alphas]), base, found, tolerance)
        for way, found in zip((-1, 1), ways, strict=True)
    )
    return FlipDistance(question, base, signed(below, -1, farthest), signed(above, 1, farthest))


Answers = Callable[[Sequence[float]], list[Number | None]]
Bracket = tuple[float, float, Number | None]
"""An |α| with the baseline's answer, a larger one with another, and that answer."""


def nearest(answers: Answers, base: Number | None, start: float, farthest: float) -> Bracket | None:
    """The first of growing |α| where the answer turns, with the one in front of it."""
    low = 0.0
    steps = list(growing(start, farthest))
    for i in range(0, len(steps), GROWTH):
        some = steps[i : i + GROWTH]
        for alpha, answer in zip(some, answers(some), strict=True):
            if answer != base:
                return low, alpha, answer
            low = alpha
    return None


def growing(start: float, farthest: float) -> Iterable[float]:
    """|α| from `start` on, each half as large again, and the farthest."""
    alpha = start
    while alpha < farthest:
        yield alpha
        alpha *= 1.5
    yield farthest


def refined(
    answers: Answers, base: Number | None, bracket: Bracket | None, tolerance: float
) -> Bracket | None:
    """The bracket made narrow: its inside is cut into parts that are decoded in one batch."""
    while bracket is not None and bracket[1] - bracket[0] > tolerance * bracket[1]:
        low, high, turned = bracket
        inside = np.linspace(low, high, GROWTH + 2)[1:-1].tolist()
        for alpha, answer in zip(inside, answers(inside), strict=True):
            if answer != base:
                high, turned = alpha, answer
                break
            low = alpha
        bracket = low, high, turned
    return bracket


def signed(bracket: Bracket | None, way: int, farthest: float) -> Flip:
    """A bracket as a flip."""
    if bracket is None:
        return Flip(None, None, way * farthest)
    return Flip(way * bracket[1], bracket[2], way * bracket[1])
