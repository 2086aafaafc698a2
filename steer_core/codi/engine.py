"""Steered latent decoding of one batch: prefill, latent steps, answer. It knows ids, not text.

A batch is a grid of G questions x R rows over one shared prefix (`steer_core.codi.cache`).
Positions in front of the first edit are the same for all rows of a question, so they run once per
question; its tokens are read once and remembered (`steer_core.codi.prefix`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steer_core.codi.answer import Answer, BatchScores, Cancelled
from steer_core.codi.cache import RowCache
from steer_core.codi.drafts import Candidates
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import prefixes, side_by_side

ANSWER_ROOM = 16
"""Answer positions a row's cache starts with room for."""


class Intervention(Protocol):
    """What is changed in a batch of N = G * R rows while it reasons."""

    first_position: int
    """No row is changed at a position in front of this one."""

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """The states x [N, D] at a site, edited; x itself where no row is edited there."""
        ...


class NoIntervention:
    """Plain decoding."""

    first_position = 1_000_000

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """Return x."""
        return x


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """Results of the N = G * R rows of a batch, row g * R + r.

    `token_ids`: generated ids of each row, without EOS. `states`: float32 [N, K+1, L+2, D] on the
    CPU (index 0 input embedding, 1..L block outputs, L+1 after the final norm), or None.
    `first_logits`: [N, V] at the first answer step, float32, or None. `scores`: of the candidates,
    None where none are scored.
    """

    token_ids: tuple[tuple[int, ...], ...]
    states: Tensor | None
    first_logits: Tensor | None
    scores: BatchScores | None


class Recorder:
    """Keeps the states of positions 0..K, when asked to."""

    def __init__(self, wanted: bool):
        self.wanted = wanted
        self.positions: list[Tensor] = []

    def add(self, states: list[Tensor], normed: Tensor) -> None:
        """States of the embedding and every block [N, D], and the final normed one."""
        if self.wanted:
            self.positions.append(torch.stack((*states, normed), 1))

    def expand(self, rows: int) -> None:
        """Every question's states so far become those of its rows."""
        self.positions = [x.repeat_interleave(rows, 0) for x in self.positions]

    def result(self) -> Tensor | None:
        """Everything as float32 [N, K+1, L+2, D] on the CPU."""
        return torch.stack(self.positions, 1).float().cpu() if self.wanted else None


class Reasoning:
    """One batch on its way through positions 0..K."""

    def __init__(
        self,
        model: CodiModel,
        prompts: Sequence[Sequence[int]],
        rows: int,
        intervention: Intervention,
        record: bool,
        stop: Callable[[], bool],
    ):
        self.model, self.intervention, self.stop = model, intervention, stop
        known, real = side_by_side(prefixes(model, prompts))
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        self.cache = RowCache(known, real, 1, model.config.latents + 1)
        self.final_rows = rows
        self.recorder = Recorder(record)

    def run(self) -> RowCache:
        """Go through all positions; the cache of N rows that the answer goes on from."""
        config = self.model.config
        bot = torch.tensor([config.bot], device=self.model.device)
        thought = self.model.body.embed(bot).expand(len(self.lengths), -1)
        for position in config.positions:
            if position == self.intervention.first_position:
                thought = self.spread(thought)
            if position > 0:
                thought = self.edit("embedding", 0, position, thought)
            if position == config.latents and not self.recorder.wanted:
                self.step(position, thought, last=True)
            else:
                hidden = self.step(position, thought)
                thought = self.next_thought(position, hidden)
        self.spread(thought)
        return self.cache

    def next_thought(self, position: int, hidden: Tensor) -> Tensor:
        """z_{k+1} [N, D] of h_k; nothing projects h_K, it is given back as it is."""
        if position == self.model.config.latents:
            return hidden
        return self.model.projection(self.edit("thought", 0, position, hidden))

    def step(self, position: int, x: Tensor, last: bool = False) -> Tensor:
        """Feed x [N, D] at a position; the normed hidden states h_k [N, D].

        Nothing reads h_K: at the `last` position only keys and values are computed, and x returned.
        """
        if self.stop():
            raise Cancelled
        states: list[Tensor] = []

        def tap(layer: int, x: Tensor) -> Tensor:
            if layer > 0:
                x = self.edit("residual", layer, position, x[:, 0])[:, None]
            if self.recorder.wanted:
                states.append(x[:, 0])
            return x

        where = (self.lengths.repeat_interleave(self.cache.rows) + position)[:, None]
        if last:
            self.model.body.read(x[:, None], where, self.cache, tap)
            self.cache.advance(1)
            return x
        out = self.model.body.run(x[:, None], where, self.cache, tap)
        self.cache.advance(1)
        normed = self.model.body.norm(out[:, 0])
        self.recorder.add(states, normed)
        return normed

    def edit(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """The intervention, once the rows are apart (before that there is none)."""
        if position < self.intervention.first_position:
            return x
        return self.intervention.apply(site, layer, position, x)

    def spread(self, x: Tensor) -> Tensor:
        """Give every question its R rows."""
        if self.cache.rows == self.final_rows:
            return x
        room = self.model.config.latents + 2 + ANSWER_ROOM
        self.cache = self.cache.fork(self.final_rows, room)
        self.recorder.expand(self.final_rows)
        return x.repeat_interleave(self.final_rows, 0)


@torch.inference_mode()
def run_batch(
    model: CodiModel,
    prompts: Sequence[Sequence[int]],
    rows: int,
    intervention: Intervention | None = None,
    *,
    max_new_tokens: int = 256,
    record: bool = False,
    first_logits: bool = False,
    candidates: Sequence[Candidates] | None = None,
    reference: Tensor | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> BatchResult:
    """Decode a grid of G prompts (ids without BOT) x R rows.

    Args:
        model: The model.
        prompts: G lists of ids, `CodiModel.encode`.
        rows: R, rows of each prompt.
        intervention: What is changed, over N = G * R rows; None for plain decoding.
        max_new_tokens: Limit of generated tokens.
        record: Keep hidden states.
        first_logits: Keep the logits of the first answer step.
        candidates: Likely answers of each of the G prompts; they are drafts, and change no id.
        reference: Of the plain rows of these prompts, see `BatchScores`; what to compare with.
        stop: Asked before every step; True raises `Cancelled`.

    Returns:
        The results of N rows.
    """
    reasoning = Reasoning(model, prompts, rows, intervention or NoIntervention(), record, stop)
    cache = reasoning.run()
    answer = Answer(model, cache, reasoning.lengths, max_new_tokens, stop)
    answer.draft(candidates or [Candidates()] * len(prompts), first_logits, reference)
    ids = answer.finish()
    return BatchResult(ids, reasoning.recorder.result(), answer.first_logits, answer.scores)
