"""Runs into a store: every row as a plain decode has it, once, and whatever happened on the way."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import QUESTIONS, noise, problems, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.experiment.strip import dose
from steer_core.pipeline import runner
from steer_core.pipeline import spec as specs
from steer_core.pipeline.records import SweepSpec, positions_text
from steer_core.pipeline.run import Origin, run_sweep
from steer_core.pipeline.spec import expand
from steer_core.pipeline.stability import stability
from steer_core.pipeline.store import Store
from steer_core.steering.directions import Direction, fit_set, mean_difference, random_like

LIMIT = 8
SHORT = {"max_new_tokens": LIMIT}
ALPHAS = (-3.0, 0.0, 1.0, 4.0)
MASKS = ((1, 3, 4), (2, 6))
ROWS = 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
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


@pytest.fixture(scope="module")
def file(model: CodiModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("direction") / "mine.safetensors"
    save_file({"direction": noise(model, size=2.0)}, path)
    return str(path)


@pytest.fixture
def spec(file: str) -> SweepSpec:
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


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small units, so that a run has many places to be ended at."""
    monkeypatch.setattr(runner, "unit_rows", lambda model: ROWS)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter:
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


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the last bit."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)


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
    for i, pair in enumerate(asked[:3]):
        (base,) = decode(model, [pair.clean.question], max_new_tokens=1, hidden=True)
        each = dose(model, base, site, layer, mask, direction, np.array([-1.5, 2.0]))
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


# --- ended and gone on ---------------------------------------------------------------------------


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter, caplog
):
    with Store.memory() as store, Store.memory() as whole:
        wanted = whole.table(run_sweep(fresh(model), asked, spec, whole).id)
        decoded.clear()
        for asks in (10, 60, 200):
            left = iter(range(asks))
            with pytest.raises(Cancelled):
                run_sweep(
                    fresh(model),
                    asked,
                    spec,
                    store,
                    stop=lambda left=left: next(left, None) is None,
                )
        (record,) = store.runs()
        assert 0 < record.done < record.total
        assert record.finished is None
        with caplog.at_level(logging.INFO):
            record = run_sweep(fresh(model), asked, spec, store)
        assert f"of {record.total} rows are stored" in caplog.text
        assert record.finished is not None
        same(store.table(record.id), wanted)
    edited = sum(count for (_, edits), count in decoded.items() if edits)
    assert edited <= record.total - len(asked) + 3 * ROWS, "more than the unit that was stopped"


def fresh(model: CodiModel) -> CodiModel:
    """The model without what it remembers of earlier requests."""
    return replace(model)


def in_a_process(work: Callable[[], object]) -> multiprocessing.Process:
    """Start work in a process of its own, which has what was imported and patched here."""
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    return process


def test_killed_ten_times_it_ends_with_the_same_bits(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, tmp_path: Path
):
    def run(path: Path) -> None:
        torch.set_num_threads(1)
        with Store(path) as store:
            run_sweep(fresh(model), asked, spec, store)

    def finished(path: Path) -> float:
        began = time.perf_counter()
        process = in_a_process(lambda: run(path))
        process.join(120)
        assert process.exitcode == 0
        return time.perf_counter() - began

    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    seconds = finished(whole)
    rng, seen = np.random.default_rng(0), [0]
    for _ in range(10):
        process = in_a_process(lambda: run(killed))
        time.sleep(rng.uniform(0, seconds / 7))
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        if killed.exists():
            with Store(killed) as store:
                seen += [record.done for record in store.runs()]
    assert seen == sorted(seen)
    finished(killed)
    with Store(whole) as one, Store(killed) as other:
        (record,) = other.runs()
        assert record.done == record.total
        same(other.table(1), one.table(1))
    assert len({done for done in seen if 0 < done < record.total}) >= 2, "killed too early or late"


def test_two_processes_may_run_the_same_sweep(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, tmp_path: Path
):
    def run() -> None:
        torch.set_num_threads(1)
        with Store(tmp_path / "results.sqlite") as store:
            run_sweep(fresh(model), asked, spec, store)

    processes = [in_a_process(run) for _ in range(2)]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    with Store(tmp_path / "results.sqlite") as store, Store.memory() as alone:
        (record,) = store.runs()
        assert record.done == record.total
        wanted = alone.table(run_sweep(fresh(model), asked, spec, alone).id)
        same(store.table(1), wanted)


def test_a_partial_run_holds_whole_pairs_of_a_random_order(
    model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    firsts = set()
    for seed in range(4):
        with Store.memory() as store:
            enough = [False]

            def note(done: int, total: int, seconds: float, enough=enough) -> None:
                enough[0] = done > len(asked) + 30

            with pytest.raises(Cancelled):
                run_sweep(
                    model,
                    asked,
                    replace(spec, seed=seed),
                    store,
                    progress=note,
                    stop=lambda enough=enough: enough[0],
                )
            table = store.table(1)
            counts = table[table.kind != "baseline"].question_index.value_counts()
            assert (counts == 2 * 2 * 2 * 3).sum() >= len(counts) - 1
            firsts.add(counts.index[0])
    assert len(firsts) > 1


def test_progress_counts_up_to_all_rows(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    seen: list[tuple] = []
    with Store.memory() as store:
        record = run_sweep(model, asked, spec, store, progress=lambda *now: seen.append(now))
        done, totals, seconds = zip(*seen, strict=True)
        assert list(done) == sorted(done)
        assert (done[0], done[-1]) == (0, record.total)
        assert set(totals) == {record.total}
        assert list(seconds) == sorted(seconds)
        assert 0 < record.seconds <= seconds[-1]
        assert len(done) > 20


# --- directions ----------------------------------------------------------------------------------


def test_curves_of_a_spec_come_with_their_controls(model: CodiModel, spec: SweepSpec):
    fit = fit_set(model, problems(model), "mine")
    wide = replace(spec, shuffled=2, directions=("mean_difference",), masks=((1, 2), (3,)))
    curves = expand(model, wide, fit)
    keys = [(c.key.layer, c.key.positions, c.key.direction, c.key.kind) for c in curves]
    each = [
        ("mean_difference", "real"),
        ("random-4", "random"),
        ("shuffled-4", "shuffled"),
        ("shuffled-5", "shuffled"),
    ]
    assert keys == [
        (layer, mask, *one) for layer in (1, 3) for mask in ((1, 2), (3,)) for one in each
    ]
    real, *controls = (curve.curve.direction for curve in curves[:4])
    for control in controls:
        np.testing.assert_allclose(control.norms, real.norms, rtol=1e-4)
    assert len({curve.key.sha256 for curve in curves}) == 8
    assert [c.key.sha256 for c in expand(model, wide, fit)] == [c.key.sha256 for c in curves]


def test_controls_of_several_directions_are_told_apart(
    model: CodiModel, spec: SweepSpec, tmp_path: Path
):
    other = tmp_path / "mine.safetensors"
    save_file({"direction": noise(model, 7)}, other)
    curves = expand(model, replace(spec, layers=(1,), directions=(*spec.directions, str(other))))
    labels = [curve.key.direction for curve in curves]
    assert len(labels) == 2 * len(set(labels)) == 2 * 4  # at two masks
    assert [curve.key.kind for curve in curves[:4]] == ["real", "random", "real", "random"]


def test_a_spec_is_the_same_however_it_is_written(spec: SweepSpec):
    other = replace(spec, alphas=(-3, -0.0, 0, 1, 4.0, 1), masks=((4, 3, 1, 1), (2, 6), (6, 2)))
    assert other == spec
    assert SweepSpec.from_json(json.dumps(asdict(other))) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (1, 9)}, r"layer 9 .*1\.\.3"),
        ({"layers": ()}, "no layers; give"),
        ({"alphas": ()}, "no alpha"),
        ({"alphas": (float("nan"),)}, "alpha nan"),
        ({"masks": ((7,),)}, "position 7"),
        ({"masks": ()}, "no masks; give"),
        ({"masks": ((1,), ())}, "no positions; give"),
        ({"site": "mlp"}, "'mlp'"),
        ({"site": "thought"}, "thought has no layers, but layer 1"),
        ({"site": "thought", "layers": (None, 2)}, "thought has no layers, but layer 2"),
        ({"directions": ()}, "no directions; give"),
        ({"directions": ("nonsense",)}, "'nonsense'"),
        ({"random": -1}, "random -1"),
        ({"max_new_tokens": 0}, "0 new tokens"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_decoded(
    model: CodiModel,
    asked: list[Pair],
    spec: SweepSpec,
    change: dict,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(specs, "fit_set", lambda *_, **__: pytest.fail("decoded first"))
    monkeypatch.setattr(runner, "decode_rows", lambda *_, **__: pytest.fail("decoded first"))
    with Store.memory() as store:
        with pytest.raises(UserError, match=message):
            run_sweep(model, asked, replace(spec, **{"shuffled": 1} | change), store)
        assert store.runs() == []


def test_pairs_that_cannot_be_read_are_refused(
    model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    with Store.memory() as store:
        with pytest.raises(UserError, match="no pairs"):
            run_sweep(model, [], spec, store)
        blank = replace(asked[0], clean=replace(asked[0].clean, question="  "))
        with pytest.raises(UserError, match="empty"):
            run_sweep(model, [asked[1], blank], spec, store)
        assert store.runs() == []


# --- provenance ----------------------------------------------------------------------------------


def test_a_run_says_where_it_comes_from(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    fit = fit_set(model, problems(model), "theirs, split fit")
    origin = Origin("theirs", "report", "python -m steer_core sweep")
    one = replace(spec, directions=("mean_difference",), layers=(1,), shuffled=1)
    with Store.memory() as store:
        record = run_sweep(
            replace(model, lora_alpha=16.0), asked, one, store, origin=origin, fit=fit
        )
    found = record.provenance
    assert found["model_sha256"] == model.sha256
    wanted = {
        "model": model.name,
        "revision": None,
        "device": "cpu",
        "dtype": "float32",
        "latents": 6,
        "keep_eos": False,
        "lora_alpha": 16.0,
        "pairs": "theirs",
        "split": "report",
        "n_pairs": len(asked),
        "seed": 4,
        "command": "python -m steer_core sweep",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert len(found["pairs_sha256"]) == 64
    assert found["fit"]["problems"] == "theirs, split fit"
    direction = found["directions"]["mean_difference, residual 1"]
    assert {name: direction[name] for name in found["fit"]} == found["fit"]
    computed = mean_difference(model, fit, "residual", 1)
    np.testing.assert_allclose(direction["norms"], computed.norms, atol=1e-6)
    halves = stability(model, fit, computed)
    assert [each["cosine"] for each in direction["stability"]] == [each.cosine for each in halves]
    assert found["prepared"] is None
    assert found["layers"] == model.config.layers
    assert "torch" in found["versions"]
    assert record.spec == one


def test_another_model_or_decoding_is_another_run(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter
):
    small = replace(spec, layers=(1,), alphas=(1.0,), masks=(MASKS[0],), random=0)
    with Store.memory() as store:
        for other, limit in (
            (model, LIMIT),
            (replace(model, sha256="cd" * 32), LIMIT),
            (model, LIMIT + 1),
        ):
            run_sweep(other, asked[:2], replace(small, max_new_tokens=limit), store)
        assert len(store.runs()) == 3
    assert set(decoded.values()) == {3}
