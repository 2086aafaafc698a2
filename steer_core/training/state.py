"""A model under training: fresh weights, its parameters by name, and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
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
from steer_core.files import replacing_folder
from steer_core.training.forward import Student
from steer_core.training.recipe import LATENTS
from steer_core.training.tokenizer import BOT, EOT, LARGEST_NUMBER, special_id

EMBEDDING_SCALE = 0.02
"""The projection's LayerNorm starts here: latent thoughts begin at the embeddings' size."""
PERIODS = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 1000.0)
"""Of the waves over numbers."""
OWN_SHARE = 0.3
"""What is each number's own, beside 1 of what it shares with others."""


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
    with torch.no_grad():
        structure_numbers(student.body.tokens, tokenizer, seed)
    for _, parameter in parameters(student):
        parameter.requires_grad_(True)
    return student


def structure_numbers(tokens: Tensor, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Start the embeddings of numbers as sums of what their digits share, and of waves over them.

    A number is one token, so its arithmetic would have to be learned number by number; this way
    neighbours and numbers of one digit are alike from the start. Their size stays as it was.
    """
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(str(n)) for n in range(LARGEST_NUMBER + 1)])
    numbers = torch.arange(LARGEST_NUMBER + 1)
    digits = [F.one_hot(numbers // place % 10, 10) for place in (1, 10, 100)]
    angles = 2 * math.pi * numbers[:, None] / torch.tensor(PERIODS)
    features = torch.cat((*digits, angles.cos(), angles.sin()), 1)
    chance = torch.Generator().manual_seed(seed)
    found = features @ torch.randn(features.shape[1], tokens.shape[1], generator=chance)
    tokens[ids] = (OWN_SHARE * tokens[ids] + found * tokens[ids].std() / found.std()) / math.hypot(
        1, OWN_SHARE
    )


def take_weights(student: Student, folder: str) -> str:
    """Start from the weights of a finished model of the same shape; returns their SHA-256.

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
    return model.weights_sha256


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
    tensors = {f"codi.{n}": t for n, t in named_tensors(student.body, family_of(base))}
    tensors |= dict(named_projection(student.projection))
    tensors = {name: t.detach().contiguous().clone() for name, t in tensors.items()}
    with replacing_folder(folder) as part:
        base.save_pretrained(part)
        tokenizer.save_pretrained(part)
        save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
        notes = json.dumps({"latents": LATENTS, "keep_eos": False}) + "\n"
        (part / "codi.json").write_text(notes)
