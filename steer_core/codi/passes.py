"""The passes of a batch up to its drafted answers: latent steps, then the draft trees at once.

Tensors in, tensors out: nothing here waits for a value, so that the whole can be recorded once and
replayed for other questions and edits of the same shapes (`steer_core.codi.program`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.body import TOKENS_AT_A_TIME, Attention, Block
from steer_core.codi.cache import RowCache, TreeCache, slots_of
from steer_core.codi.cached_states import cached_states, moved
from steer_core.codi.config import CodiConfig
from steer_core.codi.drafts import Candidates, Drafts, Ids, plant
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import prefixes, side_by_side
from steer_core.errors import Cancelled

Place = tuple[int, int]
"""A position, and a block whose output there is meant, 0 for the input of the first."""
NEVER: Place = (1_000_000, 0)
"""A place that no batch reaches."""


class Intervention(Protocol):
    """What is changed in a batch of N = G * R rows while it reasons."""

    @property
    def first(self) -> Place:
        """No row is changed in front of it; h_k before its projection is at (k+1, 0)."""
        ...

    @property
    def cached(self) -> Container[Place]:
        """Where keys and values are changed, site `kv`: position, and block 1..L."""
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

    first = NEVER
    cached: Container[Place] = ()
    tensors: tuple[Tensor, ...] = ()

    def apply(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def as_data(self) -> NoIntervention | None:
        """Itself."""
        return self

    def copied(self) -> NoIntervention:
        """Itself."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What the passes over G questions read.

    `known`: keys and values of the questions' tokens and BOT, [L, 2, G, H_kv, P, d]; `real` bool
    [G, P], False for padding; `states` [G, L+2, D] at BOT (`steer_core.codi.prefix.Prefix`);
    `lengths` [G], tokens of each question, BOT not counted. `ids`, `depth` int and `sees` bool
    [G, T, T] are those of the `drafts`.
    """

    known: Tensor
    real: Tensor
    states: Tensor
    lengths: Tensor
    drafts: Drafts

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that the passes read."""
        drafts = self.drafts
        questions = self.known, self.real, self.states, self.lengths
        return *questions, drafts.ids, drafts.depth, drafts.sees

    def copied(self) -> Inputs:
        """The same with tensors of its own, of those that the passes read."""
        known, real, states, lengths, ids, depth, sees = (x.clone() for x in self.tensors)
        own = replace(self.drafts, ids=ids, depth=depth, sees=sees)
        return Inputs(known, real, states, lengths, own)


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
    rounded: tuple[int, int] = (1, 1),
    stop: Callable[[], bool] = lambda: False,
) -> Inputs:
    """What a batch of prompts (ids without BOT) reads; prompts are read where not yet known.

    Args:
        model: The model.
        prompts: G lists of ids, `CodiModel.encode`.
        candidates: Likely answers of each.
        rounded: Widths P and T are multiples of these; padding changes nothing but shapes.
        stop: Asked between a few prompts and the next.

    Raises:
        Cancelled: once `stop` says so.
    """

    def check() -> None:
        if stop():
            raise Cancelled

    found = prefixes(model, prompts, check)
    known, real = side_by_side(found, rounded[0])
    states = torch.stack([prefix.states for prefix in found])
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    config = model.config
    drafts = plant(start_of(config), candidates, config.pad, model.device, rounded[1])
    return Inputs(known, real, states, lengths, drafts)


def passes(
    model: CodiModel,
    inputs: Inputs,
    rows: int,
    intervention: Intervention,
    record: bool,
    stop: Callable[[], bool] = lambda: False,
    room: int = 0,
) -> Passed:
    """Latent steps of N = G * rows rows, then their draft trees.

    Args:
        model: The model.
        inputs: G questions.
        rows: R, rows of each question.
        intervention: What is changed, over N rows.
        record: Keep hidden states.
        stop: Asked before every step.
        room: Answer positions that the cache of the rows has room for from the start.

    Raises:
        Cancelled: once `stop` says so.
    """
    reasoning = Reasoning(model, inputs, rows, intervention, record, stop, room)
    hidden = reasoning.run()
    return Passed(reasoning.cache, hidden, reasoning.recorder.stacked(model.config.layers + 2))


Parts = Sequence[tuple[slice, Attention]]
"""Which rows go through a block together, with the cache of them."""


def in_parts(block: Block, layer: int, x: Tensor, rotary, caches: Parts, last: int) -> Tensor:
    """Rows x [N, T, D] through a block, a few at a time; see `steer_core.codi.body.Block`."""
    if len(caches) == 1:
        return block(layer, x, rotary, caches[0][1], last)
    done = []
    for some, cache in caches:
        theirs = None if rotary is None else rotary[some]
        done.append(block(layer, x[some], theirs, cache, last))
    return torch.cat(done)


class Recorder:
    """Keeps the states of positions 0..K, when asked to."""

    def __init__(self, wanted: bool):
        self.wanted = wanted
        self.states: list[Tensor] = []
        """One after the other, each [N, D]: of the first position, then of the next."""

    def add(self, *states: Tensor) -> None:
        """The next states of the position that is on its way."""
        if self.wanted:
            self.states += [x.clone() for x in states]

    def expand(self, rows: int) -> None:
        """Every question's states so far become those of its rows."""
        self.states = [x.repeat_interleave(rows, 0) for x in self.states]

    def stacked(self, each: int) -> Tensor | None:
        """Everything as float32 [N, K+1, L+2, D]; `each` is L + 2."""
        return torch.stack(self.states, 1).unflatten(1, (-1, each)).float() if self.wanted else None


class Reasoning:
    """One batch on its way through positions 0..K, and the draft trees with the last of them.

    The rows of a question are one row until the first of them is changed (`spread`).
    """

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
        config = model.config
        self.model, self.inputs, self.intervention, self.stop = model, inputs, intervention, stop
        least = slots_of(config.heads // config.kv_heads, config.head_dim)
        self.rows, self.room = rows, max(config.latents + 2 + room, least)
        self.first = min(intervention.first, (config.latents, 0))
        self.apart = False
        # Where BOT is changed, it is fed once more, and the one that was read is not looked at.
        self.start = int(self.first >= (1, 0))
        real = inputs.real
        if self.start == 0:
            where = torch.arange(real.shape[1], device=real.device)
            real = real & (where != inputs.lengths[:, None])
        blocks = [(block[0], block[1]) for block in inputs.known]
        self.cache = RowCache.empty(blocks, real, 1, self.room)
        self.recorder = Recorder(record)

    def run(self) -> Tensor:
        """Go through all positions and trees; normed hidden states of the trees [N, T, D]."""
        states, last = self.inputs.states, self.model.config.latents
        if self.start:
            self.recorder.add(*states.unbind(1))
        hidden = states[:, -1]
        for position in range(self.start, last):
            hidden = self.step(position, self.thought(position, hidden)[:, None])[:, 0]
        return self.trees(self.thought(last, hidden))

    def thought(self, position: int, hidden: Tensor) -> Tensor:
        """What is fed at a position: z_k of h_{k-1} [n, D], or BOT at position 0."""
        if position == 0:
            bot = self.model.body.tokens[self.model.config.bot]
            return self.spread(bot.expand(len(hidden), -1), 0, 0)
        hidden = self.spread(hidden, position, 0)
        hidden = self.edit("thought", 0, position - 1, hidden)
        return self.edit("embedding", 0, position, self.model.projection(hidden))

    def trees(self, thought: Tensor) -> Tensor:
        """Run the last thought [N, D] and all nodes of all rows; normed states of the nodes.

        A thought's keys and values are all that the nodes see of it, so it goes along with them;
        by itself where those are edited, and where it is recorded: then not even its last bit shall
        depend on drafts.
        """
        drafts, body, last = self.inputs.drafts, self.model.body, self.model.config.latents
        ids, depth = (x.repeat_interleave(self.rows, 0) for x in (drafts.ids, drafts.depth))
        nodes, behind = body.embed(ids), depth + 1
        if not self.recorder.wanted and not self.cache_changes(last):
            sees = F.pad(drafts.sees, (1, 0, 1, 0))
            sees[:, :, 0] = True
            x = torch.cat((thought[:, None], nodes), 1)
            return self.step(last, x, F.pad(behind, (1, 0)), self.tree_caches(x, sees))
        self.step(last, thought[:, None])
        places, caches = self.places(last, behind), self.tree_caches(nodes, drafts.sees)
        nodes, rotary = body.placed(nodes, places), body.rotary(places)
        for layer, block in enumerate(body.blocks):
            nodes = in_parts(block, layer, nodes, rotary, caches, 0)
        self.cache.advance(ids.shape[1])
        return body.norm(nodes)

    def tree_caches(self, x: Tensor, sees: Tensor) -> Parts:
        """Where the trees x [N, T, D] are fed, a part of the questions at a time.

        Position i of a question sees position j where sees [G, T, T].
        """
        tokens, rows = x.shape[0] * x.shape[1], self.rows
        count = -(-tokens // TOKENS_AT_A_TIME[x.device.type])
        return [
            (slice(some.start * rows, some.stop * rows), TreeCache(cache, sees[some]))
            for some, cache in self.cache.parts(count, x.shape[1])
        ]

    def step(
        self, position: int, x: Tensor, behind: Tensor | None = None, trees: Parts | None = None
    ) -> Tensor:
        """Feed x [n, 1, D] at a position of the reasoning; the normed hidden states h_k.

        At position K more may be fed, `behind` [n, T] it (0 for itself), with `tree_caches`; what
        comes back are their states, for nothing reads h_K.
        """
        if self.stop():
            raise Cancelled
        body, recorder = self.model.body, self.recorder
        last = x.shape[1] - 1
        x = body.placed(x, self.places(position, behind))
        rotary = body.rotary(self.places(position, behind))
        recorder.add(x[:, 0])
        for layer, block in enumerate(body.blocks, 1):
            cut = last if layer == len(body.blocks) else 0
            x = in_parts(block, layer - 1, x, rotary, trees or [(slice(None), self.cache)], cut)
            if cut:
                break
            if not self.apart and (position, layer) >= self.first:
                x = self.spread(x, position, layer)
                rotary = body.rotary(self.places(position, behind))
            self.change(layer, position, x)
            self.change_cached(layer, position, rotary)
            recorder.add(x[:, 0])
        self.cache.advance(1 if behind is None else behind.shape[1])
        hidden = body.norm(x)
        recorder.add(hidden[:, 0])
        return hidden

    def places(self, position: int, behind: Tensor | None) -> Tensor:
        """Absolute positions [n, T] of what is fed at a position."""
        first = (self.inputs.lengths.repeat_interleave(self.cache.rows) + position)[:, None]
        if behind is None:
            return first
        # Drafts beyond the last position are never accepted, but must be computed somehow.
        return (first + behind).clamp_max(self.model.config.max_positions - 1)

    def change(self, layer: int, position: int, x: Tensor) -> None:
        """The intervention on outputs of a block x [n, T, D] that nobody has read yet, in place."""
        here = x[:, 0]
        changed = self.edit("residual", layer, position, here)
        if changed is not here:
            x[:, 0] = changed

    def change_cached(self, layer: int, position: int, rotary: Tensor | None) -> None:
        """The intervention on keys and values of a position that have just been stored."""
        if not self.apart or (position, layer) not in self.intervention.cached:
            return
        keys, values = self.cache.newest(layer - 1)
        states = cached_states(keys, values, rotary)
        changed = self.edit("kv", layer, position, states)
        if changed is not states:
            self.cache.rewrite(layer - 1, *moved(keys, values, rotary, changed - states))

    def cache_changes(self, position: int) -> bool:
        """Whether keys and values of a position are changed in any block."""
        blocks = range(1, self.model.config.layers + 1)
        return any((position, layer) in self.intervention.cached for layer in blocks)

    def edit(self, site: str, layer: int, position: int, x: Tensor) -> Tensor:
        """The intervention, once the rows are apart (before that there is none)."""
        return self.intervention.apply(site, layer, position, x) if self.apart else x

    def spread(self, x: Tensor, position: int, layer: int) -> Tensor:
        """Give every question its R rows, if they are no longer the same here."""
        if self.apart or (position, layer) < self.first:
            return x
        self.apart = True
        if self.rows == 1:
            return x
        self.cache = self.cache.fork(self.rows, self.room, layer)
        self.recorder.expand(self.rows)
        return x.repeat_interleave(self.rows, 0)
