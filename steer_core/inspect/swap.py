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
from steer_core.steering.decode import MAX_NEW_TOKENS, decode, stacked_states
from steer_core.steering.edits import Edit
from steer_core.steering.sites import Site

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
