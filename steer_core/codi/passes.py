"""The passes of a batch up to its drafted answers: latent steps, then the draft trees at once.

Tensors in, tensors out: nothing here waits for a value, so that the whole can be recorded once and
replayed for other questions and edits of the same shapes (`steer_core.codi.program`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from steer_core.codi.cache import RowCache, TreeCache
from steer_core.codi.config import CodiConfig
from steer_core.codi.drafts import Candidates, Drafts, Ids, plant
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import prefixes, side_by_side

ANSWER_ROOM = 16
"""Answer positions a row's cache starts with room for."""
NEVER = 1_000_000
"""A position that no batch reaches."""


class Cancelled(Exception):
    """The caller asked for the decoding to stop; nothing of the batch is returned."""


class Intervention(Protocol):
    """What is changed in a batch of N = G * R rows while it reasons."""

    @property
    def first_position(self) -> int:
        """No row is changed at a position in front of this one."""
        ...

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """The states x [N, D] at a site, edited; x itself where no row is edited there."""
        ...

    def as_data(self) -> EditData | None:
        """The same as tensors of fixed shapes; None where that cannot be."""
        ...


class EditData(Intervention, Protocol):
    """An intervention that is nothing but tensors of fixed shapes."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that tells it from another one of its shapes."""
        ...

    def copied(self) -> EditData:
        """The same with tensors of its own."""
        ...


class NoIntervention:
    """Plain decoding."""

    first_position = NEVER
    tensors: tuple[Tensor, ...] = ()

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def as_data(self) -> NoIntervention:
        """Itself."""
        return self

    def copied(self) -> NoIntervention:
        """Itself."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What the passes over G questions read.

    `known`: keys and values of the questions' tokens, [L, 2, G, H_kv, P, d]; `real` bool [G, P],
    False for padding; `lengths` [G], tokens of each question, BOT not counted. `ids`, `depth` int
    and `sees` bool [G, T, T] are those of the `drafts`.
    """

    known: Tensor
    real: Tensor
    lengths: Tensor
    drafts: Drafts

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that the passes read."""
        drafts = self.drafts
        return self.known, self.real, self.lengths, drafts.ids, drafts.depth, drafts.sees

    def copied(self) -> Inputs:
        """The same with tensors of its own, of those that the passes read."""
        drafts = self.drafts
        ids, depth, sees = drafts.ids.clone(), drafts.depth.clone(), drafts.sees.clone()
        own = replace(drafts, ids=ids, depth=depth, sees=sees)
        return Inputs(self.known.clone(), self.real.clone(), self.lengths.clone(), own)


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A batch of N rows in front of the choice of its answers.

    `cache` of all positions so far; `hidden` [N, T, D], normed, of the draft trees; `states`
    float32 [N, K+1, L+2, D] (index 0 input embedding, 1..L block outputs, L+1 after the final
    norm), or None.
    """

    cache: RowCache
    hidden: Tensor
    states: Tensor | None


def start_of(config: CodiConfig) -> Ids:
    """Tokens that start every answer."""
    return (config.eot, config.eos) if config.keep_eos else (config.eot,)


def inputs_of(
    model: CodiModel,
    prompts: Sequence[Sequence[int]],
    candidates: Sequence[Candidates],
    rounded: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> Inputs:
    """What a batch of prompts (ids without BOT) reads; prompts are read where not yet known.

    Args:
        model: The model.
        prompts: G lists of ids, `CodiModel.encode`.
        candidates: Likely answers of each.
        rounded: Widths P and T are multiples of it; padding changes nothing but shapes.
        stop: Asked between a few prompts and the next.

    Raises:
        Cancelled: once `stop` says so.
    """

    def check() -> None:
        if stop():
            raise Cancelled

    known, real = side_by_side(prefixes(model, prompts, check), rounded)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    config = model.config
    drafts = plant(start_of(config), candidates, config.pad, model.device, rounded)
    return Inputs(known, real, lengths, drafts)


def passes(
    model: CodiModel,
    inputs: Inputs,
    rows: int,
    intervention: Intervention,
    record: bool,
    stop: Callable[[], bool] = lambda: False,
    room: int = ANSWER_ROOM,
) -> Passed:
    """Latent steps of N = G * rows rows, then their draft trees.

    Args:
        model: The model.
        inputs: G questions.
        rows: R, rows of each question.
        intervention: What is changed, over N rows.
        record: Keep hidden states.
        stop: Asked before every step.
        room: Answer positions that the cache of the rows has room for.

    Raises:
        Cancelled: once `stop` says so.
    """
    reasoning = Reasoning(model, inputs, rows, intervention, record, stop, room)
    cache = reasoning.run()
    if stop():
        raise Cancelled
    return Passed(cache, feed_trees(model, cache, inputs), reasoning.recorder.stacked())


def feed_trees(model: CodiModel, cache: RowCache, inputs: Inputs) -> Tensor:
    """Run all nodes of all rows; normed hidden states [N, T, D]."""
    drafts, config = inputs.drafts, model.config
    ids, depth, lengths = (
        x.repeat_interleave(cache.rows, 0) for x in (drafts.ids, drafts.depth, inputs.lengths)
    )
    where = lengths[:, None] + config.latents + 1 + depth
    # Drafts beyond the last position are never accepted, but must be computed somehow.
    where = where.clamp_max(config.max_positions - 1)
    out = model.body.run(model.body.embed(ids), where, TreeCache(cache, drafts.sees))
    cache.advance(ids.shape[1])
    return model.body.norm(out)


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

    def stacked(self) -> Tensor | None:
        """Everything as float32 [N, K+1, L+2, D]."""
        return torch.stack(self.positions, 1).float() if self.wanted else None


class Reasoning:
    """One batch on its way through positions 0..K."""

    def __init__(
        self,
        model: CodiModel,
        inputs: Inputs,
        rows: int,
        intervention: Intervention,
        record: bool,
        stop: Callable[[], bool],
        room: int,
    ):
        self.model, self.intervention, self.stop = model, intervention, stop
        self.lengths = inputs.lengths
        blocks = [(block[0], block[1]) for block in inputs.known]
        self.cache = RowCache.empty(blocks, inputs.real, 1, model.config.latents + 1)
        self.final_rows, self.room = rows, model.config.latents + 2 + room
        self.recorder = Recorder(record)

    def run(self) -> RowCache:
        """Go through all positions; the cache of N rows that the answer goes on from."""
        config = self.model.config
        thought = self.model.body.tokens[config.bot].expand(len(self.lengths), -1)
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
        self.cache = self.cache.fork(self.final_rows, self.room)
        self.recorder.expand(self.final_rows)
        return x.repeat_interleave(self.final_rows, 0)
