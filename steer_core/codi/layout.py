"""Names: which tensor of a transformers state dict is which part of a `Body`, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steer_core.codi.body import Block, Body, Linear, Norm
from steer_core.codi.config import family_of, sizes_of
from steer_core.codi.head import Head
from steer_core.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Take = Callable[[str, tuple[int, ...]], Tensor]
"""`take(name, shape)` returns the tensor of that name, checked against the shape."""


@dataclass(frozen=True, slots=True)
class Names:
    """Where a family keeps its parts; several names for one part are packed into one matrix."""

    block: str
    tokens: str
    norm: str
    qkv: tuple[str, ...]
    out: str
    up: tuple[str, ...]
    down: str
    attention_norm: str
    mlp_norm: str
    transposed: bool  # GPT-2's Conv1D stores [in, out]
    rms: bool


NAMES = {
    "gpt2": Names(
        block="transformer.h.{}.",
        tokens="transformer.wte.weight",
        norm="transformer.ln_f",
        qkv=("attn.c_attn",),
        out="attn.c_proj",
        up=("mlp.c_fc",),
        down="mlp.c_proj",
        attention_norm="ln_1",
        mlp_norm="ln_2",
        transposed=True,
        rms=False,
    ),
    "llama": Names(
        block="model.layers.{}.",
        tokens="model.embed_tokens.weight",
        norm="model.norm",
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        out="self_attn.o_proj",
        up=("mlp.gate_proj", "mlp.up_proj"),
        down="mlp.down_proj",
        attention_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        transposed=False,
        rms=True,
    ),
}
LAYOUT = 2
"""Goes up when a `Body` keeps weights in another order: training checkpoints are in that order."""
ROTATED = re.compile(r"\.self_attn\.[qk]_(proj|norm)\.")
"""Parts whose outputs are turned by rotary positions."""
LEARNED_POSITIONS = "transformer.wpe.weight"
HEAD = "lm_head.weight"


class Builder:
    """Builds a `Body` of one base config from tensors handed out by name."""

    def __init__(self, base: PretrainedConfig, vocabulary: int, take: Take):
        self.base, self.vocabulary, self.take = base, vocabulary, take
        self.family = family_of(base)
        self.names = NAMES[self.family]
        self.sizes = sizes_of(base)
        self.eps = base.layer_norm_epsilon if self.family == "gpt2" else base.rms_norm_eps

    def body(self, tied: bool) -> Body:
        """The whole body; with `tied` the head is the token embedding."""
        hidden, rows = self.sizes["hidden"], self.vocabulary
        tokens = self.take(self.names.tokens, (rows, hidden))
        blocks = tuple(self.block(index) for index in range(self.sizes["layers"]))
        return Body(
            tokens=tokens,
            positions=self.learned_positions(),
            blocks=blocks,
            norm=self.norm(self.names.norm, hidden),
            head=Head(tokens if tied else self.take(HEAD, (rows, hidden))),
            **rotary_of(self.base, self.family, tokens.device),
        )

    def learned_positions(self) -> Tensor | None:
        if self.family != "gpt2":
            return None
        return self.take(LEARNED_POSITIONS, (self.sizes["max_positions"], self.sizes["hidden"]))

    def named(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor as the body uses it."""
        tensor = self.take(name, shape)
        return paired(tensor, self.sizes["head_dim"]) if ROTATED.search(name) else tensor

    def block(self, index: int) -> Block:
        names, sizes = self.names, self.sizes
        prefix = names.block.format(index)
        hidden, width = sizes["hidden"], sizes["heads"] * sizes["head_dim"]
        narrow = sizes["kv_heads"] * sizes["head_dim"]
        inner, gated = self.inner, self.family == "llama"
        qkv = (width, narrow, narrow) if gated else (3 * width,)
        up = (inner, inner) if gated else (inner,)
        bias = self.qkv_bias
        q_norm, k_norm = self.head_norms(prefix)
        return Block(
            attention_norm=self.norm(prefix + names.attention_norm, hidden),
            qkv=self.linear([prefix + name for name in names.qkv], qkv, hidden, bias),
            out=self.linear([prefix + names.out], (hidden,), width, self.out_bias),
            mlp_norm=self.norm(prefix + names.mlp_norm, hidden),
            up=self.linear([prefix + name for name in names.up], up, hidden, self.mlp_bias),
            down=self.linear([prefix + names.down], (hidden,), inner, self.mlp_bias),
            heads=sizes["heads"],
            kv_heads=sizes["kv_heads"],
            head_dim=sizes["head_dim"],
            gated=gated,
            q_norm=q_norm,
            k_norm=k_norm,
        )

    @property
    def inner(self) -> int:
        if self.family == "gpt2":
            return self.base.n_inner or 4 * self.base.hidden_size
        return self.base.intermediate_size

    @property
    def qkv_bias(self) -> bool:
        # Qwen2 always has biases on q, k, v and never on o; the config does not say so.
        return self.out_bias or self.base.model_type == "qwen2"

    @property
    def out_bias(self) -> bool:
        return self.family == "gpt2" or bool(getattr(self.base, "attention_bias", False))

    @property
    def mlp_bias(self) -> bool:
        return self.family == "gpt2" or bool(getattr(self.base, "mlp_bias", False))

    def head_norms(self, prefix: str) -> tuple[Norm | None, Norm | None]:
        """Norms of queries and keys, which one family has."""
        if self.base.model_type != "qwen3":
            return None, None
        size = self.sizes["head_dim"]
        q, k = (self.norm(f"{prefix}self_attn.{x}_norm", size) for x in "qk")
        return q, k

    def norm(self, name: str, size: int) -> Norm:
        bias = None if self.names.rms else self.take(f"{name}.bias", (size,))
        return Norm(self.named(f"{name}.weight", (size,)), bias, self.eps, self.names.rms)

    def linear(self, names: list[str], outs: tuple[int, ...], inside: int, bias: bool) -> Linear:
        weights = [self.weight(name, out, inside) for name, out in zip(names, outs, strict=True)]
        biases = [self.named(f"{n}.bias", (o,)) for n, o in zip(names, outs, strict=True) if bias]
        return Linear(packed(weights), packed(biases) if bias else None)

    def weight(self, name: str, out: int, inside: int) -> Tensor:
        if self.names.transposed:
            return self.take(f"{name}.weight", (inside, out)).t().contiguous()
        return self.named(f"{name}.weight", (out, inside))


def paired(x: Tensor, d: int) -> Tensor:
    """Heads x [H * d, ...] with both numbers of a rotary pair side by side.

    Checkpoints have the first of all pairs of a head, then the second of all.
    """
    return x.unflatten(0, (-1, 2, d // 2)).transpose(1, 2).flatten(0, 2)


def unpaired(x: Tensor, d: int) -> Tensor:
    """The inverse of `paired`."""
    return x.unflatten(0, (-1, d // 2, 2)).transpose(1, 2).flatten(0, 2)


def packed(parts: list[Tensor]) -> Tensor:
    """One tensor of all parts, stacked along the output axis."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].is_meta:  # shapes alone, for which torch.cat would import a compiler
        return parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    return torch.cat(parts)


def rotary_of(base: PretrainedConfig, family: str, device: torch.device) -> dict:
    """Inverse frequencies and scale of the rotary positions, as transformers computes them."""
    if family == "gpt2":
        return {"inverse_frequencies": None, "rotary_scale": 1.0}
    try:
        frequencies, scale = frequencies_of(base)
    except Exception as error:  # values of anybody: each kind of scaling fails in its own ways
        raise UserError(
            f"the base config's rope_parameters cannot be used ({error!r:.120}); correct its "
            "config.json"
        ) from error
    return {"inverse_frequencies": frequencies.float().to(device), "rotary_scale": float(scale)}


def frequencies_of(base: PretrainedConfig) -> tuple[Tensor, float]:
    """What a rotary module of transformers computes for a config, without importing one.

    Its modelling code takes longer to import than a bundled model to answer.
    """
    rope, size = base.rope_parameters, sizes_of(base)["head_dim"]
    if rope["rope_type"] != "default":
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        return ROPE_INIT_FUNCTIONS[rope["rope_type"]](base)
    return 1.0 / rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float) / size), 1.0


def named_tensors(body: Body, family: str) -> Iterator[tuple[str, Tensor]]:
    """The inverse of `Builder`: every tensor of a body under its transformers name."""
    d = body.blocks[0].head_dim
    for name, tensor in as_used(body, family):
        yield name, unpaired(tensor, d) if ROTATED.search(name) else tensor


def as_used(body: Body, family: str) -> Iterator[tuple[str, Tensor]]:
    """The same as the body uses them."""
    names = NAMES[family]
    yield names.tokens, body.tokens
    if body.positions is not None:
        yield LEARNED_POSITIONS, body.positions
    for index, block in enumerate(body.blocks):
        prefix = names.block.format(index)
        width, narrow = block.heads * block.head_dim, block.kv_heads * block.head_dim
        inner = block.down.weight.shape[1]
        qkv = (width, narrow, narrow) if block.gated else (3 * width,)
        up = (inner, inner) if block.gated else (inner,)
        yield from named_norm(prefix + names.attention_norm, block.attention_norm)
        yield from named_norm(prefix + names.mlp_norm, block.mlp_norm)
        for x, norm in (("q", block.q_norm), ("k", block.k_norm)):
            if norm is not None:
                yield from named_norm(f"{prefix}self_attn.{x}_norm", norm)
        yield from named_linear([prefix + n for n in names.qkv], block.qkv, qkv, names)
        yield from named_linear([prefix + names.out], block.out, None, names)
        yield from named_linear([prefix + n for n in names.up], block.up, up, names)
        yield from named_linear([prefix + names.down], block.down, None, names)
    yield from named_norm(names.norm, body.norm)
    if body.head.weight is not body.tokens:
        yield HEAD, body.head.weight


def named_norm(name: str, norm: Norm) -> Iterator[tuple[str, Tensor]]:
    """A norm's tensors under their names."""
    yield f"{name}.weight", norm.weight
    if norm.bias is not None:
        yield f"{name}.bias", norm.bias


def named_linear(
    parts: list[str], linear: Linear, outs: tuple[int, ...] | None, names: Names
) -> Iterator[tuple[str, Tensor]]:
    """A packed linear's tensors, unpacked, under their names."""
    outs = outs or (linear.weight.shape[0],)
    for name, weight in zip(parts, linear.weight.split(outs), strict=True):
        yield f"{name}.weight", weight.t() if names.transposed else weight
    if linear.bias is not None:
        for name, bias in zip(parts, linear.bias.split(outs), strict=True):
            yield f"{name}.bias", bias
