"""Write a loaded model in the official CODI layout, LoRA factors included.

What comes out is what the official code saves and loads: a checkpoint of weights only, and beside
it the base model (config, tokenizer, weights without LoRA) that it was trained from.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PretrainedConfig

from steer_core.codi.checkpoint import is_conv1d
from steer_core.codi.config import family_of
from steer_core.codi.layout import HEAD, NAMES, named_tensors
from steer_core.codi.model import CodiModel
from steer_core.codi.projection import named_projection
from steer_core.errors import UserError
from steer_core.files import replacing_folder

PREFIX = "codi.base_model.model."
ADAPTED = {
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "llama": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
}
"""Modules that CODI trains LoRA factors of."""
FILES = ("bin", "safetensors")
MOST_RANK = 4096
SHARE = 0.5
"""Size of the LoRA part of a weight, as a share of the weight's own."""


@dataclass(frozen=True, slots=True)
class Lora:
    """LoRA factors of random values: rank r, lora_alpha and the seed of the values."""

    rank: int = 4
    alpha: float = 32.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an exported model is: its weights, and the base with config and tokenizer."""

    checkpoint: Path
    base: Path


def export_checkpoint(
    model: CodiModel, config: PretrainedConfig, folder: Path, lora: Lora = Lora(), file: str = "bin"
) -> Exported:
    """Write a model so that base weights and LoRA factors together are the model.

    Args:
        model: A model loaded in float32.
        config: The transformers config it was built from.
        folder: Gets `checkpoint/` and `base-NAME/`.
        lora: The factors; they are drawn at random and taken off the base weights.
        file: bin (`pytorch_model.bin`, as published) or safetensors.

    Raises:
        UserError: for a rank below 1, a `lora_alpha` that is 0, or an unknown kind of file.
    """
    if not 1 <= lora.rank <= MOST_RANK or not lora.alpha:
        raise UserError(
            f"LoRA rank {lora.rank} and lora_alpha {lora.alpha} make no factors; "
            f"give a rank of 1..{MOST_RANK} and a lora_alpha other than 0"
        )
    if file not in FILES:
        raise UserError(f"unknown kind of file '{file}'; choose {' or '.join(FILES)}")
    family = family_of(config)
    tensors = dict(official_tensors(model, family, lora))
    weights, base = "checkpoint", f"base-{Path(model.name).name}"
    with replacing_folder(folder) as part:
        write_checkpoint(part / weights, tensors, family, file)
        write_base(part / base, model, config, tensors)
    return Exported(folder / weights, folder / base)


def official_tensors(model: CodiModel, family: str, lora: Lora) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a model under its official name, adapted weights as base and factors."""
    generator = torch.Generator().manual_seed(lora.seed)
    tensors = dict(named_tensors(model.body, family))
    tensors.setdefault(HEAD, model.body.head.weight)
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if module.rpartition(".")[2] not in ADAPTED[family]:
            yield PREFIX + name, tensor
        elif kind == "bias":
            yield f"{PREFIX}{module}.base_layer.bias", tensor
        else:
            a, b = factors(tensor, is_conv1d(name), lora, generator)
            delta = lora.alpha / lora.rank * (b @ a)
            base = tensor.float() - (delta.t() if is_conv1d(name) else delta)
            yield f"{PREFIX}{module}.base_layer.weight", base
            yield f"{PREFIX}{module}.lora_A.default.weight", a
            yield f"{PREFIX}{module}.lora_B.default.weight", b
    yield from named_projection(model.projection)


def factors(
    weight: Tensor, conv1d: bool, lora: Lora, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random A [r, in] and B [out, r], their product `SHARE` as large as the weight."""
    outs, ins = weight.shape[::-1] if conv1d else weight.shape
    a = torch.randn(lora.rank, ins, generator=generator)
    b = torch.randn(outs, lora.rank, generator=generator)
    size = SHARE * float(weight.std()) / (abs(lora.alpha) / lora.rank * lora.rank**0.5)
    return a, b * size


def write_checkpoint(part: Path, tensors: dict[str, Tensor], family: str, file: str) -> None:
    """The weights, as `torch.save` or safetensors keeps them."""
    part.mkdir()
    if file == "bin":
        torch.save(separate(tensors), part / "pytorch_model.bin")
        return
    # Tensors in shared memory are written once: a tied embedding goes under the head's name.
    tokens = PREFIX + NAMES[family].tokens
    tied = tensors[tokens] is tensors[PREFIX + HEAD]
    kept = {name: tensor for name, tensor in tensors.items() if not (tied and name == tokens)}
    save_file(separate(kept), part / "model.safetensors", metadata={"format": "pt"})


def write_base(
    part: Path, model: CodiModel, config: PretrainedConfig, tensors: dict[str, Tensor]
) -> None:
    """Config and weights of the base model, without CODI's three rows, and the tokenizer."""
    config = copy.deepcopy(config)
    config.vocab_size = model.config.pad
    config.save_pretrained(part)
    model.tokenizer.save_pretrained(part)
    vocabulary = (NAMES[family_of(config)].tokens, HEAD)
    plain = {
        name.removeprefix(PREFIX).replace(".base_layer.", "."): tensor
        for name, tensor in tensors.items()
        if name.startswith(PREFIX) and ".lora_" not in name
    }
    if config.tie_word_embeddings:
        del plain[HEAD]
    cut = {name: t[: config.vocab_size] if name in vocabulary else t for name, t in plain.items()}
    save_file(separate(cut), part / "model.safetensors", metadata={"format": "pt"})


def separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each contiguous and in memory of its own."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
