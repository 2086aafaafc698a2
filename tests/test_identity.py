"""What makes a model another one, and that directions, splits and stored rows follow it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_checkpoints import VARIANTS, Tiny, build
from transformers import AutoConfig, AutoTokenizer

from steer_core import load_model
from steer_core.codi.config import CodiConfig
from steer_core.codi.identity import identity_of
from steer_core.codi.places import MODELS_DIR

BOX = MODELS_DIR / "tiny-llama"


def identity(**change) -> str:
    """That of a bundled model with one part changed."""
    base, tokenizer = AutoConfig.from_pretrained(BOX), AutoTokenizer.from_pretrained(BOX)
    config = load_model("tiny-llama", device="cpu").config
    for name in change.keys() & {"rms_norm_eps", "rope_parameters", "tie_word_embeddings"}:
        setattr(base, name, change[name])
    sizes = {name: change[name] for name in change.keys() & set(CodiConfig.__slots__)}
    if "token" in change:
        tokenizer.add_tokens([change["token"]])
    weights = change.get("weights", "ab" * 32)
    return identity_of(weights, base, replace(config, **sizes), tokenizer, change.get("lora_alpha"))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "cd" * 32},
        {"rms_norm_eps": 1e-5},
        {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
        {"tie_word_embeddings": False},
        {"keep_eos": True},
        {"eot": 7},
        {"token": "brandnew"},
        {"lora_alpha": 16.0},
    ],
)
def test_whatever_changes_answers_makes_another_model(change: dict):
    assert identity(**change) != identity()


def test_the_number_of_latents_is_no_part_of_it():
    assert identity(latents=5) == identity()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("llama"), VARIANTS["llama-bin"])


def test_the_same_weights_over_another_base_are_another_model(tiny: Tiny, tmp_path: Path):
    other = tmp_path / "base"
    other.mkdir()
    for file in tiny.base.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    options = {**tiny.options, "device": "cpu", "check": False}
    one, two = (load_model(tiny.path, **options | {"base": base}) for base in (tiny.base, other))
    assert one.weights_sha256 == two.weights_sha256
    assert one.sha256 != two.sha256


def test_a_whole_number_as_lora_alpha_is_the_same_as_with_a_point(tiny: Tiny):
    rest = {**tiny.options, "device": "cpu", "check": False}
    alpha = tiny.options["lora_alpha"]
    one, two = (
        load_model(tiny.path, **rest | {"lora_alpha": kind(alpha)}) for kind in (int, float)
    )
    assert one.sha256 == two.sha256
    assert load_model(tiny.path, **rest | {"lora_alpha": alpha + 1}).sha256 != one.sha256
