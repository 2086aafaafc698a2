"""Latent lens: what a model would say if it had to speak at each position and layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number, format_number
from steer_core.inspect.translators import Translators
from steer_core.steering.decode import EditsOrNone, decode

TOP = 5
"""Tokens that are kept of each distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """The vocabulary's distribution behind every state of one question.

    Indices: position 0..K; layer 0 (input embedding), 1..L-1 (block outputs), L (after the final
    norm), as transformers' `hidden_states` has them. Over all V tokens of the model's own head:
    `top_ids` int64 and `top_probs` float32 [K+1, L+1, n], the likeliest first; `top_tokens` their
    text; `entropy` float32 [K+1, L+1] in nats. For each of the `values` asked about: `probs`
    float32 and `ranks` int64 (0: the likeliest) [values, K+1, L+1] of its first token, -1 where the
    vocabulary cannot write it.
    """

    question: str
    top_ids: np.ndarray
    top_tokens: tuple[tuple[tuple[str, ...], ...], ...]
    top_probs: np.ndarray
    entropy: np.ndarray
    values: tuple[Number, ...] = ()
    probs: np.ndarray | None = None
    ranks: np.ndarray | None = None


def lens(
    model: CodiModel,
    questions: Sequence[str],
    edits: Sequence[EditsOrNone] | None = None,
    *,
    values: Sequence[Sequence[Number]] | None = None,
    translators: Translators | None = None,
    top: int = TOP,
) -> list[Lens]:
    """Read every state of questions through the model's own vocabulary (logit lens).

    The final norm is applied to all states but the last, which has gone through it. With
    `translators` (tuned lens) an affine map fitted for each layer comes in front of the norm.

    Args:
        model: The model.
        questions: B questions.
        edits: What each is changed by, see `decode`.
        values: For each question numbers whose chance is wanted, such as its steps' results.
        translators: Of this model; None for the logit lens.
        top: Tokens that are kept of each distribution.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    rows = decode(model, questions, edits, max_new_tokens=1, hidden=True)
    asked = [()] * len(rows) if values is None else values
    return [
        read(model, row.question, row.hidden, some, translators, top)
        for row, some in zip(rows, asked, strict=True)
        if row.hidden is not None
    ]


def read(
    model: CodiModel,
    question: str,
    hidden: np.ndarray,
    values: Sequence[Number] = (),
    translators: Translators | None = None,
    top: int = TOP,
) -> Lens:
    """The lens on states [K+1, L+1, D] that are already there."""
    logs = log_probabilities(model, hidden, translators)
    probs, ids = logs.exp().topk(min(top, logs.shape[-1]), -1)
    chances, ranks = of_values(model, logs, values)
    return Lens(
        question=question,
        top_ids=ids.numpy(),
        top_tokens=tuple(tuple(tuple(spoken(model, cell)) for cell in row) for row in ids.tolist()),
        top_probs=probs.numpy(),
        entropy=-(logs.exp() * logs).sum(-1).numpy(),
        values=tuple(values),
        probs=chances,
        ranks=ranks,
    )


@torch.inference_mode()
def log_probabilities(
    model: CodiModel, hidden: np.ndarray, translators: Translators | None = None
) -> Tensor:
    """Of every token behind states [..., L+1, D], in nats, float32 [..., L+1, V] on the CPU."""
    body, last = model.body, hidden.shape[-2] - 1
    found = []
    for layer in range(last + 1):  # one by one: a layer has V numbers for every position
        x = torch.from_numpy(np.ascontiguousarray(hidden[..., layer, :])).to(model.device)
        if layer < last:
            x = x if translators is None else translators(layer, x)
            x = body.norm(x.to(model.dtype))
        found.append(body.head.logits(x.to(model.dtype)).float().log_softmax(-1).cpu())
    return torch.stack(found, -2)


def of_values(
    model: CodiModel, logs: Tensor, values: Sequence[Number]
) -> tuple[np.ndarray, np.ndarray]:
    """Probability and rank of each value's first token, [values, K+1, L+1] each.

    A number may begin a word or follow one, which are two tokens in most vocabularies: the likelier
    of them counts, place by place.
    """
    probs = np.zeros((len(values), *logs.shape[:-1]), np.float32)
    ranks = np.full(probs.shape, -1, np.int64)
    for i, value in enumerate(values):
        for token in first_tokens(model, value):
            mine = logs[..., token]
            better = mine.exp().numpy() > probs[i]
            rank = (logs > mine[..., None]).sum(-1).numpy()
            probs[i] = np.where(better, mine.exp().numpy(), probs[i])
            ranks[i] = np.where(better, rank, ranks[i])
    return probs, ranks


def first_tokens(model: CodiModel, value: Number) -> list[int]:
    """Ids of the tokens that a number begins with, at the start of a text and behind a space."""
    written = format_number(value)
    unknown = model.tokenizer.unk_token_id
    bare = [
        model.tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (written, f" {written}")
    ]
    found = [next((i for i in ids if spoken(model, [i])[0].strip()), None) for ids in bare]
    return sorted({token for token in found if token is not None and token != unknown})


def spoken(model: CodiModel, ids: Sequence[int]) -> list[str]:
    """The text of each token by itself."""
    return [str(model.tokenizer.decode([token])) for token in ids]
