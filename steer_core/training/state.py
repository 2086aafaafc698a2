"""A model under training: fresh weights, its parameters by name, and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast

from steer_core.codi.body import Linear, Norm
from steer_core.codi.config import family_of
from steer_core.codi.layout import Builder, named_tensors
from steer_core.codi.load import load_model
from steer_core.codi.projection import Projection, named_projection
from steer_core.codi.tensors import tensors_of
from steer_core.errors import UserError
from steer_core.training.forward import Student
from steer_core.training.recipe import LATENTS
from steer_core.training.tokenizer import BOT, EOT, special_id

EMBEDDING_SCALE = 0.02
"""The projection's LayerNorm starts here: latent thoughts begin at the embeddings' size."""


def fresh_student(base: PretrainedConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> Student:
    """A CODI model with random weights: transformers' own initialisation and a new projection."""
    torch.manual_seed(seed)
    weights = AutoModelForCausalLM.from_config(base, dtype=torch.float32).state_dict()
    builder = Builder(base, base.vocab_size, lambda name, shape: weights[name].view(shape).clone())
    student = Student(
        body=builder.body(tied=True),
        projection=fresh_projection(base.hidden_size),
        bot=special_id(tokenizer, BOT),
        eot=special_id(tokenizer, EOT),
    )
    for _, parameter in parameters(student):
        parameter.requires_grad_(True)
    return student


def take_weights(student: Student, folder: str) -> None:
    """Start from the weights of a finished model of the same shape.

    Raises:
        UserError: when the folder holds no such model.
    """
    model = load_model(folder, device="cpu", dtype="float32", check=False)
    mine = dict(parameters(student))
    theirs = dict(parameters(Student(model.body, model.projection, student.bot, student.eot)))
    wrong = [n for n in mine if n not in theirs or mine[n].shape != theirs[n].shape]
    if wrong or len(mine) != len(theirs):
        raise UserError(
            f"the model in {folder} has another shape than this architecture; "
            "start from a model that 'train' wrote"
        )
    with torch.no_grad():
        for name, parameter in mine.items():
            parameter.copy_(theirs[name])


def fresh_projection(hidden: int) -> Projection:
    """CODI's projection with a LayerNorm that starts at the scale of the embeddings."""

    def linear() -> Linear:
        layer = torch.nn.Linear(hidden, hidden)
        return Linear(layer.weight.detach().clone(), layer.bias.detach().clone())

    scale = torch.full((hidden,), EMBEDDING_SCALE)
    return Projection(linear(), linear(), Norm(scale, torch.zeros(hidden), 1e-5, rms=False))


def parameters(part: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every trained tensor below `part` once, under its path of field names."""
    seen: set[int] = set()
    for name, tensor in tensors_of(part, prefix):
        if id(tensor) not in seen and not name.endswith("inverse_frequencies"):
            seen.add(id(tensor))
            yield name, tensor


def save_model(
    folder: Path, student: Student, base: PretrainedConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Write config, tokenizer, `codi.json` and `model.safetensors` (CODI's key names, no LoRA)."""
    folder.mkdir(parents=True, exist_ok=True)
    base.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tensors = {f"codi.{n}": t for n, t in named_tensors(student.body, family_of(base))}
    tensors |= dict(named_projection(student.projection))
    tensors = {name: t.detach().contiguous().clone() for name, t in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "codi.json").write_text(json.dumps({"latents": LATENTS, "keep_eos": False}) + "\n")
