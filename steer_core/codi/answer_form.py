"""How a CODI model writes its answer, as token ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steer_core.codi.drafts import Ids
from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number, extract_answer, format_number, same_number

ANSWER_FORM = "The answer is: {}"
"""What CODI is trained to say after its latent thoughts (the targets of the published models)."""


@dataclass(frozen=True, slots=True)
class Form:
    """Tokens that every answer begins with, up to its number."""

    trunk: Ids


def answer_form(model: CodiModel) -> Form:
    """The beginning that answers have in common under a model's tokenizer."""
    known = model.session.get("form")
    if known is None:
        several = [encoded(model, str(number)) for number in (1, 2, 7, 39)]
        known = Form(common(several))
        model.session.put("form", known, 1024)
    return known


def answer_ids(model: CodiModel, number: Number) -> Ids | None:
    """The answer with a number, without EOS; None where the vocabulary cannot write it."""
    if isinstance(number, float) and not math.isfinite(number):
        return None
    ids = encoded(model, format_number(number))
    written = extract_answer(model.text(list(ids)))
    trunk = answer_form(model).trunk
    fits = same_number(written, number) and len(ids) > len(trunk) and ids[: len(trunk)] == trunk
    return ids if fits else None


def encoded(model: CodiModel, number: str) -> Ids:
    """Ids of the answer with a number as it is written."""
    text = ANSWER_FORM.format(number)
    return tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def common(several: Sequence[Ids]) -> Ids:
    """The longest beginning of all."""
    same = 0
    while all(len(ids) > same and ids[same] == several[0][same] for ids in several):
        same += 1
    return several[0][:same]
