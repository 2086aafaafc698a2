"""One problem at every alpha of a grid, decoded in one batch: what the slider drags over."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.data.answers import Number, same_number
from steer_core.errors import UserError
from steer_core.steering.decode import decode
from steer_core.steering.directions import Direction, check_direction
from steer_core.steering.edits import Edit, check_alphas, dead_positions
from steer_core.steering.rows import OVERFLOWED
from steer_core.steering.sites import thoughts

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
    values = np.array(alphas, dtype=np.float64)
    zero = list(alphas).index(0.0)
    shown = Figures(model, site, layer, zero, added(edits, dead))
    decoded = decode(
        model,
        [question] * len(edits),
        edits,
        max_new_tokens=max_new_tokens,
        hidden=True,
        first_logits=True,
        measure=shown.take,
    )
    found = shown.found()
    return AlphaStrip(
        alphas=values,
        texts=tuple(each.text if each.finite else OVERFLOWED for each in decoded),
        answers=tuple(each.answer for each in decoded),
        correct=None
        if gold is None
        else np.array([same_number(each.answer, gold) for each in decoded]),
        baseline=zero,
        dose=dose(found.pop("size"), where, direction, values),
        norms=direction.norms,
        inert=tuple(dead.items()),
        seconds=time.perf_counter() - began,
        finite=tuple(each.finite for each in decoded),
        **found,
    )


def added(edits: Sequence[Edit], dead: Iterable[int]) -> Tensor | None:
    """What edits of thoughts that are read add to final states, float32 [A, K+1, D]."""
    if edits[0].site != "thought":
        return None
    live = set(edits[0].positions).difference(dead)
    alphas = torch.zeros(len(edits), len(edits[0].direction))
    for row, edit in zip(alphas, edits, strict=True):
        for position in live:
            row[position] = edit.coefficient(position)
    return alphas[..., None] * edits[0].direction.float().cpu()


class Figures:
    """What a strip shows of states and logits, computed where the model is.

    The states of a strip are tens of megabytes at the size of a published model, its figures a few
    kilobytes; those alone are copied.

    Args:
        model: The model.
        site: Of the edits.
        layer: Their layer, where the site has layers.
        zero: Index of alpha = 0.
        added: What is added to final states that the decoder keeps without, see `added`.
    """

    def __init__(
        self, model: CodiModel, site: str, layer: int | None, zero: int, added: Tensor | None
    ):
        self.model, self.site, self.layer, self.zero, self.added = model, site, layer, zero, added
        self.rows: list[int] = []
        self.parts: list[tuple[Tensor, Tensor]] = []

    def take(self, rows: Sequence[int], states: Tensor, logits: Tensor) -> None:
        """States and first logits of some rows; there is more than one part where memory is low."""
        self.rows += rows
        self.parts.append((states, logits))

    @torch.inference_mode()
    def found(self) -> dict[str, np.ndarray]:
        """`kl` and three arrays [A, K+1, L+1], see `AlphaStrip`; `size` of the site's states."""
        states, logits = (torch.cat(part) for part in zip(*self.parts, strict=True))
        order = np.argsort(self.rows).tolist()
        if order != list(range(len(order))):
            states, logits = states[order], logits[order]
        size = torch.linalg.vector_norm(self.site_states(states[self.zero]), dim=-1)
        if self.added is not None:
            states[:, :, -1] += self.added.to(states.device)
        each = {**self.changes(states), "kl": self.divergence(logits), "size": size}
        # One copy for all of them: every copy is a wait.
        shapes = [x.shape for x in each.values()]
        flat = torch.cat([x.flatten() for x in each.values()]).cpu()
        parts = flat.split([shape.numel() for shape in shapes])
        return {
            name: part.view(shape).numpy()
            for name, part, shape in zip(each, parts, shapes, strict=True)
        }

    def site_states(self, base: Tensor) -> Tensor:
        """What the edits are added to, [K+1, D], of the baseline's states [K+1, L+2, D]."""
        if self.site == "residual":
            return base[:, self.layer]
        return base[:, -1] if self.site == "thought" else thoughts(self.model, base[:, -1])

    def changes(self, states: Tensor) -> dict[str, Tensor]:
        """How far every state moved from the baseline's, layer by layer: memory for one of them."""
        layers = [index for index in range(states.shape[2]) if index != states.shape[2] - 2]
        moved, norms = [], []
        for x in (states[:, :, index] for index in layers):
            moved.append(torch.linalg.vector_norm(x - x[self.zero], dim=-1))
            norms.append(torch.linalg.vector_norm(x, dim=-1))
        delta, norm = torch.stack(moved, -1), torch.stack(norms, -1)
        base = norm[self.zero]
        relative = delta / base.clamp_min(TINY)
        return {"delta_norm": delta, "relative": relative, "norm_change": norm - base}

    def divergence(self, logits: Tensor) -> Tensor:
        """KL divergence in nats from the baseline at the first answer step, [A]."""
        logs = logits.log_softmax(-1)
        base = logs[self.zero]
        return (base.exp() * (base - logs)).sum(-1).clamp_min(0.0)


def dose(
    size: np.ndarray, positions: Sequence[int], direction: Direction, alphas: np.ndarray
) -> np.ndarray:
    """Norm of the edit over the norm [K+1] of the baseline's state at its site, [A, K+1]."""
    mask = np.isin(np.arange(len(size)), positions) & (size > 0)
    share = np.where(mask, direction.norms / np.maximum(size, TINY), 0.0)
    return (np.abs(alphas)[:, None] * share).astype(np.float32)
