"""A program: the passes and answer steps of batches of one shape, recorded.

Everything lies in tensors that stay in place: questions, drafts and edits are data, and another
alpha, layer, mask or direction needs no new recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from steer_core.codi import memory, recording
from steer_core.codi.answer import are_finite, behind, picked
from steer_core.codi.cache import FixedCache, RowCache
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import EditData, Inputs, Passed, passes

ROUNDED = 8, 4
"""Widths of questions, and of drafts, are multiples of these, so that few shapes come up. Nodes of
drafts are there for every row: filling costs more there."""
STEPS, MANY_ROWS, FEW_STEPS = 48, 512, 16
"""Answer tokens a recorded batch has room for; whoever needs more goes on without it. Of many rows
most have ended behind their drafts, and each token takes memory for all of them."""
TOLERANCE = {torch.float32: 0.02, torch.float16: 0.05, torch.bfloat16: 0.1}
"""Relative difference that most vectors of a replay may have from those of the plain run it is held
to: other kernels, other rounding, carried on by every block and latent step."""
MOST, FARTHEST = 0.9, 0.5
"""How many of them; and how far the others may be, that are more than rounding when two rows are
exchanged: vectors of two questions differ by more than half their length."""


def lent_program(
    model: CodiModel, inputs: Inputs, rows: int, edits: EditData, record: bool
) -> AbstractContextManager[Program | None]:
    """A program for a batch, to oneself, or None; see `steer_core.codi.recording.Programs`."""
    shapes = [tuple(x.shape) for x in (*inputs.tensors, *edits.tensors)]
    key = (rows, record, edits.first, inputs.drafts.root, *shapes)
    count, width, device = len(inputs.lengths) * rows, model.config.hidden, model.device
    own = replace(model)  # a program, or one to be, must not hold the programs it is among
    build = recording.Build(
        lambda: checked(own, inputs, rows, edits, record),
        needed(model, inputs, rows),
        lambda: memory.free_bytes(device),
    )
    at_once = count * width * width <= recording.SMALL
    return model.programs.lent(key, device, build, at_once)


@torch.inference_mode()
def checked(model: CodiModel, inputs: Inputs, rows: int, edits: EditData, record: bool) -> Program:
    """A new program, its passes and a step held to plain ones.

    Raises:
        RuntimeError: where it cannot be recorded, or gives something else.
    """
    program = Program(model, inputs, rows, edits, record)
    plain = passes(model, inputs, rows, edits, record, room=program.room)
    got = program.run(inputs, edits)
    token = inputs.drafts.ids[:, -1].repeat_interleave(rows)
    where = inputs.lengths.repeat_interleave(rows) + got.cache.length
    where = where.clamp_max(model.config.max_positions - 1)  # trees may be wider than what is left
    program.steps.begin(got.cache)
    program.steps.step(token, where)
    wanted = behind(model, token, where, plain.cache)
    if not (alike(got.hidden, plain.hidden) and alike(program.steps.hidden, wanted)):
        raise RuntimeError("it differs from a plain run")
    return program


def alike(got: Tensor, wanted: Tensor) -> bool:
    """Whether vectors [..., D] are the same but for the rounding of their dtype."""
    near = TOLERANCE[wanted.dtype]
    got, wanted = (x.float().nan_to_num() for x in (got, wanted))
    apart, size = ((x.flatten(0, -2).norm(dim=-1)) for x in (got - wanted, wanted))
    most = (apart <= near * size).float().mean() >= MOST
    return bool(most & (apart <= FARTHEST * size).all())


def needed(model: CodiModel, inputs: Inputs, rows: int) -> int:
    """Bytes that a program keeps: keys and values of questions, twice, and of rows."""
    questions, width = inputs.real.shape
    own = model.config.latents + 2 + room_of(inputs, rows)
    tokens = questions * (2 * (width + model.config.latents) + rows * own)
    return tokens * memory.prefix_bytes(model)


def room_of(inputs: Inputs, rows: int) -> int:
    """Positions behind the thoughts that a program has room for."""
    steps = STEPS if len(inputs.lengths) * rows <= MANY_ROWS else FEW_STEPS
    return inputs.drafts.ids.shape[1] + steps


class Program:
    """The passes of batches of one shape, and their answer steps.

    Args:
        model: The model.
        inputs: A first batch of the shape.
        rows: R.
        edits: Its edits.
        record: Keep hidden states.
    """

    def __init__(self, model: CodiModel, inputs: Inputs, rows: int, edits: EditData, record: bool):
        self.model, self.rows, self.record = model, rows, record
        self.room, self.nbytes = room_of(inputs, rows), needed(model, inputs, rows)
        self.inputs, self.edits = inputs.copied(), edits.copied()
        for each in (*self.inputs.tensors, *self.edits.tensors):
            each.zero_()  # nothing of the first batch can get into what is recorded
        self.length = 0
        self.filled, self.again = recorded(self.compute, model.device)
        self.steps = RecordedSteps(self.model, self.cache())

    def compute(self) -> list[Tensor]:
        """Everything of `Passed` as a list of tensors: hidden, states, then the cache's."""
        done = passes(self.model, self.inputs, self.rows, self.edits, self.record, room=self.room)
        self.length = done.cache.length
        states = [] if done.states is None else [done.states]
        blocks = [x for both in (done.cache.prefix, done.cache.own) for kv in both for x in kv]
        return [done.hidden, *states, done.cache.real, *blocks]

    def run(self, inputs: Inputs, edits: EditData) -> Passed:
        """The passes over other inputs; what comes back is overwritten by the next run."""
        for mine, new in zip(
            (*self.inputs.tensors, *self.edits.tensors),
            (*inputs.tensors, *edits.tensors),
            strict=True,
        ):
            mine.copy_(new)
        self.again()
        return Passed(self.cache(), self.filled[0], self.filled[1] if self.record else None)

    def cache(self) -> RowCache:
        """The rows' cache over the tensors that are filled."""
        real, *blocks = self.filled[1 + self.record :]
        pairs = list(zip(blocks[::2], blocks[1::2], strict=True))
        half = len(pairs) // 2
        return RowCache(pairs[:half], real, self.rows, pairs[half:], self.length)


class RecordedSteps:
    """Answer steps over a program's cache; see `steer_core.codi.answer.Steps`.

    Args:
        model: The model.
        cache: Of the program.
    """

    def __init__(self, model: CodiModel, cache: RowCache):
        self.model, self.fixed = model, FixedCache(cache)
        count, device = len(self.fixed.unseen) * cache.rows, model.device
        self.token, self.where = (torch.zeros(count, dtype=torch.long, device=device) for _ in "ab")
        self.length = 0
        self.begin(cache)
        (self.hidden, self.picked, self.finite), self.again = recorded(self.compute, device)

    @property
    def left(self) -> int:
        return self.fixed.capacity - self.length

    def begin(self, cache: RowCache) -> None:
        self.length = cache.length
        self.fixed.begin(cache)

    def compute(self) -> list[Tensor]:
        """One step over the tokens in place: what is behind them, picked there, and finite."""
        self.fixed.open()
        hidden = behind(self.model, self.token, self.where, self.fixed)
        self.fixed.advance()
        chosen = picked(self.model, hidden)
        return [hidden, chosen, are_finite(self.model, hidden, chosen)]

    def step(self, token: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        self.token.copy_(token)
        self.where.copy_(where)
        self.again()
        self.length += 1
        return self.picked, self.finite

    def end(self) -> RowCache:
        cache = self.fixed.cache
        ended = RowCache(cache.prefix, cache.real, cache.rows, list(cache.own), self.length)
        ended.hidden = self.fixed.unseen[..., : self.length].clone()
        return ended


def recorded(run: Callable[[], Sequence[Tensor]], device: torch.device):
    """See `steer_core.codi.recording.Record`."""
    return recording.RECORDS[device.type](run, device)
