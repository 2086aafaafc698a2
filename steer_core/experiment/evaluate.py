"""Accuracy on a test set by the official scoring, and whether it reproduces what is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steer_core.analysis.statistics import wilson
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Problem
from steer_core.experiment.benchmarks import TOLERANCE, published_figures
from steer_core.steering.decode import Decoded, Options, Row, decode_rows

ROWS_AT_A_TIME = {"cpu": 128, "cuda": 1024}
"""Rows of a batch, so that progress shows; results do not depend on it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy of a model on a test set.

    `accuracy`, `low` and `high` (Wilson 95 %) are shares 0..1; `no_number` counts answers without a
    number, which are wrong; `seconds` of decoding; `problems_per_s` and `tokens_per_s` (generated).
    `published` are known accuracies in percent; `gate` is pass or fail against them (within
    `TOLERANCE` points of their range), or says why there is no verdict.
    """

    model: str
    sha256: str
    data: str
    device: str
    dtype: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    no_number: int
    seconds: float
    problems_per_s: float
    tokens_per_s: float
    published: tuple[float, ...]
    gate: str


def evaluate(
    model: CodiModel,
    problems: Sequence[Problem],
    data: str,
    *,
    limit: int | None = None,
    max_new_tokens: int = 256,
    rows_at_a_time: int | None = None,
    progress: Callable[[int, int, int], None] = lambda done, total, correct: None,
) -> tuple[Evaluation, list[Decoded]]:
    """Decode every problem, greedily and unedited; the last number of a text is its answer.

    Args:
        model: The model.
        problems: The test set.
        data: What it is called.
        limit: Take only the first so many problems.
        max_new_tokens: Limit of generated tokens.
        rows_at_a_time: Rows of a batch; by the model's device when not given.
        progress: Called after every batch with the counts done, of how many, and right.

    Returns:
        The result, and what was decoded, in the order of the problems.
    """
    asked = list(problems[:limit])
    start = time.perf_counter()
    most = rows_at_a_time or ROWS_AT_A_TIME.get(model.device.type, ROWS_AT_A_TIME["cpu"])
    decoded = decode_all(model, asked, Options(max_new_tokens, max_rows=most), progress)
    seconds = time.perf_counter() - start
    correct = sum(same_number(d.answer, p.answer) for d, p in zip(decoded, asked, strict=True))
    low, high = wilson(correct, len(asked))
    published = published_figures(model, data)
    result = Evaluation(
        model=model.name,
        sha256=model.sha256,
        data=data,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        n=len(asked),
        correct=correct,
        accuracy=correct / len(asked),
        low=float(low),
        high=float(high),
        no_number=sum(d.answer is None for d in decoded),
        seconds=seconds,
        problems_per_s=len(asked) / seconds,
        tokens_per_s=sum(len(d.token_ids) for d in decoded) / seconds,
        published=published,
        gate=verdict(100 * correct / len(asked), published, len(asked), len(problems)),
    )
    return result, decoded


def decode_all(
    model: CodiModel,
    problems: Sequence[Problem],
    options: Options,
    progress: Callable[[int, int, int], None],
) -> list[Decoded]:
    """Every problem's result, in order; equal questions are decoded once."""
    distinct = list(dict.fromkeys(problem.question for problem in problems))
    index = {question: i for i, question in enumerate(distinct)}
    rows = [Row(index[problem.question]) for problem in problems]
    found: dict[int, Decoded] = {}
    for batch in decode_rows(model, distinct, rows, options):
        found.update(batch)
        right = sum(same_number(decoded.answer, problems[i].answer) for i, decoded in found.items())
        progress(len(found), len(problems), right)
    return [found[i] for i in range(len(problems))]


def verdict(percent: float, published: Sequence[float], n: int, total: int) -> str:
    """Pass or fail, or why neither."""
    if not published:
        return "no published figure"
    if n < total:
        return f"only {n} of {total} problems"
    near = min(published) - TOLERANCE <= percent <= max(published) + TOLERANCE
    return "pass" if near else "fail"
