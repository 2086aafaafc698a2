"""Swap: a question answered on latent states that are another question's, or nobody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number
from steer_core.errors import UserError
from steer_core.steering.decode import (
    MAX_NEW_TOKENS,
    Decoded,
    Options,
    Row,
    acting,
    decode,
    decode_rows,
    stacked_states,
)
from steer_core.steering.edits import Edit
from steer_core.steering.sites import Site
from steer_core.steering.uses import Edits

DEFAULT_SITE = Site("embedding")
"""z_k: the whole latent thought that is fed, and with it all that it leads to."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One question on the latents of another.

    `text` and `answer` of the swapped row; `own_answer` and `donor_answer` are what the model
    answers to both questions by themselves; None where there is no number. `amount`: 0 keeps the
    own states, 1 takes the donor's.
    """

    question: str
    donor: str
    site: Site
    positions: tuple[int, ...]
    amount: float
    text: str
    answer: Number | None
    own_answer: Number | None
    donor_answer: Number | None

    @property
    def followed(self) -> bool:
        """Whether the answer is the donor's, and was not before."""
        return self.answer == self.donor_answer != self.own_answer


def swap(
    model: CodiModel,
    questions: Sequence[str],
    donors: Sequence[str],
    *,
    site: Site = DEFAULT_SITE,
    positions: Sequence[int] | None = None,
    amount: float = 1.0,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[Swap]:
    """Answer questions on states of their donors.

    Args:
        model: The model.
        questions: B questions.
        donors: B questions whose states are taken.
        site: What is replaced.
        positions: Which of 0..K; without them all latent ones where it can be read.
        amount: Share of the way from the own state to the donor's.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for questions, a site or positions that do not fit.
    """
    if len(questions) != len(donors):
        raise UserError(
            f"{len(donors)} donors do not fit {len(questions)} questions; give one each"
        )
    site.check(model.config)
    where = latent_positions(model.config, site) if positions is None else tuple(positions)
    each = list(dict.fromkeys([*questions, *donors]))
    plain = {
        row.question: row for row in decode(model, each, max_new_tokens=max_new_tokens, hidden=True)
    }
    states = site.states(model, stacked_states([plain[donor] for donor in donors]))
    edits = [replacement(state, site, where, amount) for state in states]
    rows = decode(model, questions, edits, max_new_tokens=max_new_tokens)
    return [
        Swap(
            question=row.question,
            donor=donor,
            site=site,
            positions=where,
            amount=amount,
            text=row.text,
            answer=row.answer,
            own_answer=plain[row.question].answer,
            donor_answer=plain[donor].answer,
        )
        for row, donor in zip(rows, donors, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class SwapCurve:
    """One question on states that are replaced step by step, M amounts from 0 (own) to 1.

    `kind`: `question` (a donor's states), `zero`, `mean` or `noise` (of a sample's mean and spread
    at each position). `texts` and `answers` [M]; `logprobs` float32 [M, 2]: of the whole answer
    with the own and with the donor's number, NaN where there is none. `kl` float32 [M] in nats at
    the answer's first number.
    """

    question: str
    kind: str
    donor: str | None
    site: Site
    positions: tuple[int, ...]
    amounts: tuple[float, ...]
    texts: tuple[str, ...]
    answers: tuple[Number | None, ...]
    own_answer: Number | None
    donor_answer: Number | None
    logprobs: np.ndarray
    kl: np.ndarray


AMOUNTS = tuple(round(0.1 * i, 1) for i in range(11))
KINDS = ("question", "zero", "mean", "noise")


def swap_curve(
    model: CodiModel,
    question: str,
    donor: str | None = None,
    *,
    kind: str = "question",
    sample: Sequence[str] = (),
    site: Site = DEFAULT_SITE,
    positions: Sequence[int] | None = None,
    amounts: Sequence[float] = AMOUNTS,
    seed: int = 0,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> SwapCurve:
    """Move a question's states step by step to a donor's, or to nobody's.

    Args:
        model: The model.
        question: The question.
        donor: Whose states are taken, for kind `question`.
        kind: One of `KINDS`.
        sample: Questions whose mean state is taken, for `mean` and `noise`.
        site: What is replaced.
        positions: Which of 0..K; without them all latent ones where it can be read.
        amounts: Shares of the way.
        seed: Of the noise.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for questions, a site or positions that do not fit.
    """
    if kind not in KINDS:
        raise UserError(f"unknown replacement '{kind}'; choose one of {', '.join(KINDS)}")
    site.check(model.config)
    where = latent_positions(model.config, site) if positions is None else tuple(positions)
    both = [question] if donor is None else [question, donor]
    plain = decode(model, both, max_new_tokens=max_new_tokens, hidden=True)
    states = (
        site.states(model, stacked_states(plain[1:]))[0]
        if kind == "question" and donor is not None
        else nobodys(model, site, kind, sample, seed)
    )
    edits = [acting(model, replacement(states, site, where, amount)) for amount in amounts]
    numbers = [row.answer for row in plain] + [None] * (2 - len(plain))
    rows = candidates_scored(model, question, edits, numbers, max_new_tokens)
    scores = [row.scores for row in rows if row.scores is not None]
    logs = np.array([each.logprobs for each in scores], np.float32)
    logs[:, [number is None for number in numbers]] = np.nan
    return SwapCurve(
        question=plain[0].question,
        kind=kind,
        donor=donor,
        site=site,
        positions=where,
        amounts=tuple(amounts),
        texts=tuple(row.text for row in rows),
        answers=tuple(row.answer for row in rows),
        own_answer=numbers[0],
        donor_answer=numbers[1],
        logprobs=logs,
        kl=np.array([each.kl_number for each in scores], np.float32),
    )


def nobodys(
    model: CodiModel, site: Site, kind: str, sample: Sequence[str], seed: int
) -> np.ndarray:
    """States [K+1, width] of no question: zero, a sample's mean, or noise with its spread."""
    if kind == "zero" or not sample:
        return np.zeros((len(model.config.positions), site.width(model.config)), np.float32)
    rows = decode(model, list(sample), max_new_tokens=1, hidden=True)
    states = site.states(model, stacked_states(rows)).astype(np.float64)
    mean, spread = states.mean(0), states.std(0)
    drawn = np.random.default_rng(seed).standard_normal(mean.shape) if kind == "noise" else 0.0
    return (mean + drawn * spread).astype(np.float32)


def candidates_scored(
    model: CodiModel,
    question: str,
    edits: Sequence[Edits],
    numbers: Sequence[Number | None],
    limit: int,
) -> list[Decoded]:
    """Rows of one question, scored against numbers; where there is none, against 0."""
    rows = [Row(0, each) for each in edits]
    candidates = [[0 if number is None else number for number in numbers]]
    found: dict[int, Decoded] = {}
    for batch in decode_rows(model, [question], rows, Options(limit), candidates=candidates):
        found.update(batch)
    return [found[i] for i in range(len(rows))]


def replacement(
    states: np.ndarray, site: Site, positions: tuple[int, ...], amount: float = 1.0
) -> Edit:
    """The edit that moves states of a site towards others, [K+1, width]."""
    donor = torch.from_numpy(np.ascontiguousarray(states, np.float32))
    return Edit(donor, amount, site.name, site.layer, positions, "replace")


def latent_positions(config: CodiConfig, site: Site) -> tuple[int, ...]:
    """Where a replaced state of a latent thought is read: 1..K, but at `thought` 0..K-1."""
    first = 0 if site.name == "thought" else 1
    dead = site.dead(config)
    return tuple(k for k in config.positions if k >= first and k not in dead)
