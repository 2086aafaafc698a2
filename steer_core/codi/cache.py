"""Attention over two caches: one prefix per question, and each row's own few positions.

A batch is a grid of G questions x R rows. All rows of a question are queries over one prefix, which
is stored once; what a row adds itself (latent thoughts, answer tokens) goes into a small
preallocated cache of its own. Nothing is copied when a question is expanded over its rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one block, each [B, H_kv, T, d]."""


class PrefillCache:
    """Causal attention over left-padded questions; keeps the keys and values it sees.

    Args:
        real: bool [G, P]; False marks padding.
    """

    def __init__(self, real: Tensor):
        width = real.shape[1]
        causal = torch.ones(width, width, dtype=torch.bool, device=real.device).tril()
        # A padding query sees itself: softmax over an empty row would be NaN.
        itself = torch.eye(width, dtype=torch.bool, device=real.device)
        self.allowed = ((causal & real[:, None, :]) | itself)[:, None]
        self.real = real
        self.blocks: list[KeysValues] = []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        self.blocks.append((k, v))
        grouped = q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed, enable_gqa=grouped)
        return out.transpose(1, 2)


class RowCache:
    """R rows of each of G questions over a shared prefix; rows are numbered g * R + r.

    Args:
        prefix: keys and values of each block, [G, H_kv, P, d].
        real: bool [G, P]; False marks padding in the prefix.
        rows: R.
        capacity: own positions to make room for; it grows when they are used up.
    """

    def __init__(self, prefix: list[KeysValues], real: Tensor, rows: int, capacity: int):
        self.prefix, self.real, self.rows = prefix, real, rows
        self.length = 0
        keys = prefix[0][0]
        lowest = torch.finfo(keys.dtype).min
        self.bias = torch.zeros(real.shape, dtype=keys.dtype, device=keys.device)
        self.bias = self.bias.masked_fill(~real, lowest)[:, None, None, :]
        shape = (len(real) * rows, keys.shape[1], capacity, keys.shape[3])
        self.own = [(keys.new_empty(shape), keys.new_empty(shape)) for _ in prefix]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`; call `advance` once all blocks have run."""
        n, t, heads, d = q.shape
        own_k, own_v = self.append(layer, k, v)
        prefix_k, prefix_v = self.prefix[layer]
        g, kv, p = prefix_k.shape[:3]
        # One row of queries per (row, new position, head of the group): [N, H_kv, t * rep, d].
        q = (q * d**-0.5).view(n, t, kv, heads // kv, d).permute(0, 2, 1, 3, 4)
        q = q.reshape(n, kv, -1, d)
        each = q.shape[2]
        over_prefix = self.by_question(q, g) @ prefix_k.transpose(2, 3) + self.bias
        over_own = self.causal(q @ own_k.transpose(2, 3), t)
        scores = torch.cat((over_prefix, self.by_question(over_own, g)), -1)
        weights = scores.float().softmax(-1).to(q.dtype)
        out = self.by_row(weights[..., :p] @ prefix_v, each)
        out = out + self.by_row(weights[..., p:], each) @ own_v
        return out.view(n, kv, t, heads // kv, d).permute(0, 2, 1, 3, 4).reshape(n, t, heads, d)

    def append(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """Store new keys and values behind the row's own; all of the row's own so far."""
        end = self.length + k.shape[1]
        if end > self.own[layer][0].shape[2]:
            self.own[layer] = tuple(grown(x, 2 * end) for x in self.own[layer])  # type: ignore[assignment]
        keys, values = self.own[layer]
        keys[:, :, self.length : end] = k.transpose(1, 2)
        values[:, :, self.length : end] = v.transpose(1, 2)
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, count: int) -> None:
        """The last `count` positions have gone through every block."""
        self.length += count

    def by_question(self, x: Tensor, questions: int) -> Tensor:
        """[N, H_kv, m, c] to [G, H_kv, R * m, c]: a question's rows side by side."""
        _n, kv, m, c = x.shape
        return x.view(questions, -1, kv, m, c).transpose(1, 2).reshape(questions, kv, -1, c)

    def by_row(self, x: Tensor, each: int) -> Tensor:
        """The inverse of `by_question`."""
        g, kv, _, c = x.shape
        return x.view(g, kv, self.rows, each, c).transpose(1, 2).reshape(-1, kv, each, c)

    def causal(self, scores: Tensor, new: int) -> Tensor:
        """Hide later new positions from earlier ones; scores [N, H_kv, new * rep, S]."""
        if new == 1:
            return scores
        _n, _kv, m, s = scores.shape
        steps = torch.arange(s, device=scores.device)
        seen = steps[None, :] <= steps[s - new :, None]
        lowest = torch.finfo(scores.dtype).min
        hidden = ~seen.repeat_interleave(m // new, 0)
        return scores.masked_fill(hidden, lowest)

    def fork(self, rows: int, capacity: int) -> RowCache:
        """R = 1 rows become the prefix of `rows` rows each."""
        blocks = [
            (
                torch.cat((pk, ok[:, :, : self.length]), 2),
                torch.cat((pv, ov[:, :, : self.length]), 2),
            )
            for (pk, pv), (ok, ov) in zip(self.prefix, self.own, strict=True)
        ]
        real = F.pad(self.real, (0, self.length), value=True)
        return RowCache(blocks, real, rows, capacity)

    def keep(self, questions: Tensor, rows: Tensor) -> RowCache:
        """A smaller grid: `questions` [G'] of the prefix and `rows` [G', R'] of all rows [N]."""
        prefix = [(k[questions], v[questions]) for k, v in self.prefix]
        kept = RowCache.__new__(RowCache)
        kept.prefix, kept.real, kept.rows = prefix, self.real[questions], rows.shape[1]
        kept.length, kept.bias = self.length, self.bias[questions]
        flat = rows.flatten()
        kept.own = [(k[flat], v[flat]) for k, v in self.own]
        return kept


def grown(x: Tensor, capacity: int) -> Tensor:
    """The same own positions [N, H_kv, S, d] with room for `capacity`."""
    wider = x.new_empty((*x.shape[:2], capacity, x.shape[3]))
    wider[:, :, : x.shape[2]] = x
    return wider
