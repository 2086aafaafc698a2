"""What tests of whole runs share: pairs, a direction, a spec, small units, a count of rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import save_file
from tiny_models import QUESTIONS, noise

from steer_core import Edit, decode
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.pipeline import runner
from steer_core.pipeline.records import SweepSpec

LIMIT = 8
SHORT = {"max_new_tokens": LIMIT}
ALPHAS = (-3.0, 0.0, 1.0, 4.0)
MASKS = ((1, 3, 4), (2, 6))
ROWS = 10


def asked_of(model: CodiModel) -> list[Pair]:
    """Gold and twin answers are those of no edit, of one of the edits, or of neither."""
    edit = Edit(noise(model, size=2.0), 4.0, "residual", 1, MASKS[0])
    plain, edited = (
        [
            -1 if row.answer is None else row.answer
            for row in decode(model, QUESTIONS, each, **SHORT)
        ]
        for each in (None, edit)
    )
    found = []
    for i, question in enumerate(QUESTIONS):
        gold, twin = [(plain[i], edited[i]), (edited[i], 3), (plain[i], 4), (-5, 6)][i % 4]
        found.append(Pair(f"p{i}", Problem(question, gold), Problem(question, twin)))
    return found


def file_in(folder: Path, model: CodiModel) -> str:
    path = folder / "mine.safetensors"
    save_file({"direction": noise(model, size=2.0)}, path)
    return str(path)


def spec_of(file: str) -> SweepSpec:
    return SweepSpec(
        site="residual",
        layers=(1, 3),
        alphas=ALPHAS,
        masks=MASKS,
        directions=(file,),
        random=1,
        seed=4,
        max_new_tokens=LIMIT,
    )


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small units, so that a run has many places to be ended at."""
    monkeypatch.setattr(runner, "unit_rows", lambda model: ROWS)


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """How often each (question, edit) is given to the decoder; edits of what acts, plain is ()."""
    counts: Counter = Counter()
    plain = runner.decode_rows

    def counting(model, questions, rows, *args, **options):
        for row in rows:
            edits = [(e.direction.sum().item(), e.alpha, e.layer, e.positions) for e in row.edits]
            counts[questions[row.question], tuple(edits)] += 1
        return plain(model, questions, rows, *args, **options)

    monkeypatch.setattr(runner, "decode_rows", counting)
    return counts


def fresh(model: CodiModel) -> CodiModel:
    """The model without what it remembers of earlier requests."""
    return replace(model)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the last bit."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)
