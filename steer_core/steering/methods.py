"""How a direction is computed from the states of a fit set and the labels of its problems.

A method is one function of states [n, K+1, D] and labels bool [n] to vectors float32 [K+1, D]. The
controls of other labels (`steer_core.steering.controls`) call the same function, whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from steer_core.names import MEAN_DIFFERENCE

Method = Callable[[np.ndarray, np.ndarray], Tensor]


def mean_difference(states: np.ndarray, labels: np.ndarray) -> Tensor:
    """Mean state of the labelled problems minus that of the others, at every position."""
    states = states.astype(np.float64)
    return torch.from_numpy((states[labels].mean(0) - states[~labels].mean(0)).astype(np.float32))


METHODS: dict[str, Method] = {MEAN_DIFFERENCE: mean_difference}
