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
from steer_core.inspect.attention import Watch, watch
from steer_core.inspect.trace_words import Finding, finding
from steer_core.steering.decode import MAX_NEW_TOKENS, Decoded, acting, decode
from steer_core.steering.edits import Edit
from steer_core.steering.plan import EditPlan
from steer_core.steering.uses import Edits

Floats = NDArray[np.float32]
TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One edited question against its baseline. Norms in the model's units, KL in nats.

    States, float32 [K+1, L+1] (0 input embedding, 1..L-1 block outputs, L after the final norm):
    `delta_norm` of the change, `norm_change` of the norm, `relative` the first over the baseline's
    norm, `cosine` between both. Latent thoughts, float32 [K], of z_1..z_K: `before_norm`, the
    relative change of what goes into the projection's LayerNorm, and `thought`, of z_k itself.
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
        traced(model, one, two, tuple(edits), acts) for one, two in zip(plain, edited, strict=True)
    ]


def traced(model: CodiModel, plain: Decoded, edited: Decoded, edits: Edits, acts: Edits) -> Trace:
    """One question; `acts` are those of the edits that can change anything."""
    before, logits_before = watch(model, plain, (), plain.token_ids)
    after, logits_after = watch(model, edited, acts, plain.token_ids)
    number = number_step(model, plain.token_ids)
    states = state_changes(plain, edited)
    inside = {
        **projection_changes(model, plain, edited, acts),
        "cached": cache_changes(before, after, len(model.config.positions)),
        "attention": attention_to(after, number, len(model.config.positions)),
    }
    kl, margin = answer_change(logits_before[number], logits_after[number])
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
        **states,
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


def state_changes(plain: Decoded, edited: Decoded) -> dict[str, Floats]:
    """The four measures of states, [K+1, L+1] each."""
    assert plain.hidden is not None
    assert edited.hidden is not None
    one, two = plain.hidden.astype(np.float64), edited.hidden.astype(np.float64)
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


@torch.inference_mode()
def projection_changes(
    model: CodiModel, plain: Decoded, edited: Decoded, acts: Edits
) -> dict[str, Floats]:
    """Relative changes in front of the projection's LayerNorm and of the thoughts fed, [K] each."""
    both = thoughts(model, plain, ()), thoughts(model, edited, acts)
    inside, fed = zip(*both, strict=True)
    return {"before_norm": change_of(*inside), "thought": change_of(*fed)}


def thoughts(model: CodiModel, row: Decoded, edits: Edits) -> tuple[Tensor, Tensor]:
    """What the LayerNorm gets for z_1..z_K, and what is fed, with edits made: [K, D] each."""
    assert row.states is not None
    plan, bare = EditPlan([edits], model.device), replace(model.projection, norm=None)
    hidden = torch.from_numpy(row.states[:-1, -1]).to(model.device, model.dtype)
    if not len(hidden):  # no latent steps, no thoughts
        return hidden.float().cpu(), hidden.float().cpu()
    edited = [plan.apply("thought", 0, k, h[None]) for k, h in enumerate(hidden)]
    fed = [plan.apply("embedding", 0, k, model.projection(h)) for k, h in enumerate(edited, 1)]
    return bare(torch.cat(edited)).float().cpu(), torch.cat(fed).float().cpu()


def change_of(one: Tensor, two: Tensor) -> Floats:
    """Norm of the change over the norm of the first, over the last axis."""
    share = (two - one).norm(dim=-1) / one.norm(dim=-1).clamp_min(TINY)
    return share.float().numpy()


def cache_changes(before: Watch, after: Watch, positions: int) -> Floats:
    """Relative change of keys and values of positions 0..K in each block, [K+1, L]."""
    where = slice(before.question, before.question + positions)
    both = [
        torch.stack(
            [
                torch.cat((cache.keys[layer][where], cache.values[layer][where]), -1).flatten(1)
                for layer in sorted(cache.keys)
            ],
            1,
        )
        .float()
        .cpu()
        for cache in (before, after)
    ]
    return change_of(*both)


def attention_to(cache: Watch, number: int, positions: int) -> Floats:
    """What the answer's number gives to positions 0..K, [K+1, L], mean over heads."""
    weights = cache.weights()[:, :, positions + number]
    return weights[:, :, cache.question : cache.question + positions].mean(1).T


def answer_change(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """KL in nats, and the change of the baseline's token's margin; logits [V], EOT left out."""
    one, two = before[:-1].astype(np.float64), after[:-1].astype(np.float64)
    logs = [x - np.logaddexp.reduce(x) for x in (one, two)]
    kl = max(0.0, float((np.exp(logs[0]) * (logs[0] - logs[1])).sum()))
    token = int(one.argmax())
    margins = [x[token] - np.delete(x, token).max() for x in (one, two)]
    return kl, float(margins[1] - margins[0])
