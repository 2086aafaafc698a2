"""The grid of an experiment: curves of edits x alpha x problems, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.analysis.statistics import wilson
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Problem
from steer_core.steering.decode import Decoded, Options, Row, acting, decode_rows
from steer_core.steering.edits import check_alphas
from steer_core.steering.spec import EditCurve

ROWS_AT_A_TIME = {"cpu": 512, "cuda": 4096}
"""Rows between two updates of a chart: enough to be efficient, few enough to look live. A GPU is as
long over a hundred rows as over one; what does not fit into its memory is cut further."""


UNKNOWN, NOT_FINITE = -1, -2
"""In place of right or wrong: not decoded yet, or decoded to numbers that overflowed."""


@dataclass(frozen=True, slots=True, eq=False)
class CurveState:
    """One curve so far; arrays are over alpha, [A].

    `done` and `correct` count decoded problems; `flips` of them have another answer than at
    alpha = 0, `wrong_to_right` and `right_to_wrong` change correctness with it; `low` and `high`
    are the Wilson 95 % interval of the accuracy (NaN where nothing is done). `total` problems,
    `decoded` of `rows` rows of the whole grid. `baseline_accuracy` is over the problems done, None
    before the first; `baseline_correct` maps the index of a problem to its outcome at alpha = 0.
    `nonfinite`: problems whose numbers overflowed there; they are in none of the other counts.
    """

    layer: int | None
    alphas: np.ndarray
    done: np.ndarray
    correct: np.ndarray
    flips: np.ndarray
    wrong_to_right: np.ndarray
    right_to_wrong: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total: int
    decoded: int
    rows: int
    baseline_accuracy: float | None
    baseline_correct: dict[int, bool]
    nonfinite: np.ndarray


class Tally:
    """What is known of a grid while it fills.

    `right` [C, A, n] is 1 right, 0 wrong, -1 not decoded, -2 not finite; `answer` [C, A, n] is NaN
    without a number; `base` and `base_answer` [n] the same for unedited rows.
    """

    def __init__(self, curves: Sequence[EditCurve], alphas: np.ndarray, problems: int):
        self.curves, self.alphas = curves, alphas
        self.right = np.full((len(curves), len(alphas), problems), -1, dtype=np.int8)
        self.answer = np.full(self.right.shape, np.nan)
        self.base = np.full(problems, -1, dtype=np.int8)
        self.base_answer = np.full(problems, np.nan)

    def note(self, curve: int, alpha: int, problem: int, answer: float | None, right: int) -> None:
        """Enter one row; curve and alpha are -1 for the unedited one."""
        number = np.nan if answer is None else answer
        if curve < 0:
            self.base[problem], self.base_answer[problem] = right, number
        else:
            self.right[curve, alpha, problem] = right
            self.answer[curve, alpha, problem] = number

    def state(self, index: int) -> CurveState:
        """The state of one curve."""
        right, known = self.right[index], self.base >= 0
        done = (right >= 0) & known
        good = (right == 1) & done
        base = (self.base == 1)[None]
        counts, correct = done.sum(1), good.sum(1)
        same = np.isclose(self.answer[index], self.base_answer, rtol=0, atol=0, equal_nan=True)
        low, high = wilson(correct, np.maximum(counts, 1))
        nothing = counts == 0
        decoded = int((self.right != UNKNOWN).sum() + (self.base != UNKNOWN).sum())
        return CurveState(
            layer=self.curves[index].layer,
            alphas=self.alphas,
            done=counts,
            correct=correct,
            flips=(done & ~same).sum(1),
            wrong_to_right=(good & ~base).sum(1),
            right_to_wrong=(done & ~good & base).sum(1),
            low=np.where(nothing, np.nan, low),
            high=np.where(nothing, np.nan, high),
            total=right.shape[1],
            decoded=decoded,
            rows=self.right.size + self.base.size,
            baseline_accuracy=float((self.base[known] == 1).mean()) if known.any() else None,
            baseline_correct={int(i): bool(self.base[i]) for i in known.nonzero()[0]},
            nonfinite=((right == NOT_FINITE) | (self.base == NOT_FINITE)[None]).sum(1),
        )


def fill_grid(
    model: CodiModel,
    problems: Sequence[Problem],
    curves: Sequence[EditCurve],
    alphas: Sequence[float],
    *,
    seed: int = 0,
    max_new_tokens: int = 256,
    rows_at_a_time: int | None = None,
    on_row: Callable[[int, int, int, Decoded], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Tally]:
    """Decode every problem at every alpha of every curve, and unedited.

    The order makes a chart useful early: every second alpha over a random half of the problems,
    then the other alphas over that half, then the rest. Problems come in random order, so every
    partial result is a random sample of the whole.

    Args:
        model: The model.
        problems: n problems.
        curves: C curves.
        alphas: A alphas, lengths of the direction.
        seed: Of the order.
        max_new_tokens: Limit of generated tokens.
        rows_at_a_time: Rows between two results, and the most of one batch; by the model's device
            when not given.
        on_row: Called with (curve, alpha index, problem, result); curve and alpha are -1 for the
            unedited row.
        stop: Asked before every decoding step; True raises `Cancelled`.

    Yields:
        The same tally, fuller each time.
    """
    check_alphas(alphas)
    for curve in curves:
        curve.check(model)
    cells = [(c, a) for c in range(len(curves)) for a in range(len(alphas))]
    edits = {(c, a): acting(model, curves[c].at(alphas[a])) for c, a in cells}
    tally = Tally(curves, np.array(alphas, dtype=np.float64), len(problems))
    where = list(cells_in_order(cells, len(problems), seed))
    rows = [Row(p, edits.get((c, a), ())) for c, a, p in where]
    most = rows_at_a_time or rows_between_updates(model)
    options = Options(max_new_tokens, max_rows=most, in_order=True)
    for batch in decode_rows(model, [p.question for p in problems], rows, options, stop):
        for index, decoded in batch:
            c, a, p = where[index]
            right = same_number(decoded.answer, problems[p].answer)
            tally.note(c, a, p, decoded.answer, right if decoded.finite else NOT_FINITE)
            if on_row:
                on_row(c, a, p, decoded)
        yield tally
    model.programs.build_waiting(model.device, stop)  # all results are there: nobody waits


def rows_between_updates(model: CodiModel) -> int:
    """Of a grid on a model's device."""
    return ROWS_AT_A_TIME.get(model.device.type, ROWS_AT_A_TIME["cpu"])


def cells_in_order(
    cells: Sequence[tuple[int, int]], problems: int, seed: int
) -> Iterator[tuple[int, int, int]]:
    """(curve, alpha, problem) of every row, (-1, -1, problem) for the unedited ones."""
    order = np.random.default_rng(seed).permutation(problems).tolist()
    half, rest = order[: (problems + 1) // 2], order[(problems + 1) // 2 :]
    coarse = [(-1, -1), *(cell for cell in cells if cell[1] % 2 == 0)]
    fine = [cell for cell in cells if cell[1] % 2]
    for some, part in ((coarse, half), (fine, half), (coarse + fine, rest)):
        yield from ((c, a, p) for p in part for c, a in some)
