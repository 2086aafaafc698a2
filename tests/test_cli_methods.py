"""Directions by name in the commands: computed, stored, swept with controls, compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Capture, printed, refused

from steer_core import directions, load_model, load_pairs
from steer_core.codi.model import CodiModel
from steer_core.data.pairs import dump_pairs
from steer_core.data.problems import Problem
from steer_core.pipeline import spec as specs
from steer_core.steering import library
from steer_core.steering.library import find_direction
from steer_core.steering.methods import METHODS

MODEL = ["--model", "tiny-llama", "--device", "cpu", "--dtype", "float32"]
SHORT = ["--max-new-tokens", "8"]
NAMES = "lda,contrast:steps,pca:2,counterfactual,mean_difference - 0.5*lda,shuffled:3 of lda"


@pytest.fixture(scope="module")
def model() -> CodiModel:
    return load_model("tiny-llama", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pairs") / "pairs.json"
    path.write_text(dump_pairs(load_pairs("fit")[:30]))
    return str(path)


@pytest.fixture
def small_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[Problem] = [p for pair in load_pairs("fit")[:30] for p in twins(pair)]
    monkeypatch.setattr(library, "bundled_fit_problems", lambda: problems)
    monkeypatch.setattr(specs, "bundled_fit_problems", lambda: problems)


def twins(pair) -> tuple[Problem, Problem]:
    return pair.clean, pair.corrupted


def test_several_methods_are_computed_stored_and_read(
    capsys: Capture, model: CodiModel, pairs: str, tmp_path: Path
):
    asked = ("--pairs", pairs, "--layer", "1", "--out", str(tmp_path), "--method", NAMES)
    rows = printed(capsys, "directions", *MODEL, *asked)
    assert [row["method"] for row in rows] == NAMES.replace("shuffled:3", "shuffled-3").split(",")
    for row in rows:
        found = find_direction(model, "residual", 1, row["file"])
        np.testing.assert_allclose(found.norms, row["norms"], atol=1e-3)
        assert found.method == row["method"]
        told = row.get("separation")
        assert (found.separation is None) == (told is None)
        if told is not None:
            assert len(told["score"]) == 7
            assert 0 < told["p"] <= 1
    assert [("separation" in row) for row in rows] == [True] * 4 + [False] * 2


def test_the_notebook_gives_the_same(model: CodiModel, pairs: str):
    (found,) = directions(model, load_pairs(pairs), method="lda", layer=1)
    assert found.separation is not None
    assert found.separation.measure == "AUC"
    assert found.layer == 1


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("nonsense", "unknown method 'nonsense'"),
        ("lda:nonsense", "behind lda may stand"),
        ("pca:99", "behind pca may stand"),
    ],
)
def test_unknown_methods_are_refused(capsys: Capture, pairs: str, method: str, says: str):
    error = refused(
        capsys, "directions", *MODEL, "--pairs", pairs, "--out", "x", "--method", method
    )
    assert says in error


def test_one_file_holds_one_direction(capsys: Capture, pairs: str):
    out = ("--out", "x.safetensors", "--method", "lda,pca")
    assert "holds one direction, not 2" in refused(
        capsys, "directions", *MODEL, "--pairs", pairs, *out
    )


def test_a_sweep_of_methods_has_controls_of_each(capsys: Capture, pairs: str, small_fit):
    names = "contrast:steps,lda,mean_difference orthogonal to lda"
    rows = printed(
        capsys,
        *("sweep", *MODEL, "--pairs", pairs, "--layers", "1", "--alphas", "0,1", *SHORT),
        *("--directions", names, "--controls", "shuffled=1,random=1"),
    )
    told = {row["direction"] for row in rows}
    for name in names.split(","):
        assert {name, f"shuffled-0 of {name}", f"random-0 of {name}"} <= told


def test_pulls_go_to_the_fit_sets_mean_and_its_leading_components(
    capsys: Capture, pairs: str, small_fit
):
    rows = printed(
        capsys,
        *("sweep", *MODEL, "--pairs", pairs, "--layers", "1", "--alphas", "0,1", *SHORT),
        *("--operations", "pull_mean,pull_principal,replace", "--directions", "mean_state"),
    )
    at = {row["operation"]: row for row in rows if row["alpha"] == 1}
    assert at["pull_mean"]["correct"] == at["replace"]["correct"]
    assert at["pull_mean"]["flips"] == at["replace"]["flips"]
    assert set(at) == {"pull_mean", "pull_principal", "replace"}


def test_directions_of_a_run_are_compared_at_equal_kl_and_dose(
    capsys: Capture, pairs: str, small_fit, tmp_path: Path
):
    out = str(tmp_path / "run")
    sweep = ("sweep", *MODEL, "--pairs", pairs, "--layers", "1", "--alphas=-2,0,2", *SHORT)
    printed(capsys, *sweep, "--directions", "mean_difference,lda", "--out", out)
    rows = printed(capsys, "compare", "methods", out)
    assert {row["by"] for row in rows} == {"kl_number", "dose"}
    assert any(row["change"] is not None for row in rows)
    page = tmp_path / "report.html"
    printed(capsys, "report", out, "--out", str(page))
    assert "Directions at equal dose and KL" in page.read_text(encoding="utf-8")


def test_every_method_has_words_for_a_reader():
    for name, method in METHODS.items():
        assert method.words
        assert len(method.words) < 90, name
        assert method.options
        chosen = [method.labelled, method.component, method.trained, method.state]
        assert sum(one is not None for one in chosen) == 1


def test_alpha_of_its_own_is_scored_on_other_pairs(capsys: Capture, tmp_path: Path, small_fit):
    held = tmp_path / "held.json"
    held.write_text(dump_pairs(load_pairs("test")[:12]))
    fit = tmp_path / "fit.json"
    fit.write_text(dump_pairs(load_pairs("fit")[:12]))
    asked = ("compare", "alpha", *MODEL, "--alphas=-1,0,1", "--layer", "1")
    (row,) = printed(capsys, *asked, "--pairs", str(held), "--fit-pairs", str(fit))
    assert (row["n"], row["n_fit"]) == (12, 12)
    assert row["uses_gold_answer"] == ["by_gold"]
    assert 0 <= row["predicted"] <= 1
    error = refused(capsys, *asked, "--pairs", str(fit), "--fit-pairs", str(fit))
    assert "12 of the pairs are fitted on as well" in error


def test_models_stand_side_by_side_at_equal_depth(capsys: Capture, tmp_path: Path):
    few = tmp_path / "few.json"
    few.write_text(dump_pairs(load_pairs("test")[:4]))
    asked = ("compare", "models", "--device", "cpu", "--alphas", "0,1", "--pairs", str(few))
    rows = printed(capsys, *asked, "--models", "tiny-llama,tiny-gpt2")
    assert {row["model"] for row in rows} == {"tiny-llama", "tiny-gpt2"}
    assert [row["depth"] for row in rows if row["model"] == "tiny-gpt2"] == [
        *(0.25, 0.25, 0.5, 0.5, 0.875, 0.875)
    ]
    assert "names one model" in refused(capsys, *asked, "--models", "tiny-llama")


def test_an_edits_file_takes_any_name(capsys: Capture, small_fit, tmp_path: Path):
    path = tmp_path / "edits.json"
    entries = [{"layer": 1, "direction": "contrast:steps", "alpha": 2}, {"operation": "pull_mean"}]
    path.write_text(json.dumps(entries))
    asked = ("decode", *MODEL, "--edits", str(path), *SHORT)
    (row,) = printed(capsys, *asked, "--question", "Tom has 3 pens. How many?")
    assert row["text"]
