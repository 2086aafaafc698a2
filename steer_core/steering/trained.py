"""Directions that are trained by gradient: to raise the gold answer, or to give the twin's.

One vector a position is added at a site; its length stays within a budget. What is raised is the
log-probability of the first token of a number, where answers have theirs, over the problems of a
fit set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.answer_form import answer_form, answer_ids
from steer_core.codi.gradient import Change, Differentiable
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.data.answers import Number
from steer_core.errors import UserError
from steer_core.steering.fit import FitSet, site_states
from steer_core.steering.sites import Site

TARGETS = ("margin", "twin")
"""The gold answer of every problem, or that of its twin."""
BUDGET = 0.25
"""Longest a trained direction may be, of the mean norm of the states that it is added to."""
ROWS, STEPS, RATE = 48, 60, 0.05
"""Problems a step, steps, and Adam's learning rate in parts of the budget."""


@dataclass(frozen=True, slots=True)
class Aims:
    """What is trained for: `questions` n, the token `wanted` of each [n], and their pairs."""

    questions: tuple[str, ...]
    wanted: tuple[int, ...]
    pairs: tuple[int, ...]

    def some(self, rows: Sequence[int]) -> Aims:
        """Some of them."""
        return Aims(
            questions=tuple(self.questions[i] for i in rows),
            wanted=tuple(self.wanted[i] for i in rows),
            pairs=tuple(self.pairs[i] for i in rows),
        )


def aims_of(model: CodiModel, fit: FitSet, target: str, seed: int | None = None) -> Aims:
    """What a fit set asks for; with a seed the answers of other problems, for a control.

    Raises:
        UserError: where no answer can be written by the vocabulary, or twins are missing.
    """
    if target == "twin":
        fit = fit.with_twins()
    answers: list[Number] = [problem.answer for problem in fit.problems]
    if target == "twin":
        answers = [answers[i ^ 1] for i in range(len(answers))]
    trunk = len(answer_form(model).trunk)
    written = [answer_ids(model, answer) for answer in answers]
    rows = [i for i, ids in enumerate(written) if ids is not None]
    if not rows:
        raise UserError(f"{model.name} cannot write any of the answers; choose other problems")
    tokens = [ids[trunk] for ids in written if ids is not None]
    if seed is not None:
        tokens = np.random.default_rng(seed).permutation(tokens).tolist()
    questions = tuple(fit.problems[i].question for i in rows)
    return Aims(questions, tuple(tokens), tuple(fit.pair_numbers[rows].tolist()))


def trained(
    model: CodiModel, site: Site, fit: FitSet, target: str, seed: int | None = None
) -> Tensor:
    """A direction float32 [K+1, D] trained on a fit set.

    Args:
        model: The model.
        site: Where it is added: residual, thought or embedding.
        fit: The problems.
        target: One of `TARGETS`.
        seed: Trains for the answers of other problems, a control.

    Raises:
        UserError: for a site of keys or values.
    """
    check_site(site)
    return train(model, site, aims_of(model, fit, target, seed), budget_of(model, site, fit))


def check_site(site: Site) -> None:
    """Raise a `UserError` where no gradient is taken."""
    if site.cached:
        raise UserError(
            f"no direction is trained at site {site.name}; choose residual, thought or embedding"
        )


def budget_of(model: CodiModel, site: Site, fit: FitSet) -> Tensor:
    """The longest a direction may be at each position, [K+1, 1]; 0 where it cannot act."""
    states = site_states(model, fit.states, site.name, site.layer)
    sizes = BUDGET * torch.from_numpy(np.linalg.norm(states, axis=-1).mean(0)).float()
    for position in site.dead(model.config):
        sizes[position] = 0
    return sizes[:, None].to(model.device)


def train(model: CodiModel, site: Site, aims: Aims, budget: Tensor) -> Tensor:
    """Adam on the vectors in parts of their budget, each step within it."""
    parts = torch.zeros(len(budget), site.width(model.config), device=model.device)
    parts.requires_grad_()
    adam = torch.optim.Adam([parts], lr=RATE / site.width(model.config) ** 0.5)
    for rows in batches(len(aims.questions)):
        some = aims.some(rows)
        adam.zero_grad()
        asked = Differentiable(model, some.questions)
        loss = -wanted_logs(asked, added(site, parts * budget), some.wanted).mean()
        loss.backward()
        adam.step()
        with torch.no_grad():
            parts /= parts.norm(dim=-1, keepdim=True).clamp_min(1)
    return (parts.detach() * budget).float().cpu()


def batches(count: int) -> list[list[int]]:
    """The rows of every step: each problem about as often."""
    chance = np.random.default_rng(0)
    order: list[int] = []
    while len(order) < STEPS * ROWS:
        order += chance.permutation(count).tolist()
    return [order[start : start + ROWS] for start in range(0, STEPS * ROWS, ROWS)]


def added(site: Site, vectors: Tensor) -> Change:
    """A change that adds vectors [K+1, D] at a site."""

    def change(name: str, layer: int, position: int, x: Tensor) -> Tensor:
        here = name == site.name and layer == (site.layer or 0)
        return x + vectors[position].to(x.dtype) if here else x

    return change


def wanted_logs(asked: Differentiable, change: Change, wanted: Sequence[int]) -> Tensor:
    """Log-probability of each question's wanted token [N] where its answer's number begins."""
    model = asked.model
    trunk = answer_form(model).trunk
    hidden = asked.states(change, [trunk] * len(wanted))[:, len(start_of(model.config)) - 1 :]
    logits = model.body.head.without_eot(hidden[:, len(trunk)]).float()
    tokens = torch.tensor(wanted, device=logits.device)
    return -F.cross_entropy(logits, tokens, reduction="none")


@torch.no_grad()
def gains(model: CodiModel, site: Site, aims: Aims, each: Sequence[Tensor]) -> np.ndarray:
    """What each of some directions adds to the wanted token's mean log-probability, in nats."""
    sums = np.zeros(len(each) + 1)
    nothing = torch.zeros_like(each[0])
    for start in range(0, len(aims.questions), ROWS):
        some = aims.some(range(start, min(start + ROWS, len(aims.questions))))
        asked = Differentiable(model, some.questions)
        for i, vectors in enumerate((nothing, *each)):
            change = added(site, vectors.to(model.device))
            sums[i] += float(wanted_logs(asked, change, some.wanted).sum())
    return (sums[1:] - sums[0]) / len(aims.questions)
