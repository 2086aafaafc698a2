"""Steered decoding of questions: any number of rows, each with its own edits, in batches.

Rows of one question share its prefix, equal rows are decoded once, rows are sorted by length, and a
batch is as large as memory allows: an out-of-memory error halves it and goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.codi.engine import BatchResult, run_batch
from steer_core.codi.memory import is_out_of_memory, rows_that_fit
from steer_core.codi.model import CodiModel
from steer_core.data.answers import extract_answer
from steer_core.errors import UserError
from steer_core.steering.edits import Edit, can_act, check_edit
from steer_core.steering.plan import EditPlan, Edits

MAX_NEW_TOKENS = 256
EditsOrNone = Edit | Sequence[Edit] | None


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One decoded row.

    `token_ids`: generated ids without EOS. `answer`: last number of `text`, None without one.
    `prompt_tokens`: tokens of the prefill, BOT counted. `states`: float32 [K+1, L+2, D] (index 0
    input embedding, 1..L block outputs, L+1 after the final norm) or None. `first_logits`: float32
    [V] of the first answer step or None.
    """

    question: str
    token_ids: tuple[int, ...]
    text: str
    answer: int | float | None
    prompt_tokens: int
    states: np.ndarray | None = None
    first_logits: np.ndarray | None = None

    @property
    def hidden(self) -> np.ndarray | None:
        """float32 [K+1, L+1, D] as transformers' `hidden_states`: L is after the final norm."""
        return None if self.states is None else without_last_block(self.states)


def without_last_block(states: np.ndarray) -> np.ndarray:
    """States [..., L+2, D] in transformers' convention [..., L+1, D], which skips resid_L."""
    return np.concatenate((states[..., :-2, :], states[..., -1:, :]), axis=-2)


def stacked_states(decoded: Sequence[Decoded]) -> np.ndarray:
    """The states of rows that were decoded with `hidden`, float32 [N, K+1, L+2, D]."""
    kept = [row.states for row in decoded if row.states is not None]
    assert len(kept) == len(decoded), "decode these rows with hidden=True"
    return np.stack(kept)


def stacked_logits(decoded: Sequence[Decoded]) -> np.ndarray:
    """The logits of rows that were decoded with `first_logits`, float32 [N, V]."""
    kept = [row.first_logits for row in decoded if row.first_logits is not None]
    assert len(kept) == len(decoded), "decode these rows with first_logits=True"
    return np.stack(kept)


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are decoded: limit of generated tokens, what is kept of each row, rows at a time."""

    max_new_tokens: int = MAX_NEW_TOKENS
    hidden: bool = False
    first_logits: bool = False
    max_rows: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"{self.max_new_tokens} new tokens are too few; ask for at least 1")
        if self.max_rows is not None and self.max_rows < 1:
            raise UserError(f"{self.max_rows} rows at a time are too few; allow at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A question, by its index, and what its reasoning is changed by."""

    question: int
    edits: Edits = ()

    @property
    def key(self) -> tuple:
        """Rows of equal key have equal results."""
        return self.question, tuple(
            (id(e.direction), e.alpha, e.site, e.layer, tuple(sorted(e.positions)), e.operation)
            for e in self.edits
        )


def decode(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[EditsOrNone] | Edit | None = None,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    hidden: bool = False,
    first_logits: bool = False,
) -> list[Decoded]:
    """Decode questions, each with its own edit.

    Args:
        model: The model.
        questions: B question texts; the same text may come again with another edit.
        edits: One `Edit` for all questions, or B entries: an edit, several, or None.
        max_new_tokens: Limit of generated tokens.
        hidden: Keep hidden states.
        first_logits: Keep the logits of the first answer step.

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
    options = Options(max_new_tokens, hidden, first_logits)
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
    options: Options = Options(),
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[tuple[int, Decoded]]]:
    """Decode rows batch by batch, in an order that suits the batches.

    Args:
        model: The model.
        questions: Question texts; rows of one question share its prefix.
        rows: What to decode; edits are taken as checked (`acting`).
        options: Limits and what to keep.
        stop: Asked before every decoding step; True raises `Cancelled`.

    Yields:
        For each batch the (index of the row, result) pairs of its rows.
    """
    prompts = [model.encode(question) for question in questions]
    same: dict[tuple, list[int]] = {}
    for where, row in enumerate(rows):
        same.setdefault(row.key, []).append(where)
    leaders = [wheres[0] for wheres in same.values()]
    batches = deque(plan_batches(model, prompts, rows, leaders, options))
    while batches:
        batch = batches.popleft()
        try:
            decoded = run_grid(model, questions, prompts, rows, batch, options, stop)
        except (RuntimeError, MemoryError) as error:
            if batch.size == 1 or not is_out_of_memory(error):
                raise
            batches.extendleft(reversed(batch.halves()))
            continue
        yield [(w, result) for lead, result in decoded for w in same[rows[lead].key]]


@dataclass(frozen=True, slots=True)
class Grid:
    """One batch: for each question of it the indices of its rows."""

    questions: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Rows in the batch."""
        return sum(map(len, self.rows))

    def halves(self) -> list[Grid]:
        """Two batches of half the questions, or of half the rows of the only question."""
        if len(self.questions) > 1:
            half = len(self.questions) // 2
            cuts = (slice(None, half), slice(half, None))
            return [Grid(self.questions[cut], self.rows[cut]) for cut in cuts]
        half = len(self.rows[0]) // 2
        return [
            Grid(self.questions, (part,)) for part in (self.rows[0][:half], self.rows[0][half:])
        ]


def plan_batches(model, prompts, rows: Sequence[Row], leaders, options: Options) -> list[Grid]:
    """Group rows by question, cut to size; questions of like row count and length sit together."""
    by_question: dict[int, list[int]] = {}
    for lead in leaders:
        by_question.setdefault(rows[lead].question, []).append(lead)
    longest = max(map(len, prompts), default=0)
    limit = options.max_rows or rows_that_fit(model, longest, options.hidden, options.first_logits)
    parts = [
        (question, tuple(leads[i : i + limit]))
        for question, leads in by_question.items()
        for i in range(0, len(leads), limit)
    ]
    parts.sort(key=lambda part: (len(part[1]), len(prompts[part[0]])))
    grids: list[Grid] = []
    chosen: list[tuple[int, tuple[int, ...]]] = []
    for part in parts:
        if chosen and (len(chosen) + 1) * len(part[1]) > limit:
            grids.append(grid_of(chosen))
            chosen = []
        chosen.append(part)
    return [*grids, grid_of(chosen)] if chosen else grids


def grid_of(parts: Sequence[tuple[int, tuple[int, ...]]]) -> Grid:
    """A batch of (question, rows) parts."""
    questions, rows = zip(*parts, strict=True)
    return Grid(questions, rows)


def run_grid(model, questions, prompts, rows, grid: Grid, options: Options, stop):
    """Decode one batch; questions with fewer rows than the widest are filled with plain ones."""
    width = max(map(len, grid.rows))
    slots = [lead for leads in grid.rows for lead in (*leads, *[None] * (width - len(leads)))]
    plan = EditPlan([() if lead is None else rows[lead].edits for lead in slots], model.device)
    batch = run_batch(
        model,
        [prompts[q] for q in grid.questions],
        width,
        plan,
        max_new_tokens=options.max_new_tokens,
        record=options.hidden,
        first_logits=options.first_logits,
        stop=stop,
    )
    return [
        (lead, decoded_row(model, questions, prompts, rows[lead], batch, n))
        for n, lead in enumerate(slots)
        if lead is not None
    ]


def decoded_row(model, questions, prompts, row: Row, batch: BatchResult, n: int) -> Decoded:
    """Row n of a batch as a result."""
    text = model.text(list(batch.token_ids[n]))
    return Decoded(
        question=questions[row.question],
        token_ids=batch.token_ids[n],
        text=text,
        answer=extract_answer(text),
        prompt_tokens=len(prompts[row.question]) + 1,
        states=None if batch.states is None else batch.states[n].numpy(),
        first_logits=None if batch.first_logits is None else batch.first_logits[n].numpy(),
    )
