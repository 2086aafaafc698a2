"""Decode what a run lacks, unit by unit: one that was ended goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number
from steer_core.pipeline.dose import Doses
from steer_core.pipeline.outcomes import outcome
from steer_core.pipeline.records import RunPlan
from steer_core.pipeline.spec import SpecCurve
from steer_core.pipeline.store import Store, StoredRow
from steer_core.pipeline.units import layout_of, unit_rows
from steer_core.steering.decode import Decoded, Options, Row, acting, decode_rows
from steer_core.steering.uses import Edits

_log = logging.getLogger(__name__)
Progress = Callable[[int, int, float], None]
"""Called after every batch with rows stored, rows in all, and seconds of this sitting."""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Of a question: its unedited answer, and the dose of every curve at α = 1, float64 [C]."""

    answer: Number | None
    doses: np.ndarray


class Runner:
    """One sitting of a run.

    Questions are known here by their ids in the store, so one that comes twice is decoded once.
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
    ):
        self.plan = dataclasses.replace(plan, later=tuple(each.key for each in later))
        self.model, self.store = model, store
        self.curves = [each.curve for each in (*first, *later)]
        self.report, self.stop = progress, stop
        self.edits = self.acting_edits()
        self.doses = Doses(model, self.curves)
        self.options = Options(plan.spec.max_new_tokens)
        self.ids = store.begin(self.plan)
        self.questions = dict(zip(self.ids.questions, plan.questions, strict=True))
        self.wanted = set(self.ids.edits)
        record = store.run(self.ids.run)
        self.done, self.total = record.done, record.total
        self.began = time.perf_counter()

    def acting_edits(self) -> list[Edits]:
        """What each cell's rows are changed by, checked; nothing where it cannot act."""
        return [
            () if c < 0 else acting(self.model, self.curves[c].at(edit.alpha))
            for c, edit in self.plan.cells
        ]

    def run(self) -> None:
        """Decode everything that is missing; whether that was all of the run, others say."""
        if self.done:
            _log.info("%d of %d rows are stored; going on from there", self.done, self.total)
        self.report(self.done, self.total, 0.0)
        names = list(self.questions)
        layout = layout_of(self.plan, len(names), unit_rows(self.model))
        for group in layout.groups:
            self.fill([[names[i] for i in chunk] for chunk in group], layout.blocks)

    def fill(self, chunks: Sequence[Sequence[int]], blocks: Sequence[Sequence[int]]) -> None:
        """Decode what the questions of some chunks lack."""
        questions = [question for chunk in chunks for question in chunk]
        stored = {q: self.store.edits_of(self.ids.setting, q) for q in questions}
        missing = {q: self.wanted - edits for q, edits in stored.items()}
        if not any(missing.values()):
            return
        bases = self.baselines(missing)
        for chunk in chunks:
            for block in blocks:
                self.unit(chunk, block, missing, bases)

    def baselines(self, missing: Mapping[int, set[int]]) -> dict[int, Baseline]:
        """The unedited rows of questions; written where they are missing.

        They are decoded even if they are stored: doses need the states, and the batch should be the
        one that it would have been in a run of one sitting.
        """
        began = time.perf_counter()
        edit, questions = self.ids.edits[0], list(missing)
        options = dataclasses.replace(self.options, hidden=True)
        rows, doses = [], {}
        for i, decoded in self.decoded([(question, ()) for question in questions], options):
            question = questions[i]
            assert decoded.states is not None
            doses[question] = self.doses.of(decoded.states)
            if edit in missing[question]:
                result = outcome(decoded, self.questions[question], decoded.answer, 0.0)
                rows.append(StoredRow(question, edit, result))
        self.write(rows, began)
        answers = self.store.baselines(self.ids.setting, questions)
        return {question: Baseline(answers[question], doses[question]) for question in questions}

    def unit(
        self,
        chunk: Sequence[int],
        block: Sequence[int],
        missing: Mapping[int, set[int]],
        bases: Mapping[int, Baseline],
    ) -> None:
        """Decode and write a chunk of questions in a block of cells, or what of it is missing."""
        began = time.perf_counter()
        where = [
            (question, cell)
            for question in chunk
            for cell in block
            if self.ids.edits[cell] in missing[question]
        ]
        asked = [(question, self.edits[cell]) for question, cell in where]
        rows = [
            self.steered(*where[i], decoded, bases[where[i][0]])
            for i, decoded in self.decoded(asked, self.options)
        ]
        if rows:
            self.write(rows, began)

    def steered(self, question: int, cell: int, decoded: Decoded, base: Baseline) -> StoredRow:
        """One edited row as it is stored."""
        curve, edit = self.plan.cells[cell]
        dose = abs(edit.alpha) * float(base.doses[curve])
        result = outcome(decoded, self.questions[question], base.answer, dose)
        return StoredRow(question, self.ids.edits[cell], result)

    def decoded(
        self, rows: Sequence[tuple[int, Edits]], options: Options
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
            self.stop,
            candidates=[(question.gold, question.twin) for question in asked],
        )
        for batch in batches:
            yield from batch

    def write(self, rows: Sequence[StoredRow], began: float) -> None:
        """Store a batch and say how far the run is."""
        self.store.write(self.ids, rows, time.perf_counter() - began)
        self.done += len(rows)
        self.report(self.done, self.total, time.perf_counter() - self.began)
