"""The batches of one request: what is remembered, what is decoded first, what comes of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from steer_core.codi.answer import BatchScores
from steer_core.codi.cores import batches_at_once, computing, is_wide, saves_passes
from steer_core.codi.drafts import evened
from steer_core.codi.engine import BatchResult, Measure, run_batch
from steer_core.codi.memory import rows_that_fit
from steer_core.codi.model import CodiModel
from steer_core.data.answers import extract_answer
from steer_core.errors import is_out_of_memory
from steer_core.steering.edits import is_read
from steer_core.steering.grids import Grid, grids_of
from steer_core.steering.plain import Plain, question_of
from steer_core.steering.plan import EditPlan
from steer_core.steering.rows import Decoded, Options, Row, Scores
from steer_core.steering.workers import run_all

Found = list[tuple[int, Decoded]]
"""(index of the row, its result) pairs."""


class Batches:
    """The rows of one request on their way through batches.

    Args and results are those of `steer_core.steering.decode.decode_rows`.
    """

    def __init__(
        self,
        model: CodiModel,
        questions: Sequence[str],
        rows: Sequence[Row],
        options: Options,
        candidates: Sequence[Sequence[float]] | None,
    ):
        self.model, self.texts, self.options = model, questions, options
        self.scored = candidates is not None
        numbers = [None] * len(questions) if candidates is None else candidates
        self.questions = [
            question_of(model, prompt, options.max_new_tokens, some)
            for prompt, some in zip(model.encode_all(questions), numbers, strict=True)
        ]
        self.rows = list(rows)
        self.same = equals(self.rows)
        self.plain: dict[int, Plain] = {}
        self.read: dict[tuple[int, ...], tuple[str, int | float | None]] = {}

    def run(self, stop: Callable[[], bool]) -> Iterator[Found]:
        """Every batch's results: remembered ones, plain ones if they are needed first, the rest."""
        leaders = list(self.same)
        plain = [lead for lead in leaders if not self.rows[lead].edits]
        rest = [lead for lead in leaders if self.rows[lead].edits]
        self.recall()
        keeps = self.options.hidden or self.options.first_logits
        known = [] if keeps else [i for i in plain if self.rows[i].question in self.plain]
        if known:
            yield self.given_out([(i, self.recalled(self.rows[i].question)) for i in known])
        first = [lead for lead in plain if lead not in set(known)]
        if self.scored:
            yield from self.decode(first + self.references(first, rest), stop)
            yield from self.decode(rest, stop)
        elif self.plain_first:
            yield from self.decode(first, stop)
            yield from self.decode(rest, stop)
        else:
            wanted = set(first)
            yield from self.decode([i for i in leaders if i in wanted or self.rows[i].edits], stop)

    @property
    def plain_first(self) -> bool:
        """Whether plain answers are decoded first, to be drafts of the edited rows.

        That saves a wide model passes over its weights; a narrow one gains less than batches that
        are not full cost it.
        """
        return len(self.questions) > 1 and is_wide(self.model)

    def recall(self) -> None:
        """Look up the plain rows that have been decoded before."""
        for index, question in enumerate(self.questions):
            if (plain := question.remembered(self.model)) is not None:
                self.plain[index] = plain

    def references(self, first: Sequence[int], rest: Sequence[int]) -> list[int]:
        """New rows for questions whose plain row is needed, not known and not asked for."""
        asked = {self.rows[i].question for i in first} | set(self.plain)
        needed = dict.fromkeys(self.rows[i].question for i in rest)
        start = len(self.rows)
        self.rows += [Row(question) for question in needed if question not in asked]
        return list(range(start, len(self.rows)))

    def decode(self, leaders: Sequence[int], stop: Callable[[], bool]) -> Iterator[Found]:
        """Decode rows in batches, several beside each other where there are cores for it."""
        at_once = batches_at_once(self.model, len(leaders))
        lengths = [len(question.prompt) for question in self.questions]
        limit = self.limit(lengths, len(leaders), at_once)
        rows = [(lead, self.rows[lead].question) for lead in leaders]
        grids = grids_of(rows, lengths, limit, self.options.in_order, at_once)

        def run(grid: Grid, stop: Callable[[], bool]) -> Found:
            with computing(self.model, len(grids) == 1, stop) as asked:
                try:
                    return self.run_grid(grid, asked)
                except (RuntimeError, MemoryError) as error:
                    if is_out_of_memory(error):
                        self.model.programs.forget()  # their memory is no other batch's
                    raise

        for found in run_all(grids, run, at_once, stop):
            yield self.given_out(found)

    def limit(self, lengths: Sequence[int], total: int, at_once: int) -> int:
        """Rows of one batch: what memory allows, and a batch for every core."""
        options = self.options
        fit = rows_that_fit(
            self.model,
            max(lengths, default=0),
            options.hidden,
            options.first_logits,
            at_once,
            sharing=max(1.0, total / max(1, len(lengths))),
            questions=len(lengths),
        )
        most = max(1, min(fit, math.ceil(total / at_once)))
        return min(most, options.max_rows or most)

    def run_grid(self, grid: Grid, stop: Callable[[], bool]) -> Found:
        """Decode one batch; questions with few rows are filled up with plain ones."""
        width = max(map(len, grid.rows))
        slots = [lead for leads in grid.rows for lead in (*leads, *[None] * (width - len(leads)))]
        edits = [() if lead is None else self.rows[lead].edits for lead in slots]
        asked = [(self.questions[q], self.plain.get(q)) for q in grid.questions]
        whole = saves_passes(self.model, len(slots))
        taken = [(n, lead) for n, lead in enumerate(slots) if lead is not None]
        batch = run_batch(
            self.model,
            [question.prompt for question, _ in asked],
            width,
            EditPlan(edits, self.model.device),
            max_new_tokens=self.options.max_new_tokens,
            record=self.options.hidden,
            first_logits=self.options.first_logits,
            candidates=evened(
                [question.candidates(self.model, plain, whole) for question, plain in asked]
            ),
            reference=landmarks([plain for _, plain in asked]),
            stop=stop,
            measure=self.measure(taken),
        )
        found = [(lead, self.decoded(lead, batch, n)) for n, lead in taken]
        for (n, lead), (_, decoded) in zip(taken, found, strict=True):
            self.remember(self.rows[lead], decoded, batch, n)
        return found

    def measure(self, taken: Sequence[tuple[int, int]]) -> Measure | None:
        """Hands on what a batch measures of rows (place in the batch, leading row)."""
        take = self.options.measure
        if take is None:
            return None
        every = [(n, row) for n, lead in taken for row in self.same.get(lead, ())]
        rows = [row for _, row in every]

        def measure(states: Tensor, logits: Tensor) -> None:
            at = torch.tensor([n for n, _ in every], device=states.device)
            take(rows, states[at], logits[at])

        return measure

    def remember(self, row: Row, decoded: Decoded, batch: BatchResult, n: int) -> None:
        """Keep row n of a batch if it is a plain one."""
        if row.edits or row.question in self.plain:
            return
        marks = None if batch.scores is None else batch.scores.landmarks
        plain = Plain(
            decoded.token_ids,
            decoded.scores,
            None if marks is None else marks[n].clone(),
            decoded.finite,
        )
        self.plain[row.question] = plain
        self.questions[row.question].remember(self.model, plain)

    def given_out(self, found: Found) -> Found:
        """The results of leading rows for all rows that equal them."""
        return [(where, decoded) for lead, decoded in found for where in self.same.get(lead, ())]

    def recalled(self, question: int) -> Decoded:
        """A remembered plain row as a result."""
        plain = self.plain[question]
        return self.result(question, plain.ids, plain.scores, finite=plain.finite)

    def decoded(self, lead: int, batch: BatchResult, n: int) -> Decoded:
        """Row n of a batch as a result."""
        row = self.rows[lead]
        states, logits = batch.states, batch.first_logits
        return self.result(
            row.question,
            batch.token_ids[n],
            self.scores(row, batch, n),
            states=None if states is None else states[n].numpy(),
            first_logits=None if logits is None else logits[n].numpy(),
            finite=batch.finite[n],
        )

    def scores(self, row: Row, batch: BatchResult, n: int) -> Scores | None:
        """Those of row n of a batch; of the plain row itself where the answer reads no edit."""
        if batch.scores is None:
            return None
        read = any(is_read(self.model.config, edit) for edit in row.edits)
        plain = self.plain.get(row.question)
        if plain is not None and not read:
            return plain.scores
        return scores_of(batch.scores, n, self.questions[row.question].scored, not read)

    def result(self, question: int, ids: tuple[int, ...], scores: Scores | None, **kept) -> Decoded:
        """One row's result; equal ids are turned into text once."""
        if ids not in self.read:
            text = self.model.text(list(ids))
            self.read[ids] = text, extract_answer(text)
        text, answer = self.read[ids]
        answer = answer if kept.get("finite", True) else None  # of "!!!!1" from NaN
        tokens = len(self.questions[question].prompt) + 1
        return Decoded(self.texts[question], ids, text, answer, tokens, scores=scores, **kept)


def equals(rows: Sequence[Row]) -> dict[int, list[int]]:
    """The first of rows with equal results: all that equal it, itself among them."""
    changes: dict[int, tuple] = {}  # by id: rows of a grid share their edits
    first: dict[tuple, int] = {}
    same: dict[int, list[int]] = {}
    for where, row in enumerate(rows):
        if id(row.edits) not in changes:
            changes[id(row.edits)] = row.change
        lead = first.setdefault((row.question, changes[id(row.edits)]), where)
        same.setdefault(lead, []).append(where)
    return same


def landmarks(each: Sequence[Plain | None]) -> Tensor | None:
    """What rows of these questions are compared with, [G, 2, V-1]; None if any is not known."""
    found = [plain.landmarks for plain in each if plain is not None and plain.landmarks is not None]
    return torch.stack(found) if found and len(found) == len(each) else None


def scores_of(scores: BatchScores, n: int, scored: Sequence, plain: bool) -> Scores:
    """Row n of a batch's scores; what the vocabulary cannot write has none."""
    logprobs = [
        math.nan if ids is None else value
        for ids, value in zip(scored, scores.logprobs[n], strict=True)
    ]
    margin = math.nan if scored[0] is None else scores.margin[n]
    # A plain row is what others are compared with; against itself nothing changes.
    three = (scores.kl, scores.kl_number, scores.shift)
    kl, kl_number, shift = (0.0 if plain else x[n] for x in three)
    return Scores(tuple(logprobs), margin, kl, kl_number, shift)
