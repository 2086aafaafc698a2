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
from steer_core.steering.edits import Edit, check_alphas, dead_positions
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.rows import OVERFLOWED
from steer_core.steering.sites import thoughts
from steer_core.steering.spec import EditCurve

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
    what an edit changes of the baseline's state over the norm of that state, the largest of the
    edits at a position, 0 where nothing is edited. `norms` float32 [K+1]: norm of the direction,
    of the first edit where there are several. `inert`: edited positions where no edit can act,
    with reasons. `finite` [A]: where not, numbers overflowed, and there is no text or answer to
    look at.
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
    inert: tuple[tuple[int, str], ...]
    seconds: float
    finite: tuple[bool, ...] = ()


def alpha_strip(
    model: CodiModel,
    question: str,
    gold: Number | None = None,
    *,
    curve: EditCurve,
    alphas: Sequence[float] = STRIP_ALPHAS,
    max_new_tokens: int = 256,
) -> AlphaStrip:
    """Decode one problem at every alpha, in one batch over one prefix.

    Args:
        model: The model.
        question: The question.
        gold: Its right answer; None where nobody knows it.
        curve: What is edited, moved by alpha.
        alphas: A alphas, lengths of the direction, 0 among them.
        max_new_tokens: Limit of generated tokens.

    Raises:
        UserError: for an empty or overlong question, or an edit that does not fit the model.
    """
    began = time.perf_counter()
    check_alphas(alphas)
    curve.check(model)
    if 0.0 not in alphas:
        raise UserError(f"the {len(alphas)} alphas lack 0, the baseline; add it")
    edits = [curve.at(alpha) for alpha in alphas]
    zero = list(alphas).index(0.0)
    shown = Figures(model, edits, zero)
    decoded = decode(
        model,
        [question] * len(edits),
        edits,
        max_new_tokens=max_new_tokens,
        hidden=True,
        first_logits=True,
        measure=shown.take,
    )
    return AlphaStrip(
        alphas=np.array(alphas, dtype=np.float64),
        texts=tuple(each.text if each.finite else OVERFLOWED for each in decoded),
        answers=tuple(each.answer for each in decoded),
        correct=None
        if gold is None
        else np.array([same_number(each.answer, gold) for each in decoded]),
        baseline=zero,
        norms=curve.parts[0][1].norms,
        inert=tuple(inert(model, edits[zero]).items()),
        seconds=time.perf_counter() - began,
        finite=tuple(each.finite for each in decoded),
        **shown.found(),
    )


def inert(model: CodiModel, edits: Sequence[Edit]) -> dict[int, str]:
    """Positions where none of the edits made together can act, each with a reason."""
    dead = [dead_positions(model.config, edit.site, edit.layer, edit.positions) for edit in edits]
    everywhere = set(dead[0]).intersection(*dead)
    return {position: why for position, why in dead[0].items() if position in everywhere}


def edited(states: Tensor, edit: Edit, positions: Iterable[int]) -> Tensor:
    """States [K+1, D] as an edit leaves them at the positions, float32 [positions, D]."""
    where = list(positions)
    x = states[where].float()
    alpha = torch.tensor([[edit.coefficient(k)] for k in where], device=x.device).float()
    along = edit.direction[where].to(x)
    changed = OPERATIONS[edit.operation](x, along, alpha.reshape(-1, 1), x)
    return torch.where(alpha.reshape(-1, 1) == 0, x, changed)


class Figures:
    """What a strip shows of states, computed where the model is.

    The states of a strip are tens of megabytes at the size of a published model, its figures a few
    kilobytes; those alone are copied.

    Args:
        model: The model.
        edits: Of each of A rows, made together.
        zero: Index of alpha = 0.
    """

    def __init__(self, model: CodiModel, edits: Sequence[Sequence[Edit]], zero: int):
        self.model, self.edits, self.zero = model, edits, zero
        self.rows: list[int] = []
        self.parts: list[Tensor] = []

    def take(self, rows: Sequence[int], states: Tensor, logits: Tensor) -> None:
        """States of some rows; there is more than one part where memory is low."""
        self.rows += rows
        self.parts.append(states)

    @torch.inference_mode()
    def found(self) -> dict[str, np.ndarray]:
        """`dose`, and three arrays [A, K+1, L+1], see `AlphaStrip`."""
        states = torch.cat(self.parts)
        order = np.argsort(self.rows).tolist()
        if order != list(range(len(order))):
            states = states[order]
        dose = self.doses(states[self.zero])
        self.edit_thoughts(states)
        each = {**self.changes(states), "dose": dose}
        # One copy for all of them: every copy is a wait.
        shapes = [x.shape for x in each.values()]
        flat = torch.cat([x.flatten() for x in each.values()]).cpu()
        parts = flat.split([shape.numel() for shape in shapes])
        return {
            name: part.view(shape).numpy()
            for name, part, shape in zip(each, parts, shapes, strict=True)
        }

    def edit_thoughts(self, states: Tensor) -> None:
        """Make the edits of thoughts that are read: the decoder keeps states without them."""
        for state, edits in zip(states, self.edits, strict=True):
            for edit in edits:
                dead = edit.place.dead(self.model.config)
                read = [k for k in edit.positions if k not in dead]
                if edit.site == "thought" and read:
                    state[read, -1] = edited(state[:, -1], edit, read).to(state)

    def doses(self, base: Tensor) -> Tensor:
        """How much of the baseline's state an edit changes, the largest at a position, [A, K+1]."""
        found = torch.zeros(len(self.edits), len(base), device=base.device)
        for part, first in enumerate(self.edits[0]):
            states = self.site_states(first, base).float()
            size = torch.linalg.vector_norm(states, dim=-1)
            where = [k for k in sorted(set(first.positions)) if size[k] > 0]
            for row, edits in zip(found, self.edits, strict=True):
                moved = edited(states, edits[part], where) - states[where]
                share = torch.linalg.vector_norm(moved, dim=-1) / size[where].clamp_min(TINY)
                row[where] = torch.maximum(row[where], share)
        return found

    def site_states(self, edit: Edit, base: Tensor) -> Tensor:
        """What an edit changes, [K+1, width], of the baseline's states [K+1, L+2, D]."""
        if edit.site == "residual":
            return base[:, edit.layer]
        if edit.site == "thought":
            return base[:, -1]
        if edit.site == "embedding":
            return thoughts(self.model, base[:, -1])
        cached = edit.place.states(self.model, base.float().cpu().numpy())
        return torch.from_numpy(cached).to(base.device)

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
