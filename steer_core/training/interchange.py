"""Losses that make latents causal: what they hold is read by the lens, and obeyed when swapped.

Rows 2i and 2i + 1 of a batch are twins. Besides CODI's losses: the lens (final norm and head) on
h_k reads the result of step min(k, n); behind the twin's latents, on the own question, comes the
twin's answer; and behind one swapped latent, which carries the result of the changed step, the
later ones are computed anew and are, like the answer, the twin's.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from steer_core.training.batch import IGNORE, Batch
from steer_core.training.context import Context
from steer_core.training.forward import Forward
from steer_core.training.losses import Answered, Thoughts, answer
from steer_core.training.recipe import LATENTS


def visible(batch: Batch, question: Context, context: Context) -> Tensor:
    """What an answer behind a context may see [N, L]: not the question in rows that hide it."""
    assert question.real is not None
    assert context.real is not None
    ahead = torch.arange(context.real.shape[1], device=batch.hidden.device)
    return ~(batch.hidden[:, None] & (ahead < question.real.shape[1]))


def lens(forward: Forward, outputs: list[Tensor], results: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss of reading `results` [N, K] behind positions 1..K, and which were read [N, K].

    Where a result is `IGNORE` nothing is to be read.
    """
    x, labels = torch.cat(outputs[1:], 1).flatten(0, 1), results.flatten()
    losses, guess = forward.losses(x, labels)
    count = (labels != IGNORE).sum().clamp_min(1)
    return losses.sum() / count, (guess == labels).view(results.shape)


def swapped(forward: Forward, batch: Batch, question: Context, thoughts: Thoughts) -> Answered:
    """The answer on the own question behind all of the twin's latents; right is the twin's."""
    context = thoughts.contexts[0].fork()
    x = twins_of(torch.cat(thoughts.thoughts, 1))
    forward.run(context, x, x.new_ones(x.shape[:2], dtype=torch.bool))
    return answer(forward, of_twins(batch), context, visible(batch, question, context))


def chained(
    forward: Forward, batch: Batch, question: Context, thoughts: Thoughts
) -> tuple[Tensor, Answered]:
    """One latent swapped, later ones computed anew: loss of the later lenses, and the answer.

    The latent z_{s+1} is made from h_s, which holds the result of the changed step s. Rows without
    such a step are left out.
    """
    # z_1 is made before any step's result is known, so position 1 is as it was.
    context, outputs = thoughts.contexts[1].fork(), thoughts.outputs[:2]
    one = batch.hidden[:, None] | True
    for k in range(2, LATENTS + 1):
        swap = (batch.changed + 1 == k)[:, None, None]
        own = forward.think(outputs[-1])
        thought = torch.where(swap, twins_of(thoughts.thoughts[k - 1]), own)
        outputs = [*outputs, forward.run(context, thought, one)[-1]]
    twin = of_twins(batch)
    some = batch.changed > 0
    behind = torch.arange(1, LATENTS + 1, device=some.device) > batch.changed[:, None]
    read, _ = lens(forward, outputs, twin.results.masked_fill(~(behind & some[:, None]), IGNORE))
    twin = replace(twin, answer_mask=twin.answer_mask & some[:, None])
    return read, answer(forward, twin, context, visible(batch, question, context))


def twins_of(x: Tensor) -> Tensor:
    """Rows [N, ...] in their twins' places."""
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def of_twins(batch: Batch) -> Batch:
    """A batch with every row in its twin's place."""
    return Batch(*(twins_of(getattr(batch, name)) for name in batch.__slots__))
