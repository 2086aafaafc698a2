"""Runs whose rows are made up, for tests of the store alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steer_core.pipeline.outcomes import SCORES, Outcome
from steer_core.pipeline.records import CurveKey, EditKey, Question, RunPlan, Setting, SweepSpec
from steer_core.pipeline.store import RunIds, Store, StoredRow

SETTING = Setting("ab" * 32, 6, "float32", "cpu", max_new_tokens=8)


def plan(
    *,
    pairs: int = 3,
    layers: Sequence[int | None] = (1, 2),
    alphas: Sequence[float] = (-1.0, 0.0, 1.0),
    masks: Sequence[tuple[int, ...]] = ((1, 2, 3),),
    labels: Sequence[str] = ("mean_difference", "random-0"),
    setting: Setting = SETTING,
    pair_ids: Sequence[int | str] | None = None,
) -> RunPlan:
    """A run over questions 0..pairs-1 with gold answer 10 + i and twin 20 + i."""
    site = "thought" if tuple(layers) == (None,) else "residual"
    spec = SweepSpec(site, tuple(layers), tuple(alphas), tuple(masks))
    curves = tuple(
        CurveKey(site, layer, mask, label, kind_of(label), f"{label} {layer}")
        for layer in layers
        for mask in masks
        for label in labels
    )
    return RunPlan(
        name="made up",
        setting=setting,
        spec=spec,
        curves=curves,
        questions=tuple(Question(f"question {i}", 10 + i, 20 + i) for i in range(pairs)),
        pair_ids=tuple(range(pairs)) if pair_ids is None else tuple(pair_ids),
        provenance={"model": "none"},
    )


def kind_of(label: str) -> str:
    return label.split("-")[0] if "-" in label else "real"


def made_up(question: int, edit: EditKey) -> Outcome:
    """An outcome that is a function of question and edit, so that every cell can be told apart."""
    rng = np.random.default_rng([question, *edit.key.encode()])
    answer = int(rng.integers(30)) if rng.random() < 0.8 else None
    return Outcome(
        token_ids=(7, answer or 0),
        text=f"The answer is: {answer}",
        answer=answer,
        correct=answer == 10 + question,
        flip=int(rng.integers(6)) if edit.site else 0,
        scores=rng.normal(size=len(SCORES)).astype(np.float32),
    )


def fill(store: Store, plan: RunPlan, questions: Sequence[int] | None = None) -> RunIds:
    """Begin a run and write all rows of some questions, one batch a question."""
    ids = store.begin(plan)
    for q in range(len(plan.questions)) if questions is None else questions:
        store.write(ids, batch(plan, ids, q), seconds=0.5)
    return ids


def batch(plan: RunPlan, ids: RunIds, question: int) -> list[StoredRow]:
    """All rows of one question."""
    return [
        StoredRow(ids.questions[question], edit, made_up(question, key))
        for edit, (_, key) in zip(ids.edits, plan.cells, strict=True)
    ]
