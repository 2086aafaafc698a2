"""States of a fit set to move to: its mean, nothing, noise, another problem's; and where it lies.

Each is one function of states [n, K+1, D] and a number, as a component is, but what it gives is a
place, for `replace`, and not a way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from steer_core.errors import UserError
from steer_core.steering.edits import Subspace

LEADING = 8
"""Principal components that count as leading."""


def mean_state(states: np.ndarray, number: int = 1) -> Tensor:
    """The mean state at every position."""
    return torch.from_numpy(states.mean(0, dtype=np.float64).astype(np.float32))


def zero_state(states: np.ndarray, number: int = 1) -> Tensor:
    """Nothing."""
    return torch.zeros(states.shape[1:])


def noise_state(states: np.ndarray, number: int) -> Tensor:
    """Noise number `number`, as long at every position as states are on average."""
    noise = torch.randn(states.shape[1:], generator=torch.Generator().manual_seed(number))
    sizes = torch.from_numpy(np.linalg.norm(states, axis=-1).mean(0)).float()
    return noise / noise.norm(dim=-1, keepdim=True) * sizes[:, None]


def problem_state(states: np.ndarray, number: int) -> Tensor:
    """The state of problem `number` of the fit set, from 1."""
    if number > len(states):
        raise UserError(f"problem {number} is none of the {len(states)} of the fit set")
    return torch.from_numpy(np.ascontiguousarray(states[number - 1], dtype=np.float32))


def leading_subspace(states: np.ndarray, leading: int = LEADING) -> Subspace:
    """All that lies outside the leading principal components, at every position."""
    centred = states.astype(np.float64) - states.mean(0, dtype=np.float64)
    bases = []
    for k in range(states.shape[1]):
        _, _, axes = np.linalg.svd(centred[:, k], full_matrices=False)
        bases.append(axes[: min(leading, len(axes))])
    return Subspace(torch.from_numpy(np.stack(bases)).float(), inside=False)
