"""The forward pass of a model under training: what it multiplies in bfloat16, and how it is fused.

The weights that are trained stay float32. A pass works on copies of the matrices in the dtype that
the machine multiplies fastest, made anew for every batch, so that gradients go back to the float32
weights; the residual stream, norms, softmax and losses are float32.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx.experimental._config as fx
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.body import Block, Body, Norm
from steer_core.codi.layout import unpaired
from steer_core.codi.projection import Projection
from steer_core.training.context import Context

Weights = tuple[Any, ...]
"""Of a block: weight and bias (or None) of its norms and matrices, in the order of a pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A CODI model under training: body, projection and the ids of BOT and EOT."""

    body: Body
    projection: Projection
    bot: int
    eot: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How a pass is computed: the dtype of its matrices, and whether torch fuses its small steps.

    Both change results by rounding, so a log says them.
    """

    dtype: torch.dtype = torch.float32
    fused: bool = False


def fastest(device: torch.device) -> Speed:
    """The fastest way of a machine.

    bfloat16 where it is multiplied in tiles (CPUs with AMX, GPUs), elsewhere a CPU is slower with
    it; fused where there is the C++ compiler that torch needs for that.
    """
    if device.type == "cuda":
        return Speed(torch.bfloat16)
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    compiler = shutil.which(os.environ.get("CXX", "g++")) is not None
    return Speed(torch.bfloat16 if tiles else torch.float32, compiler)


class Forward:
    """One batch's pass through a student: working copies of its weights, and its blocks in order.

    Args:
        model: The student.
        speed: How it is computed.
    """

    def __init__(self, model: Student, speed: Speed):
        self.model, self.speed = model, speed
        body, dtype = model.body, speed.dtype
        self.blocks = functions_of(body.blocks[0], body.inverse_frequencies is not None, speed)
        self.weights = [weights_of(block, self.blocks.rotary, dtype) for block in body.blocks]
        self.head = body.head.weight.to(dtype)
        self.readout = functions_of_head(body.norm, speed)

    def run(self, context: Context, x: Tensor, real: Tensor, allowed: Tensor | None = None):
        """Go on from a context, which grows, with x [N, T, D] of which `real` [N, T] is no padding.

        Returns the outputs [N, T, D] of all blocks, first to last. `allowed` [N, L + T] hides
        earlier positions from these ones.
        """
        positions, bias = context.grow(real, allowed)
        x, waves = self.place(x, positions)
        outputs = []
        for index, weights in enumerate(self.weights):
            x, *kept = self.blocks.run(x, weights, waves, bias, *context.kept[index])
            context.kept[index] = tuple(kept)
            outputs.append(x)
        return outputs

    def read(self, ids: Tensor, real: Tensor) -> Context:
        """The context behind questions [N, T]; of the last block keys and values are enough."""
        context = Context(len(self.weights))
        positions, bias = context.grow(real)
        x, waves = self.place(self.model.body.embed(ids), positions)
        for index, weights in enumerate(self.weights[:-1]):
            x, *kept = self.blocks.run(x, weights, waves, bias, None, None)
            context.kept[index] = tuple(kept)
        context.kept[-1] = self.blocks.keep(x, self.weights[-1], waves)
        return context

    def place(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Input embeddings with learned positions, or the waves of rotary ones."""
        body = self.model.body
        if body.inverse_frequencies is None:
            return body.placed(x, positions), None
        angles = positions[..., None, None].float() * body.inverse_frequencies
        return x, torch.stack((angles.cos(), angles.sin())) * body.rotary_scale

    def think(self, output: Tensor) -> Tensor:
        """The projection: the last block's output at k - 1 [N, 1, D] to z_k [N, 1, D]."""
        norm = self.model.body.norm
        hidden = normed(output, norm.weight, norm.bias, norm.eps, norm.rms)
        return self.model.projection(hidden)

    def losses(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy [M] of outputs x [M, D] of the last block, and the likeliest ids [M]."""
        norm = self.model.body.norm
        return self.readout(x, norm.weight, norm.bias, self.head, labels)


@dataclass(frozen=True, slots=True)
class Functions:
    """What blocks of one kind compute: `run` a whole one, `keep` its keys and values only."""

    run: Callable
    keep: Callable
    rotary: bool


KNOWN: dict[tuple, object] = {}
"""Functions by what they depend on: torch fuses each once."""


def fused(function: Callable, speed: Speed) -> Callable:
    """The function, fused where wished; one version for all sizes of a batch."""
    if not speed.fused:
        return function
    # Equal sizes in the first batch are no reason to take them for equal in all.
    fx.use_duck_shape = False
    return torch.compile(function, dynamic=True)


def functions_of(block: Block, rotary: bool, speed: Speed) -> Functions:
    """The functions of blocks like this one."""
    norm = block.attention_norm
    kind = (block.heads, block.kv_heads, block.head_dim, block.gated, norm.eps, norm.rms)
    key = (*kind, rotary, speed)
    if key not in KNOWN:
        run, keep = block_functions(*kind, speed.dtype)
        KNOWN[key] = Functions(fused(run, speed), fused(keep, speed), rotary)
    found = KNOWN[key]
    assert isinstance(found, Functions)
    return found


def functions_of_head(norm: Norm, speed: Speed) -> Callable:
    """Norm, head and cross-entropy as one function."""
    key = ("head", norm.eps, norm.rms, speed)

    def readout(x: Tensor, weight: Tensor, bias: Tensor | None, head: Tensor, labels: Tensor):
        hidden = normed(x, weight, bias, norm.eps, norm.rms).to(head.dtype)
        logits = F.linear(hidden, head).float()
        return F.cross_entropy(logits, labels, reduction="none"), logits.detach().argmax(-1)

    if key not in KNOWN:
        KNOWN[key] = fused(readout, speed)
    found = KNOWN[key]
    assert callable(found)
    return found


def weights_of(block: Block, rotary: bool, dtype: torch.dtype) -> Weights:
    """A block's weights for one pass; matrices and their biases in its dtype.

    Rotary pairs lie in two halves of a head here, which is faster without complex numbers.
    """
    found: list[Tensor | None] = []
    for part in (block.attention_norm, block.qkv, block.out, block.mlp_norm, block.up, block.down):
        for tensor in (part.weight, part.bias):
            if tensor is not None and not isinstance(part, Norm):
                tensor = in_halves(block, tensor) if rotary and part is block.qkv else tensor
                tensor = tensor.to(dtype)
            found.append(tensor)
    return tuple(found)


def in_halves(block: Block, tensor: Tensor) -> Tensor:
    """A packed tensor with the rotary pairs of queries and keys in halves."""
    turned = (block.heads + block.kv_heads) * block.head_dim
    return torch.cat((unpaired(tensor[:turned], block.head_dim), tensor[turned:]))


def normed(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, rms: bool) -> Tensor:
    """LayerNorm or RMSNorm."""
    if not rms:
        return F.layer_norm(x, (x.shape[-1],), weight, bias, eps)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def block_functions(
    heads: int,
    kv_heads: int,
    d: int,
    gated: bool,
    eps: float,
    rms: bool,
    dtype: torch.dtype,
) -> tuple[Callable, Callable]:
    """`run` and `keep` of `Functions`, of tensors alone, so that they can be fused."""
    group = heads // kv_heads

    def rotate(x: Tensor, waves: Tensor) -> Tensor:
        a, b = x.float().chunk(2, -1)
        cos, sin = waves[0], waves[1]
        return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(dtype)

    def project(x: Tensor, weights: Weights, waves: Tensor | None):
        x = normed(x, weights[0], weights[1], eps, rms).to(dtype)
        packed = F.linear(x, weights[2], weights[3]).unflatten(-1, (heads + 2 * kv_heads, d))
        q, k, v = packed.split((heads, kv_heads, kv_heads), -2)
        if waves is not None:
            q, k = rotate(q, waves), rotate(k, waves)
        return q, k, v

    def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        count, new, total = q.shape[0], q.shape[1], k.shape[1]
        q = q.unflatten(2, (kv_heads, group)).permute(0, 2, 3, 1, 4)
        q = q.reshape(count * kv_heads, group * new, d)
        k, v = (t.transpose(1, 2).reshape(count * kv_heads, total, d) for t in (k, v))
        scores = torch.bmm(q, k.transpose(1, 2)).float() * (1 / math.sqrt(d))
        scores = scores.view(count, kv_heads, group, new, total) + bias[:, None, None]
        shares = scores.softmax(-1).to(dtype).view(count * kv_heads, group * new, total)
        found = torch.bmm(shares, v).view(count, kv_heads, group, new, d)
        return found.permute(0, 3, 1, 2, 4).reshape(count, new, heads * d)

    def inner(x: Tensor) -> Tensor:
        if not gated:
            return F.gelu(x.float(), approximate="tanh").to(dtype)
        gate, up = x.chunk(2, -1)
        return (F.silu(gate.float()) * up.float()).to(dtype)

    def run(x, weights, waves, bias, before_k, before_v):
        q, k, v = project(x, weights, waves)
        if before_k is not None:
            k, v = torch.cat((before_k, k), 1), torch.cat((before_v, v), 1)
        x = x + F.linear(attended(q, k, v, bias), weights[4], weights[5]).float()
        up = normed(x, weights[6], weights[7], eps, rms).to(dtype)
        up = inner(F.linear(up, weights[8], weights[9]))
        return x + F.linear(up, weights[10], weights[11]).float(), k, v

    def keep(x, weights, waves):
        return project(x, weights, waves)[1:]

    return run, keep
