"""A subspace of the latents that carries what twins differ in: learned, principal, random.

Distributed alignment search: an orthonormal basis [D, k], one for all latent positions, is trained
on the fit pairs so that a question's own latents, with their part in the subspace taken from the
twin's, give the twin's answer. It is scored on the test pairs, by greedy decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.interventions import Asked, Share, everywhere, replaced, share
from steer_core.training.batch import Batch, encode
from steer_core.training.context import Context
from steer_core.training.forward import Forward, Speed, Student
from steer_core.training.interchange import of_twins, twins_of
from steer_core.training.losses import answer, reason

SIZES = (1, 2, 4, 8, 16)
DRAWS = 5
"""Random subspaces of each size, whose rows are counted together."""
ROWS, EPOCHS, RATE = 96, 25, 0.02
"""Rows of a training step, passes over the fit rows, and Adam's learning rate."""

Prepared = tuple[Forward, Batch, Tensor, Context]


def prepared(fit: Asked) -> Iterator[Prepared]:
    """Batches of fit pairs right on both twins, with their latents and what goes on behind BOT."""
    model = fit.model
    student = Student(model.body, model.projection, model.config.bot, model.config.eot)
    forward = Forward(student, Speed())
    rows = [fit.problems[i] for i in np.flatnonzero(fit.both)]
    twins = sorted(zip(rows[::2], rows[1::2], strict=True), key=lambda pair: len(pair[0].question))
    for start in range(0, len(twins), ROWS // 2):
        together = [problem for pair in twins[start : start + ROWS // 2] for problem in pair]
        batch = encode(together, model.tokenizer)
        with torch.no_grad():
            question = forward.read(batch.question, batch.question_mask)
            thoughts = reason(forward, question)
        yield forward, batch, torch.cat(thoughts.thoughts, 1), thoughts.contexts[0]


def learn(batches: Sequence[Prepared], size: int, seed: int = 0) -> np.ndarray:
    """An orthonormal basis [D, size]."""
    hidden = batches[0][2].shape[-1]
    chance = torch.Generator().manual_seed(seed)
    raw = torch.randn(hidden, size, generator=chance).requires_grad_()
    adam = torch.optim.Adam([raw], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, EPOCHS * len(batches))
    for _ in range(EPOCHS):
        for i in torch.randperm(len(batches), generator=chance).tolist():
            adam.zero_grad()
            swapped_loss(*batches[i], torch.linalg.qr(raw).Q).backward()
            adam.step()
            schedule.step()
    return torch.linalg.qr(raw.detach()).Q.numpy()


def swapped_loss(
    forward: Forward, batch: Batch, thoughts: Tensor, start: Context, basis: Tensor
) -> Tensor:
    """Loss of the twin's answer with the latents' part in a subspace taken from the twin."""
    context = start.fork()
    x = thoughts + (twins_of(thoughts) - thoughts) @ basis @ basis.T
    forward.run(context, x, x.new_ones(x.shape[:2], dtype=torch.bool))
    return answer(forward, of_twins(batch), context).loss


def score(asked: Asked, basis: np.ndarray) -> Share:
    """Rows right on both twins whose answer is the twin's with their latents' part swapped."""
    rows = np.flatnonzero(asked.both)
    mine, other = asked.thoughts[rows], asked.thoughts[asked.twins[rows]]
    states = (mine + (other - mine) @ basis @ basis.T).astype(np.float32)
    answers = replaced(asked, rows, states, everywhere(asked, rows))
    wanted = [asked.problems[i].answer for i in asked.twins[rows]]
    return share([a == w for a, w in zip(answers, wanted, strict=True)])


def principal(fit: Asked, size: int) -> np.ndarray:
    """The first principal components [D, size] of twins' differences over all latents."""
    rows = np.flatnonzero(fit.both)
    difference = (fit.thoughts[fit.twins[rows]] - fit.thoughts[rows])[:, 1:]
    _, _, components = np.linalg.svd(difference.reshape(-1, difference.shape[-1]), False)
    return components[:size].T


def random_basis(hidden: int, size: int, seed: int) -> np.ndarray:
    """A random orthonormal basis [hidden, size]."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((hidden, size)))[0]


def subspaces(fit: Asked, test: Asked, sizes: Sequence[int] = SIZES) -> dict[int, dict[str, Share]]:
    """By size: learned, principal and random subspaces, fitted on one set, scored on the other."""
    if not (fit.both.any() and test.both.any()):
        return {}  # nothing to learn from, or to score on
    batches, hidden = list(prepared(fit)), test.model.config.hidden
    found = {}
    for size in sizes:
        random = [score(test, random_basis(hidden, size, seed)) for seed in range(DRAWS)]
        found[size] = {
            "learned": score(test, learn(batches, size)),
            "principal": score(test, principal(fit, size)),
            "random": Share(sum(s.count for s in random), sum(s.n for s in random)),
        }
    return found
