"""Loading: special rows and tokenizers, bases that are refused, the self-check, memory."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import VARIANTS, Recipe, Tiny, build, changed, some_key
from transformers import AutoTokenizer, GPT2Config

from benchmarks.real_size import measure, write
from steer_core import UserError, decode, load_model
from steer_core.codi.config import check_base, plain_config, sizes_of
from steer_core.codi.load import read_config
from steer_core.codi.places import MODELS_DIR, bundled_names
from steer_core.codi.selfcheck import QUESTION, self_check
from steer_core.codi.vocabulary import first_new_row
from steer_core.data.json_file import read_json

BOT, EOT = "<|bocot|>", "<|eocot|>"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("tiny"), VARIANTS["gpt2-bin"])


def load(tiny: Tiny, **options):
    usual = {"device": "cpu", "dtype": "float32"} | tiny.options
    return load_model(tiny.path, **(usual | options))


def refusal(tiny: Tiny, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(tiny, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- vocabulary and tokenizer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vocabulary", "rows", "pad"),
    [(128256, 128259, 128256), (128256, 128261, 128256), (50260, 50260, 50257), (300, 303, 300)],
)
def test_the_first_new_row(vocabulary: int, rows: int, pad: int):
    assert first_new_row(vocabulary, rows) == pad


@pytest.mark.parametrize("rows", [128255, 128257, 128258])
def test_rows_that_no_codi_model_has(rows: int):
    with pytest.raises(UserError, match=f"embeds {rows} tokens"):
        first_new_row(128256, rows)


def test_a_tokenizer_that_knows_bot_and_eot_is_used(tmp_path: Path):
    """It may put them elsewhere than behind pad."""
    own = build(tmp_path, Recipe("llama", new_rows=5))
    base = load(own).config
    tokenizer = AutoTokenizer.from_pretrained(own.base)
    tokenizer.add_tokens(["<|other|>", "<|pad|>", EOT, BOT], special_tokens=True)
    tokenizer.save_pretrained(own.path)
    config = load(own).config
    assert (base.bot, base.eot) == (base.pad + 1, base.pad + 2)
    assert (config.eot, config.bot) == (base.pad + 2, base.pad + 3)


def test_any_other_tokenizer_beside_the_weights_gives_way_to_that_of_the_base(tmp_path: Path):
    """So it is in the official evaluation; and some checkpoints have a config.json of no bytes."""
    own = build(tmp_path, Recipe())
    tokenizer = AutoTokenizer.from_pretrained(own.base)
    tokenizer.add_tokens(["apples"])
    tokenizer.save_pretrained(own.path)
    (own.path / "config.json").write_bytes(b"")
    model = load(own)
    assert model.encode(QUESTION) == own.tokenizer(QUESTION)["input_ids"]
    assert "--base" in refusal(own, base=None)


def test_a_tokenizer_of_more_tokens_than_the_checkpoint_embeds(tmp_path: Path):
    own = build(tmp_path, Recipe())
    tokenizer = AutoTokenizer.from_pretrained(own.base)
    tokenizer.add_tokens([f"word{i}" for i in range(4)])
    tokenizer.save_pretrained(own.base)
    assert f"{len(tokenizer)} tokens" in refusal(own)


def test_a_tokenizer_without_eos(tmp_path: Path):
    own = build(tmp_path, Recipe())
    file = own.base / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    del settings["eos_token"]
    file.write_text(json.dumps(settings))
    assert "EOS" in refusal(own)


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"lora_alpha": float("nan")}, "lora_alpha nan"),
        ({"lora_alpha": 0.0}, "lora_alpha 0.0"),
        ({"latents": -1}, "-1 latents"),
        ({"latents": 65}, "65 latents"),
        ({"device": "tpu"}, "tpu"),
        ({"dtype": "int8"}, "int8"),
        ({"base": "/nowhere/base"}, "/nowhere/base"),
    ],
)
def test_options_that_cannot_be(options: dict, named: str, tiny: Tiny):
    assert named in refusal(tiny, **options)


def test_a_file_is_not_its_folder(tiny: Tiny):
    with pytest.raises(UserError, match="give the folder"):
        load_model(tiny.path / "pytorch_model.bin")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str, tiny: Tiny):
    model = load(tiny, dtype=dtype)
    assert {model.dtype, model.projection.first.weight.dtype} == {getattr(torch, dtype)}
    assert decode(model, [QUESTION], max_new_tokens=4)[0].token_ids


def test_weights_outlive_their_file(tmp_path: Path):
    own = build(tmp_path, VARIANTS["llama-safetensors"])
    model = load(own)
    before = decode(model, [QUESTION], max_new_tokens=4)[0].token_ids
    file = own.path / "model.safetensors"
    file.write_bytes(bytes(file.stat().st_size))
    assert decode(model, [QUESTION], max_new_tokens=4)[0].token_ids == before


# --- the self-check ------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["gpt2-bin", "llama-no-prj", "llama-keep-eos", "qwen2"])
def test_a_sound_model_passes_its_self_check(variant: str, tmp_path: Path):
    model = load(build(tmp_path, VARIANTS[variant]))
    checks = self_check(model)
    assert len(checks) == 6
    assert all(check.passed for check in checks)


def test_a_model_without_latents_passes_too(tiny: Tiny):
    assert all(check.passed for check in self_check(load(tiny, latents=0)))


def scaled(part: str, factor: float):
    """Multiply one tensor of a checkpoint."""
    return lambda state: state.update({(k := some_key(state, part)): state[k] * factor})


@pytest.mark.parametrize(
    ("part", "factor", "options", "named"),
    [
        ("wpe", 1e6, {"dtype": "float16"}, "--dtype float32"),
        ("ln_f.weight", float("nan"), {}, "weights are finite"),
        ("ln_f.weight", 0.0, {}, "an edit changes"),
    ],
)
def test_a_model_that_cannot_work_is_refused(
    part: str, factor: float, options: dict, named: str, tmp_path: Path
):
    own = build(tmp_path, Recipe())
    changed(own.path, scaled(part, factor))
    message = refusal(own, **options)
    assert "self-check" in message
    assert named in message
    assert load(own, **options, check=False).config.layers == 3


def test_latents_that_never_reach_the_answer_are_noticed(tiny: Tiny):
    """Here no position sees another: the values of attention are zero, and so is the output."""
    model = load(tiny)
    blocks = tuple(
        replace(block, out=replace(block.out, weight=torch.zeros_like(block.out.weight)))
        for block in model.body.blocks
    )
    deaf = replace(model, body=replace(model.body, blocks=blocks))
    failed = [check.name for check in self_check(deaf) if not check.passed]
    assert "latent thoughts change the answer's logits" in failed


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_a_load_takes_little_more_than_its_result(tmp_path: Path):
    """One float32 copy of this bfloat16 model would make it 1.8 times the checkpoint."""
    write(tmp_path, GPT2Config(n_embd=1024, n_layer=6, n_head=16, vocab_size=20_000))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(measure, tmp_path, "cpu", "bfloat16", 1, 1).result()
    assert found["checkpoint_bytes"] > 200e6
    assert 0.6 < found["load_peak_own_ratio"] < 1.0
    assert found["load_peak_ratio"] < 1.3


@pytest.mark.parametrize("name", bundled_names())
def test_a_config_in_the_box_says_all_that_transformers_would(name: str):
    """It is read as it stands, so nothing may be left to a default of its class."""
    folder = MODELS_DIR / name
    plain, whole = plain_config(read_json(folder / "config.json")), read_config(folder)
    check_base(plain)
    assert sizes_of(plain) == sizes_of(whole)
    used = ("model_type", "vocab_size", "tie_word_embeddings", "rope_parameters", "n_inner")
    used += (
        "intermediate_size",
        "rms_norm_eps",
        "layer_norm_epsilon",
        "attention_bias",
        "mlp_bias",
    )
    for value in used:
        assert getattr(plain, value, None) == getattr(whole, value, None), value
