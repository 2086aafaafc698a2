"""Decode what a run lacks, unit by unit: one that was ended goes on as if it had not been.

What is decoded is a function of plain data: a group of questions, its cells and what is missing of
them go in, rows come out (`Filler.fill`). So it may run in this process or, with an engine, in
others; the store is read and written here alone.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number
from steer_core.pipeline.dose import Doses
from steer_core.pipeline.outcomes import Outcome, outcome
from steer_core.pipeline.records import Question, RunPlan
from steer_core.pipeline.spec import SpecCurve
from steer_core.pipeline.store import Store, StoredRow
from steer_core.pipeline.units import layout_of, unit_rows
from steer_core.steering.decode import Decoded, Options, Row, acting, decode_rows
from steer_core.steering.spec import EditCurve
from steer_core.steering.uses import Edits

_log = logging.getLogger(__name__)
Progress = Callable[[int, int, float], None]
"""Called after every batch with rows stored, rows in all, and seconds of this sitting."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a group of questions lacks.

    `chunks` of questions that are edited together, by their number among the distinct questions of
    the run; `blocks` of cells that are decoded together; for each question `missing` cells and,
    where its unedited row is stored, its `answers`.
    """

    chunks: Sequence[Sequence[int]]
    blocks: Sequence[Sequence[int]]
    missing: dict[int, frozenset[int]]
    answers: dict[int, Number | None]

    def after(self, rows: Iterable[FilledRow]) -> Work:
        """What is left of it once these rows are there."""
        missing, answers = dict(self.missing), dict(self.answers)
        for row in rows:
            missing[row.question] -= {row.cell}
            if row.cell == 0:
                answers[row.question] = as_stored(row.outcome.answer)
        return dataclasses.replace(self, missing=missing, answers=answers)


def as_stored(answer: Number | None) -> float | None:
    """An answer as the store gives it back."""
    return None if answer is None else float(answer)


@dataclass(frozen=True, slots=True)
class FilledRow:
    """One row, by the numbers of its question and cell."""

    question: int
    cell: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Filled:
    """A batch of rows and the seconds that it took."""

    rows: list[FilledRow]
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a process needs besides the model: plain data that can be sent.

    `questions` distinct; `curves` of the plan in its order.
    """

    plan: RunPlan
    questions: tuple[Question, ...]
    curves: tuple[EditCurve, ...]


class Engine(Protocol):
    """Where groups are decoded; see `steer_core.pipeline.ray_engine` for another than this process.

    Groups are asked for when there is room for them; batches come in any order.
    """

    def fill(
        self, model: CodiModel, job: Job, works: Iterable[Work], stop: Callable[[], bool]
    ) -> Iterator[Filled]:
        """The rows that are missing, a batch at a time."""
        ...


class LocalEngine:
    """Decodes in this process, one group after the other."""

    def fill(
        self, model: CodiModel, job: Job, works: Iterable[Work], stop: Callable[[], bool]
    ) -> Iterator[Filled]:
        """The rows that are missing, a batch at a time."""
        filler = Filler(model, job)
        for work in works:
            yield from filler.fill(work, stop)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Of a question: its unedited answer, and the dose of every curve at α = 1, float64 [C]."""

    answer: Number | None
    doses: np.ndarray


class Filler:
    """Decodes what is missing of groups of questions; it knows no store.

    Args:
        model: The model.
        job: What is decoded.
        max_rows: Rows of a batch at most; as memory allows when not given.
    """

    def __init__(self, model: CodiModel, job: Job, max_rows: int | None = None):
        self.model, self.questions, self.cells = model, job.questions, job.plan.cells
        self.edits: list[Edits] = [
            () if c < 0 else acting(model, job.curves[c].at(edit.alpha)) for c, edit in self.cells
        ]
        self.doses = Doses(model, job.curves)
        self.options = Options(job.plan.spec.max_new_tokens)
        if max_rows is not None:
            self.options = dataclasses.replace(self.options, max_rows=max_rows)

    def fill(self, work: Work, stop: Callable[[], bool] = lambda: False) -> Iterator[Filled]:
        """Decode what the questions of some chunks lack."""
        began = time.perf_counter()
        bases, rows = self.baselines(work, stop)
        if rows:
            yield Filled(rows, time.perf_counter() - began)
        for chunk in work.chunks:
            for block in work.blocks:
                began = time.perf_counter()
                if rows := self.unit(chunk, block, work, bases, stop):
                    yield Filled(rows, time.perf_counter() - began)

    def baselines(
        self, work: Work, stop: Callable[[], bool]
    ) -> tuple[dict[int, Baseline], list[FilledRow]]:
        """What is known of the unedited rows of questions, and those rows that are missing.

        They are decoded even if they are stored: doses need the states, and the batch should be the
        one that it would have been in a run of one sitting.
        """
        questions = list(work.missing)
        options = dataclasses.replace(self.options, hidden=True)
        rows, bases = [], {}
        for i, decoded in self.decoded([(question, ()) for question in questions], options, stop):
            question = questions[i]
            assert decoded.states is not None
            if 0 in work.missing[question]:
                result = outcome(decoded, self.questions[question], decoded.answer, 0.0)
                rows.append(FilledRow(question, 0, result))
            answer = work.answers.get(question, as_stored(decoded.answer))
            bases[question] = Baseline(answer, self.doses.of(decoded.states))
        return bases, rows

    def unit(
        self,
        chunk: Sequence[int],
        block: Sequence[int],
        work: Work,
        bases: dict[int, Baseline],
        stop: Callable[[], bool],
    ) -> list[FilledRow]:
        """Decode a chunk of questions in a block of cells, or what of it is missing."""
        where = [
            (question, cell)
            for question in chunk
            for cell in block
            if cell in work.missing[question]
        ]
        asked = [(question, self.edits[cell]) for question, cell in where]
        return [
            self.steered(*where[i], decoded, bases[where[i][0]])
            for i, decoded in self.decoded(asked, self.options, stop)
        ]

    def steered(self, question: int, cell: int, decoded: Decoded, base: Baseline) -> FilledRow:
        """One edited row."""
        curve, edit = self.cells[cell]
        dose = abs(edit.alpha) * float(base.doses[curve])
        result = outcome(decoded, self.questions[question], base.answer, dose)
        return FilledRow(question, cell, result)

    def decoded(
        self, rows: Sequence[tuple[int, Edits]], options: Options, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Decoded]]:
        """(index, result) of rows of (question, edits), scored."""
        questions = list(dict.fromkeys(question for question, _ in rows))
        local = {question: i for i, question in enumerate(questions)}
        asked = [self.questions[question] for question in questions]
        batches = decode_rows(
            self.model,
            [question.text for question in asked],
            [Row(local[question], edits) for question, edits in rows],
            options,
            stop,
            candidates=[(question.gold, question.twin) for question in asked],
        )
        for batch in batches:
            yield from batch


class Runner:
    """One sitting of a run: what is missing of it goes to an engine, and what comes is stored.

    Questions are told apart by their ids in the store, so one that comes twice is decoded once.
    `first` are the curves that the run began with, `later` the controls that it got since.
    """

    def __init__(
        self,
        model: CodiModel,
        plan: RunPlan,
        first: Sequence[SpecCurve],
        later: Sequence[SpecCurve],
        store: Store,
        progress: Progress,
        stop: Callable[[], bool],
        engine: Engine | None = None,
    ):
        self.plan = dataclasses.replace(plan, later=tuple(each.key for each in later))
        self.model, self.store = model, store
        self.engine = engine or LocalEngine()
        self.report, self.stop = progress, stop
        curves = tuple(each.curve for each in (*first, *later))
        for c, edit in self.plan.cells[1:]:
            acting(model, curves[c].at(edit.alpha))  # checked before anything is stored
        self.ids = store.begin(self.plan)
        self.questions = list(dict.fromkeys(self.ids.questions))
        texts = dict(zip(self.ids.questions, plan.questions, strict=True))
        self.job = Job(self.plan, tuple(texts[q] for q in self.questions), curves)
        record = store.run(self.ids.run)
        self.done, self.total = record.done, record.total
        self.began = time.perf_counter()

    def run(self) -> None:
        """Decode everything that is missing; whether that was all of the run, others say."""
        if self.done:
            _log.info("%d of %d rows are stored; going on from there", self.done, self.total)
        self.report(self.done, self.total, 0.0)
        for filled in self.engine.fill(self.model, self.job, self.works(), self.stop):
            self.write(filled)

    def works(self) -> Iterator[Work]:
        """What each group of questions lacks, as far as it lacks anything."""
        layout = layout_of(self.plan, len(self.questions), unit_rows(self.model))
        for group in layout.groups:
            if work := self.work(group, layout.blocks):
                yield work

    def work(self, chunks: Sequence[Sequence[int]], blocks: Sequence[Sequence[int]]) -> Work | None:
        """What the questions of some chunks lack; None for nothing."""
        questions = [question for chunk in chunks for question in chunk]
        cells: dict[int, list[int]] = {}
        for cell, edit in enumerate(self.ids.edits):
            cells.setdefault(edit, []).append(cell)
        missing = {}
        for question in questions:
            stored = self.store.edits_of(self.ids.setting, self.questions[question])
            lacking = [own for edit, own in cells.items() if edit not in stored]
            missing[question] = frozenset(cell for own in lacking for cell in own)
        if not any(missing.values()):
            return None
        ids = {self.questions[question]: question for question in questions}
        answers = self.store.baselines(self.ids.setting, ids)
        return Work(chunks, blocks, missing, {ids[q]: answer for q, answer in answers.items()})

    def write(self, filled: Filled) -> None:
        """Store a batch and say how far the run is."""
        rows = [
            StoredRow(self.questions[row.question], self.ids.edits[row.cell], row.outcome)
            for row in filled.rows
        ]
        self.store.write(self.ids, rows, filled.seconds)
        self.done += len(rows)
        self.report(self.done, self.total, time.perf_counter() - self.began)
