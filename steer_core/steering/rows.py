"""What is decoded and what comes back: rows, options, results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from steer_core.errors import UserError
from steer_core.steering.uses import Edits

MAX_NEW_TOKENS = 256
OVERFLOWED = "(no answer: numbers overflowed; take a smaller alpha, or float32)"
"""Shown in place of a text that means nothing."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a row thinks of the candidate answers of its question.

    `logprobs`: log-probability in nats of each candidate's whole answer ("The answer is: 12", EOS
    counted), NaN where the vocabulary cannot write its number. `margin`: logit of the first
    candidate's number (its first token) minus the best other one, where numbers begin. Against the
    plain row of the question: `kl` at the first answer step, `kl_number` where numbers begin, both
    KL(plain || row) in nats, and `shift`, the largest change of any log-probability at these two
    steps; 0 for the plain row itself.
    """

    logprobs: tuple[float, ...]
    margin: float
    kl: float
    kl_number: float
    shift: float


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One decoded row.

    `token_ids`: generated ids without EOS. `answer`: last number of `text`, None without one.
    `finite`: False where numbers overflowed on the way, so that ids and text mean nothing; there is
    no answer then.
    `prompt_tokens`: tokens of the prefill, BOT counted. `states`: float32 [K+1, L+2, D] (index 0
    input embedding, 1..L block outputs, L+1 after the final norm) or None. `first_logits`: float32
    [V] of the first answer step or None. `scores`: of the candidates, None where there are none.
    """

    question: str
    token_ids: tuple[int, ...]
    text: str
    answer: int | float | None
    prompt_tokens: int
    states: np.ndarray | None = None
    first_logits: np.ndarray | None = None
    scores: Scores | None = None
    finite: bool = True

    @property
    def hidden(self) -> np.ndarray | None:
        """float32 [K+1, L+1, D] as transformers' `hidden_states`: L is after the final norm."""
        return None if self.states is None else without_last_block(self.states)


def without_last_block(states: np.ndarray) -> np.ndarray:
    """States [..., L+2, D] in transformers' convention [..., L+1, D], which skips resid_L."""
    return np.concatenate((states[..., :-2, :], states[..., -1:, :]), axis=-2)


Measure = Callable[[Sequence[int], Tensor, Tensor], None]
"""Called on the model's device with the indices of n rows, copies of their states float32
[n, K+1, L+2, D], and the logits float32 [n, V] of their first answer step."""


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are decoded.

    `max_new_tokens`: limit of generated tokens. `hidden`, `first_logits`: what is kept of each row.
    `max_rows`: hard cap of rows in one batch; None for what memory allows. `in_order`: batches keep
    the order of the rows, for results that are shown as they come. `measure`: takes the states and
    first logits of rows that are kept, where they are; results are then without.
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    hidden: bool = False
    first_logits: bool = False
    max_rows: int | None = None
    in_order: bool = False
    measure: Measure | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"{self.max_new_tokens} new tokens are too few; ask for at least 1")
        if self.max_rows is not None and self.max_rows < 1:
            raise UserError(f"{self.max_rows} rows at a time are too few; allow at least 1")


DEFAULTS = Options()


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A question, by its index, and what its reasoning is changed by."""

    question: int
    edits: Edits = ()

    @property
    def change(self) -> tuple:
        """Rows of one question with equal changes have equal results."""
        return tuple(
            (
                id(e.direction),
                e.alpha,
                e.site,
                e.layer,
                tuple(sorted(e.positions)),
                e.operation,
                id(e.subspace),
            )
            for e in self.edits
        )
