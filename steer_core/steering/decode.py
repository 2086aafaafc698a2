"""Steered decoding of questions: any number of rows, each with its own edits, in batches.

Rows of one question share its prefix, equal rows are decoded once, rows are sorted by length, and a
batch is as large as memory allows: an out-of-memory error halves it and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.steering.batches import Batches
from steer_core.steering.edits import Edit, can_act, check_edit
from steer_core.steering.rows import (
    DEFAULTS,
    MAX_NEW_TOKENS,
    Decoded,
    Measure,
    Options,
    Row,
    Scores,
    without_last_block,
)
from steer_core.steering.uses import Edits

__all__ = [
    "MAX_NEW_TOKENS",
    "Decoded",
    "Options",
    "Row",
    "Scores",
    "acting",
    "decode",
    "decode_rows",
    "without_last_block",
]

EditsOrNone = Edit | Sequence[Edit] | None


def stacked_states(decoded: Sequence[Decoded]) -> np.ndarray:
    """The states of rows that were decoded with `hidden`, float32 [N, K+1, L+2, D]."""
    kept = [row.states for row in decoded if row.states is not None]
    assert len(kept) == len(decoded), "decode these rows with hidden=True"
    return np.stack(kept)


def decode(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[EditsOrNone] | Edit | None = None,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    hidden: bool = False,
    first_logits: bool = False,
    measure: Measure | None = None,
) -> list[Decoded]:
    """Decode questions, each with its own edit.

    Args:
        model: The model.
        questions: B question texts; the same text may come again with another edit.
        edits: One `Edit` for all questions, or B entries: an edit, several, or None.
        max_new_tokens: Limit of generated tokens.
        hidden: Keep hidden states.
        first_logits: Keep the logits of the first answer step.
        measure: Takes both in place of the results, see `Options`.

    Returns:
        B results in the order of the questions.

    Raises:
        UserError: for a question or an edit that does not fit the model, or edits that do not fit
            the questions.
    """
    if isinstance(questions, str):
        raise UserError("the questions are one text; give a list of texts")
    each = [edits] * len(questions) if edits is None or isinstance(edits, Edit) else edits
    if len(each) != len(questions):
        raise UserError(
            f"{len(each)} edits do not fit {len(questions)} questions; give one for each, or None"
        )
    index = {question: i for i, question in enumerate(dict.fromkeys(questions))}
    rows = [
        Row(index[question], acting(model, edit))
        for question, edit in zip(questions, each, strict=True)
    ]
    options = Options(max_new_tokens, hidden, first_logits, measure=measure)
    results: dict[int, Decoded] = {}
    for batch in decode_rows(model, list(index), rows, options):
        results.update(batch)
    return [results[i] for i in range(len(rows))]


def acting(model: CodiModel, edits: EditsOrNone) -> Edits:
    """The edits of a row that can change anything, checked against the model."""
    several = () if edits is None else (edits,) if isinstance(edits, Edit) else tuple(edits)
    for edit in several:
        check_edit(model.config, edit)
    return tuple(edit for edit in several if can_act(model.config, edit))


def decode_rows(
    model: CodiModel,
    questions: Sequence[str],
    rows: Sequence[Row],
    options: Options = DEFAULTS,
    stop: Callable[[], bool] = lambda: False,
    candidates: Sequence[Sequence[float]] | None = None,
) -> Iterator[list[tuple[int, Decoded]]]:
    """Decode rows batch by batch, in an order that suits the batches.

    Args:
        model: The model.
        questions: Question texts; rows of one question share its prefix.
        rows: What to decode; edits are taken as checked (`acting`).
        options: Limits and what to keep.
        stop: Asked before every decoding step; True raises `Cancelled`.
        candidates: Numbers to score as answers, the same count for each question (gold, twin). The
            plain rows of all questions are then decoded first, to compare with.

    Yields:
        For each batch the (index of the row, result) pairs of its rows.
    """
    for found in Batches(model, questions, rows, options, candidates).run(stop):
        if found:
            yield found
