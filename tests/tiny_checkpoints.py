"""Tiny random checkpoints in the official CODI layout, each with the model it was written from.

`build(folder, recipe)` writes `folder/checkpoint` (weights only, as published) and `folder/base`
(config.json and tokenizer only, as a base is used), and returns both with the unmerged peft model,
for `reference.decode`. `BROKEN` damages a written checkpoint in one way each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from reference import Reference, causal_lm
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

HIDDEN, LAYERS, HEADS = 32, 3, 4
EXTRA_KEYS = {"dynamic_cls.0.weight": (4, HIDDEN), "decoder.model.norm.weight": (HIDDEN,)}
QUESTIONS = (
    "Tom has 3 apples and buys 4 more. How many apples does he have?",
    "A box holds 12 eggs.  How many eggs are in 7 boxes?",
    "Ann ran 5 km.",
    "There are 48 pens, 6 in each of the packs that Ivan sold at the fair on Sunday. How many?",
    "What is 9 minus 2?",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which checkpoint to write. The defaults are those of the published ones, but for the size."""

    family: str = "gpt2"  # "gpt2" | "llama" | "qwen2" | "mistral"
    file: str = "bin"  # "bin" | "safetensors" | "shards" | "bin shards" | "one shard"
    prj: str = "full"  # "full" | "no_norm" | "none"
    rank: int = 4
    tied: bool = True
    head: str = "both"  # tied only: "both" | "no_embedding" | "no_head" | "conflict"
    bf16_base: bool = False
    keep_eos: bool = False
    extra_keys: bool = False
    new_rows: int = 3  # rows of the embedding behind the base vocabulary
    unused_rows: int = 0  # rows of the base vocabulary that no token of the tokenizer uses
    eos_gain: float = 1.3  # how much louder the head's row of EOS is: answers end sooner
    config: tuple[tuple[str, Any], ...] = ()  # overrides of the base config


@dataclass(frozen=True, slots=True, eq=False)
class Tiny:
    """A written checkpoint. `options` are the keyword arguments of a loader, beside the path."""

    path: Path
    base: Path
    reference: Reference
    tokenizer: PreTrainedTokenizerBase
    options: dict[str, Any] = field(default_factory=dict)


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

VARIANTS = {
    "gpt2-bin": Recipe(),
    "gpt2-safetensors": Recipe(file="safetensors", head="no_embedding"),
    "gpt2-shards": Recipe(file="shards"),
    "gpt2-bf16": Recipe(bf16_base=True),
    "gpt2-untied": Recipe(tied=False),
    "gpt2-no-prj": Recipe(prj="none"),
    "gpt2-prj-without-norm": Recipe(prj="no_norm"),
    "gpt2-keep-eos": Recipe(keep_eos=True),
    "gpt2-rank-128": Recipe(rank=128),
    "gpt2-head-wins": Recipe(head="conflict"),
    "gpt2-bin-shards": Recipe(file="bin shards"),
    "gpt2-one-shard": Recipe(file="one shard", extra_keys=True),
    "llama-bin": Recipe("llama", bf16_base=True, extra_keys=True),
    "llama-llama3-rope": Recipe("llama", config=(("rope_parameters", LLAMA3_ROPE),)),
    "llama-safetensors": Recipe("llama", file="safetensors", head="no_embedding"),
    "llama-shards": Recipe("llama", file="shards", head="no_head", bf16_base=True),
    "llama-untied": Recipe("llama", tied=False, file="shards", extra_keys=True),
    "llama-no-prj": Recipe("llama", prj="none", file="safetensors"),
    "llama-prj-without-norm": Recipe("llama", prj="no_norm"),
    "llama-keep-eos": Recipe("llama", keep_eos=True, tied=False),
    "llama-more-rows": Recipe("llama", file="shards", new_rows=5),
    "llama-unused-rows": Recipe("llama", tied=False, unused_rows=5),
    "qwen2": Recipe("qwen2", file="safetensors", unused_rows=13),
    "mistral": Recipe("mistral", tied=False, config=(("head_dim", 12),)),
}


def build(folder: Path, recipe: Recipe, seed: int = 0) -> Tiny:
    """Write base and checkpoint below `folder`. Same recipe and seed, same weights."""
    tokenizer = tiny_tokenizer(bos=recipe.family in ("llama", "mistral"))
    vocabulary = len(tokenizer) + recipe.unused_rows
    config = tiny_config(recipe, vocabulary, tokenizer)
    base, path = folder / "base", folder / "checkpoint"
    path.mkdir(parents=True)
    config.save_pretrained(base)
    tokenizer.save_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)  # for some families not quite what was saved

    codi = Codi(recipe, config)
    fill(codi, torch.Generator().manual_seed(seed), recipe.eos_gain)
    if recipe.bf16_base:
        round_base(codi)
    write(path, tensors(codi, recipe), recipe.file)
    reference = Reference(
        model=codi.codi,
        prj=getattr(codi, "prj", nn.Identity()),
        bot=vocabulary + 1,
        eot=vocabulary + 2,
        eos=tokenizer.eos_token_id,
        remove_eos=not recipe.keep_eos,
    )
    options: dict[str, Any] = {"base": str(base)}
    if recipe.rank != 128:  # 128 goes with 32 in every published checkpoint
        options["lora_alpha"] = 2 * recipe.rank
    if recipe.keep_eos:
        options["keep_eos"] = True
    return Tiny(path, base, reference, tokenizer, options)


def tiny_tokenizer(bos: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges; `bos` puts one before every text, as Llama's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>"] if bos else ["<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(QUESTIONS, trainer)
    names = {"eos_token": "<|end|>"}
    if bos:
        names["bos_token"] = "<|begin|>"
        pair = ("<|begin|>", tokenizer.token_to_id("<|begin|>"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[pair]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def tiny_config(
    recipe: Recipe, vocabulary: int, tokenizer: PreTrainedTokenizerFast
) -> PreTrainedConfig:
    """The base's config: `vocab_size` without CODI's three rows, as published bases have it."""
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "tie_word_embeddings": recipe.tied,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    if recipe.family == "gpt2":
        sizes = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 160}
        return GPT2Config(**sizes | common | dict(recipe.config))
    kinds = {"llama": LlamaConfig, "qwen2": Qwen2Config, "mistral": MistralConfig}
    sizes = {
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 2048,
    }
    return kinds[recipe.family](**sizes | common | dict(recipe.config))


class Codi(nn.Module):
    """The official module tree, so that its state dict has the official keys."""

    def __init__(self, recipe: Recipe, config: PreTrainedConfig) -> None:
        super().__init__()
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        model.resize_token_embeddings(config.vocab_size + recipe.new_rows, mean_resizing=False)
        self.codi = get_peft_model(model, lora_config(recipe))
        if recipe.prj != "none":
            self.prj = nn.Sequential(
                nn.Dropout(0.1), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN)
            )
        if recipe.prj == "full":
            self.prj.add_module("ln", nn.LayerNorm(HIDDEN))
        self.eval()


def lora_config(recipe: Recipe) -> LoraConfig:
    gpt2 = recipe.family == "gpt2"
    llama_modules = [f"{x}_proj" for x in ("q", "k", "v", "o", "gate", "up", "down")]
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=32 if recipe.rank == 128 else 2 * recipe.rank,
        lora_dropout=0.1,
        target_modules=["c_attn", "c_proj", "c_fc"] if gpt2 else llama_modules,
        fan_in_fan_out=gpt2,
    )


@torch.no_grad()
def fill(codi: Codi, generator: torch.Generator, eos_gain: float = 1.0) -> None:
    """Random weights large enough for answers to depend on the question, LoRA and prj included."""
    for name, parameter in codi.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.copy_(scaled(name, parameter, noise))
    head = codi.codi.get_output_embeddings().weight
    head[codi.codi.config.eos_token_id] *= eos_gain


def scaled(name: str, parameter: Tensor, noise: Tensor) -> Tensor:
    if parameter.dim() == 1:  # norms around one, biases around zero
        return 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
    if "lora_" in name:
        return noise * (0.15 if "lora_A" in name else 0.05 + 0.02 * parameter.shape[1] ** 0.5)
    if "wpe" in name:
        return 0.2 * noise
    if "wte" in name or "embed_tokens" in name or "lm_head" in name:
        return 0.25 * noise
    return 0.8 * noise / HIDDEN**0.5


@torch.no_grad()
def round_base(codi: Codi) -> None:
    """Give the base weights values that bfloat16 holds exactly; LoRA and prj stay float32."""
    for name, parameter in codi.codi.named_parameters():
        if "lora_" not in name:
            parameter.copy_(parameter.bfloat16().float())


def tensors(codi: Codi, recipe: Recipe) -> dict[str, Tensor]:
    """What the file holds: the state dict, changed as the recipe says."""
    state = {name: tensor.detach().clone() for name, tensor in codi.state_dict().items()}
    root = "codi.base_model.model."
    embedding = root + ("transformer.wte" if recipe.family == "gpt2" else "model.embed_tokens")
    if recipe.head == "no_embedding":
        del state[f"{embedding}.weight"]
    if recipe.head == "no_head":
        del state[f"{root}lm_head.weight"]
    if recipe.head == "conflict":
        state[f"{embedding}.weight"] = state[f"{embedding}.weight"] + 1.0
    if recipe.extra_keys:
        state |= {name: torch.ones(shape) for name, shape in EXTRA_KEYS.items()}
    if recipe.bf16_base:
        base = [n for n in state if n.startswith("codi.") and "lora_" not in n]
        state |= {name: state[name].bfloat16() for name in base}
    return state


def write(path: Path, state: dict[str, Tensor], file: str) -> None:
    if file == "bin":
        torch.save(state, path / "pytorch_model.bin")
    elif file == "safetensors":
        save_file(state, path / "model.safetensors", metadata={"format": "pt"})
    elif file == "one shard":  # published like this: no index, and an empty config
        save_file(state, path / "model-00001-of-00001.safetensors")
        (path / "config.json").write_text("{}")
    elif file == "shards":
        write_shards(path, state, "model-{}.safetensors", save_file)
    else:
        write_shards(path, state, "pytorch_model-{}.bin", torch.save)


def write_shards(
    path: Path, state: dict[str, Tensor], shard_name: str, save: Callable, count: int = 3
) -> None:
    names = sorted(state)
    weight_map = {}
    for i in range(count):
        shard = shard_name.format(f"{i + 1:05d}-of-{count:05d}")
        save({name: state[name] for name in names[i::count]}, path / shard)
        weight_map |= dict.fromkeys(names[i::count], shard)
    size = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    index_name = shard_name.replace("-{}", "") + ".index.json"
    (path / index_name).write_text(json.dumps(index))


class RunsCode:
    """Unpickling it creates the file `marker`: proof that a loader executed what it read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable, tuple]:
        return open, (str(self.marker), "w")


def read(path: Path) -> dict[str, Tensor]:
    if (path / "pytorch_model.bin").exists():
        return torch.load(path / "pytorch_model.bin", weights_only=True)
    return load_file(path / "model.safetensors")


def changed(path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    state = read(path)
    change(state)
    write(path, state, "bin" if (path / "pytorch_model.bin").exists() else "safetensors")


def some_key(state: dict[str, Tensor], part: str = "lora_B") -> str:
    return next(name for name in sorted(state) if part in name)


def module_of(key: str) -> str:
    """The transformers module that a key belongs to: no wrapper, no LoRA, no `.weight`."""
    name = key.removeprefix("codi.base_model.model.").replace(".base_layer", "")
    return name.split(".lora_")[0] if ".lora_" in name else name.rpartition(".")[0]


def drop_key(path: Path, part: str = "lora_B") -> str:
    """Remove one tensor; returns its module, which the error must name. Likewise below."""
    name = some_key(read(path), part)
    changed(path, lambda state: state.pop(name))
    return module_of(name)


def add_key(path: Path) -> str:
    changed(path, lambda state: state.update(mystery=torch.ones(2)))
    return "mystery"


def reshape_key(path: Path) -> str:
    name = some_key(read(path), "prj.1.weight")
    changed(path, lambda state: state.update({name: state[name][:, :-1].contiguous()}))
    return name


def truncate(path: Path) -> str:
    file = next(f for f in sorted(path.iterdir()) if f.suffix in (".bin", ".safetensors"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file.name


def run_code(path: Path) -> str:
    """Hide an object in the pickle that, loaded, makes the file `executed` beside the folder."""
    file = path / "pytorch_model.bin"
    torch.save({**read(path), "payload": RunsCode(path.parent / "executed")}, file)
    return file.name


BROKEN: dict[str, Callable[[Path], str]] = {
    "missing key": drop_key,
    "missing projection": lambda path: drop_key(path, "prj.3.bias"),
    "missing block": lambda path: drop_key(path, f".{LAYERS - 1}."),
    "unexpected key": add_key,
    "wrong shape": reshape_key,
    "truncated file": truncate,
    "pickle that runs code": run_code,
}


def plain(tiny: Tiny) -> nn.Module:
    """The transformers model inside the wrapper, for looking at its config."""
    return causal_lm(tiny.reference)
