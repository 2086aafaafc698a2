"""Numbers that are not finite: said, never an answer, a flip or a wrong answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import Capture, printed
from tiny_checkpoints import VARIANTS, Tiny, build
from tiny_models import noise, pairs, tiny_model

from steer_core import Edit, decode
from steer_core.cli import main
from steer_core.cli.sweep_table import table_text
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment.grid import fill_grid
from steer_core.experiment.strip import alpha_strip
from steer_core.pipeline.export import export_results
from steer_core.pipeline.outcomes import FLIPS, NOT_FINITE
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import FILE, Store
from steer_core.report.sections import unfinished_words
from steer_core.report.source import load_source
from steer_core.steering.directions import Direction
from steer_core.steering.rows import OVERFLOWED
from steer_core.steering.spec import EditCurve
from steer_core.ui.payload import strip_payload, sweep_payload
from steer_core.ui.settings import Setting

MASK, LIMIT = (1, 2, 3, 4, 5, 6), 6
HUGE = 1e6
"""Times noise of size 1 beyond what float16 holds, 65,504."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("half"), "llama-bin", dtype="float16")


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
    return pairs(model, LIMIT)


@pytest.fixture
def swept(model: CodiModel, asked: list[Pair], tmp_path: Path) -> Iterator[tuple[Store, Path]]:
    from safetensors.torch import save_file

    save_file({"direction": noise(model)}, tmp_path / "mine.safetensors")
    names = (str(tmp_path / "mine.safetensors"),)
    spec = SweepSpec("residual", (2,), (-1.0, 0.0, 1.0, HUGE), (MASK,), names, random=2)
    with Store(tmp_path / FILE) as store:
        run_sweep(model, asked, replace(spec, max_new_tokens=LIMIT), store)
        yield store, tmp_path


def edit(model: CodiModel, alpha: float, site: str = "residual") -> Edit:
    return Edit(noise(model), alpha, site, 2 if site == "residual" else None, MASK)


@pytest.mark.parametrize("site", ["residual", "thought", "embedding"])
def test_a_row_that_overflows_has_no_answer_and_the_others_theirs(site: str, model: CodiModel):
    question = "Tom has 3 pens. How many?"
    alphas = (0.0, HUGE, 1.0, -HUGE)
    rows = decode(model, [question] * 4, [edit(model, a, site) for a in alphas], max_new_tokens=8)
    assert [row.finite for row in rows] == [True, False, True, False]
    assert (rows[1].answer, rows[3].answer) == (None, None)
    alone = decode(model, [question], [edit(model, 1.0, site)], max_new_tokens=8)
    assert alone[0].token_ids == rows[2].token_ids


def test_a_weight_that_overflows_only_in_the_answer_is_noticed(model: CodiModel):
    """Finite hidden states, and a logit beyond what float16 holds."""
    head = model.body.head
    norm = replace(model.body.norm, weight=model.body.norm.weight * 10)
    loud = replace(head, weight=head.weight * 5000, fast=())
    again = replace(model, body=replace(model.body, head=loud, norm=norm))
    assert not decode(again, ["Tom has 3 pens. How many?"], max_new_tokens=2)[0].finite


def test_everything_finite_is_said_to_be(model: CodiModel, asked: list[Pair]):
    rows = decode(model, [pair.clean.question for pair in asked], max_new_tokens=8)
    again = decode(model, [pair.clean.question for pair in asked], max_new_tokens=8)
    assert all(row.finite for row in (*rows, *again))


def test_in_a_store_it_is_no_flip_and_not_wrong(swept: tuple[Store, Path], asked: list[Pair]):
    store, _ = swept
    table, summary, tally = store.table(1), store.summary(1), store.tally(1)
    lost = table[table.alpha == HUGE]
    assert set(lost.flip) == {"not finite"}
    assert lost.answer.isna().all()
    assert "not finite" not in set(table[table.alpha != HUGE].flip)
    at = summary[summary.alpha == HUGE]
    assert set(at.n) == set(at.correct) == set(at.flips) == {0}
    assert set(at.nonfinite) == {len(asked)}
    assert at.accuracy.isna().all()
    assert set(summary[summary.alpha != HUGE].nonfinite) == {0}
    assert set(tally[tally.alpha == HUGE].n) == {0}
    assert set(tally[tally.alpha == HUGE].nonfinite) == {len(asked)}
    text = table_text(summary, store.run(1).curves, 4)
    assert "not finite" in text


def test_a_table_of_finite_numbers_has_no_column_for_others(swept: tuple[Store, Path]):
    store, _ = swept
    found = store.summary(1).assign(nonfinite=0)
    assert "not finite" not in table_text(found, store.run(1).curves, 4)


def test_a_report_says_so_and_judges_the_rest(swept: tuple[Store, Path], asked: list[Pair]):
    _, folder = swept
    source = load_source(folder)
    assert source.overflowed == (3 * len(asked), (HUGE,))
    said = unfinished_words(source)
    assert f"{3 * len(asked)} rows overflowed (not finite, at α = 1e+06)" in said
    assert "Unfinished" not in said
    assert HUGE not in source.analysis.alphas
    assert source.analysis.n == len(asked)


def test_an_export_holds_null_for_them(swept: tuple[Store, Path]):
    store, folder = swept
    export_results(store, 1, folder / "rows.json")
    rows = json.loads((folder / "rows.json").read_text(), parse_constant=pytest.fail)["rows"]
    lost = [row for row in rows if row["flip"] == "not finite"]
    assert lost
    assert {row["answer"] for row in lost} == {None}


def test_the_page_is_told(model: CodiModel, asked: list[Pair]):
    curve = EditCurve.along(Direction(noise(model), "noise", "residual", 2), "residual", 2, MASK)
    problems = [pair.clean for pair in asked]
    *_, tally = fill_grid(model, problems, [curve], [0.0, 1.0, HUGE], max_new_tokens=LIMIT)
    state = tally.state(0)
    assert state.nonfinite.tolist() == [0, 0, len(problems)]
    assert state.done.tolist() == [len(problems), len(problems), 0]
    assert (state.flips[2], state.right_to_wrong[2]) == (0, 0)
    assert state.decoded == state.rows
    setting = Setting("m", tuple(spec for spec, _ in curve.parts))
    assert sweep_payload(setting, state, True)["nonfinite"] == [0, 0, len(problems)]
    strip = alpha_strip(
        model,
        problems[0].question,
        3,
        curve=curve,
        alphas=[0.0, HUGE],
        max_new_tokens=LIMIT,
    )
    job = type("Job", (), {"setting": setting, "question": "?", "gold": 3})
    payload = strip_payload(job, strip, 3)
    assert payload["nonfinite"] == [1]
    assert payload["correct"][1] is None
    assert payload["answers"][1] is None
    assert payload["texts"][payload["text"][1]] == OVERFLOWED
    json.dumps(payload, allow_nan=False)


def test_the_commands_say_so(tmp_path: Path, capsys: Capture):
    tiny: Tiny = build(tmp_path, VARIANTS["llama-bin"])
    from safetensors.torch import save_file

    direction = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    save_file({"direction": direction}, tmp_path / "d.safetensors")
    words = [
        *("decode", "--model", str(tiny.path), "--base", str(tiny.base), "--lora-alpha", "8"),
        *("--dtype", "float16", "--direction", str(tmp_path / "d.safetensors"), "--layer", "2"),
        *("--alpha", "1e6", "--max-new-tokens", "4", "--question", "Tom has 3 pens."),
    ]
    (row,) = printed(capsys, *words)
    assert row["nonfinite"] is True
    assert row["answer"] is None
    assert main(words) == 0
    assert capsys.readouterr().out.endswith(f"->  {OVERFLOWED}\n")
    words[words.index("--alpha") + 1] = "1"
    (row,) = printed(capsys, *words)
    assert "nonfinite" not in row


def test_its_code_is_behind_those_of_older_stores():
    assert (NOT_FINITE, FLIPS[NOT_FINITE]) == (6, "not finite")
