"""One problem at every alpha of a grid, decoded in one batch: what the slider drags over."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number, same_number
from steer_core.errors import UserError
from steer_core.steering.decode import (
    Decoded,
    decode,
    stacked_logits,
    stacked_states,
    without_last_block,
)
from steer_core.steering.directions import Direction, check_direction, site_states
from steer_core.steering.edits import Edit, check_alphas, dead_positions
from steer_core.steering.rows import OVERFLOWED

STRIP_ALPHAS = tuple(round(-3 + 0.1 * i, 1) for i in range(61))
TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class AlphaStrip:
    """One problem at A alphas.

    `alphas` float64 [A], lengths of the direction; `texts`, `answers` [A]; `correct` bool [A], None
    without a gold answer; `baseline` is the index of alpha = 0. Against the baseline's states h,
    for positions 0..K and layers 0..L (0 input embedding, 1..L-1 block outputs, L after the final
    norm), float32 [A, K+1, L+1]: `delta_norm` is the norm of the change, `relative` the same over
    the norm of h, `norm_change` the change of the norm. An edit of the thought acts on the final
    state on its way into the projection, so there these are of the state with its edit, which is
    what the next step is made of; the decoder keeps it without. `dose` float32 [A, K+1]: norm of
    the edit over the norm of the state it is added to, 0 where nothing is edited. `norms` float32
    [K+1]: norm of the direction. `kl` float32 [A]: KL divergence in nats from the baseline's
    distribution at the first answer step. `inert`: edited positions that cannot act, with reasons.
    `finite` [A]: where not, numbers overflowed, and there is no text or answer to look at.
    """

    alphas: np.ndarray
    texts: tuple[str, ...]
    answers: tuple[int | float | None, ...]
    correct: np.ndarray | None
    baseline: int
    delta_norm: np.ndarray
    relative: np.ndarray
    norm_change: np.ndarray
    dose: np.ndarray
    norms: np.ndarray
    kl: np.ndarray
    inert: tuple[tuple[int, str], ...]
    seconds: float
    finite: tuple[bool, ...] = ()


def alpha_strip(
    model: CodiModel,
    question: str,
    gold: Number | None = None,
    *,
    site: str,
    layer: int | None,
    positions: Sequence[int],
    direction: Direction,
    alphas: Sequence[float] = STRIP_ALPHAS,
    max_new_tokens: int = 256,
) -> AlphaStrip:
    """Decode one problem at every alpha, in one batch over one prefix.

    Args:
        model: The model.
        question: The question.
        gold: Its right answer; None where nobody knows it.
        site: residual, thought or embedding.
        layer: Layer of site residual, else None.
        positions: Positions 0..K that are edited.
        direction: What is added, times alpha.
        alphas: A alphas, lengths of the direction, 0 among them.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for an empty or overlong question, or an edit that does not fit the model.
    """
    began = time.perf_counter()
    check_alphas(alphas)
    check_direction(direction, model)
    if 0.0 not in alphas:
        raise UserError(f"the {len(alphas)} alphas lack 0, the baseline; add it")
    where = tuple(positions)
    dead = dead_positions(model.config, site, layer, where)
    edits = [Edit(direction.vectors, alpha, site, layer, where) for alpha in alphas]
    questions = [question] * len(edits)
    decoded = decode(
        model, questions, edits, max_new_tokens=max_new_tokens, hidden=True, first_logits=True
    )
    values = np.array(alphas, dtype=np.float64)
    zero = list(alphas).index(0.0)
    return AlphaStrip(
        alphas=values,
        texts=tuple(each.text if each.finite else OVERFLOWED for each in decoded),
        answers=tuple(each.answer for each in decoded),
        correct=None
        if gold is None
        else np.array([same_number(each.answer, gold) for each in decoded]),
        baseline=zero,
        dose=dose(model, decoded[zero], site, layer, where, direction, values),
        norms=direction.norms,
        kl=divergence(decoded, zero),
        inert=tuple(dead.items()),
        seconds=time.perf_counter() - began,
        finite=tuple(each.finite for each in decoded),
        **changes(states_with(decoded, edits, dead), zero),
    )


def states_with(
    decoded: Sequence[Decoded], edits: Sequence[Edit], dead: Iterable[int]
) -> np.ndarray:
    """The states [A, K+1, L+1, D] with the edits of thoughts that are read."""
    states = without_last_block(stacked_states(decoded))
    for row, edit in zip(states, edits, strict=True):
        if edit.site == "thought":
            for position in set(edit.positions).difference(dead):
                added = edit.coefficient(position) * edit.direction[position]
                row[position, -1] += added.float().cpu().numpy()
    return states


def changes(states: np.ndarray, zero: int) -> dict[str, np.ndarray]:
    """How far every state moved from the baseline's: three arrays [A, K+1, L+1]."""
    base = states[zero]
    norm = np.linalg.norm(base, axis=-1)
    moved = np.linalg.norm(states - base, axis=-1)
    return {
        "delta_norm": moved,
        "relative": moved / np.maximum(norm, TINY),
        "norm_change": np.linalg.norm(states, axis=-1) - norm,
    }


def dose(
    model: CodiModel,
    base: Decoded,
    site: str,
    layer: int | None,
    positions: Sequence[int],
    direction: Direction,
    alphas: np.ndarray,
) -> np.ndarray:
    """Norm of the edit over the norm of the baseline's state at its site, [A, K+1]."""
    assert base.states is not None
    size = np.linalg.norm(site_states(model, base.states, site, layer), axis=-1)
    mask = np.isin(np.arange(len(size)), positions) & (size > 0)
    share = np.where(mask, direction.norms / np.maximum(size, TINY), 0.0)
    return (np.abs(alphas)[:, None] * share).astype(np.float32)


def divergence(decoded: Sequence[Decoded], zero: int) -> np.ndarray:
    """KL divergence in nats from the baseline at the first answer step, [A]."""
    logits = stacked_logits(decoded).astype(np.float64)
    logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    gap = np.exp(logs[zero]) * (logs[zero] - logs)
    return np.maximum(gap.sum(-1), 0.0).astype(np.float32)
