"""A program: the passes and answer steps of batches of one shape, recorded.

Everything lies in tensors that stay in place: questions, drafts and edits are data, and another
alpha, layer, mask or direction needs no new recording.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from steer_core.codi import recording
from steer_core.codi.answer import behind, picked
from steer_core.codi.cache import FixedCache, RowCache
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import EditData, Inputs, Passed, passes

ROUNDED = 16
"""Widths of questions and drafts are multiples of it, so that few shapes come up."""
STEPS = 48
"""Answer tokens a recorded batch has room for; whoever needs more goes on without it."""
TOLERANCE = 0.02
"""Relative difference that a replay may have from the plain run it is held to."""


def lent_program(
    model: CodiModel, inputs: Inputs, rows: int, edits: EditData, record: bool
) -> AbstractContextManager[Program | None]:
    """A program for a batch, to oneself, or None; see `steer_core.codi.recording.Programs`."""
    shapes = [tuple(x.shape) for x in (*inputs.tensors, *edits.tensors)]
    key = (rows, record, edits.first, inputs.drafts.root, *shapes)
    return model.programs.lent(key, lambda: checked(model, inputs, rows, edits, record))


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
    """Whether vectors [..., D] are the same but for rounding."""
    got, wanted = (x.float().nan_to_num() for x in (got, wanted))
    return bool(((got - wanted).norm(dim=-1) <= TOLERANCE * wanted.norm(dim=-1)).all())


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
        # A copy without the model's programs: a program that held those would hold itself.
        self.model, self.rows, self.record = replace(model), rows, record
        self.room = inputs.drafts.ids.shape[1] + STEPS
        self.inputs, self.edits = inputs.copied(), edits.copied()
        for each in (*self.inputs.tensors, *self.edits.tensors):
            each.zero_()  # nothing of the first batch can get into what is recorded
        self.lock = threading.Lock()
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
        (self.hidden, self.picked), self.again = recorded(self.compute, device)

    @property
    def left(self) -> int:
        return self.fixed.capacity - self.length

    def begin(self, cache: RowCache) -> None:
        self.length = cache.length
        self.fixed.begin(cache)

    def compute(self) -> list[Tensor]:
        """One step over the tokens in place: what is behind them, and picked there."""
        self.fixed.open()
        hidden = behind(self.model, self.token, self.where, self.fixed)
        self.fixed.advance()
        return [hidden, picked(self.model, hidden)]

    def step(self, token: Tensor, where: Tensor) -> Tensor:
        self.token.copy_(token)
        self.where.copy_(where)
        self.again()
        self.length += 1
        return self.picked

    def end(self) -> RowCache:
        cache = self.fixed.cache
        ended = RowCache(cache.prefix, cache.real, cache.rows, list(cache.own), self.length)
        ended.hidden = self.fixed.unseen[..., : self.length].clone()
        return ended


def recorded(run: Callable[[], Sequence[Tensor]], device: torch.device):
    """See `steer_core.codi.recording.Record`."""
    return recording.RECORDS[device.type](run, device)
