"""Folders of experiments whose rows were never decoded: tables put into a real store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from steer_core.pipeline.outcomes import FLIPS, SCORES, Outcome
from steer_core.pipeline.records import (
    CurveKey,
    Question,
    RunPlan,
    Setting,
    SweepSpec,
)
from steer_core.pipeline.store import FILE, Store, StoredRow


def store_run(
    folder: Path,
    table: pd.DataFrame,
    *,
    model: str = "tiny-llama",
    keep: int | None = None,
    **about,
) -> int:
    """Put the table of a synthetic run into the store of a folder; returns its id.

    `keep`: how many pairs are stored, for an unfinished run. `about`: more provenance.
    """
    plan = plan_of(table, model, about)
    with Store(folder / FILE) as store:
        ids = store.begin(plan)
        edits = {(c, e.alpha): i for (c, e), i in zip(plan.cells, ids.edits, strict=True)}
        curves = {(each.layer, each.direction): c for c, each in enumerate(plan.curves)}
        rows = [
            StoredRow(ids.questions[row.question_index], edits[place(row, curves)], outcome_of(row))
            for row in table.itertuples()
            if keep is None or row.question_index < keep
        ]
        store.write(ids, rows, seconds=12.5)
        if keep is None:
            store.finish(ids.run)
    return ids.run


def place(row, curves) -> tuple[int, float]:
    if row.kind == "baseline":
        return -1, 0.0
    return curves[None if pd.isna(row.layer) else int(row.layer), row.direction], row.alpha


def outcome_of(row) -> Outcome:
    scores = [getattr(row, name) for name in SCORES]
    answer = None if pd.isna(row.answer) else row.answer
    ids = tuple(json.loads(row.token_ids))
    return Outcome(
        ids, f"{row.text} {answer}", answer, row.correct, FLIPS.index(row.flip), scores_of(scores)
    )


def scores_of(scores):
    import numpy as np

    return np.array(scores, dtype=np.float32)


def plan_of(table: pd.DataFrame, model: str, about: dict) -> RunPlan:
    base = table[table["kind"] == "baseline"].sort_values("question_index")
    found = table[table["kind"] != "baseline"].drop_duplicates(["layer", "direction"])
    curves = tuple(
        CurveKey(
            row.site,
            None if pd.isna(row.layer) else int(row.layer),
            tuple(range(1, 7)),
            row.direction,
            row.kind,
            f"{row.layer}/{row.direction}",
        )
        for row in found.itertuples()
    )
    layers = tuple(dict.fromkeys(curve.layer for curve in curves))
    alphas = tuple(sorted({0.0, *table["alpha"]}))
    spec = SweepSpec(curves[0].site, layers, alphas, (tuple(range(1, 7)),))
    provenance = {
        "model": model,
        "model_sha256": "ab" * 32,
        "revision": None,
        "device": "cpu",
        "dtype": "float32",
        "latents": 6,
        "pairs": "test",
        "pairs_sha256": "cd" * 32,
        "split": "report",
        "n_pairs": len(base),
        "seed": 0,
        "versions": {"torch": "2.13.0", "python": "3.11"},
        "command": f"python -m steer_core sweep --model {model} --layers 1-2",
    }
    return RunPlan(
        name="synthetic",
        setting=Setting("ab" * 32, 6, "float32", "cpu", 256),
        spec=spec,
        curves=curves,
        questions=tuple(
            Question(f"question {i}?", float(g), float(t))
            for i, g, t in zip(base["question_index"], base["gold"], base["twin"], strict=True)
        ),
        pair_ids=tuple(base["pair_id"]),
        provenance=provenance | about,
    )
