"""A subspace of the states that carries what twins differ in: learned, principal, random.

Distributed alignment search (Geiger et al., 2023): an orthonormal basis [r, D], one for all chosen
positions, is trained so that a question's own latent thoughts, with their part in the subspace
taken from the twin's, give the twin's answer. It is scored by greedy decoding on pairs that it was
not trained on, beside the principal components of twins' differences and random bases of its size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.analysis.folds import folds_of
from steer_core.analysis.statistics import wilson
from steer_core.codi.answer_form import answer_form, answer_ids
from steer_core.codi.gradient import Change, Differentiable
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.errors import UserError
from steer_core.steering.decode import decode
from steer_core.steering.edits import Edit, Subspace, check_positions
from steer_core.steering.fit import FitSet
from steer_core.steering.sites import Site
from steer_core.steering.trained import check_site, wanted_logs

ROWS, EPOCHS, RATE = 48, 12, 0.02
"""Problems a step, passes over the fit pairs, and Adam's learning rate."""
DRAWS = 5
"""Random bases, whose rows are counted together."""
FEWEST = 10


@dataclass(frozen=True, slots=True)
class Swapped:
    """`count` of `n` held-out problems answered as their twin, with its Wilson 95 % interval."""

    count: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: Sequence[bool]) -> Swapped:
        """Of one answer each."""
        low, high = wilson(sum(hits), len(hits))
        return cls(sum(hits), len(hits), float(low), float(high))

    @property
    def share(self) -> float:
        """The share, 0..1."""
        return self.count / self.n


@dataclass(frozen=True, slots=True, eq=False)
class LearnedSubspace:
    """A learned subspace and what swapping it does: `basis` float32 [r, D], orthonormal rows.

    `whole`: all of the states swapped, the ceiling; `principal` and `random` subspaces of its size.
    """

    site: Site
    positions: tuple[int, ...]
    basis: Tensor
    learned: Swapped
    principal: Swapped
    random: Swapped
    whole: Swapped


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """Problems right on both twins: states [n, K+1, D] of their own and of their twin.

    `questions` n; `answers` n, the twin's gold answers; `pairs` int [n].
    """

    questions: tuple[str, ...]
    answers: tuple[float, ...]
    pairs: np.ndarray
    own: np.ndarray
    other: np.ndarray

    def some(self, rows: np.ndarray) -> Twins:
        """Some of them."""
        texts = tuple(self.questions[i] for i in rows.tolist())
        answers = tuple(self.answers[i] for i in rows.tolist())
        return Twins(texts, answers, self.pairs[rows], self.own[rows], self.other[rows])


def learned_subspace(
    model: CodiModel,
    fit: FitSet,
    site: Site,
    size: int,
    positions: Sequence[int] | None = None,
    seed: int = 0,
) -> LearnedSubspace:
    """Learn a subspace on four fifths of the pairs and score it on the others.

    Args:
        model: The model.
        fit: Pairs with both twins; those that are right on both are used.
        site: residual, thought or embedding.
        size: Its dimensions r.
        positions: Of 0..K, 1..K when not given.
        seed: Of the basis to start from, and of random ones.

    Raises:
        UserError: for a site of keys or values, a size beyond the states' width, or too few pairs.
    """
    check_site(site)
    site.check(model.config)
    width = site.width(model.config)
    if not 1 <= size <= width:
        raise UserError(f"a subspace of {size} dimensions is none of 1..{width}; choose one")
    where = tuple(model.config.positions[1:] if positions is None else positions)
    check_positions(model.config, where)
    twins = right_twins(model, fit.with_twins(), site)
    fitted, scored = (
        twins.some(rows) for rows in next(folds_of(len(twins.pairs), twins.pairs.tolist()))
    )
    basis = learn(model, fitted, site, size, where, seed)
    rate = rate_of(model, scored, site, where)
    random = [random_basis(width, size, seed + 1 + i) for i in range(DRAWS)]
    return LearnedSubspace(
        site=site,
        positions=where,
        basis=basis,
        learned=Swapped.of(rate(basis)),
        principal=Swapped.of(rate(principal_basis(fitted, size, where))),
        random=Swapped.of([hit for each in random for hit in rate(each)]),
        whole=Swapped.of(rate(torch.eye(width))),
    )


def right_twins(model: CodiModel, fit: FitSet, site: Site) -> Twins:
    """The problems that are right on both twins and whose twin's answer can be written."""
    right = fit.right & fit.right[np.arange(len(fit.right)) ^ 1]
    rows = [
        i
        for i in np.flatnonzero(right).tolist()
        if answer_ids(model, fit.problems[i ^ 1].answer) is not None
    ]
    if len({i // 2 for i in rows}) < FEWEST:
        raise UserError(
            f"{len({i // 2 for i in rows})} pairs are right on both twins; a subspace needs "
            f"{FEWEST}: give more pairs"
        )
    states, here = site.states(model, fit.states), np.array(rows)
    return Twins(
        tuple(fit.problems[i].question for i in rows),
        tuple(float(fit.problems[i ^ 1].answer) for i in rows),
        here // 2,
        states[here],
        states[here ^ 1],
    )


def learn(
    model: CodiModel, twins: Twins, site: Site, size: int, positions: Sequence[int], seed: int
) -> Tensor:
    """An orthonormal basis float32 [size, D]."""
    chance = torch.Generator().manual_seed(seed)
    raw = torch.randn(site.width(model.config), size, generator=chance).to(model.device)
    raw.requires_grad_()
    adam = torch.optim.Adam([raw], lr=RATE)
    trunk = len(answer_form(model).trunk)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(twins.pairs), generator=chance).split(ROWS):
            some = twins.some(rows.numpy())
            tokens = [(answer_ids(model, answer) or ())[trunk] for answer in some.answers]
            other = torch.from_numpy(np.ascontiguousarray(some.other)).to(model.device)
            adam.zero_grad()
            change = swapped(site, other, torch.linalg.qr(raw).Q, positions)
            asked = Differentiable(model, some.questions)
            (-wanted_logs(asked, change, tokens).mean()).backward()
            adam.step()
    return torch.linalg.qr(raw.detach()).Q.T.contiguous().float().cpu()


def swapped(site: Site, other: Tensor, basis: Tensor, positions: Sequence[int]) -> Change:
    """A change that takes the part of states in a subspace [D, r] from others [N, K+1, D]."""

    def change(name: str, layer: int, position: int, x: Tensor) -> Tensor:
        if name != site.name or layer != (site.layer or 0) or position not in positions:
            return x
        return x + ((other[:, position] - x) @ basis @ basis.T).to(x.dtype)

    return change


def rate_of(
    model: CodiModel, twins: Twins, site: Site, positions: tuple[int, ...]
) -> Callable[[Tensor], list[bool]]:
    """Whether each problem gives its twin's answer, with a basis swapped; greedy decoding."""
    latents = model.config.latents

    def rate(basis: Tensor) -> list[bool]:
        part = Subspace(basis.expand(latents + 1, -1, -1))
        edits = [
            Edit(torch.from_numpy(state), 1.0, site.name, site.layer, positions, "replace", part)
            for state in twins.other
        ]
        rows = decode(model, twins.questions, edits)
        return [
            same_number(row.answer, answer) for row, answer in zip(rows, twins.answers, strict=True)
        ]

    return rate


def principal_basis(twins: Twins, size: int, positions: Sequence[int]) -> Tensor:
    """The first principal components [size, D] of twins' differences at some positions."""
    gaps = (twins.other - twins.own)[:, list(positions)].reshape(-1, twins.own.shape[-1])
    _, _, axes = np.linalg.svd(gaps.astype(np.float64), full_matrices=False)
    if len(axes) < size:
        return random_basis(gaps.shape[1], size, 0)
    return torch.from_numpy(axes[:size].astype(np.float32))


def random_basis(width: int, size: int, seed: int) -> Tensor:
    """A random orthonormal basis [size, width]."""
    noise = torch.randn(width, size, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(noise).Q.T.contiguous()
