"""Plain answers: remembered per question, for drafts and to compare edited rows with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from steer_core.codi.answer_form import answer_form, answer_ids, common
from steer_core.codi.drafts import Candidates, Ids
from steer_core.codi.model import CodiModel
from steer_core.steering.rows import Scores

LONGEST_DRAFT = 64
"""Tokens beyond which a plain answer is no draft: the further from its start, the less it holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The plain row of a question: its ids, and with candidates their scores and landmarks.

    `landmarks` float32 [2, V-1], see `steer_core.codi.answer.BatchScores`.
    """

    ids: Ids
    scores: Scores | None = None
    landmarks: Tensor | None = None
    finite: bool = True

    @property
    def nbytes(self) -> int:
        """Bytes it takes, roughly."""
        return 1024 + 8 * len(self.ids) + (0 if self.landmarks is None else self.landmarks.nbytes)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and the candidates that are scored as its answers.

    `prompt` are ids without BOT; `scored` one entry per candidate, None where the vocabulary cannot
    write its number.
    """

    prompt: Ids
    max_new_tokens: int
    scored: tuple[Ids | None, ...] = ()

    def remembered(self, model: CodiModel) -> Plain | None:
        """Its plain row, if it has been decoded before."""
        return model.session.get(("plain", self))

    def remember(self, model: CodiModel, plain: Plain) -> None:
        """Keep its plain row."""
        model.session.put(("plain", self), plain, plain.nbytes)
        model.session.put(("answer", self.prompt), plain.ids, 8 * len(plain.ids))
        keep_usual(model, plain.ids)

    def candidates(self, model: CodiModel, plain: Plain | None, whole: bool) -> Candidates:
        """What its rows are drafted with: the scored candidates, and the likeliest answer.

        That is its plain answer where it is known and `whole` answers are worth a draft
        (`steer_core.codi.cores.saves_passes`), else what answers begin with.
        """
        trunk = answer_form(model).trunk
        if not self.scored:
            known = model.session.get(("answer", self.prompt)) if whole else None
            ids = known or model.session.get("usual")
            return Candidates(likely=((trunk if ids is None else ids)[:LONGEST_DRAFT],))
        likely = () if plain is None else (plain.ids[:LONGEST_DRAFT],)
        return Candidates(tuple(ids or trunk for ids in self.scored), likely, len(trunk))


def question_of(
    model: CodiModel, prompt: Sequence[int], max_new_tokens: int, numbers: Sequence[float] | None
) -> Question:
    """A prompt, `CodiModel.encode`, and candidate numbers as ids."""
    scored = () if numbers is None else tuple(answer_ids(model, number) for number in numbers)
    return Question(tuple(prompt), max_new_tokens, scored)


def keep_usual(model: CodiModel, ids: Ids) -> None:
    """What answers of this model begin with, learnt from plain answers as they come."""
    usual = model.session.get("usual")
    if usual is not None:
        ids = common((usual, ids))
    if ids != usual:
        model.session.put("usual", ids, 8 * len(ids))
