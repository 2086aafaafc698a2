"""Checkpoints as people bring them: other wrappers, adapters, shards, and files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_checkpoints import QUESTIONS, VARIANTS, Recipe, Tiny, build, changed, read, write
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from steer_core import UserError, decode, load_model
from steer_core.codi.layout import named_tensors
from steer_core.codi.model import CodiModel

FAMILIES = ("gpt2", "llama", "qwen2", "mistral")
ROOT = "codi.base_model.model."


def load(tiny: Tiny, **options) -> CodiModel:
    usual = {"device": "cpu", "dtype": "float32"} | tiny.options
    return load_model(tiny.path, **(usual | options))


def refusal(tiny: Tiny, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(tiny, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def renamed(tiny: Tiny, change: Callable[[str], str]) -> None:
    def change_all(state: dict[str, Tensor]) -> None:
        names = {name: change(name) for name in state}
        kept = dict(state)
        state.clear()
        state.update({names[name]: tensor for name, tensor in kept.items()})

    changed(tiny.path, change_all)


def ids(model: CodiModel) -> list[tuple[int, ...]]:
    return [row.token_ids for row in decode(model, QUESTIONS, max_new_tokens=6)]


# --- what is no CODI checkpoint ------------------------------------------------------------------


def plain_folder(folder: Path, family: str, change: Callable[[dict], dict] = dict) -> Path:
    """An ordinary model of transformers: its tokenizer fills its vocabulary."""
    tiny = build(folder / "made", Recipe(family))
    config = AutoConfig.from_pretrained(tiny.base)
    tokenizer = AutoTokenizer.from_pretrained(tiny.base)
    for name, value in change({"vocab_size": len(tokenizer)}).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    return folder / "plain"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_ordinary_model_is_not_read_as_one(family: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"is no CODI checkpoint.* is a word of its tokenizer"):
        load_model(plain_folder(tmp_path, family), device="cpu")


def test_an_ordinary_model_with_rows_to_spare_is_not_read_as_one(tmp_path: Path):
    """Its last three rows are no words, but nothing says that they are CODI's."""
    place = plain_folder(tmp_path, "qwen2", lambda _: {"vocab_size": 320})
    with pytest.raises(UserError, match="nothing shows that this is a CODI checkpoint"):
        load_model(place, device="cpu")


def test_special_tokens_of_an_ordinary_model_are_words_too(tmp_path: Path):
    place = plain_folder(tmp_path, "llama", lambda _: {"vocab_size": 303})
    tokenizer = AutoTokenizer.from_pretrained(place)
    tokenizer.add_tokens([f"<|reserved_{i}|>" for i in range(3)], special_tokens=True)
    tokenizer.save_pretrained(place)
    with pytest.raises(UserError, match=r"'<\|reserved_0\|>' is a word"):
        load_model(place, device="cpu")


def counted(tiny: Tiny) -> None:
    """Give the base a `vocab_size` that counts the three new rows."""
    path = tiny.base / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 3}))


@pytest.mark.parametrize("variant", ["gpt2-bin", "llama-bin", "llama-no-prj", "qwen2"])
def test_a_config_that_counts_the_new_rows_goes_on_working(variant: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS[variant])
    model = load(tiny)
    wanted, before = ids(model), model.config
    counted(tiny)
    again = load(tiny)
    assert ids(again) == wanted
    assert (again.config.pad, again.config.bot, again.config.eot) == (
        *(before.pad, before.bot, before.eot),
    )


def test_a_pad_token_that_training_entered_is_no_word(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-bin"])
    wanted = ids(load(tiny))
    tokenizer = AutoTokenizer.from_pretrained(tiny.base)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tiny.base)
    assert ids(load(tiny)) == wanted


def test_a_token_far_behind_the_embedding(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    path = tiny.base / "tokenizer.json"
    found = json.loads(path.read_text())
    found["model"]["vocab"]["zebra"] = 5000
    path.write_text(json.dumps(found))
    assert "tokens, the checkpoint embeds" in refusal(tiny)


# --- names that tools leave ----------------------------------------------------------------------

WRAPPED = {
    "compiled": lambda name: f"_orig_mod.{name}",
    "distributed": lambda name: f"module.{name}",
    "by Lightning": lambda name: f"_forward_module.{name}",
    "both": lambda name: f"module._orig_mod.{name}",
    "the inside compiled": lambda name: name.replace("codi.", "codi._orig_mod.", 1),
    "a block compiled": lambda name: name.replace(".h.1.", ".h.1._orig_mod."),
    "checkpointed": lambda name: name.replace(".mlp.", "._checkpoint_wrapped_module.mlp."),
    "without codi": lambda name: name.removeprefix("codi."),
    "another adapter name": lambda name: name.replace(".default.", ".mine."),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrappers_of_training_tools_change_nothing(how: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    wanted = ids(load(tiny))
    renamed(tiny, WRAPPED[how])
    assert ids(load(tiny)) == wanted


def test_an_unknown_wrapper_is_named(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    renamed(tiny, lambda name: f"student.{name}")
    assert "names begin with 'student.'" in refusal(tiny)


def test_two_tensors_for_one_place(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    twice = {"module.prj.1.bias": torch.ones(32)}
    changed(tiny.path, lambda state: state.update(twice))
    message = refusal(tiny)
    assert "module.prj.1.bias" in message
    assert "two tensors" in message


def put(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.update({name: tensor})


ATTENTION = f"{ROOT}transformer.h.0.attn.c_attn"
BASE = f"{ATTENTION}.base_layer"
STRANGE = {
    "zero-3": (put(f"{BASE}.weight", torch.zeros(0)), "ZeRO-3"),
    "zero-3 embedding": (put(f"{ROOT}lm_head.weight", torch.zeros(0)), "ZeRO-3"),
    "zero-3 factor": (put(f"{ATTENTION}.lora_A.default.weight", torch.zeros(0)), "ZeRO-3"),
    "int8": (put(f"{BASE}.weight", torch.ones(32, 96, dtype=torch.int8)), "int8 numbers"),
    "int64": (put("prj.1.bias", torch.ones(32, dtype=torch.int64)), "int64 numbers"),
    "bool": (put("prj.1.bias", torch.ones(32, dtype=torch.bool)), "bool numbers"),
    "fp8": (
        put(f"{BASE}.weight", torch.ones(32, 96).to(torch.float8_e4m3fn)),
        "float8_e4m3fn numbers",
    ),
    "complex": (put("prj.1.bias", torch.ones(32, dtype=torch.complex64)), "complex64 numbers"),
    "bitsandbytes 8": (put(f"{BASE}.SCB", torch.ones(96)), "bitsandbytes"),
    "bitsandbytes 4": (put(f"{BASE}.weight.absmax", torch.ones(96)), "bitsandbytes"),
    "bitsandbytes state": (
        put(f"{BASE}.weight.quant_state.bitsandbytes__nf4", torch.ones(9)),
        "bitsandbytes",
    ),
    "gptq": (put(f"{BASE}.qweight", torch.ones(4, dtype=torch.int32)), "GPTQ"),
    "fp8 scale": (put(f"{BASE}.weight_scale_inv", torch.ones(1)), "scales beside the weights"),
    "fsdp": (put("codi._flat_param", torch.ones(9)), "FSDP"),
    "dora": (put(f"{ATTENTION}.lora_magnitude_vector.default.weight", torch.ones(9)), "DoRA"),
    "lora bias": (put(f"{ATTENTION}.lora_B.default.bias", torch.ones(96)), "lora_bias"),
    "lora embedding": (
        put(f"{ROOT}transformer.wte.lora_embedding_A.default", torch.ones(4, 9)),
        "LoRA on an embedding",
    ),
    "coconut": (put("base_causallm.model.norm.weight", torch.ones(32)), "Coconut"),
    "two adapters": (put(f"{ATTENTION}.lora_A.other.weight", torch.ones(4, 32)), "2 adapters"),
    "a vector for a matrix": (put(f"{ROOT}lm_head.weight", torch.ones(9)), "must be a matrix"),
    "a number for a matrix": (put(f"{ROOT}lm_head.weight", torch.ones(())), "must be a matrix"),
}


@pytest.mark.parametrize("how", STRANGE)
def test_what_is_no_weights_is_refused_by_its_cause(how: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    change, named = STRANGE[how]
    changed(tiny.path, change)
    assert named in refusal(tiny)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(value: float, tmp_path: Path):
    """Also in the row of a token that no question holds."""
    tiny = build(tmp_path, VARIANTS["llama-untied"])
    shard = next(tiny.path.glob("*-00001-of-*"))
    state = load_file(shard)
    name = next(name for name in sorted(state) if state[name].dim() == 2 and "lora" not in name)
    state[name][-1, 0] = value
    save_file(state, shard)
    message = refusal(tiny)
    assert "weights are finite" in message
    assert name.removeprefix(ROOT).replace(".base_layer.", ".") in message


def test_factors_that_are_gone_are_missed(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])

    def without(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if name.startswith(f"{ATTENTION}.lora_")]:
            del state[name]

    changed(tiny.path, without)
    assert "has lost its LoRA factors" in refusal(tiny)


# --- adapter_config.json -------------------------------------------------------------------------


def with_adapter(folder: Path, family: str, **config) -> tuple[Tiny, dict[str, Tensor]]:
    """A checkpoint as peft trains it, with its adapter_config.json; what peft merges it to."""
    tiny = build(folder, Recipe(family, rank=4))
    base = AutoConfig.from_pretrained(tiny.base)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(base)
    model.resize_token_embeddings(base.vocab_size + 3, mean_resizing=False)
    targets = ["c_attn", "c_fc"] if family == "gpt2" else ["q_proj", "v_proj", "up_proj"]
    wrapped = get_peft_model(
        model, LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "target_modules": targets} | config)
    )
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape))
    state = {f"codi.{name}": x.detach().clone() for name, x in wrapped.state_dict().items()}
    state |= {name: x for name, x in read(tiny.path).items() if name.startswith("prj.")}
    write(tiny.path, state, "bin")
    wrapped.peft_config["default"].save_pretrained(tiny.path)
    return tiny, dict(wrapped.merge_and_unload().state_dict())


def check_merged(tiny: Tiny, merged: dict[str, Tensor], **options) -> CodiModel:
    model = load_model(tiny.path, base=tiny.base, device="cpu", dtype="float32", **options)
    family = "gpt2" if model.config.family == "gpt2" else "llama"
    found = dict(named_tensors(model.body, family))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, merged[name], rtol=0, atol=1e-5)
    assert len(found) > 20
    return model


ADAPTERS = {
    "alpha 16 of rank 4": {"lora_alpha": 16},
    "rank 128": {"r": 128, "lora_alpha": 16},
    "rslora": {"lora_alpha": 16, "use_rslora": True},
    "rank_pattern": {"lora_alpha": 16, "rank_pattern": {"q_proj": 2, "c_attn": 2}},
    "alpha_pattern": {
        "lora_alpha": 16,
        "alpha_pattern": {r"layers\.1\..*v_proj": 3, r"h\.1\.attn\.c_attn": 3, "up_proj": 5.0},
    },
    "both patterns, rslora": {
        "lora_alpha": 8,
        "use_rslora": True,
        "rank_pattern": {"q_proj": 2, "c_attn": 2},
        "alpha_pattern": {"q_proj": 7, "c_attn": 7},
    },
    "biases trained": {"lora_alpha": 16, "bias": "all"},
    "fan_in_fan_out": {"lora_alpha": 16, "fan_in_fan_out": True},
    "one layer": {"lora_alpha": 16, "layers_to_transform": [1]},
    "pissa": {"lora_alpha": 16, "init_lora_weights": "pissa"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("how", ADAPTERS)
def test_factors_are_merged_as_peft_merges_them(how: str, family: str, tmp_path: Path):
    check_merged(*with_adapter(tmp_path, family, **ADAPTERS[how]))


@pytest.mark.filterwarnings("ignore")
def test_a_module_that_was_trained_whole_counts(tmp_path: Path):
    tiny, merged = with_adapter(
        tmp_path, "llama", lora_alpha=8, modules_to_save=["input_layernorm"]
    )
    check_merged(tiny, merged)


@pytest.mark.filterwarnings("ignore")
def test_an_embedding_that_was_trained_apart_from_its_head(tmp_path: Path):
    tiny, _ = with_adapter(tmp_path, "llama", lora_alpha=8, modules_to_save=["embed_tokens"])
    assert "were trained apart" in refusal(tiny, lora_alpha=None)


@pytest.mark.filterwarnings("ignore")
def test_another_scale_is_another_model(tmp_path: Path):
    plain, _ = with_adapter(tmp_path / "a", "llama", lora_alpha=16)
    rooted, _ = with_adapter(tmp_path / "b", "llama", lora_alpha=16, use_rslora=True)
    one, other = (load(each, lora_alpha=None) for each in (plain, rooted))
    assert one.weights_sha256 == other.weights_sha256
    assert one.sha256 != other.sha256
    assert (one.lora_alpha, other.lora_alpha) == (16.0, 16.0)


WRONG = {
    "another alpha": ({}, {"lora_alpha": 8.0}, "lora_alpha 8 was given"),
    "another rank": ({"r": 8}, {}, "says rank 8"),
    "another rank by pattern": ({"rank_pattern": {"q_proj": 3}}, {}, "says rank 3"),
    "another module": ({"target_modules": ["q_proj", "v_proj"]}, {}, "no factors for"),
    "a module without": ({"target_modules": ["q_proj", "v_proj", "up_proj", "o_proj"]}, {}, "o_pr"),
    "dora": ({"use_dora": True}, {}, "use_dora"),
    "lora_bias": ({"lora_bias": True}, {}, "lora_bias"),
    "another kind": ({"peft_type": "IA3"}, {}, "IA3"),
    "alpha as text": ({"lora_alpha": "16"}, {}, "lora_alpha '16'"),
    "no alpha": ({"lora_alpha": None}, {}, "does not say lora_alpha"),
    "an endless alpha": ({"lora_alpha": 1e300}, {}, "lora_alpha 1e+300"),
    "no expression": ({"alpha_pattern": {"(": 3}}, {}, "alpha_pattern"),
    "a list": ({"alpha_pattern": [3]}, {}, "alpha_pattern"),
    "a negative rank": ({"r": -1}, {}, "r -1"),
    "rslora as text": ({"use_rslora": "no"}, {}, "use_rslora 'no'"),
    "targets of numbers": ({"target_modules": [1]}, {}, "target_modules"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", WRONG)
def test_an_adapter_config_that_contradicts_is_refused(how: str, tmp_path: Path):
    tiny, _ = with_adapter(tmp_path, "llama", lora_alpha=16)
    change, options, named = WRONG[how]
    path = tiny.path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    message = refusal(tiny, **({"lora_alpha": None} | options))
    assert named in message
    assert "adapter_config.json" in message


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, "\x00", '{"r": 1e999}'])
def test_an_adapter_config_that_is_none(text: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-bin"])
    (tiny.path / "adapter_config.json").write_text(text)
    assert "adapter_config.json" in refusal(tiny)


def test_an_adapter_in_a_file_of_its_own_is_not_passed_over(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-bin"])
    save_file({"x": torch.ones(1)}, tiny.path / "adapter_model.safetensors")
    assert "in a file of their own" in refusal(tiny)


def test_an_adapter_config_beside_merged_weights(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-bin"])
    (tiny.path / "adapter_config.json").write_text('{"lora_alpha": 16, "r": 8}')

    def merge(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if "lora_" in name]:
            del state[name]
        for name in [name for name in state if ".base_layer." in name]:
            state[name.replace(".base_layer.", ".")] = state.pop(name)

    changed(tiny.path, merge)
    assert "the weights hold none" in refusal(tiny, lora_alpha=None)


# --- shards --------------------------------------------------------------------------------------


def index_of(tiny: Tiny) -> Path:
    return next(tiny.path.glob("*.index.json"))


def rewritten(tiny: Tiny, change: Callable[[dict], object]) -> None:
    index = index_of(tiny)
    found = json.loads(index.read_text())
    change(found["weight_map"])
    index.write_text(json.dumps(found))


@pytest.mark.parametrize("variant", ["gpt2-shards", "gpt2-bin-shards"])
def test_a_tensor_in_two_shards_is_taken_from_the_one_that_the_index_names(
    variant: str, tmp_path: Path
):
    tiny = build(tmp_path, VARIANTS[variant])
    wanted = ids(load(tiny))
    entries = json.loads(index_of(tiny).read_text())["weight_map"]
    names = [name for name in entries if "prj.1" in name or "ln_f" in name]
    for shard in sorted(set(entries.values())):
        path = tiny.path / shard
        is_bin = path.suffix == ".bin"
        state = torch.load(path, weights_only=True) if is_bin else load_file(path)
        others = [name for name in names if entries[name] != shard]
        state |= {name: torch.full((32,), 7.0) for name in others}
        torch.save(state, path) if is_bin else save_file(state, path)
    assert ids(load(tiny)) == wanted


@pytest.mark.parametrize(
    "shard",
    [
        *("../outside.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", ".safetensors"),
        *("model.txt", "x\\y.bin", "a\x00.bin", 7, None, ["model.safetensors"], "~/x.bin"),
    ],
)
def test_an_index_names_files_beside_it_only(shard: object, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-shards"])
    save_file({"x": torch.ones(1)}, tmp_path / "outside.safetensors")
    rewritten(tiny, lambda entries: entries.update({next(iter(entries)): shard}))
    assert "no weight file beside it" in refusal(tiny)


def test_a_shard_that_lacks_what_the_index_says(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-shards"])
    shard = "model-00001-of-00003.safetensors"
    rewritten(tiny, lambda entries: entries.update({"prj.9.weight": shard}))
    assert f"{shard} holds prj.9.weight, and it does not" in refusal(tiny)


def test_a_shard_that_holds_more_than_the_index_says(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-shards"])
    rewritten(tiny, lambda entries: entries.pop("prj.1.bias"))
    assert "prj.1.bias, which" in refusal(tiny)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 100_000, "\xff", "nul"],
)
def test_an_index_that_is_none(text: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-shards"])
    index_of(tiny).write_bytes(text.encode("latin-1"))
    assert "index.json" in refusal(tiny)


def test_checking_a_checkpoint_allocates_nothing(tmp_path: Path):
    """A config's claims are held to the file before there is memory for them."""
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    path = tiny.base / "config.json"
    huge = {"n_embd": 131072, "n_layer": 1024, "n_head": 32}
    path.write_text(json.dumps(json.loads(path.read_text()) | huge))
    assert "the base config needs" in refusal(tiny)


def test_a_base_that_reads_too_little_for_any_question(tmp_path: Path):
    tiny = build(tmp_path, Recipe("llama", config=(("max_position_embeddings", 20),)))
    with pytest.raises(UserError, match="reads 20 positions, which leaves none for a question"):
        load_model(tiny.path, **tiny.options, check=False).encode_all(["Tom?"])
