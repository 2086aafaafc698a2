"""Units of alpha: what an alpha of 1 adds, wherever a direction is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Capture, printed
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from steer_core import UserError, load_model
from steer_core.codi.model import CodiModel
from steer_core.data.pairs import load_pairs
from steer_core.names import REAL, UNITS, name_and_unit, with_unit
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.spec import expand
from steer_core.steering import library
from steer_core.steering.controls import random_like
from steer_core.steering.directions import Direction, FitSet, fitted, places
from steer_core.steering.fit import fit_set, site_states
from steer_core.steering.kept import has_directions
from steer_core.steering.library import cached_direction, find_direction
from steer_core.steering.spec import EditCurve
from steer_core.steering.units import MEANING, in_unit, unit_words

COUNTED = ("sd", "dose")
KIND = "mean_difference:sd"
BOX = library.DIRECTIONS_DIR / "tiny-llama" / "mean_difference"


@pytest.fixture(scope="module")
def model() -> CodiModel:
    return load_model("tiny-llama", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def fit(model: CodiModel) -> FitSet:
    problems = [pair.clean for pair in load_pairs("fit")[:60]]
    return fit_set(model, problems, "some")


def measured(model: CodiModel, fit: FitSet, direction: Direction) -> dict[str, np.ndarray]:
    """Both units by their definition, [K+1]."""
    states = site_states(model, fit.states, direction.site, direction.layer).astype(np.float64)
    unit = direction.vectors.numpy() / np.maximum(direction.norms[:, None], 1e-12)
    along = np.stack([states[:, k] @ unit[k] for k in range(len(unit))], axis=1)
    sd = np.sqrt(((along - along.mean(0)) ** 2).mean(0))
    return {"sd": sd, "dose": np.sqrt((states**2).sum(-1)).mean(0)}


@pytest.mark.parametrize("unit", COUNTED)
def test_a_direction_is_one_unit_long_at_every_position(model: CodiModel, fit: FitSet, unit: str):
    for site, layer in places(model):
        raw = fitted(model, fit, site, layer)
        found = in_unit(raw, unit)
        assert np.allclose(found.norms, measured(model, fit, raw)[unit], rtol=1e-4)
        turned = torch.cosine_similarity(found.vectors, raw.vectors)[raw.norms > 0]
        assert torch.allclose(turned, torch.ones_like(turned), atol=1e-5)
        assert found.method == f"mean_difference:{unit}"


def test_a_dose_of_one_is_an_edit_as_large_as_the_state(model: CodiModel):
    """As the page measures it, on problems of another set; the states of two sets are alike."""
    from steer_core.experiment.strip import alpha_strip

    question = load_pairs("test")[0].clean.question
    direction = cached_direction(model, "residual", 2, "mean_difference:dose")
    curve = EditCurve.along(direction, "residual", 2, (1, 2, 3, 4, 5, 6))
    strip = alpha_strip(model, question, curve=curve, alphas=(0.0, 0.5, 1.0))
    assert np.allclose(strip.dose[1, 1:], 0.5, atol=0.15)
    assert np.allclose(strip.dose[2, 1:], 1.0, atol=0.3)


@pytest.mark.parametrize("unit", COUNTED)
def test_a_control_is_as_long_as_its_direction_in_every_unit(model: CodiModel, unit: str):
    real = cached_direction(model, "residual", 2, with_unit("mean_difference", unit))
    named = cached_direction(model, "residual", 2, with_unit("random-7", unit))
    assert np.allclose(named.norms, real.norms, rtol=1e-4)
    assert torch.allclose(named.vectors, random_like(real, 7).vectors, rtol=1e-4, atol=1e-5)


def test_raw_units_change_nothing(model: CodiModel):
    raw = cached_direction(model, "thought", None)
    assert in_unit(raw, "raw") is raw
    assert set(MEANING) == set(UNITS)


@pytest.mark.parametrize("name", ["mean_difference", "random-3", "a/b.safetensors", "moved:x"])
def test_names_carry_their_unit(name: str):
    assert name_and_unit(name) == (name, "raw")
    for unit in UNITS:
        assert name_and_unit(with_unit(name, unit)) == (name, unit)
        assert name_and_unit(f"{name}:{unit}") == (name, unit)


def test_what_alpha_counts_is_said():
    assert unit_words(["mean_difference"]) == "1 adds the direction as it was computed"
    assert "on average" in unit_words(["mean_difference:dose", "random-1:dose"])
    both = unit_words(["mean_difference", "mean_difference:sd"])
    assert both.endswith("states along the mean difference (mean_difference:sd)")
    assert "computed (mean_difference)" in both


# --- files ---------------------------------------------------------------------------------------


def test_a_file_keeps_its_scales(model: CodiModel, tmp_path: Path, capsys: Capture):
    kept = str(tmp_path / "x.safetensors")
    (row,) = printed(
        capsys,
        "directions",
        "--model",
        "tiny-llama",
        "--layer",
        "2",
        "--pairs",
        "fit",
        "--out",
        kept,
    )
    assert len(row["sd"]) == len(row["dose"]) == len(row["norms"])
    found = find_direction(model, "residual", 2, f"{kept}:sd")
    cached = cached_direction(model, "residual", 2, "mean_difference:sd")
    assert torch.allclose(found.vectors, cached.vectors, rtol=1e-3, atol=1e-4)


def test_fewer_latents_read_the_scales_that_are_left(model: CodiModel):
    fewer = replace(model, config=replace(model.config, latents=4))
    found, whole = (
        cached_direction(m, "residual", 2, "mean_difference:sd") for m in (fewer, model)
    )
    assert torch.equal(found.vectors, whole.vectors[:5])


def bare(path: Path, direction: Direction) -> str:
    save_file({"direction": direction.vectors}, path)
    return str(path)


MISTAKES: dict[str, tuple[Callable[[str], str], str]] = {
    "nothing known": (lambda path: f"{path}:sd", "does not say how large the states"),
    "no unit": (lambda path: "mean_difference:metres", "with :sd or :dose behind it"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_unit_that_cannot_be_is_refused(model: CodiModel, tmp_path: Path, mistake: str):
    path = bare(tmp_path / "own.safetensors", cached_direction(model, "residual", 2))
    name, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=message):
        find_direction(model, "residual", 2, name(path))
    with pytest.raises(UserError, match="choose one of raw, sd, dose"):
        with_unit("mean_difference", "metres")


def test_a_moved_direction_counts_units_only_where_it_was_computed(model: CodiModel):
    path = library.direction_path(BOX, "thought", None)
    here = find_direction(model, "thought", None, f"moved:{path}:sd")
    assert torch.equal(here.vectors, cached_direction(model, "thought", None, KIND).vectors)
    with pytest.raises(UserError, match="was computed at thought, so alpha cannot count in sd at"):
        find_direction(model, "residual", 1, f"moved:{path}:sd")


def test_a_file_that_is_called_like_a_unit_is_a_file(
    model: CodiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    bare(tmp_path / "own:sd", cached_direction(model, "residual", 2))
    assert name_and_unit("own:sd") == ("own:sd", "raw")
    assert find_direction(model, "residual", 2, "own:sd").scales is None


def test_a_kept_direction_without_scales_is_used_in_raw_units_and_made_anew_for_others(
    model: CodiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Earlier versions knew no units."""
    monkeypatch.setattr(library, "DIRECTIONS_DIR", tmp_path / "box")
    monkeypatch.setenv("STEER_DIRECTIONS", str(tmp_path))
    for site, layer in places(model):
        there = library.direction_path(library.kept_folder(model), site, layer)
        original = library.direction_path(BOX, site, layer)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(original.read_bytes())
    assert has_directions(model)
    there = library.direction_path(library.kept_folder(model), "residual", 2)
    with safe_open(there, "pt") as file:
        metadata = file.metadata()
    save_file({"direction": load_file(there)["direction"]}, there, metadata=metadata)
    assert not has_directions(model)
    assert cached_direction(model, "residual", 2).scales is None
    with pytest.raises(UserError, match="compute it with 'directions'"):
        cached_direction(model, "residual", 2, KIND)


# --- sweeps --------------------------------------------------------------------------------------


def test_controls_of_a_sweep_are_matched_in_the_unit_of_their_direction(
    model: CodiModel, fit: FitSet
):
    names = ("mean_difference:sd", "mean_difference")
    spec = SweepSpec("residual", (2,), (1.0,), ((1, 2),), names, random=1, shuffled=1)
    curves = expand(model, spec, fit)
    real = {each.key.direction: each.curve.parts[0][1] for each in curves if each.key.kind == REAL}
    assert list(real) == list(names)
    for each in curves:
        own = next((n for n in names if each.key.direction.endswith(f"of {n}")), None)
        if own is not None:
            assert np.allclose(each.curve.parts[0][1].norms, real[own].norms, rtol=1e-4)
    assert not np.allclose(real[names[0]].norms, real[names[1]].norms, rtol=1e-2)


@pytest.mark.parametrize("names", [("mean_difference", "random-7:dose"), ("random-7", KIND)])
def test_a_random_direction_of_another_size_is_no_control(model: CodiModel, names):
    with pytest.raises(UserError, match="give both the same unit"):
        expand(model, SweepSpec("residual", (2,), (1.0,), ((1, 2),), names))
    alone = [name for name in names if name.startswith("random")]
    expand(model, SweepSpec("residual", (2,), (1.0,), ((1, 2),), tuple(alone)))
    same = ("mean_difference:dose", "random-7:dose")
    expand(model, SweepSpec("residual", (2,), (1.0,), ((1, 2),), same))


def test_the_command_takes_a_unit(capsys: Capture, tmp_path: Path):
    file = tmp_path / "questions.json"
    file.write_text(json.dumps([pair.clean.question for pair in load_pairs("test")[:8]]))
    asked = ("--model", "tiny-llama", "--questions-file", str(file), "--layer", "2", "--alpha", "2")
    for name in ("mean_difference", "random"):
        texts = [
            [row["text"] for row in printed(capsys, "decode", *asked, "--direction", name + unit)]
            for unit in ("", ":sd", ":dose")
        ]
        assert texts[0] != texts[2] != texts[1]
