"""The command `directions` from a prepared folder: fit split only, with stability."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from steer_core import UserError, decode, load_model, load_pairs
from steer_core.analysis.stability import split_half
from steer_core.cli import main
from steer_core.codi.model import CodiModel
from steer_core.pipeline.prepare import PrepareSettings, fit_from, prepare
from steer_core.pipeline.prepared import Prepared
from steer_core.pipeline.splits import SplitSettings
from steer_core.pipeline.stability import stability
from steer_core.steering.directions import fitted, load_direction, places

LIMIT = 12
TINY = ["directions", "--model", "tiny-llama", "--device", "cpu"]


@pytest.fixture(scope="module")
def model() -> CodiModel:
    return load_model("tiny-llama", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def prepared(model: CodiModel) -> Prepared:
    settings = PrepareSettings("none", split=SplitSettings(seed=2), max_new_tokens=LIMIT)
    return prepare(model, load_pairs("fit")[:120], settings, name="some")


@pytest.fixture(scope="module")
def folder(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split")
    prepared.save(path)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict]]:
    def run(*options: object) -> list[dict]:
        capsys.readouterr()
        assert main([*TINY, *map(str, options), "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def plain_difference(model: CodiModel, prepared: Prepared, layer: int) -> np.ndarray:
    """Mean right minus mean wrong over single decodes of the clean twins of the fit split."""
    states = {True: [], False: []}
    for pair in prepared.split("fit"):
        (row,) = decode(model, [pair.clean.question], max_new_tokens=LIMIT, hidden=True)
        states[row.answer == pair.clean.answer].append(row.states[:, layer])
    return np.mean(states[True], axis=0) - np.mean(states[False], axis=0)


def test_every_place_gets_a_file_in_the_folder(
    run, model: CodiModel, prepared: Prepared, folder: Path
):
    rows = run("--split", folder)
    assert [(row["site"], row["layer"]) for row in rows] == places(model)
    counts = prepared.counts["fit"]
    for row in rows:
        path = Path(row["file"])
        assert path.parent == folder / "directions"
        loaded = load_direction(path, model, row["site"], row["layer"])
        assert loaded.provenance.problems == "some, split fit"
        assert loaded.provenance.seed == 2
        assert (row["correct"], row["wrong"]) == (counts["correct"], counts["wrong"])
        np.testing.assert_allclose(row["norms"], loaded.norms, atol=1e-4)
        assert len(row["stability"]) == model.config.latents + 1
        missing = [k for k, found in enumerate(row["stability"]) if found is None]
        assert missing == ([0] if row["site"] == "embedding" else [])
        for found in filter(None, row["stability"]):
            assert -1 <= found["low"] <= found["cosine"] <= found["high"] <= 1
            assert found["level"] == 0.95
    assert len(list((folder / "directions").iterdir())) == len(rows)


def test_only_the_fit_split_is_used(run, model: CodiModel, prepared: Prepared, folder: Path):
    (row,) = run("--split", folder, "--layer", 3, "--out", folder / "three")
    assert Path(row["file"]) == folder / "three" / "residual-3.safetensors"
    vectors = load_direction(Path(row["file"]), model, "residual", 3).vectors
    wanted = plain_difference(model, prepared, 3)
    np.testing.assert_allclose(vectors.numpy(), wanted, rtol=0, atol=1e-3)
    assert np.abs(wanted).max() > 0.1


def test_stability_is_that_of_the_states_position_by_position(
    run, model: CodiModel, prepared: Prepared, folder: Path
):
    fit = fit_from(model, prepared)
    (row,) = run("--split", folder, "--site", "thought", "--seed", 9, "--out", folder / "other")
    for k, found in enumerate(row["stability"]):
        wanted = split_half(fit.states[:, k, -1], fit.right, seed=9)
        assert found["cosine"] == pytest.approx(wanted.cosine, abs=2e-4)
        assert (found["low"], found["high"]) == pytest.approx((wanted.low, wanted.high), abs=2e-3)


def test_too_few_answers_have_no_stability(model: CodiModel, prepared: Prepared):
    fit = fit_from(model, prepared)
    direction = fitted(model, fit, "thought", None)
    few = np.arange(len(fit.right)) < 3
    none = stability(model, dataclasses.replace(fit, right=few), direction)
    assert list(none) == [None] * 7
    four = stability(model, dataclasses.replace(fit, right=np.arange(len(few)) < 4), direction)
    assert None not in four


@pytest.mark.parametrize(
    ("options", "site", "layer"),
    [
        ([], "residual", 2),
        (["--layer", "4"], "residual", 4),
        (["--site", "residual"], "residual", 2),
        (["--site", "thought"], "thought", None),
        (["--site", "embedding"], "embedding", None),
    ],
)
def test_a_file_name_gets_exactly_one_direction(
    run, model: CodiModel, folder: Path, tmp_path: Path, options: list, site: str, layer: int | None
):
    out = tmp_path / "new" / "mine.safetensors"
    (row,) = run("--split", folder, "--out", out, *options)
    assert (row["site"], row["layer"], row["file"]) == (site, layer, str(out))
    assert [path.name for path in out.parent.iterdir()] == ["mine.safetensors"]
    assert load_direction(out, model, site, layer).provenance.problems == "some, split fit"


def test_the_site_chooses_files_of_a_folder(run, folder: Path, tmp_path: Path):
    rows = run("--split", folder, "--site", "residual", "--out", tmp_path)
    assert [row["layer"] for row in rows] == [1, 2, 3, 4]


def test_pairs_still_work_without_stability(run, tmp_path: Path):
    rows = load_pairs("fit")[:40]
    from steer_core.data.pairs import dump_pairs

    path = tmp_path / "pairs.json"
    path.write_text(dump_pairs(rows))
    (row,) = run("--pairs", path, "--out", tmp_path / "x.safetensors")
    assert "stability" not in row
    assert row["correct"] + row["wrong"] == 80


def test_for_a_reader(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main([*TINY, "--split", str(folder), "--out", str(tmp_path / "a.safetensors")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("residual 2 ")
    assert " right - " in first
    assert "cosine of halves" in second
    assert second.count("..") == 7


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ([], ["--out is missing", "safetensors"]),
        (["--split", "/nowhere"], ["/nowhere", "'prepare"]),
        (["--split", "{}", "--layer", "9"], ["layer 9", "1..4"]),
        (["--split", "{}", "--site", "mlp"], ["'mlp'", "residual, thought"]),
        (["--split", "{}", "--site", "thought", "--layer", "2"], ["site thought has no layers"]),
        (["--split", "{}", "--method", "pca"], ["'pca'"]),
        (["--split", "{}", "--latents", "5"], ["6 latents", "5"]),
        (["--split", "{}", "--model", "tiny-gpt2"], ["prepared with tiny-llama", "tiny-gpt2"]),
        (["--split", "{}", "--pairs", "fit"], ["not allowed with"]),
    ],
)
def test_it_refuses_in_one_line(
    folder: Path, options: list[str], parts: list[str], capsys: pytest.CaptureFixture
):
    try:
        status = main([*TINY, *(option.format(folder) for option in options)])
    except SystemExit as error:
        status = error.code
    found = capsys.readouterr()
    assert status == 2
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert ";" in found.err
    for part in parts:
        assert part in found.err


def test_a_sweep_may_not_take_a_direction_of_another_layer(run, model: CodiModel, folder: Path):
    (row,) = run("--split", folder, "--layer", 1, "--out", folder / "one.safetensors")
    with pytest.raises(UserError, match="computed at residual 1, not at residual 2"):
        load_direction(Path(row["file"]), model, "residual", 2)
    moved = load_direction(Path(row["file"]), model, "residual", 2, moved=True)
    assert torch.equal(
        moved.vectors, load_direction(Path(row["file"]), model, "residual", 1).vectors
    )
