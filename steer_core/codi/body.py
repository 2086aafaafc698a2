"""The transformer body: pre-norm blocks of the GPT-2 and Llama families as plain functions.

One `Block` serves both families; what differs (norm, bias, rotary positions, gated MLP) is data.
A body holds no cache, no hooks and no state: attention is done by the cache it is given, and
whoever wants to see the output of a block passes a `tap` or calls the blocks one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.head import Head
from steer_core.codi.reordered import MOST, Reordered, can_reorder, reordered

TOKENS_AT_A_TIME = {"cpu": 1024, "cuda": 65536}
"""Tokens that go through a block at once, padding included, where they can be parted: on a CPU its
activations should stay in the cache, a GPU must have memory for them."""
CUBIC = 0.044715
"""Of the tanh approximation of GELU: tanh(sqrt(2 / pi) (x + CUBIC x^3))."""
Tap = Callable[[int, Tensor], Tensor]
"""`tap(l, x)` gets the output of block l (counted from 1) and returns what goes on instead."""


class Attention(Protocol):
    """What a body needs from a cache: take new keys and values, return what was attended to."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Take k and v [N, T, H_kv, d] of block `layer`, q [N, t, H, d] of the last t positions.

        Returns [N, t, H, d].
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """y = x W^T + b, weight [out, in], bias [out] or None; `fast`, where a CPU has it, the same."""

    weight: Tensor
    bias: Tensor | None = None
    fast: Reordered | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.fast is not None and self.fast.suits(x, self.weight):
            return self.fast(x, self.bias)
        return F.linear(x, self.weight, self.bias)

    def onto(self, x: Tensor, y: Tensor) -> Tensor:
        """y + x W^T + b."""
        if self.fast is not None and self.fast.suits(x, self.weight):
            return self.fast.onto(x, y, self.bias)
        return y + F.linear(x, self.weight, self.bias)

    def into(self, x: Tensor, y: Tensor) -> Tensor:
        """As `onto`; y, which nobody else has, may be written into."""
        if self.bias is not None or not fused(x):
            return self.onto(x, y)
        y.flatten(0, -2).addmm_(x.flatten(0, -2), self.weight.t())
        return y

    def gelu(self, x: Tensor, approximate: str) -> Tensor:
        """GELU of the product, `approximate` none or tanh as torch has it."""
        if self.fast is not None and self.fast.activates and self.fast.suits(x, self.weight):
            return self.fast(x, self.bias, "gelu", approximate)
        y = self(x)
        return gelu(y) if approximate == "tanh" else F.gelu(y)

    def reordered(self) -> Linear:
        """The same with a faster way for many rows."""
        return replace(self, fast=reordered(self.weight))


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """LayerNorm (`rms` False) or RMSNorm (`rms` True) over the last axis; weight and bias [D]."""

    weight: Tensor
    bias: Tensor | None
    eps: float
    rms: bool

    def __call__(self, x: Tensor) -> Tensor:
        if not self.rms:
            return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        if fast_on_cpu(x):
            size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            square = torch.addcmul(x.new_full((), self.eps), size, size, value=1 / x.shape[-1])
            return torch.mul(x, square.rsqrt_()).mul_(self.weight)
        if x.dtype is torch.float32 or fused(x):
            return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        # The mean square is taken in float32 and the weight applied after the cast back, as Llama
        # does.
        return self.weight * F.rms_norm(x.float(), x.shape[-1:], None, self.eps).to(x.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One pre-norm block; `qkv` packs queries, keys, values, `up` packs gate and up if `gated`.

    With rotary positions the numbers of a query or key lie pair by pair (`layout.paired`).
    `fast` are gate and up by themselves, where a CPU has them.
    """

    attention_norm: Norm
    qkv: Linear
    out: Linear
    mlp_norm: Norm
    up: Linear
    down: Linear
    heads: int
    kv_heads: int
    head_dim: int
    gated: bool
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    fast: tuple[Reordered, Reordered] | None = None

    def __call__(
        self,
        layer: int,
        x: Tensor,
        rotary: Tensor | None,
        cache: Attention,
        last: int = 0,
    ) -> Tensor:
        """x [N, T, D] to the block's output [N, T, D], or of the `last` positions only."""
        q, k, v = self.project(x, rotary)
        q, x = q[:, -last:], x[:, -last:]
        x = self.out.onto(cache.attend(layer, q, k, v).flatten(-2), x)
        return self.down.into(self.inner(self.mlp_norm(x)), x)

    def project(self, x: Tensor, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """x [N, T, D] to queries [N, T, H, d], keys and values [N, T, H_kv, d]."""
        packed = self.qkv(self.attention_norm(x)).unflatten(-1, (-1, self.head_dim))
        together = self.heads + self.kv_heads
        qk, v = packed[..., :together, :], packed[..., together:, :]
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk.split((self.heads, self.kv_heads), dim=-2)
            qk = torch.cat((self.q_norm(q), self.k_norm(k)), dim=-2)
        if rotary is not None:
            qk = rotate(qk, rotary)
        q, k = qk.split((self.heads, self.kv_heads), dim=-2)
        return q, k, v

    def inner(self, x: Tensor) -> Tensor:
        """What goes down again: gated SiLU (Llama) or tanh-approximated GELU (GPT-2)."""
        if not self.gated:
            return self.up.gelu(x, "tanh")
        if self.fast is not None and self.fast[0].suits(x, self.up.weight):
            gate, up = self.fast
            bias = self.up.bias
            biases = (None, None) if bias is None else (bias[gate.rows], bias[up.rows])
            return up.times(x, gate(x, biases[0], "swish"), biases[1])
        gate, up = self.up(x).chunk(2, dim=-1)
        if torch.is_grad_enabled():
            return F.silu(gate) * up
        # In place: these are the widest tensors of a pass, and fresh memory costs time.
        return F.silu(gate, inplace=True).mul_(up)

    @property
    def nbytes(self) -> int:
        """Bytes of its matrices."""
        return sum(x.weight.nbytes for x in (self.qkv, self.out, self.up, self.down))

    def reordered(self) -> Block:
        """The same with a faster way for many rows."""
        fast = None
        if self.gated:
            weight, half = self.up.weight, len(self.up.weight) // 2
            gate, up = (reordered(weight, rows) for rows in (slice(half), slice(half, None)))
            fast = None if gate is None or up is None else (gate, up)
        up = self.up if self.gated else self.up.reordered()
        qkv, out, down = (x.reordered() for x in (self.qkv, self.out, self.down))
        return replace(self, qkv=qkv, out=out, up=up, down=down, fast=fast)


def fast_on_cpu(x: Tensor) -> bool:
    """Whether a form is worth while that only a CPU is faster with, in float32, in place."""
    return x.device.type == "cpu" and x.dtype is torch.float32 and not torch.is_grad_enabled()


def fused(x: Tensor) -> bool:
    """Whether an accelerator may do several steps in one kernel, in place, rounding once."""
    return x.device.type != "cpu" and not torch.is_grad_enabled()


def gelu(x: Tensor) -> Tensor:
    """GELU in GPT-2's tanh approximation.

    0.5 x (1 + tanh(u)) is x sigmoid(2 u), which takes a CPU half as long; they differ by rounding.
    """
    if not fast_on_cpu(x):
        return F.gelu(x, approximate="tanh")
    slope = 2 * math.sqrt(2 / math.pi)
    twice = torch.addcmul(torch.tensor(slope), x, x, value=slope * CUBIC).mul_(x)
    return twice.sigmoid_().mul_(x)


def rotate(x: Tensor, waves: Tensor) -> Tensor:
    """Rotary positions: x [N, T, H, d], pairs of numbers, turned by waves (`Body.rotary`).

    As complex products in float32, in one go; by matrices where x must be cast for that.
    """
    if not waves.is_complex():
        return (x.unflatten(-1, (-1, 1, 2)) * waves).sum(-1, dtype=x.dtype).flatten(-2)
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * waves).flatten(-2).to(x.dtype)


def turned_back(waves: Tensor) -> Tensor:
    """Waves that undo others, of either form."""
    if waves.is_complex():
        return waves.reciprocal()
    size = (waves[..., 0, :] ** 2).sum(-1)[..., None, None]
    return waves.transpose(-1, -2) / size


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Embeddings, blocks, final norm and vocabulary head of one causal language model.

    Shapes: `tokens` [V, D]; `positions` [P, D] for learned positions or None; `inverse_frequencies`
    [d/2] for rotary positions or None.
    """

    tokens: Tensor
    positions: Tensor | None
    inverse_frequencies: Tensor | None
    rotary_scale: float
    blocks: tuple[Block, ...]
    norm: Norm
    head: Head

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [...] to token embeddings [..., D], positions not yet added."""
        return F.embedding(ids, self.tokens)

    def run(
        self,
        x: Tensor,
        positions: Tensor,
        cache: Attention,
        tap: Tap | None = None,
        last: int = 0,
    ) -> Tensor:
        """Run x [N, T, D] at absolute positions [N, T] through all blocks; not yet normed.

        `tap` is called with l = 0 for the input embedding (learned positions added) and with
        l = 1..L for the blocks. With `last`, only so many last positions come out of the last
        block: of the others only the keys and values are read later.
        """
        x = self.placed(x, positions)
        rotary = self.rotary(positions)
        x = tap(0, x) if tap else x
        for index, block in enumerate(self.blocks):
            x = block(index, x, rotary, cache, last if index + 1 == len(self.blocks) else 0)
            x = tap(index + 1, x) if tap else x
        return x

    def placed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Input embeddings [N, T, D] with learned positions added, where the family has them."""
        return x if self.positions is None else x + F.embedding(positions, self.positions)

    def rotary(self, positions: Tensor) -> Tensor | None:
        """Waves at positions [N, T] for `rotate`; None without rotary.

        Complex [N, T, 1, d/2]; in half precision on an accelerator, where complex numbers would
        take two more casts in every block, as matrices [N, T, 1, d/2, 2, 2].
        """
        if self.inverse_frequencies is None:
            return None
        angles = (positions[..., None].float() * self.inverse_frequencies)[..., None, :]
        if self.tokens.dtype is torch.float32 or not fused(self.tokens):
            return torch.polar(torch.full_like(angles, self.rotary_scale), angles)
        cos, sin = angles.cos() * self.rotary_scale, angles.sin() * self.rotary_scale
        return torch.stack((cos, -sin, sin, cos), -1).unflatten(-1, (2, 2))

    def reordered(self) -> Body:
        """The same with a faster way for many rows; itself where there is none, or not for so much.

        Beyond `reordered.MOST` bytes of matrices they are not kept twice. For an accelerator the
        head is filled up (`Head.aligned`).
        """
        if self.tokens.device.type != "cpu":
            head = self.head.aligned()
            tied = self.head.weight is self.tokens
            return replace(self, tokens=head.weight if tied else self.tokens, head=head)
        matrices = sum(block.nbytes for block in self.blocks) + self.head.weight.nbytes
        if not can_reorder(self.tokens) or matrices > MOST:
            return self
        blocks = tuple(block.reordered() for block in self.blocks)
        return replace(self, blocks=blocks, head=self.head.reordered())
