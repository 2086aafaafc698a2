"""Attention over two caches: one prefix per question, and each row's own few positions.

A batch is a grid of G questions x R rows. All rows of a question are queries over one prefix, which
is stored once; what a row adds itself (latent thoughts, answer tokens) goes into a small
preallocated cache of its own. Nothing is copied when a question is expanded over its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        k, v = self.store(layer, k, v)
        q = q.transpose(1, 2)
        grouped = q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed, enable_gqa=grouped)
        return out.transpose(1, 2)

    def store(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """Keep keys and values [G, P, H_kv, d] of the next block, heads first."""
        self.blocks.append((k.transpose(1, 2), v.transpose(1, 2)))
        return self.blocks[-1]


@dataclass(frozen=True, slots=True, eq=False)
class TreeCache:
    """A `RowCache` whose new positions see each other as a tree says, sees bool [G, T, T]."""

    cache: RowCache
    sees: Tensor

    def store(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """See `steer_core.codi.body.Attention`."""
        return self.cache.store(layer, k, v)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        return self.cache.attend_some(layer, q, k, v, self.sees)


class RowCache:
    """R rows of each of G questions over a shared prefix; rows are numbered g * R + r.

    Everything of a row lies by question, head, row ([G, H_kv, R, ...]), so that the rows of a
    question are one matrix of queries over its prefix without being moved.

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
        shape = (*keys.shape[:2], rows, capacity, keys.shape[3])
        self.own = [(keys.new_empty(shape), keys.new_empty(shape)) for _ in prefix]
        self.hidden: Tensor | None = None

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`; call `advance` once all blocks have run."""
        return self.attend_some(layer, q, k, v, None)

    def attend_some(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, sees: Tensor | None
    ) -> Tensor:
        """As `attend`; new position i of a question sees new position j where sees [G, T, T]."""
        n, t, heads, d = q.shape
        own_k, own_v = self.store(layer, k, v)
        prefix_k, prefix_v = self.prefix[layer]
        g, kv, p, _ = prefix_k.shape
        # Queries of a row: its new positions times the heads that share keys, m = t * H / H_kv.
        q = q.view(g, -1, t, kv, heads // kv, d).permute(0, 3, 1, 2, 4, 5)
        q = (q * d**-0.5).reshape(g, kv, -1, d)
        over_prefix = q @ prefix_k.transpose(2, 3) + self.bias
        over_own = q.view(g, kv, self.rows, -1, d) @ own_k.transpose(3, 4)
        over_own = self.shown(over_own, sees)
        scores = torch.cat((over_prefix, over_own.flatten(2, 3)), -1)
        weights = scores.float().softmax(-1).to(q.dtype)
        over_prefix = weights[..., :p] @ prefix_v
        own_weights = weights[..., p:].unflatten(2, (self.rows, -1)).flatten(0, 2)
        out = torch.baddbmm(
            over_prefix.view(len(own_weights), -1, d), own_weights, own_v.flatten(0, 2)
        )
        out = out.view(g, kv, self.rows, t, heads // kv, d).permute(0, 2, 3, 1, 4, 5)
        return out.reshape(n, t, heads, d)

    def store(self, layer: int, k: Tensor, v: Tensor) -> KeysValues:
        """Store new keys and values [N, t, H_kv, d] behind the rows' own; all of the own so far."""
        end = self.length + k.shape[1]
        if end > self.own[layer][0].shape[3]:
            keys, values = self.own[layer]
            self.own[layer] = grown(keys, 2 * end), grown(values, 2 * end)
        keys, values = self.own[layer]
        for store, new in ((keys, k), (values, v)):
            store[:, :, :, self.length : end] = new.unflatten(0, (-1, self.rows)).permute(
                0, 3, 1, 2, 4
            )
        return keys[:, :, :, :end], values[:, :, :, :end]

    def advance(self, count: int) -> None:
        """The last `count` positions have gone through every block."""
        self.length += count

    def shown(self, scores: Tensor, sees: Tensor | None) -> Tensor:
        """Scores of own positions [G, H_kv, R, m, S], lowest where a row must not look."""
        lowest = torch.finfo(scores.dtype).min
        if self.hidden is not None:
            old = scores[..., : self.hidden.shape[-1]]
            old.masked_fill_(self.hidden[:, None, :, None], lowest)
        if sees is not None:
            new = sees.shape[-1]
            blind = ~sees.repeat_interleave(scores.shape[3] // new, 1)
            scores[..., -new:].masked_fill_(blind[:, None, None], lowest)
        return scores

    def hide(self, unseen: Tensor) -> None:
        """Never look again at those of the last T positions where unseen [N, T]."""
        hidden = torch.zeros(len(unseen), self.length, dtype=torch.bool, device=unseen.device)
        hidden[:, self.length - unseen.shape[1] :] = unseen
        hidden = hidden.unflatten(0, (-1, self.rows))
        if self.hidden is not None:
            hidden[..., : self.hidden.shape[-1]] |= self.hidden
        self.hidden = hidden

    def fork(self, rows: int, capacity: int) -> RowCache:
        """R = 1 rows become the prefix of `rows` rows each."""
        blocks = [
            (
                torch.cat((pk, ok[:, :, 0, : self.length]), 2),
                torch.cat((pv, ov[:, :, 0, : self.length]), 2),
            )
            for (pk, pv), (ok, ov) in zip(self.prefix, self.own, strict=True)
        ]
        assert self.hidden is None, "fork before the answer"
        real = F.pad(self.real, (0, self.length), value=True)
        return RowCache(blocks, real, rows, capacity)

    def keep(self, questions: Tensor, rows: Tensor) -> RowCache:
        """A smaller grid: `questions` [G'] and for each of them `rows` [G', R'] of its R rows."""
        prefix = [(k[questions], v[questions]) for k, v in self.prefix]
        kept = RowCache.__new__(RowCache)
        kept.prefix, kept.real, kept.rows = prefix, self.real[questions], rows.shape[1]
        kept.length, kept.bias = self.length, self.bias[questions]
        # Two index tensors around a slice: the result is [G', R', H_kv, S, d].
        where = questions[:, None], slice(None), rows
        kept.hidden = None if self.hidden is None else self.hidden[questions[:, None], rows]
        kept.own = [
            (k[where].transpose(1, 2).contiguous(), v[where].transpose(1, 2).contiguous())
            for k, v in self.own
        ]
        return kept


def grown(x: Tensor, capacity: int) -> Tensor:
    """The same own positions [..., S, d] with room for `capacity`."""
    wider = x.new_empty((*x.shape[:-2], capacity, x.shape[-1]))
    wider[..., : x.shape[-2], :] = x
    return wider
