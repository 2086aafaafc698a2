"""Attention: where each latent thought and the answer look, by block and head.

Weights are computed anew from recorded states, so that decoding itself keeps none. Keys and values
of the latents are those that the answer reads, edits of site `kv` included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.cached_states import cached_states, moved
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.codi.prefix import prefixes
from steer_core.inspect.lens import spoken
from steer_core.steering.decode import (
    MAX_NEW_TOKENS,
    Decoded,
    EditsOrNone,
    acting,
    decode,
    stacked_states,
)
from steer_core.steering.plan import EditPlan
from steer_core.steering.uses import Edits


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Who looks where in one question.

    `keys` [T]: question tokens, BOT, z_1..z_K, EOT and answer tokens, by name; `queries` [Q]: those
    from BOT on. `weights` float32 [L, H, Q, T], each row adds up to 1. `latents` are the indices of
    BOT, z_1..z_K among the keys. `logits` float32 [A, V]: behind EOT and every answer token.
    """

    question: str
    text: str
    keys: tuple[str, ...]
    queries: tuple[str, ...]
    weights: np.ndarray
    latents: tuple[int, ...]
    logits: np.ndarray

    @property
    def answer(self) -> slice:
        """Queries that are part of the answer: EOT and what follows."""
        return slice(len(self.latents), None)


def attention(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[EditsOrNone] | None = None,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[Attention]:
    """Decode questions and look where they look.

    Args:
        model: The model.
        questions: B questions.
        edits: What each is changed by, see `decode`.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    rows = decode(model, questions, edits, max_new_tokens=max_new_tokens, hidden=True)
    each = [None] * len(rows) if edits is None else edits
    return [
        watched(model, row, acting(model, edit), row.token_ids)
        for row, edit in zip(rows, each, strict=True)
    ]


def watched(model: CodiModel, row: Decoded, edits: Edits, answer: Sequence[int]) -> Attention:
    """The attention of a decoded row, its answer taken as given.

    Args:
        model: The model.
        row: Decoded with its states.
        edits: What it was changed by.
        answer: Ids of an answer, its own or another one to compare with.
    """
    cache, logits = watch(model, [row], [edits], answer)
    keys, queries = names_of(model, row.question, answer)
    return Attention(
        question=row.question,
        text=model.text(list(answer)),
        keys=keys,
        queries=queries,
        weights=cache.weights()[0],
        latents=tuple(range(cache.question, cache.question + len(model.config.positions))),
        logits=logits[0],
    )


def names_of(
    model: CodiModel, question: str, answer: Sequence[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What keys and queries are called, see `Attention`."""
    thoughts = ["BOT", *(f"z{k}" for k in model.config.positions[1:])]
    ids = [*start_of(model.config), *answer]
    spelt = spoken(model, model.encode(question)), ["EOT", *spoken(model, ids[1:])]
    return (*spelt[0], *thoughts, *spelt[1]), (*thoughts, *spelt[1])


@torch.inference_mode()
def watch(
    model: CodiModel, rows: Sequence[Decoded], edits: Sequence[Edits], answer: Sequence[int]
) -> tuple[Watch, np.ndarray]:
    """The cache of B rows of one question with one answer, and logits [B, A, V].

    These are behind EOT and each of the answer's tokens.

    Args:
        model: The model.
        rows: Of the same question, decoded with their states.
        edits: What each was changed by.
        answer: Ids of the answer that all of them are given.
    """
    prompt = model.encode(rows[0].question)
    (prefix,) = prefixes(model, [prompt])
    states = torch.from_numpy(stacked_states(rows)).to(model.device, model.dtype)
    cache = Watch(len(prompt))
    reason(model, states, prefix.known, cache, edits)
    ids = [*start_of(model.config), *answer]
    hidden = go_on(model, ids, len(prompt) + states.shape[1], cache, len(rows))
    return cache, model.body.head.logits(hidden).float().cpu().numpy()


class Watch:
    """A cache of B rows that keeps every attention weight; positions come in any portions.

    Args:
        question: Tokens of the question, whose own attention is not kept.
    """

    def __init__(self, question: int):
        self.question = question
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.seen: dict[int, list[Tensor]] = {}

    def put(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values [B, T, H_kv, d] of a block, behind those that are there."""
        for held, new in ((self.keys, keys), (self.values, values)):
            held[layer] = torch.cat((held[layer], new), 1) if layer in held else new

    def look(self, layer: int, q: Tensor) -> Tensor:
        """Weights [B, t, H, T] of queries q [B, t, H, d] of the last t positions, up to itself."""
        keys = self.keys[layer].float()
        keys = keys.repeat_interleave(q.shape[2] // keys.shape[2], 2)
        scores = torch.einsum("bqhd,bthd->bqht", q.float(), keys) * q.shape[-1] ** -0.5
        width, new = keys.shape[1], q.shape[1]
        last = torch.arange(width - new, width, device=q.device)
        ahead = torch.arange(width, device=q.device) > last[:, None]
        weights = scores.masked_fill(ahead[:, None], -torch.inf).softmax(-1)
        self.seen.setdefault(layer, []).append(weights)
        return weights

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        self.put(layer, k, v)
        weights = self.look(layer, q)
        values = self.values[layer].float()
        values = values.repeat_interleave(q.shape[2] // values.shape[2], 2)
        return torch.einsum("bqht,bthd->bqhd", weights, values).to(q.dtype)

    def weights(self) -> np.ndarray:
        """Everything that was kept, float32 [B, L, H, Q, T], 0 for what was not there yet."""
        width = self.keys[0].shape[1]
        layers = [
            torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in kept], 1)
            for _, kept in sorted(self.seen.items())
        ]
        return torch.stack(layers, 1).transpose(2, 3).float().cpu().numpy()


def reason(
    model: CodiModel, states: Tensor, known: Tensor, cache: Watch, edits: Sequence[Edits]
) -> None:
    """Fill a cache with the question and positions 0..K from their states [B, K+1, L+2, D].

    `known` [L, 2, H_kv, P+1, d] are keys and values of the question's tokens and BOT. A position
    looks at its own keys as they were: only what follows sees them edited.
    """
    rows, positions = states.shape[:2]
    places = cache.question + torch.arange(positions, device=states.device)
    rotary = model.body.rotary(places[None])
    plan = EditPlan(edits, model.device)
    for layer, block in enumerate(model.body.blocks):
        before = known[layer, :, :, : cache.question].transpose(1, 2)[:, None]
        cache.put(layer, *before.expand(-1, rows, -1, -1, -1))
        q, k, v = block.project(states[:, :, layer], rotary)
        for part in portions(positions, [at for at, of in plan.cached if of == layer + 1]):
            cache.put(layer, k[:, part], v[:, part])
            cache.look(layer, q[:, part])
            if (part.stop - 1, layer + 1) in plan.cached:
                edit_last(plan, part.stop - 1, layer, cache, rotary)


def portions(positions: int, edited: Sequence[int]) -> list[slice]:
    """Positions in a row, cut behind those whose keys and values are edited."""
    ends = sorted({*(position + 1 for position in edited), positions})
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def edit_last(
    plan: EditPlan, position: int, layer: int, cache: Watch, rotary: Tensor | None
) -> None:
    """Edit keys and values of the newest position of a block, whose index is `layer`."""
    keys, values = cache.keys[layer], cache.values[layer]
    turned = None if rotary is None else rotary[:, position, None]
    newest = keys[:, -1], values[:, -1]
    states = cached_states(*newest, turned)
    change = plan.apply("kv", layer + 1, position, states) - states
    new = moved(*newest, turned, change)
    cache.keys[layer] = torch.cat((keys[:, :-1], new[0][:, None]), 1)
    cache.values[layer] = torch.cat((values[:, :-1], new[1][:, None]), 1)


def go_on(model: CodiModel, ids: Sequence[int], start: int, cache: Watch, rows: int) -> Tensor:
    """Feed ids to B rows at absolute positions from `start` on; normed hidden states [B, T, D]."""
    tokens = torch.tensor([ids], device=model.device).expand(rows, -1)
    places = torch.arange(start, start + len(ids), device=model.device)[None].expand(rows, -1)
    return model.body.norm(model.body.run(model.body.embed(tokens), places, cache))
