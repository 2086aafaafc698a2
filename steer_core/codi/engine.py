"""Steered latent decoding of one batch: prefill, latent steps, answer. It knows ids, not text.

A batch is a grid of G questions x R rows over one shared prefix (`steer_core.codi.cache`).
Positions in front of the first edit are the same for all rows of a question, so they run once per
question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steer_core.codi.cache import PrefillCache, RowCache
from steer_core.codi.model import CodiModel

ANSWER_ROOM = 16
"""Answer positions a row's cache starts with room for."""


class Cancelled(Exception):
    """The caller asked for the decoding to stop; nothing of the batch is returned."""


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
    `first_logits`: [N, V] at the first answer step, float32, or None.
    """

    token_ids: tuple[tuple[int, ...], ...]
    states: Tensor | None
    first_logits: Tensor | None


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
        self.lengths, self.cache = prefill(model, prompts)
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
            hidden = self.step(position, thought)
            if position < config.latents:
                thought = self.model.projection(self.edit("thought", 0, position, hidden))
        self.spread(thought)
        return self.cache

    def step(self, position: int, x: Tensor) -> Tensor:
        """Feed x [N, D] at a position; the normed hidden states h_k [N, D]."""
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


def prefill(model: CodiModel, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, RowCache]:
    """Run the prompts (without BOT), left-padded, once each; lengths [G] and a cache of R = 1."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), model.config.pad)
    real = torch.zeros((len(prompts), width), dtype=torch.bool)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        real[i, width - len(prompt) :] = True
    ids, real = ids.to(model.device), real.to(model.device)
    cache = PrefillCache(real)
    positions = (real.cumsum(1) - 1).clamp_min(0)
    model.body.run(model.body.embed(ids), positions, cache)
    room = model.config.latents + 2 + ANSWER_ROOM
    return real.sum(1), RowCache(cache.blocks, real, 1, room)


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
        stop: Asked before every step; True raises `Cancelled`.

    Returns:
        The results of N rows.
    """
    reasoning = Reasoning(model, prompts, rows, intervention or NoIntervention(), record, stop)
    cache = reasoning.run()
    answer = Answer(model, cache, reasoning.lengths, max_new_tokens, stop)
    ids, logits = answer.run(first_logits)
    return BatchResult(ids, reasoning.recorder.result(), logits)


class Answer:
    """Greedy answers of all rows; finished rows leave the grid."""

    def __init__(self, model, cache: RowCache, lengths: Tensor, limit: int, stop):
        self.model, self.cache, self.stop = model, cache, stop
        count = len(lengths) * cache.rows
        self.lengths = lengths.repeat_interleave(cache.rows)
        self.row = torch.arange(count, device=lengths.device)  # which row a slot of the grid holds
        self.alive = torch.ones(count, dtype=torch.bool, device=lengths.device)
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.position = model.config.latents + 1
        self.limit = limit

    def run(self, keep_logits: bool) -> tuple[tuple[tuple[int, ...], ...], Tensor | None]:
        """Feed EOT (and EOS where it is kept), then pick greedily until EOS or the limit."""
        config = self.model.config
        start = [config.eot] + [config.eos] * config.keep_eos
        ids = torch.tensor(start, device=self.lengths.device).expand(len(self.lengths), -1)
        first = None
        for count in range(self.limit):
            if self.stop():
                raise Cancelled
            logits = self.feed(ids)
            if count == 0 and keep_logits:
                first = logits.float().cpu()
            # The last vocabulary row (EOT) is excluded, as in the official evaluation.
            picked = logits[:, :-1].argmax(-1)
            if not self.collect(picked):
                break
            ids = self.shrink(picked)[:, None]
        return tuple(map(tuple, self.ids)), first

    def feed(self, ids: Tensor) -> Tensor:
        """Run ids [n, T]; logits [n, V] of the last one."""
        count = ids.shape[1]
        steps = torch.arange(self.position, self.position + count, device=ids.device)
        # Rows that are out of positions are dead, but stay in the grid until it shrinks.
        where = (self.lengths[:, None] + steps).clamp_max(self.model.config.max_positions - 1)
        out = self.model.body.run(self.model.body.embed(ids), where, self.cache)
        self.cache.advance(count)
        self.position += count
        return self.model.body.logits(self.model.body.norm(out[:, -1]))

    def collect(self, picked: Tensor) -> bool:
        """Note the picked tokens of living rows; whether any row goes on.

        A row ends at EOS, or where the model has no position for its next token.
        """
        self.alive &= picked != self.model.config.eos
        for row, token, alive in zip(
            self.row.tolist(), picked.tolist(), self.alive.tolist(), strict=True
        ):
            if alive:
                self.ids[row].append(token)
        self.alive &= self.lengths + self.position < self.model.config.max_positions
        return bool(self.alive.any())

    def shrink(self, picked: Tensor) -> Tensor:
        """Rebuild the grid without finished rows once they are the majority of it."""
        alive = self.alive.view(-1, self.cache.rows)
        if int(alive.sum()) * 2 > alive.numel():
            return picked
        questions = alive.any(1).nonzero()[:, 0]
        widest = int(alive.sum(1).max())
        # Living rows first; a question with fewer than the widest keeps dead ones as filling.
        order = alive[questions].int().argsort(dim=1, descending=True, stable=True)[:, :widest]
        flat = (questions[:, None] * self.cache.rows + order).flatten()
        self.cache = self.cache.keep(questions, order)
        self.row, self.alive, self.lengths = self.row[flat], self.alive[flat], self.lengths[flat]
        return picked[flat]
