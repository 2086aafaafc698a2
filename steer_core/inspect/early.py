"""Early answers: what a model would answer after fewer latent thoughts, and where it settles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number
from steer_core.steering.decode import MAX_NEW_TOKENS, EditsOrNone, decode
from steer_core.steering.edits import Edit, Subspace


@dataclass(frozen=True, slots=True)
class EarlyAnswers:
    """Answers of one question after k = 0..K latent thoughts.

    `texts` and `answers` [K+1], None without a number. `settled`: the first k from which on the
    answer stays that of all K thoughts.
    """

    question: str
    texts: tuple[str, ...]
    answers: tuple[Number | None, ...]

    @property
    def settled(self) -> int:
        last = self.answers[-1]
        other = [k for k, answer in enumerate(self.answers) if answer != last]
        return other[-1] + 1 if other else 0


def early_answers(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[EditsOrNone] | None = None,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[EarlyAnswers]:
    """Answer questions after each number of latent thoughts: EOT is fed in their place.

    Args:
        model: The model.
        questions: B questions.
        edits: What each is changed by, as far as its positions are reached.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    each = [None] * len(questions) if edits is None else list(edits)
    decode(model, questions[:1], each[:1], max_new_tokens=1)  # edits are checked against all of K
    found = [
        decode(
            with_latents(model, k),
            questions,
            [shortened(edit, k) for edit in each],
            max_new_tokens=max_new_tokens,
        )
        for k in model.config.positions
    ]
    return [
        EarlyAnswers(
            question,
            tuple(rows[i].text for rows in found),
            tuple(rows[i].answer for rows in found),
        )
        for i, question in enumerate(questions)
    ]


def with_latents(model: CodiModel, latents: int) -> CodiModel:
    """The model with another number of latent steps; the same weights."""
    if latents == model.config.latents:
        return model
    return replace(model, config=replace(model.config, latents=latents))


def shortened(edits: EditsOrNone, latents: int) -> EditsOrNone:
    """Edits as far as positions 0..latents go."""
    if edits is None or isinstance(edits, Edit):
        return None if edits is None else shorter(edits, latents)
    return [shorter(edit, latents) for edit in edits]


def shorter(edit: Edit, latents: int) -> Edit:
    """One edit of positions 0..latents."""
    rows = latents + 1
    alpha = edit.alpha[:rows] if isinstance(edit.alpha, tuple) else edit.alpha
    subspace = edit.subspace
    if subspace is not None:
        subspace = Subspace(subspace.basis[:rows], subspace.inside)
    return replace(
        edit,
        direction=edit.direction[:rows],
        alpha=alpha,
        positions=tuple(k for k in edit.positions if k < rows),
        subspace=subspace,
    )
