"""Arrival trace: how far an edit gets, from the state it changes to the answer's first number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steer_core.codi.answer_form import answer_form
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.data.answers import Number
from steer_core.inspect.attention import watch
from steer_core.inspect.trace_words import Finding, finding
from steer_core.steering.decode import (
    MAX_NEW_TOKENS,
    Decoded,
    acting,
    decode,
    stacked_states,
    without_last_block,
)
from steer_core.steering.edits import Edit
from steer_core.steering.plan import EditPlan
from steer_core.steering.uses import Edits

Floats = NDArray[np.float32]
TINY = 1e-12
ROWS_AT_A_TIME = 16
"""Rows whose attention is computed together: each has weights of every block, head and token."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One edited question against its baseline. Norms in the model's units, KL in nats.

    States, float32 [K+1, L+1] (0 input embedding, 1..L-1 block outputs, L after the final norm, an
    edit of site `thought` included): `delta_norm` of the change, `norm_change` of the norm,
    `relative` the first over the baseline's norm, `cosine` between both. Latent thoughts, float32
    [K], of z_1..z_K: `before_norm`, the relative change of what goes into the projection's
    LayerNorm, and `thought`, of z_k itself.
    Float32 [K+1, L]: `cached`, the relative change of the keys and values of a position in a block;
    `attention`, what the answer's first number gives to it, mean over heads. `kl`: of the
    distribution at the answer's first number; `margin`: change of the logit of the baseline's
    number there minus the best other one. `outcome` (see `trace_words`) and `sentence`: where it
    died, or what it moved.
    """

    question: str
    baseline_answer: Number | None
    answer: Number | None
    delta_norm: Floats
    norm_change: Floats
    relative: Floats
    cosine: Floats
    before_norm: Floats
    thought: Floats
    cached: Floats
    attention: Floats
    kl: float
    margin: float
    outcome: str
    sentence: str

    @property
    def read(self) -> Floats:
        """Change of keys and values that the answer attends to, weighted by that, [K+1, L]."""
        return self.cached * self.attention


def trace(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[Edit],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[Trace]:
    """Follow edits, made together, through the reasoning of questions.

    Args:
        model: The model.
        questions: B questions.
        edits: One or several edits, the same for all questions.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    acts = acting(model, tuple(edits))
    options = {"max_new_tokens": max_new_tokens, "hidden": True}
    plain = decode(model, questions, **options)
    edited = decode(model, questions, [acts] * len(questions), **options)
    return [
        traced(model, one, [two], [tuple(edits)], [acts])[0]
        for one, two in zip(plain, edited, strict=True)
    ]


def trace_curve(
    model: CodiModel,
    question: str,
    several: Sequence[Sequence[Edit]],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[Trace]:
    """Follow several edits, one after the other, through one question: such as those at all alphas.

    Args:
        model: The model.
        question: The question.
        several: For each trace its edits, made together.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    acts = [acting(model, tuple(edits)) for edits in several]
    options = {"max_new_tokens": max_new_tokens, "hidden": True}
    plain, *edited = decode(model, [question] * (1 + len(acts)), [(), *acts], **options)
    return traced(model, plain, edited, list(map(tuple, several)), acts)


def traced(
    model: CodiModel,
    plain: Decoded,
    edited: Sequence[Decoded],
    edits: Sequence[Edits],
    acts: Sequence[Edits],
) -> list[Trace]:
    """Rows of one question; `acts` are those of each one's edits that can change anything."""
    (before,) = seen(model, [plain], [()], plain.token_ids)
    after = [
        one
        for start in range(0, len(edited), ROWS_AT_A_TIME)
        for one in seen(
            model,
            edited[start : start + ROWS_AT_A_TIME],
            acts[start : start + ROWS_AT_A_TIME],
            plain.token_ids,
        )
    ]
    projected = projections(model, [plain, *edited], [(), *acts])
    return [
        one_trace(model, (plain, row), made, (before, now), (projected[0], inside))
        for row, made, now, inside in zip(edited, edits, after, projected[1:], strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the answer's first number sees of a row.

    `cached` [K+1, L, 2 H_kv d] keys and values of positions 0..K, `attention` [K+1, L] what it
    gives to them, `logits` [V].
    """

    cached: Tensor
    attention: Floats
    logits: np.ndarray


def seen(
    model: CodiModel, rows: Sequence[Decoded], acts: Sequence[Edits], answer: Sequence[int]
) -> list[Seen]:
    """Rows of one question, all with the same answer."""
    cache, logits = watch(model, rows, acts, answer)
    number, positions = number_step(model, answer), len(model.config.positions)
    where = slice(cache.question, cache.question + positions)
    stored = [torch.cat((cache.keys[i], cache.values[i]), -1)[:, where] for i in sorted(cache.keys)]
    cached = torch.stack([x.flatten(2) for x in stored], 2).float().cpu()
    attention = cache.weights()[:, :, :, positions + number, where].mean(2).swapaxes(1, 2)
    return [Seen(*each) for each in zip(cached, attention, logits[:, number], strict=True)]


def one_trace(
    model: CodiModel,
    rows: tuple[Decoded, Decoded],
    edits: Edits,
    both: tuple[Seen, Seen],
    projected: tuple[Projected, Projected],
) -> Trace:
    """One edited row beside its baseline."""
    (plain, edited), (before, after) = rows, both
    inside = {
        "before_norm": change_of(projected[0].before_norm, projected[1].before_norm),
        "thought": change_of(projected[0].fed, projected[1].fed),
        "cached": change_of(before.cached, after.cached),
        "attention": after.attention,
    }
    kl, margin = answer_change(before.logits, after.logits)
    found = finding(
        model.config,
        Finding(
            edits=edits,
            thought=inside["thought"],
            cached=inside["cached"],
            read=inside["cached"] * inside["attention"],
            kl=kl,
            margin=margin,
            answers=(plain.answer, edited.answer),
        ),
    )
    return Trace(
        question=plain.question,
        baseline_answer=plain.answer,
        answer=edited.answer,
        **state_changes(projected[0].states, projected[1].states),
        **inside,
        kl=kl,
        margin=margin,
        outcome=found[0],
        sentence=found[1],
    )


def number_step(model: CodiModel, ids: Sequence[int]) -> int:
    """Index among EOT and the answer's tokens behind which its number begins.

    Where the answer has another form than CODI's: behind EOT.
    """
    trunk, start = answer_form(model).trunk, len(start_of(model.config))
    fits = len(ids) > len(trunk) and tuple(ids[: len(trunk)]) == trunk
    return start - 1 + (len(trunk) if fits else 0)


def state_changes(before: np.ndarray, after: np.ndarray) -> dict[str, Floats]:
    """The four measures of states [K+1, L+1, D], each [K+1, L+1]."""
    one, two = before.astype(np.float64), after.astype(np.float64)
    size, new = np.linalg.norm(one, axis=-1), np.linalg.norm(two, axis=-1)
    moved = np.linalg.norm(two - one, axis=-1)
    cosine = (one * two).sum(-1) / np.maximum(size * new, TINY)
    found = {
        "delta_norm": moved,
        "norm_change": new - size,
        "relative": moved / np.maximum(size, TINY),
        "cosine": np.where(moved == 0, 1.0, cosine),
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """A row on its way into the next thoughts.

    `states` [K+1, L+1, D], the last layer's with edits of site `thought` made, as far as they are
    read; `before_norm` [K, D] what the projection's LayerNorm gets for z_1..z_K, `fed` [K, D] the
    thoughts that are fed, with edits of site `embedding`.
    """

    states: np.ndarray
    before_norm: Tensor
    fed: Tensor


@torch.inference_mode()
def projections(
    model: CodiModel, rows: Sequence[Decoded], acts: Sequence[Edits]
) -> list[Projected]:
    """What the projection makes of rows, each with its edits."""
    states = without_last_block(stacked_states(rows))
    plan, bare = EditPlan(acts, model.device), replace(model.projection, norm=None)
    read = torch.from_numpy(states[:, :-1, -1]).to(model.device, model.dtype)
    if not read.shape[1]:  # no latent steps, no thoughts
        return [
            Projected(one, *[two.float().cpu()] * 2) for one, two in zip(states, read, strict=True)
        ]
    edited = torch.stack([plan.apply("thought", 0, k, h) for k, h in enumerate(read.unbind(1))], 1)
    states[:, :-1, -1] = edited.float().cpu().numpy()
    thoughts = model.projection(edited)
    fed = [plan.apply("embedding", 0, k, z) for k, z in enumerate(thoughts.unbind(1), 1)]
    both = bare(edited).float().cpu(), torch.stack(fed, 1).float().cpu()
    return [Projected(*each) for each in zip(states, *both, strict=True)]


def change_of(one: Tensor, two: Tensor) -> Floats:
    """Norm of the change over the norm of the first, over the last axis."""
    share = (two - one).norm(dim=-1) / one.norm(dim=-1).clamp_min(TINY)
    return share.float().numpy()


def answer_change(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """KL in nats, and the change of the baseline's token's margin; logits [V], EOT left out."""
    one, two = before[:-1].astype(np.float64), after[:-1].astype(np.float64)
    logs = [x - np.logaddexp.reduce(x) for x in (one, two)]
    kl = max(0.0, float((np.exp(logs[0]) * (logs[0] - logs[1])).sum()))
    token = int(one.argmax())
    margins = [x[token] - np.delete(x, token).max() for x in (one, two)]
    return kl, float(margins[1] - margins[0])
