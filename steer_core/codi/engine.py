"""Steered latent decoding of one batch: prefill, latent steps, answer. It knows ids, not text.

A batch is a grid of G questions x R rows over one shared prefix (`steer_core.codi.cache`).
Blocks in front of the first edit are the same for all rows of a question, so they run once per
question; its tokens are read once and remembered (`steer_core.codi.prefix`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from steer_core.codi.answer import Answer, BatchScores, Steps
from steer_core.codi.drafts import Candidates
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import (
    Cancelled,
    Inputs,
    Intervention,
    NoIntervention,
    Passed,
    inputs_of,
    passes,
)
from steer_core.codi.program import ROUNDED, lent_program

Measure = Callable[[Tensor, Tensor], None]
"""Takes what a batch would copy to the CPU, where it is: its states float32 [N, K+1, L+2, D], which
the next batch may overwrite, and the logits [N, V] of the first answer step, float32."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """Results of the N = G * R rows of a batch, row g * R + r.

    `token_ids`: generated ids of each row, without EOS. `states`: float32 [N, K+1, L+2, D] on the
    CPU (index 0 input embedding, 1..L block outputs, L+1 after the final norm), or None.
    `first_logits`: [N, V] at the first answer step, float32, or None. `scores`: of the candidates,
    None where none are scored. `finite` [N]: the numbers that a row's tokens were chosen by
    are finite; where not, it says nothing.
    """

    token_ids: tuple[tuple[int, ...], ...]
    states: Tensor | None
    first_logits: Tensor | None
    scores: BatchScores | None
    finite: tuple[bool, ...]


@torch.inference_mode()
def run_batch(
    model: CodiModel,
    prompts: Sequence[Sequence[int]],
    rows: int,
    intervention: Intervention | None = None,
    *,
    max_new_tokens: int = 256,
    record: bool = False,
    first_logits: bool = False,
    candidates: Sequence[Candidates] | None = None,
    reference: Tensor | None = None,
    stop: Callable[[], bool] = lambda: False,
    measure: Measure | None = None,
) -> BatchResult:
    """Decode a grid of G prompts (ids without BOT) x R rows.

    Args:
        model: The model.
        prompts: G lists of ids, `CodiModel.encode`.
        rows: R, rows of each prompt.
        intervention: What is changed, over N = G * R rows; None for plain decoding.
        max_new_tokens: Limit of generated tokens.
        record: Keep hidden states.
        first_logits: Keep the logits of the first answer step.
        candidates: Likely answers of each of the G prompts; they are drafts, and change no id.
        reference: Of the plain rows of these prompts, see `BatchScores`; what to compare with.
        stop: Asked before every step; True raises `Cancelled`.
        measure: Takes states and first logits in place of the result.

    Returns:
        The results of N rows.
    """
    change = intervention or NoIntervention()
    likely = candidates or [Candidates()] * len(prompts)
    with passed(model, prompts, likely, rows, change, record, stop) as (inputs, ready, steps):
        answer = Answer(model, ready.cache, inputs, max_new_tokens, stop, steps)
        answer.judge(ready.hidden, first_logits, reference)
        states, logits = ready.states, answer.first_logits
        if measure is not None and states is not None and logits is not None:
            measure(states, logits)
            states = logits = None
        ids = answer.finish()
        states, logits = (None if x is None else x.cpu() for x in (states, logits))
        return BatchResult(ids, states, logits, answer.scores, answer.all_finite)


@contextmanager
def passed(
    model: CodiModel,
    prompts: Sequence[Sequence[int]],
    candidates: Sequence[Candidates],
    rows: int,
    intervention: Intervention,
    record: bool,
    stop: Callable[[], bool],
) -> Iterator[tuple[Inputs, Passed, Steps | None]]:
    """The passes of a batch, recorded ones where the model has them for its shape."""
    suits = model.programs.suit(model.device, len(prompts) * rows, model.config.hidden)
    edits = intervention.as_data() if suits else None
    if edits is None:
        # An accelerator's fast products want numbers that lie at multiples of eight.
        rounded = (1 if model.device.type == "cpu" else ROUNDED[0], 1)
        inputs = inputs_of(model, prompts, candidates, rounded, stop)
        yield inputs, passes(model, inputs, rows, intervention, record, stop), None
        return
    inputs = inputs_of(model, prompts, candidates, ROUNDED, stop)
    with lent_program(model, inputs, rows, edits, record) as program:
        if program is None:
            yield inputs, passes(model, inputs, rows, intervention, record, stop), None
            return
        if stop():
            raise Cancelled
        yield inputs, program.run(inputs, edits), program.steps
