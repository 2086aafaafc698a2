"""Runs into a store: every row as a plain decode has it, and once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file
from sweep_parts import (
    ALPHAS,
    LIMIT,
    MASKS,
    same,
)
from tiny_models import noise

from steer_core import Edit, decode
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment.strip import alpha_strip
from steer_core.pipeline.records import SweepSpec, positions_text
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import Store
from steer_core.steering.controls import random_like
from steer_core.steering.directions import Direction
from steer_core.steering.spec import EditCurve

# --- what a row says -----------------------------------------------------------------------------


def test_every_row_is_that_of_a_plain_decode(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    with Store.memory() as store:
        table = store.table(run_sweep(model, asked, spec, store).id)
    assert len(table) == len(asked) * (1 + 2 * 2 * 2 * 3)
    vectors = {"mine": noise(model, size=2.0)}
    vectors["random-4"] = random_like(Direction(vectors["mine"], "mine", "residual", 1), 4).vectors
    base = {}
    flips = Counter()
    for row in table.itertuples(index=False):
        pair = asked[row.question_index]
        assert (row.pair_id, row.gold, row.twin) == (
            pair.pair_id,
            pair.clean.answer,
            pair.corrupted.answer,
        )
        edit = None
        if row.kind != "baseline":
            mask = next(mask for mask in MASKS if positions_text(mask) == row.positions)
            edit = Edit(vectors[row.direction], row.alpha, row.site, row.layer, mask)
        (wanted,) = decode(model, [pair.clean.question], edit, max_new_tokens=LIMIT)
        assert (row.text, json.loads(row.token_ids)) == (wanted.text, list(wanted.token_ids))
        assert row.correct == (wanted.answer == pair.clean.answer)
        assert wanted.answer == (None if np.isnan(row.answer) else row.answer)
        if edit is None:
            base[row.pair_id] = wanted.answer
        assert row.flip == flip(wanted.answer, base[row.pair_id], pair)
        flips[row.flip] += 1
    assert set(flips) >= {"", "wrong to right", "right to wrong", "to twin", "other number"}


def flip(answer: float | None, base: float | None, pair: Pair) -> str:
    """The rule in words of its own: what changed, the most telling name first."""
    gold, twin = pair.clean.answer, pair.corrupted.answer
    names = {
        "": answer == base,
        "no number": answer is None,
        "wrong to right": base != gold and answer == gold,
        "to twin": answer == twin,
        "right to wrong": base == gold,
        "other number": True,
    }
    return next(name for name, holds in names.items() if holds)


@pytest.mark.parametrize(
    ("site", "layer", "mask"),
    [
        ("residual", 2, (1, 3, 6)),
        ("residual", 3, (1, 3, 6)),
        ("thought", None, (0, 2, 6)),
        ("embedding", None, (0, 1, 5)),
    ],
)
def test_the_dose_is_the_mean_over_what_can_act(
    model: CodiModel, asked: list[Pair], file: str, site: str, layer: int | None, mask: tuple
):
    """Of K at the last block and at site thought, and of 0 at site embedding, nothing is read."""
    spec = SweepSpec(site, (layer,), (-1.5, 2.0), (mask,), (file,), max_new_tokens=LIMIT)
    with Store.memory() as store:
        table = store.table(run_sweep(model, asked[:3], spec, store).id)
    dead = {("residual", 3): 6, ("thought", None): 6, ("embedding", None): 0}.get((site, layer))
    alive = [k for k in mask if k != dead]
    assert len(alive) == 3 - (dead is not None)
    direction = Direction(noise(model, size=2.0), "mine", site, layer)
    curve = EditCurve.along(direction, site, layer, mask)
    for i, pair in enumerate(asked[:3]):
        question, alphas = pair.clean.question, (-1.5, 0.0, 2.0)
        strip = alpha_strip(model, question, curve=curve, alphas=alphas, max_new_tokens=1)
        each = strip.dose[[0, 2]]
        rows = table[(table.question_index == i) & (table.kind == "real")]
        np.testing.assert_allclose(rows.dose, each[:, alive].mean(1), rtol=1e-5)
    assert (table[table.kind == "baseline"].dose == 0).all()


def test_where_nothing_can_arrive_nothing_changes(model: CodiModel, asked: list[Pair], file: str):
    spec = SweepSpec("thought", (None,), (1e3,), ((6,),), (file,), max_new_tokens=LIMIT)
    with Store.memory() as store:
        table = store.table(run_sweep(model, asked, spec, store).id)
    base, edited = (table[table.kind == kind] for kind in ("baseline", "real"))
    assert (edited.flip == "").all()
    assert edited.text.tolist() == base.text.tolist()
    for name in ("shift", "kl", "kl_number", "dose"):
        assert (edited[name] == 0).all()


def test_scores_are_of_the_gold_answer_and_of_the_twins(
    model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    """Both twins ask the same here, so a run over swapped answers has swapped log-probabilities."""
    swapped = [
        replace(
            pair,
            clean=replace(pair.clean, answer=pair.corrupted.answer),
            corrupted=pair.clean,
        )
        for pair in asked
    ]
    with Store.memory() as store:
        one, other = (
            store.table(run_sweep(model, several, spec, store).id) for several in (asked, swapped)
        )
    assert one.logprob_gold.nunique() > len(asked)
    np.testing.assert_allclose(one.logprob_gold, other.logprob_twin, atol=1e-4)
    np.testing.assert_allclose(one.logprob_twin, other.logprob_gold, atol=1e-4)
    edited = one[one.kind != "baseline"]
    assert (edited.kl >= 0).all()
    assert (edited["shift"] > 0).mean() > 0.9
    for name in ("kl", "kl_number", "shift"):
        assert (one[one.kind == "baseline"][name] == 0).all()


# --- once ----------------------------------------------------------------------------------------


def test_nothing_is_decoded_twice(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter
):
    with Store.memory() as store:
        first = run_sweep(model, asked, spec, store)
        assert len(decoded) == len(asked) * (1 + 2 * 2 * 2 * 3) == first.done == first.total
        assert set(decoded.values()) == {1}
        again = run_sweep(model, asked, spec, store)
        assert sum(decoded.values()) == first.total
        assert again == first
        assert len(store.runs()) == 1


def test_runs_that_overlap_share_their_rows(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter
):
    wider = replace(spec, layers=(1, 2, 3), alphas=(*ALPHAS, 2.0))
    with Store.memory() as store:
        first = run_sweep(model, asked, spec, store)
        second = run_sweep(model, asked, wider, store)
        assert second.id != first.id
        edited = {key: count for key, count in decoded.items() if key[1]}
        assert set(edited.values()) == {1}
        assert len(edited) == len(asked) * 3 * 2 * 2 * 4
        assert second.done == second.total == len(edited) + len(asked)
        table = store.table(second.id)
        part = table[table.alpha.isin(ALPHAS) & (table.layer != 2).fillna(True)]
        part = part.reset_index(drop=True)
        same(part[part.columns.drop(["text", "token_ids"])], without_texts(store, first.id))


def without_texts(store: Store, run: int) -> pd.DataFrame:
    """A table but for the columns whose categories depend on the other rows."""
    table = store.table(run)
    return table[table.columns.drop(["text", "token_ids"])]


def test_a_direction_of_two_names_and_a_question_of_two_pairs_are_decoded_once(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter, tmp_path: Path
):
    twice = tmp_path / "twin.safetensors"
    save_file({"direction": noise(model, size=2.0)}, twice)
    both = replace(spec, directions=(*spec.directions, str(twice)), random=0)
    doubled = [asked[0], asked[1], replace(asked[0], pair_id="again")]
    with Store.memory() as store:
        record = run_sweep(model, doubled, both, store)
        table = store.table(record.id)
    assert set(decoded.values()) == {1}
    assert record.done == record.total == 2 * (1 + 2 * 2 * 3)
    assert len(table) == 3 * (1 + 2 * 2 * 3 * 2)
    assert table.direction.value_counts()["mine"] == table.direction.value_counts()["twin"]


def test_alpha_zero_alone_is_the_baseline(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    with Store.memory() as store:
        record = run_sweep(model, asked, replace(spec, alphas=(0.0,)), store)
        assert set(store.table(record.id).kind) == {"baseline"}
        summary = store.summary(record.id)
    assert len(summary) == 2 * 2 * 2
    assert set(summary.flips) == {0}
    right = sum(
        each.answer == pair.clean.answer
        for each, pair in zip(
            decode(model, [p.clean.question for p in asked], max_new_tokens=LIMIT),
            asked,
            strict=True,
        )
    )
    assert set(summary.correct) == {right}
