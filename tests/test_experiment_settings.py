"""What the form of an experiment accepts, and what it keeps."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from experiment_forms import SMALL

from steer_core.errors import UserError
from steer_core.ui.experiments import plan
from steer_core.ui.experiments.settings import FILE, alphas_of, load_experiment, read_form

INFO = SimpleNamespace(name="tiny-llama", layers=4, latents=6, parameters=1_000_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../up"}, ["'../up'", "letters"]),
        ({"name": "_comparisons"}, ["'_comparisons'"]),
        ({"name": "x" * 61}, ["60"]),
        ({"pairs": "nothing"}, ["'nothing'", "fit,test"]),
        ({"most": 3}, ["3", "4"]),
        ({"necessity": "ones"}, ["'ones'", "zeros, mean, noise, none"]),
        ({"necessity": "none", "filter": "both"}, ["'both'", "necessity"]),
        ({"fractions": "0.5, 0.1"}, ["0.5,0.1", "three"]),
        ({"fractions": "0.5, x, 0.5"}, ["'x'", "number"]),
        ({"fractions": "0.5, 0.4, 0.5"}, ["1.4"]),
        ({"site": "head"}, ["'head'"]),
        ({"layers": []}, ["layer"]),
        ({"layers": [5]}, ["5", "1 to 4"]),
        ({"positions": []}, ["latent token"]),
        ({"positions": [7]}, ["7", "0 to 6"]),
        ({"alphas": ""}, ["''", "number"]),
        ({"alphas": "0"}, ["'0'", "other than 0"]),
        ({"alphas": "3:-3:1"}, ["start:stop:step"]),
        ({"alphas": "-3:3"}, ["start:stop:step"]),
        ({"alphas": "-3:3:0.001"}, ["121"]),
        ({"alphas": "1,nan"}, ["'nan'"]),
        ({"alphas": "1e9"}, ["1000"]),
        ({"unit": "metres"}, ["'metres'", "raw, sd, dose"]),
        ({"alphas": "1," * 600}, ["1,200", "1000"]),
        ({"alphas": [1]}, ["[1]", "text"]),
        ({"layers": "12"}, ["'12'", "list"]),
        ({"layers": [1] * 9}, ["9", "4"]),
        ({"name": 7}, ["7", "text"]),
        ({"most": True}, ["True", "number"]),
        ({"random": -1}, ["-1", "0 to 200"]),
        ({"shuffled": 201}, ["201", "0 to 200"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"seed": None}, ["seed", "None"]),
    ],
)
def test_what_cannot_be_run_is_one_line_with_value_and_limit(change, words):
    with pytest.raises(UserError) as error:
        read_form(INFO, {**SMALL, **change})
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "alphas"),
    [
        ("-1:1:0.5", (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ("2, −2", (-2.0, 0.0, 2.0)),
        ("1:2:0.3", (0.0, 1.0, 1.3, 1.6, 1.9)),
    ],
)
def test_alphas_are_a_sorted_grid_with_the_baseline(text, alphas):
    assert alphas_of(text) == alphas


def test_an_experiment_of_an_earlier_version_counts_in_raw_units(tmp_path):
    read_form(INFO, SMALL).save(tmp_path)
    kept = json.loads((tmp_path / FILE).read_text())
    del kept["unit"]
    (tmp_path / FILE).write_text(json.dumps(kept))
    assert load_experiment(tmp_path) == read_form(INFO, SMALL)


def test_settings_come_back_from_the_folder(tmp_path):
    experiment = read_form(INFO, {**SMALL, "name": " my run ", "unit": "sd"})
    assert experiment.spec.directions == ("mean_difference:sd",)
    assert experiment.name == "my-run"
    experiment.save(tmp_path)
    assert load_experiment(tmp_path) == experiment


def test_a_folder_of_a_command_says_how_to_go_on(tmp_path):
    with pytest.raises(UserError, match="the command that began it"):
        load_experiment(tmp_path)


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(UserError, match="cannot be used"):
        load_experiment(tmp_path)


def test_sites_without_layers_have_none():
    assert read_form(INFO, {**SMALL, "site": "thought", "layers": []}).layers == (None,)


def test_the_plan_counts_every_decode():
    """30 pairs: both twins with and without latents, 15 for the fit, 15 pairs x (1 + 3 x 2)."""
    found = plan.plan_payload(read_form(INFO, SMALL), 240, plan.Speed(100.0, "a test"))
    assert found["decodes"] == (2 + 2 + 2) * 30 + 15 + 15 * (1 + 1 * 3 * 2)
    assert found["seconds"] == pytest.approx(found["decodes"] / 100)


def test_a_larger_model_is_expected_to_be_slower_and_a_gpu_faster():
    small, large = (plan.assumed(size, "cpu").rate for size in (10**6, 10**9))
    assert small > large
    assert plan.assumed(10**9, "cuda").rate > large
