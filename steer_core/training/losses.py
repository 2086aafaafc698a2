"""CODI's three losses on one model: teacher in words, student in latents, distillation.

The question is the common prefix of teacher and student and both are the same weights, so it runs
once; the chain of thought and the latent thoughts each go on from a fork of its cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.body import Body
from steer_core.codi.projection import Projection
from steer_core.training.batch import Batch
from steer_core.training.cache import GrowingCache
from steer_core.training.recipe import LATENTS

IGNORE = -100
"""The label of padding; no token."""


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A CODI model under training: body, projection and the ids of BOT and EOT."""

    body: Body
    projection: Projection
    bot: int
    eot: int


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Scalar losses, and which problems [B] teacher and student answered right (teacher-forced)."""

    teacher: Tensor
    student: Tensor | None
    distill: Tensor | None
    teacher_right: Tensor
    student_right: Tensor | None


class Question:
    """The question of a batch, run once: its cache, lengths [B] and a way to go on from it."""

    def __init__(self, model: Student, batch: Batch):
        self.body = model.body
        mask = batch.question_mask
        self.lengths = mask.sum(1)
        self.cache = GrowingCache()
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        self.body.run(self.body.embed(batch.question), positions, self.cache.begin(mask))

    def go_on(self, cache: GrowingCache, x: Tensor, mask: Tensor, offset: int, tap=None) -> Tensor:
        """Run x [B, T, D] that starts `offset` tokens behind the question; normed hidden states."""
        steps = torch.arange(offset, offset + x.shape[1], device=x.device)
        positions = self.lengths[:, None] + steps
        return self.body.norm(self.body.run(x, positions, cache.begin(mask), tap))


class Colon:
    """A tap that keeps the hidden states of every layer at one token of each row."""

    def __init__(self, index: Tensor):
        self.index, self.states = index, []

    def __call__(self, layer: int, x: Tensor) -> Tensor:
        if layer > 0:
            rows = torch.arange(x.shape[0], device=x.device)
            self.states.append(x[rows, self.index])
        return x


def codi_losses(model: Student, batch: Batch, with_student: bool) -> Outcome:
    """All three losses of a batch; without the student only the teacher's."""
    question = Question(model, batch)
    teacher_states, teacher_loss, teacher_right = teach(model, batch, question)
    if not with_student:
        return Outcome(teacher_loss, None, None, teacher_right, None)
    states, student_loss, student_right = reason(model, batch, question)
    return Outcome(
        teacher_loss,
        student_loss,
        distillation(states, teacher_states),
        teacher_right,
        student_right,
    )


def teach(model: Student, batch: Batch, question: Question):
    """Cross-entropy of chain and answer; the colon's states are the student's target."""
    # The first chain token is predicted from the last question token, which BOT hides from the
    # student: it is left out of the loss, the chain always opens with the same sign.
    colon = Colon(batch.cot_colon)
    x = model.body.embed(batch.cot)
    hidden = question.go_on(question.cache.fork(), x, batch.cot_mask, 0, colon)
    loss, right = answer_loss(model, hidden, batch.cot, batch.cot_mask, batch.cot_colon)
    return colon.states, loss, right


def reason(model: Student, batch: Batch, question: Question, latents: int = LATENTS, scale=1.0):
    """Cross-entropy of the answer behind K latent thoughts, each multiplied by `scale` when fed."""
    cache, rows = question.cache.fork(), len(batch.steps)
    one = torch.ones(rows, 1, dtype=torch.bool, device=batch.question.device)
    bot = torch.full((rows, 1), model.bot, device=batch.question.device)
    hidden = question.go_on(cache, model.body.embed(bot), one, 0)
    for step in range(latents):
        hidden = question.go_on(cache, model.projection(hidden) * scale, one, 1 + step)
    eot = torch.full((rows, 1), model.eot, device=batch.question.device)
    ids = torch.cat((eot, batch.answer), 1)
    colon = Colon(batch.answer_colon + 1)
    mask = torch.cat((one, batch.answer_mask), 1)
    hidden = question.go_on(cache, model.body.embed(ids), mask, 1 + latents, colon)
    loss, right = answer_loss(model, hidden, ids, mask, batch.answer_colon + 1)
    return colon.states, loss, right


def answer_loss(model: Student, hidden: Tensor, ids: Tensor, mask: Tensor, colon: Tensor):
    """Mean next-token cross-entropy, and whether the number behind the colon is the argmax."""
    labels = ids.masked_fill(~mask, IGNORE)[:, 1:]
    keep = labels != IGNORE
    logits = model.body.head.logits(hidden[:, :-1][keep])
    loss = F.cross_entropy(logits, labels[keep])
    guess = torch.full_like(labels, IGNORE)
    guess[keep] = logits.detach().argmax(-1)
    rows = torch.arange(len(colon), device=ids.device)
    return loss, guess[rows, colon] == labels[rows, colon]


def distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Smooth L1 between the states at the colon, per layer in units of the teacher's spread."""
    layers = [
        F.smooth_l1_loss(mine, target.detach()) / target.detach().std()
        for mine, target in zip(student, teacher, strict=True)
    ]
    return torch.stack(layers).mean()
