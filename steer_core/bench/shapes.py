"""What is measured: the same weights as a model of ours and as one of transformers."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from steer_core.codi.layout import Builder
from steer_core.codi.load import codi_config, load_model, reordered
from steer_core.codi.model import CodiModel
from steer_core.codi.places import MODELS_DIR, bundled_names
from steer_core.codi.projection import Linear, Norm, Projection
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Problem
from steer_core.errors import UserError
from steer_core.steering.directions import Direction
from steer_core.steering.library import cached_direction

LATENTS = 6
SHAPES: dict[str, PretrainedConfig] = {
    "gpt2": GPT2Config(),
    "llama-1b": LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131_072,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
}
"""The published models' bases."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One model twice, and the grid it is measured on.

    `twin` and `prj` are the weights in transformers' and torch's own modules; `layers` are edited
    one at a time over `problems`, along `directions`, which there are of every layer; answers end
    after `max_new_tokens`.
    """

    shape: str
    model: CodiModel
    twin: nn.Module
    prj: nn.Module
    problems: list[Problem]
    layers: tuple[int, ...]
    max_new_tokens: int
    directions: dict[int, Direction] = field(default_factory=dict)


def bundled(name: str, problems: int, layers: int = 1, device: str = "cpu") -> Subject:
    """A model in the box, float32, with its cached directions."""
    if name not in bundled_names():
        raise UserError(f"'{name}' is not in the box; choose one of {', '.join(bundled_names())}")
    model = load_model(name, device=device, dtype="float32")
    folder = MODELS_DIR / name
    tensors = load_file(folder / "model.safetensors")
    twin = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    own = {n.removeprefix("codi."): t for n, t in tensors.items() if n.startswith("codi.")}
    missing = twin.load_state_dict(own, strict=False).missing_keys
    assert missing in ([], ["lm_head.weight"]), missing
    twin.tie_weights()
    every = range(1, model.config.layers + 1)
    return Subject(
        "bundled",
        model,
        twin.eval().to(model.device),
        projection_module(model.projection),
        asked(problems),
        spread(model.config.layers, layers),
        max_new_tokens=256,
        directions={layer: cached_direction(model, "residual", layer) for layer in every},
    )


def random_subject(
    shape: str, device: torch.device, dtype: torch.dtype, problems: int, layers: int
) -> Subject:
    """Random weights at a published shape; answers never end by themselves, so they are cut."""
    torch.manual_seed(0)
    config = deepcopy(SHAPES[shape])  # resizing the embedding changes it
    config._attn_implementation = "sdpa"
    with torch.device(device):
        twin = AutoModelForCausalLM.from_config(config, dtype=dtype)
    twin.resize_token_embeddings(config.vocab_size + 3, mean_resizing=False)
    twin = twin.eval().requires_grad_(False)
    model = model_of(shape, config, twin, device, dtype)
    chosen = spread(model.config.layers, layers)
    directions = {layer: noise(model, layer) for layer in range(1, model.config.layers + 1)}
    prj = projection_module(model.projection)
    return Subject(
        shape, model, twin, prj, asked(problems), chosen, max_new_tokens=8, directions=directions
    )


def model_of(
    shape: str, config: PretrainedConfig, twin: Any, device: torch.device, dtype: torch.dtype
) -> CodiModel:
    """Our model over the same weights, with a random projection."""
    state = twin.state_dict()
    rows = len(twin.get_input_embeddings().weight)
    body = Builder(config, rows, lambda name, _shape: state[name]).body(tied=True)
    tokenizer = word_tokenizer()
    size, plain = config.hidden_size, {"device": device, "dtype": dtype}
    first, second = (
        Linear(torch.randn(size, size, **plain) * 0.02, torch.zeros(size, **plain)) for _ in "ab"
    )
    norm = Norm(torch.full((size,), 0.02, **plain), torch.zeros(size, **plain), 1e-5, rms=False)
    sizes = codi_config(config, tokenizer, rows, latents=LATENTS, keep_eos=False, is_codi=True)
    body, projection = reordered(body, Projection(first, second, norm))
    return CodiModel(shape, "random", "random", "random", sizes, body, projection, tokenizer)


def spread(layers: int, wanted: int) -> tuple[int, ...]:
    """Some layers, evenly apart; all of them where that many are wanted."""
    if wanted >= layers:
        return tuple(range(1, layers + 1))
    return tuple((i + 1) * layers // (wanted + 1) for i in range(wanted))


def noise(model: CodiModel, layer: int) -> Direction:
    """A Gaussian direction, small enough that answers do not all change."""
    generator = torch.Generator().manual_seed(layer)
    shape = model.config.latents + 1, model.config.hidden
    return Direction(torch.randn(shape, generator=generator) * 0.01, "noise", "residual", layer)


def asked(count: int) -> list[Problem]:
    """Clean test problems; asked again under another name where there are not enough."""
    clean = [pair.clean for pair in load_pairs("test")]
    return [clean[i % len(clean)] for i in range(min(count, len(clean)))]


def projection_module(projection: Projection) -> nn.Module:
    """CODI's projection as torch's own modules."""
    first, second, norm = projection.first, projection.second, projection.norm
    assert first is not None
    assert second is not None
    assert norm is not None
    size, like = len(first.weight), {"device": first.weight.device, "dtype": first.weight.dtype}
    prj = nn.Sequential(
        nn.Linear(size, size, **like),
        nn.GELU(),
        nn.Linear(size, size, **like),
        nn.LayerNorm(size, norm.eps, **like),
    )
    for module, part in ((prj[0], first), (prj[2], second), (prj[3], norm)):
        module.load_state_dict({"weight": part.weight, "bias": some(part.bias)})
    return prj.eval().requires_grad_(False)


def some(bias: Tensor | None) -> Tensor:
    """A bias that must be there."""
    assert bias is not None
    return bias


def word_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the test questions: prompts of about the usual length."""
    cut = pre_tokenizers.Whitespace()
    questions = [pair.clean.question for pair in load_pairs("test")]
    words = sorted({word for text in questions for word, _ in cut.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate(["<|unk|>", "<|end|>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = cut
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", unk_token="<|unk|>"
    )
