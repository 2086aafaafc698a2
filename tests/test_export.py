"""What the exporter writes is read back as the same model, here and by transformers with peft."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from reference import Reference, prompt_ids
from reference import decode as decode_slowly
from safetensors.torch import load_file
from tiny_checkpoints import QUESTIONS, VARIANTS, build
from torch import nn
from transformers import AutoModelForCausalLM

from steer_core import UserError, decode, load_model
from steer_core.cli import main
from steer_core.codi.export import ADAPTED, Exported, Lora, export_checkpoint
from steer_core.codi.load import read_config
from steer_core.codi.model import CodiModel

VARIANTS_EXPORTED = ("gpt2-bin", "llama-untied", "llama-prj-without-norm", "gpt2-no-prj", "qwen2")


def read(place: Exported, **options) -> CodiModel:
    usual = {"base": place.base, "device": "cpu", "dtype": "float32", "lora_alpha": 32.0}
    return load_model(place.checkpoint, **(usual | options))


def original(folder: Path, variant: str) -> tuple[CodiModel, Path]:
    tiny = build(folder, VARIANTS[variant])
    model = load_model(tiny.path, device="cpu", dtype="float32", **tiny.options)
    return model, tiny.base


def export(folder: Path, variant: str, file: str = "bin", **lora) -> tuple[CodiModel, Exported]:
    model, base = original(folder / "original", variant)
    config = read_config(base)
    return model, export_checkpoint(model, config, folder / "exported", Lora(**lora), file)


def assert_same(one: CodiModel, other: CodiModel) -> None:
    assert one.config == other.config
    pairs = [decode(m, QUESTIONS, max_new_tokens=8, hidden=True) for m in (one, other)]
    for a, b in zip(*pairs, strict=True):
        assert a.token_ids == b.token_ids
        np.testing.assert_allclose(a.hidden, b.hidden, rtol=0, atol=1e-4)


@pytest.mark.parametrize("file", ["bin", "safetensors"])
@pytest.mark.parametrize("variant", VARIANTS_EXPORTED)
def test_what_is_written_reads_as_the_same_model(variant: str, file: str, tmp_path: Path):
    model, place = export(tmp_path, variant, file)
    assert_same(model, read(place))


@pytest.mark.parametrize("variant", ["gpt2-bin", "llama-untied"])
def test_the_lora_factors_are_a_part_of_the_model(variant: str, tmp_path: Path):
    model, place = export(tmp_path, variant, rank=2, seed=3)
    state = torch.load(place.checkpoint / "pytorch_model.bin", weights_only=True)
    assert sum(".lora_A.default." in name for name in state) == (12 if "gpt2" in variant else 21)
    assert {t.shape[0] for n, t in state.items() if ".lora_A." in n} == {2}
    without = read(place, lora_alpha=1e-9, check=False)
    texts = [[row.token_ids for row in decode(m, QUESTIONS)] for m in (model, without)]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("variant", ["gpt2-bin", "llama-untied"])
def test_transformers_and_peft_build_it_as_the_official_code_does(variant: str, tmp_path: Path):
    model, place = export(tmp_path, variant)
    reference = official(place)
    for row in decode(model, QUESTIONS, max_new_tokens=4, hidden=True):
        slow = decode_slowly(
            reference, prompt_ids(reference, model.tokenizer, row.question), None, 4
        )
        assert row.token_ids == slow.ids
        np.testing.assert_allclose(row.hidden, slow.hidden, rtol=0, atol=1e-4)


def official(place: Exported) -> Reference:
    """Base, three rows, peft, projection, then the checkpoint's state dict over all of it."""
    lm = AutoModelForCausalLM.from_pretrained(place.base, dtype=torch.float32)
    vocabulary, size = lm.config.vocab_size, lm.config.hidden_size
    lm.resize_token_embeddings(vocabulary + 3, mean_resizing=False)
    gpt2 = lm.config.model_type == "gpt2"
    codi = nn.Module()
    codi.codi = get_peft_model(
        lm,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=4,
            lora_alpha=32,
            target_modules=list(ADAPTED["gpt2" if gpt2 else "llama"]),
            fan_in_fan_out=gpt2,
        ),
    )
    codi.prj = nn.Sequential(
        nn.Dropout(0.1), nn.Linear(size, size), nn.GELU(), nn.Linear(size, size)
    )
    codi.prj.add_module("ln", nn.LayerNorm(size))
    state = torch.load(place.checkpoint / "pytorch_model.bin", weights_only=True)
    missing, unexpected = codi.load_state_dict(state, strict=False)
    assert (missing, unexpected) == ([], [])
    eos = lm.config.eos_token_id
    return Reference(codi.codi.eval(), codi.prj.eval(), vocabulary + 1, vocabulary + 2, eos)


def test_the_base_has_other_weights_which_are_not_used(tmp_path: Path):
    model, place = export(tmp_path, "llama-bin")
    weights = load_file(place.base / "model.safetensors")
    assert len(weights["model.embed_tokens.weight"]) == model.config.vocabulary - 3
    name = "model.layers.0.mlp.down_proj.weight"
    assert not torch.allclose(weights[name], model.body.blocks[0].down.weight, atol=1e-2)
    (place.base / "model.safetensors").unlink()
    assert_same(model, read(place))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"rank": 0}, "rank 0"), ({"alpha": 0.0}, "lora_alpha 0.0"), ({"file": "gguf"}, "gguf")],
)
def test_options_that_cannot_be(options: dict, named: str, tmp_path: Path):
    with pytest.raises(UserError, match=named):
        export(tmp_path, "gpt2-bin", **options)


def test_the_command_prints_what_loads_it(tmp_path: Path, capsys: pytest.CaptureFixture):
    tiny = build(tmp_path / "tiny", VARIANTS["gpt2-keep-eos"])
    model = load_model(tiny.path, **tiny.options, device="cpu", latents=4)
    out, given = tmp_path / "out", ["--model", str(tiny.path), "--base", str(tiny.base)]
    given += ["--lora-alpha", "8", "--latents", "4", "--keep-eos"]
    assert main(["export", *given, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    place = Exported(Path(found["model"]), Path(found["base"]))
    options = {name: found[name] for name in ("lora_alpha", "latents", "keep_eos")}
    assert_same(model, read(place, **options))

    assert main(["export", *given, "--out", str(out)]) == 0
    printed = capsys.readouterr().out.split()
    asked = ["--question", QUESTIONS[0], "--device", "cpu", "--json"]
    assert main(["decode", *printed, *asked]) == 0
    row = json.loads(capsys.readouterr().out)
    assert tuple(row["token_ids"]) == decode(model, QUESTIONS[:1])[0].token_ids
