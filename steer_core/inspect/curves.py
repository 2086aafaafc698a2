"""Instruments on one question at many alphas at once, for figures that follow a slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.data.answers import Number
from steer_core.inspect.attention import names_of, watch
from steer_core.inspect.early import EarlyAnswers, early_answers
from steer_core.inspect.lens import log_probabilities, of_values, spoken
from steer_core.inspect.trace import ROWS_AT_A_TIME, number_step
from steer_core.inspect.translators import Translators
from steer_core.steering.decode import MAX_NEW_TOKENS, decode
from steer_core.steering.uses import Edits

TOP = 3
"""Tokens that are kept of each distribution."""
NUMBERS_AT_A_TIME = 2**24
"""Log-probabilities that are held at once: a state has one for each token."""


@dataclass(frozen=True, slots=True, eq=False)
class LensCurve:
    """What every state of a question says, at A alphas; see `Lens` for the indices.

    `top_ids` int64 and `top_probs` float32 [A, K+1, L+1, n]; `tokens`: text of each id that occurs;
    `entropy` float32 [A, K+1, L+1] in nats; `ranks` int64 [A, values, K+1, L+1] of each value's
    first token, -1 where the vocabulary cannot write it. `tuned`: whether translators were used.
    """

    question: str
    top_ids: NDArray[np.int64]
    top_probs: NDArray[np.float32]
    tokens: dict[int, str]
    entropy: NDArray[np.float32]
    values: tuple[Number, ...]
    ranks: NDArray[np.int64]
    tuned: bool


def lens_curve(
    model: CodiModel,
    question: str,
    edits: Sequence[Edits],
    *,
    values: Sequence[Number] = (),
    translators: Translators | None = None,
    top: int = TOP,
) -> LensCurve:
    """The lens at each of A edits, see `steer_core.inspect.lens`.

    Args:
        model: The model.
        question: The question.
        edits: At each alpha.
        values: Numbers whose rank is wanted.
        translators: Of this model; None for the logit lens.
        top: Tokens that are kept of each distribution.
    """
    rows = decode(model, [question] * len(edits), list(edits), max_new_tokens=1, hidden=True)
    states = np.stack([row.hidden for row in rows if row.hidden is not None])
    ids, probs, entropy, ranks = [], [], [], []
    some = max(1, NUMBERS_AT_A_TIME // (states[0, ..., 0].size * len(model.body.head.weight)))
    for start in range(0, len(states), some):
        logs = log_probabilities(model, states[start : start + some], translators)
        likeliest = logs.topk(min(top, logs.shape[-1]), -1)
        ids.append(likeliest.indices.numpy())
        probs.append(likeliest.values.exp().numpy())
        entropy.append(-(logs.exp() * logs).sum(-1).numpy())
        ranks.append(of_values(model, logs, values)[1].swapaxes(0, 1))
    which = sorted({int(i) for each in ids for i in np.unique(each)})
    return LensCurve(
        question=question,
        top_ids=np.concatenate(ids),
        top_probs=np.concatenate(probs),
        tokens=dict(zip(which, spoken(model, which), strict=True)),
        entropy=np.concatenate(entropy),
        values=tuple(values),
        ranks=np.concatenate(ranks),
        tuned=translators is not None,
    )


def early_curve(
    model: CodiModel,
    question: str,
    edits: Sequence[Edits],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[EarlyAnswers]:
    """Early answers at each of A edits."""
    several = [question] * len(edits)
    return early_answers(model, several, list(edits), max_new_tokens=max_new_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class AttentionCurve:
    """Who looks where in one question at A alphas, the baseline's answer given to all of them.

    `keys` [T]: question tokens, BOT, z_1..z_K; `queries` [Q]: BOT, z_1..z_K, EOT, and the answer's
    first number (the token in front of it). `weights` float32 [A, M, Q, T]: of each block, mean
    over its heads (`layer` None, M = L), or of each head of one block 1..L (M = H). What is missing
    to 1 goes to the answer's own tokens. `question_keys`: how many keys are question tokens.
    """

    question: str
    keys: tuple[str, ...]
    queries: tuple[str, ...]
    weights: NDArray[np.float32]
    layer: int | None
    question_keys: int


def attention_curve(
    model: CodiModel,
    question: str,
    edits: Sequence[Edits],
    *,
    layer: int | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> AttentionCurve:
    """Attention at each of A edits.

    Args:
        model: The model.
        question: The question.
        edits: At each alpha.
        layer: 1..L for its heads one by one; None for all blocks.
        max_new_tokens: Limit of the baseline's answer.
    """
    plain, *rows = decode(
        model,
        [question] * (1 + len(edits)),
        [(), *edits],
        max_new_tokens=max_new_tokens,
        hidden=True,
    )
    positions, number = len(model.config.positions), number_step(model, plain.token_ids)
    queries = [*range(positions), positions, positions + number]
    found = []
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        cache, _ = watch(model, rows[part], edits[part], plain.token_ids[:number])
        weights = cache.weights()[:, :, :, queries, : cache.question + positions]
        found.append(weights.mean(2) if layer is None else weights[:, layer - 1])
    keys, names = names_of(model, question, ())
    assert len(start_of(model.config)) <= number + 1
    return AttentionCurve(
        question=question,
        keys=keys[: found[0].shape[-1]],
        queries=(*names[:positions], "EOT", "number"),
        weights=np.concatenate(found),
        layer=layer,
        question_keys=found[0].shape[-1] - positions,
    )
