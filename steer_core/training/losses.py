"""CODI's three losses on one model: teacher in words, student in latents, distillation.

The question is the common prefix of teacher and student and both are the same weights, so it runs
once; the chain of thought and the latent thoughts each go on from a fork of its context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.training.batch import IGNORE, Batch
from steer_core.training.context import Context
from steer_core.training.forward import Forward
from steer_core.training.recipe import LATENTS


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What came of a chain or of latent thoughts.

    `loss` scalar, mean over tokens; `right` [N] whether the number behind the colon is the
    likeliest; `states` the outputs [N, D] of every block at that colon.
    """

    loss: Tensor
    right: Tensor
    states: list[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Thoughts:
    """The latent steps of a batch.

    `thoughts` z_1..z_K and, at positions 0..K, `outputs` of the last block, each [N, 1, D];
    `contexts` go on behind each of these positions.
    """

    thoughts: list[Tensor]
    outputs: list[Tensor]
    contexts: list[Context]


def teach(forward: Forward, batch: Batch, question: Context) -> Answered:
    """Chain and answer in words; the colon's states are the student's target."""
    # The first chain token is predicted from the last question token, which BOT hides from the
    # student: it is left out of the loss, the chain always opens with the same sign.
    x = forward.model.body.embed(batch.cot)
    outputs = forward.run(question.fork(), x, batch.cot_mask)
    return answered(forward, outputs, batch.cot, batch.cot_mask, batch.cot_colon)


def reason(
    forward: Forward, question: Context, latents: int = LATENTS, scale: float = 1.0
) -> Thoughts:
    """BOT and K latent steps, each thought multiplied by `scale` when fed."""
    context = question.fork()
    assert context.real is not None
    one = context.real.new_ones(len(context.real), 1)
    bot = torch.full_like(one, forward.model.bot, dtype=torch.long)
    outputs = [forward.run(context, forward.model.body.embed(bot), one)[-1]]
    thoughts, contexts = [], [context.fork()]
    for _ in range(latents):
        thoughts.append(forward.think(outputs[-1]) * scale)
        outputs.append(forward.run(context, thoughts[-1], one)[-1])
        contexts.append(context.fork())
    return Thoughts(thoughts, outputs, contexts)


def answer(
    forward: Forward, batch: Batch, context: Context, allowed: Tensor | None = None
) -> Answered:
    """EOT and the answer sentence behind latent thoughts, which see `allowed` [N, L] of them."""
    eot = torch.full_like(batch.answer[:, :1], forward.model.eot)
    ids = torch.cat((eot, batch.answer), 1)
    mask = torch.cat((batch.answer_mask[:, :1] | True, batch.answer_mask), 1)
    context, colon = context.fork(), batch.answer_colon + 1
    allowed = None if allowed is None else torch.cat((allowed, mask), 1)
    outputs = forward.run(context, forward.model.body.embed(ids), mask, allowed)
    return answered(forward, outputs, ids, mask, colon)


def answered(
    forward: Forward, outputs: list[Tensor], ids: Tensor, mask: Tensor, colon: Tensor
) -> Answered:
    """Mean next-token cross-entropy of ids [N, T], and what is at their colon."""
    labels = ids.masked_fill(~mask, IGNORE)[:, 1:]
    keep = labels != IGNORE
    losses, guessed = forward.losses(outputs[-1][:, :-1][keep], labels[keep])
    guess = torch.full_like(labels, IGNORE)
    guess[keep] = guessed
    rows = torch.arange(len(colon), device=ids.device)
    right = guess[rows, colon] == labels[rows, colon]
    return Answered(
        losses.sum() / keep.sum().clamp_min(1), right, [x[rows, colon] for x in outputs]
    )


def distillation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Smooth L1 between the states at the colon, per layer in units of the teacher's spread."""
    layers = [
        F.smooth_l1_loss(mine, target.detach()) / target.detach().std()
        for mine, target in zip(student, teacher, strict=True)
    ]
    return torch.stack(layers).mean()
