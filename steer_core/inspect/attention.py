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
from steer_core.steering.decode import MAX_NEW_TOKENS, Decoded, EditsOrNone, acting, decode
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
    cache, logits = watch(model, row, edits, answer)
    thoughts = ["BOT", *(f"z{k}" for k in model.config.positions[1:])]
    ids = [*start_of(model.config), *answer]
    spelt = spoken(model, model.encode(row.question)), ["EOT", *spoken(model, ids[1:])]
    return Attention(
        question=row.question,
        text=model.text(list(answer)),
        keys=(*spelt[0], *thoughts, *spelt[1]),
        queries=(*thoughts, *spelt[1]),
        weights=cache.weights(),
        latents=tuple(range(cache.question, cache.question + len(thoughts))),
        logits=logits,
    )


@torch.inference_mode()
def watch(
    model: CodiModel, row: Decoded, edits: Edits, answer: Sequence[int]
) -> tuple[Watch, np.ndarray]:
    """The cache of a row with an answer; logits [A, V] behind EOT and each of its tokens."""
    prompt = model.encode(row.question)
    (prefix,) = prefixes(model, [prompt])
    assert row.states is not None, "decode with hidden=True"
    states = torch.from_numpy(row.states).to(model.device, model.dtype)
    cache = Watch(len(prompt))
    reason(model, states, prefix.known, cache, edits)
    ids = [*start_of(model.config), *answer]
    hidden = go_on(model, ids, len(prompt) + len(states), cache)
    return cache, model.body.head.logits(hidden).float().cpu().numpy()


class Watch:
    """A cache of one row that keeps every attention weight; positions come in any portions.

    Args:
        question: Tokens of the question, whose own attention is not kept.
    """

    def __init__(self, question: int):
        self.question = question
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.seen: dict[int, list[Tensor]] = {}

    def put(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values [T, H_kv, d] of a block, behind those that are there."""
        for held, new in ((self.keys, keys), (self.values, values)):
            held[layer] = torch.cat((held[layer], new)) if layer in held else new

    def look(self, layer: int, q: Tensor) -> Tensor:
        """Weights [t, H, T] of queries q [t, H, d] of the last t positions, each up to itself."""
        keys = self.keys[layer].float()
        keys = keys.repeat_interleave(q.shape[1] // keys.shape[1], 1)
        scores = torch.einsum("qhd,thd->qht", q.float(), keys) * q.shape[-1] ** -0.5
        last = torch.arange(len(keys) - len(q), len(keys), device=q.device)
        ahead = torch.arange(len(keys), device=q.device) > last[:, None]
        weights = scores.masked_fill(ahead[:, None], -torch.inf).softmax(-1)
        self.seen.setdefault(layer, []).append(weights)
        return weights

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        self.put(layer, k[0], v[0])
        weights = self.look(layer, q[0])
        values = self.values[layer].float()
        values = values.repeat_interleave(q.shape[2] // values.shape[1], 1)
        return torch.einsum("qht,thd->qhd", weights, values).to(q.dtype)[None]

    def weights(self) -> np.ndarray:
        """Everything that was kept, float32 [L, H, Q, T], 0 for what was not there yet."""
        width = len(self.keys[0])
        layers = [
            torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[-1])) for x in kept])
            for _, kept in sorted(self.seen.items())
        ]
        return torch.stack(layers).transpose(1, 2).float().cpu().numpy()


def reason(model: CodiModel, states: Tensor, known: Tensor, cache: Watch, edits: Edits) -> None:
    """Fill a cache with the question and positions 0..K from their states [K+1, L+2, D].

    `known` [L, 2, H_kv, P+1, d] are keys and values of the question's tokens and BOT. A position
    looks at its own keys as they were: only what follows sees them edited.
    """
    places = cache.question + torch.arange(len(states), device=states.device)
    rotary = model.body.rotary(places[:, None])
    plan = EditPlan([edits], model.device)
    for layer, block in enumerate(model.body.blocks):
        before = known[layer, :, :, : cache.question].transpose(1, 2)
        cache.put(layer, *before)
        q, k, v = (x[:, 0] for x in block.project(states[:, layer, None], rotary))
        for position in range(len(states)):
            cache.put(layer, k[position, None], v[position, None])
            cache.look(layer, q[position, None])
            if (position, layer + 1) in plan.cached:
                turned = None if rotary is None else rotary[position, None]
                cache.keys[layer], cache.values[layer] = edited_last(
                    plan, position, layer + 1, cache.keys[layer], cache.values[layer], turned
                )


def edited_last(
    plan: EditPlan,
    position: int,
    layer: int,
    keys: Tensor,
    values: Tensor,
    rotary: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Keys and values [T, H_kv, d] with those of the newest position edited."""
    newest = keys[-1:], values[-1:]
    states = cached_states(*newest, rotary)
    change = plan.apply("kv", layer, position, states) - states
    new = moved(*newest, rotary, change)
    return torch.cat((keys[:-1], new[0])), torch.cat((values[:-1], new[1]))


def go_on(model: CodiModel, ids: Sequence[int], start: int, cache: Watch) -> Tensor:
    """Feed ids at absolute positions from `start` on; normed hidden states [T, D]."""
    tokens = torch.tensor([ids], device=model.device)
    places = torch.arange(start, start + len(ids), device=model.device)[None]
    return model.body.norm(model.body.run(model.body.embed(tokens), places, cache))[0]
