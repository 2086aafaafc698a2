"""Attention over two caches: one prefix per question, and each row's own few positions.

A batch is a grid of G questions x R rows. All rows of a question are queries over one prefix, which
is stored once; what a row adds itself (latent thoughts, answer tokens) goes into a small
preallocated cache of its own. Nothing is copied when a question is expanded over its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one block, each [B, H_kv, T, d]."""
SPARE = 4
"""Positions that a cache grows by beyond what is needed, and the part of it by which a long one
does."""
FAST_PRODUCT = 400
"""Multiplications from which torch hands each product of a batch to its fast library."""


class CausalCache:
    """Causal attention over right-padded questions; keeps the keys and values it sees.

    What stands behind a question reads it and is not read: no mask, which rules out an
    accelerator's fastest kernels.
    """

    def __init__(self) -> None:
        self.blocks: list[KeysValues] = []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        self.blocks.append((k.clone(), v.clone()))
        grouped = q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return out.transpose(1, 2)


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
        self.blocks: list[KeysValues] = []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        # Copies: as parts of all that a block projects they would keep the rest of it too.
        self.blocks.append((k.clone(), v.clone()))
        allowed, grouped = self.allowed[:, :, -q.shape[2] :], q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=grouped)
        return out.transpose(1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class TreeCache:
    """A `RowCache` whose new positions see each other as a tree says, sees bool [G, T, T]."""

    cache: RowCache
    sees: Tensor

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        return self.cache.attend_some(layer, q, k, v, self.sees[:, -q.shape[1] :])


class RowCache:
    """R rows of each of G questions over a shared prefix; rows are numbered g * R + r.

    Everything of a row lies by question, head, row ([G, H_kv, R, ...]), so that the rows of a
    question are one matrix of queries over its prefix without being moved.

    Args:
        prefix: keys and values of each block, [G, H_kv, P, d].
        real: bool [G, P]; False marks padding in the prefix.
        rows: R.
        own: keys and values of each block, [G, H_kv, R, S, d], with room for S own positions; a
            block's grow when they are used up.
        length: own positions that are filled.
    """

    def __init__(
        self,
        prefix: list[KeysValues],
        real: Tensor,
        rows: int,
        own: list[KeysValues],
        length: int = 0,
    ):
        self.prefix, self.real, self.rows, self.own, self.length = prefix, real, rows, own, length
        keys = prefix[0][0]
        lowest = keys.new_full((), torch.finfo(keys.dtype).min)
        bias = torch.where(real, torch.zeros_like(lowest), lowest)
        self.bias = bias.repeat_interleave(keys.shape[1], 0)[:, None]  # [G * H_kv, 1, P]
        self.hidden: Tensor | None = None

    @classmethod
    def empty(cls, prefix: list[KeysValues], real: Tensor, rows: int, capacity: int) -> RowCache:
        """With room for `capacity` own positions."""
        keys = prefix[0][0]
        shape = (*keys.shape[:2], rows, capacity, keys.shape[3])
        own = [(keys.new_empty(shape), keys.new_empty(shape)) for _ in prefix]
        for _, values in own:  # a few more than are filled may be read, with weights of 0
            values[:, :, :, : slots_of(1, keys.shape[3])] = 0.0
        return cls(prefix, real, rows, own)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`; call `advance` once all blocks have run."""
        return self.attend_some(layer, q, k, v, None)

    def attend_some(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, sees: Tensor | None
    ) -> Tensor:
        """As `attend`; query i of a question sees new position j where sees [G, t, T]."""
        end = self.store(layer, k, v)
        slots = max(end, slots_of(q.shape[1] * q.shape[2] // k.shape[2], k.shape[3]))
        own_k, own_v = (x[:, :, :, :slots] for x in self.own[layer])
        return self.mixed(layer, q, own_k, own_v, lambda scores: self.shown(scores, end, sees))

    def mixed(
        self,
        layer: int,
        q: Tensor,
        own_k: Tensor,
        own_v: Tensor,
        shown: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Queries [N, T, H, d] over the prefix and own positions.

        `shown` hides scores of own positions, in place.

        Values must be finite, also those of hidden positions.
        """
        n, t, heads, d = q.shape
        prefix_k, prefix_v = self.prefix[layer]
        g, kv, p, _ = prefix_k.shape
        # Queries of a row: its new positions times the heads that share keys, m = t * H / H_kv.
        m, slots = t * heads // kv, own_k.shape[3]
        q = q.view(g, -1, t, kv, heads // kv, d).permute(0, 3, 1, 2, 4, 5)
        q = torch.mul(q, d**-0.5, out=q.new_empty(q.shape))
        together, each = q.view(g * kv, -1, d), q.view(-1, m, d)
        prefix_k, own_k = (k.flatten(0, -3).transpose(1, 2) for k in (prefix_k, own_k))
        if q.device.type == "cpu":
            over_prefix = torch.baddbmm(self.bias, together, prefix_k)
            over_own = torch.bmm(each, own_k)
            over_own = shown(over_own.view(g, kv, self.rows, m, slots)).view(g * kv, -1, slots)
            scores = torch.cat((over_prefix, over_own), -1)
            weights = scores.softmax(-1, torch.float32).to(q.dtype)
        else:
            # Both products go where they are read, and half precision is summed in float32 anyway.
            scores = q.new_empty(g * kv, together.shape[1], p + slots)
            torch.baddbmm(self.bias, together, prefix_k, out=scores[..., :p])
            over_own = scores[..., p:].view(-1, m, slots)
            torch.bmm(each, own_k, out=over_own)
            shown(over_own.view(g, kv, self.rows, m, slots))
            weights = scores.softmax(-1)
        out = torch.bmm(weights[..., :p], prefix_v.flatten(0, 1)).view(-1, m, d)
        out.baddbmm_(weights[..., p:].view(-1, m, slots), own_v.flatten(0, 2))
        out = out.view(g, kv, self.rows, t, heads // kv, d).permute(0, 2, 3, 1, 4, 5)
        return out.reshape(n, t, heads, d)

    def store(self, layer: int, k: Tensor, v: Tensor) -> int:
        """Store new keys and values [N, t, H_kv, d] behind the rows' own; how many those are."""
        end = self.length + k.shape[1]
        self.make_room(layer, end)
        keys, values = self.own[layer]
        keys[:, :, :, self.length : end] = self.by_question(k)
        values[:, :, :, self.length : end] = self.by_question(v)
        return end

    def newest(self, layer: int) -> KeysValues:
        """The position behind the filled ones, which a block has just stored: [N, H_kv, d] each."""
        keys, values = (x[:, :, :, self.length].transpose(1, 2) for x in self.own[layer])
        return keys.flatten(0, 1), values.flatten(0, 1)

    def rewrite(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Put others in its place."""
        for mine, new in zip(self.own[layer], (keys, values), strict=True):
            mine[:, :, :, self.length] = new.unflatten(0, (-1, self.rows)).transpose(1, 2)

    def make_room(self, layer: int, end: int) -> None:
        """Let a block have room for `end` own positions."""
        keys, values = self.own[layer]
        if end > keys.shape[3]:
            # Little more than is needed: rows that lie far apart are slow to read.
            room = end + max(SPARE, end // SPARE)
            self.own[layer] = grown(keys, room), grown(values, room)

    def parts(self, count: int, more: int) -> list[tuple[slice, RowCache]]:
        """About `count` caches of some questions each, over this one's memory, and which those are.

        `more` positions can be stored in each of them, and are then stored in this one.
        """
        for layer in range(len(self.own)):
            self.make_room(layer, self.length + more)
        size = -(-len(self.real) // count)
        cuts = [slice(i, i + size) for i in range(0, len(self.real), size)]
        return [(some, self.part(some)) for some in cuts]

    def part(self, some: slice) -> RowCache:
        """The cache of some questions, over the same memory."""
        assert self.hidden is None, "part before the answer"
        prefix, own = ([(k[some], v[some]) for k, v in each] for each in (self.prefix, self.own))
        return RowCache(prefix, self.real[some], self.rows, own, self.length)

    def by_question(self, x: Tensor) -> Tensor:
        """New keys or values [N, t, H_kv, d] as they are stored, [G, H_kv, R, t, d]."""
        return x.unflatten(0, (-1, self.rows)).permute(0, 3, 1, 2, 4)

    def advance(self, count: int) -> None:
        """The last `count` positions have gone through every block."""
        self.length += count

    def shown(self, scores: Tensor, end: int, sees: Tensor | None) -> Tensor:
        """Scores of own positions [G, H_kv, R, m, S], lowest where a row must not look.

        `end` positions are filled; the last of them are seen as `sees` says.
        """
        lowest = torch.finfo(scores.dtype).min
        if end < scores.shape[-1]:
            scores[..., end:] = lowest
        if self.hidden is not None:
            old = scores[..., : self.hidden.shape[-1]]
            old.masked_fill_(self.hidden[:, None, :, None], lowest)
        if sees is not None:
            queries, new = sees.shape[1:]
            blind = ~sees.repeat_interleave(scores.shape[3] // queries, 1)
            scores[..., end - new : end].masked_fill_(blind[:, None, None], lowest)
        return scores

    def hide(self, unseen: Tensor) -> None:
        """Never look again at those of the last T positions where unseen [N, T]."""
        hidden = torch.zeros(len(unseen), self.length, dtype=torch.bool, device=unseen.device)
        hidden[:, self.length - unseen.shape[1] :] = unseen
        hidden = hidden.unflatten(0, (-1, self.rows))
        if self.hidden is not None:
            hidden[..., : self.hidden.shape[-1]] |= self.hidden
        self.hidden = hidden

    def fork(self, rows: int, capacity: int, ran: int) -> RowCache:
        """R = 1 rows become the prefix of `rows` rows each.

        The first `ran` blocks have stored one more position, which every row gets.
        """
        blocks = self.prefix
        if self.length > 0:
            blocks = [
                (
                    torch.cat((pk, ok[:, :, 0, : self.length]), 2),
                    torch.cat((pv, ov[:, :, 0, : self.length]), 2),
                )
                for (pk, pv), (ok, ov) in zip(self.prefix, self.own, strict=True)
            ]
        assert self.hidden is None, "fork before the answer"
        real = F.pad(self.real, (0, self.length), value=True)
        forked = RowCache.empty(blocks, real, rows, capacity)
        for mine, theirs in zip(self.own[:ran], forked.own, strict=False):
            for one, each in zip(mine, theirs, strict=True):
                each[:, :, :, 0] = one[:, :, :1, self.length].expand(-1, -1, rows, -1)
        return forked

    def keep(self, questions: Tensor, rows: Tensor) -> RowCache:
        """A smaller grid: `questions` [G'] and for each of them `rows` [G', R'] of its R rows."""
        prefix = [(k[questions], v[questions]) for k, v in self.prefix]
        heads = torch.arange(self.own[0][0].shape[1], device=rows.device)
        where = questions[:, None, None], heads[None, :, None], rows[:, None]  # [G', H_kv, R']
        own = [(k[where], v[where]) for k, v in self.own]
        kept = RowCache(prefix, self.real[questions], rows.shape[1], own, self.length)
        kept.hidden = None if self.hidden is None else self.hidden[questions[:, None], rows]
        return kept


class FixedCache:
    """A `RowCache` that goes on position by position with its length as data.

    Every tensor stays where it is and keeps its shape, so that a step can be recorded once and
    replayed; it ends when the room of the cache is used up. Own positions behind the length, and
    those the cache hides, are masked.

    Args:
        cache: Whose tensors are used.
    """

    def __init__(self, cache: RowCache):
        self.cache = cache
        keys = cache.own[0][0]
        groups, _, rows, self.capacity, _ = keys.shape
        self.at = torch.zeros(1, dtype=torch.long, device=keys.device)
        self.unseen = torch.ones(groups, rows, self.capacity, dtype=torch.bool, device=keys.device)

    def begin(self, cache: RowCache) -> None:
        """Go on behind the positions of a cache over the same tensors."""
        length = cache.length
        self.at.fill_(length)
        self.cache.bias.copy_(cache.bias)
        for _, values in self.cache.own:  # memory nobody wrote may hold NaN, and 0 times it is NaN
            values[:, :, :, length:].zero_()
        self.unseen.fill_(True)
        self.unseen[..., :length] = False if cache.hidden is None else cache.hidden

    def open(self) -> None:
        """The next position is seen by the queries that come."""
        self.unseen.index_fill_(2, self.at, False)

    def advance(self) -> None:
        """The position has gone through every block."""
        self.at.add_(1)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`; one position at a time."""
        keys, values = self.cache.own[layer]
        keys.index_copy_(3, self.at, self.cache.by_question(k))
        values.index_copy_(3, self.at, self.cache.by_question(v))
        lowest = torch.finfo(keys.dtype).min
        return self.cache.mixed(
            layer, q, keys, values, lambda x: x.masked_fill_(self.unseen[:, None, :, None], lowest)
        )


def slots_of(queries: int, d: int) -> int:
    """Own positions from which the product of weights and values is large enough to be fast.

    Smaller ones take torch's plain loop on a CPU, four times as long as a larger product.
    """
    return -(-FAST_PRODUCT // (queries * d))


def grown(x: Tensor, capacity: int) -> Tensor:
    """The same own positions [..., S, d] with room for `capacity`."""
    wider = x.new_zeros((*x.shape[:-2], capacity, x.shape[-1]))
    wider[..., : x.shape[-2], :] = x
    return wider
