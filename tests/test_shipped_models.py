"""The models in the box: complete, small, and of this project's kind."""

import json
from pathlib import Path

import pytest
from training_parts import log_of

from steer_core import load_model
from steer_core.codi.places import bundled_names
from steer_core.training.recipe import LATENTS, Recipe
from steer_core.training.tokenizer import BOT, EOS, EOT, PAD

MODELS = Path(__file__).parent.parent / "assets" / "models"
BUNDLED = bundled_names()


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_model_is_complete_and_small(name: str):
    files = {path.name: path.stat().st_size for path in (MODELS / name).iterdir()}
    assert {
        "README.md",
        "codi.json",
        "config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    } <= set(files)
    assert "checkpoint.pt" not in files
    assert sum(files.values()) <= 20_000_000


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_log_reaches_the_end_of_its_recipe(name: str):
    rows = log_of(MODELS / name)
    recipe = Recipe(**json.loads((MODELS / name / "recipe.json").read_text()))
    assert name == f"tiny-{recipe.arch}{'-causal' if recipe.interchange else ''}"
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert {row["of"] for row in rows} == {recipe.steps}
    assert recipe.init is None
    card = (MODELS / name / "README.md").read_text()
    early = f"Training was ended at step {steps[-1]} of {recipe.steps}."
    assert (early in card) == (recipe.steps - steps[-1] >= 100)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_card_says_what_a_model_was_trained_for(name: str):
    recipe = Recipe(**json.loads((MODELS / name / "recipe.json").read_text()))
    card = (MODELS / name / "README.md").read_text()
    assert card.startswith(f"# {name}\n")
    assert ("by construction" in card) == recipe.interchange
    assert ("alone, as published" in card) == (not recipe.interchange)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_model_is_of_this_projects_kind(name: str):
    model = load_model(name, device="cpu", dtype="float32")
    config, tokenizer = model.config, model.tokenizer
    assert (config.latents, config.keep_eos) == (LATENTS, False)
    ids = tokenizer.convert_tokens_to_ids([EOS, PAD, BOT, EOT])
    assert ids == [config.eos, config.pad, config.bot, config.eot]
    assert ids == [config.vocabulary - 4 + i for i in range(4)]
    rows = tokenizer([f"Tom has {number} apples." for number in range(1000)])["input_ids"]
    assert len({len(row) for row in rows}) == 1
    assert all(tokenizer.convert_tokens_to_ids(str(n)) in row for n, row in enumerate(rows))
