"""CPU cores: how many there are to compute with, and who computes now.

A matrix product of a narrow model is over before a second thread has woken up, so such models use
several cores by running several batches, each on one thread. Every batch takes its cores from one
account, so that many requests at once never run more threads than there are cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from steer_core.codi.model import CodiModel

WIDE = 512
"""Hidden size from which one product keeps several threads busy."""


class Account:
    """The cores that are free.

    Args:
        total: Cores to give out.
    """

    def __init__(self, total: int):
        self.total = self.free = total
        self.changed = threading.Condition()

    @contextmanager
    def take(self, wanted: int) -> Iterator[int]:
        """At least one core, up to `wanted` of those that are free; waits while there is none."""
        with self.changed:
            self.changed.wait_for(lambda: self.free > 0)
            taken = min(wanted, self.free)
            self.free -= taken
        try:
            yield taken
        finally:
            with self.changed:
                self.free += taken
                self.changed.notify_all()


ACCOUNT = Account(torch.get_num_threads())
"""What torch was started with: all cores, or OMP_NUM_THREADS."""


@contextmanager
def computing(model: CodiModel, alone: bool) -> Iterator[None]:
    """Compute one batch on a fair share of the cores.

    Args:
        model: The model; on an accelerator nothing is asked for.
        alone: No other batch of this request runs beside it.
    """
    if model.device.type != "cpu":
        yield
        return
    with ACCOUNT.take(ACCOUNT.total if alone and model.config.hidden >= WIDE else 1) as cores:
        if torch.get_num_threads() != cores:
            torch.set_num_threads(cores)
        yield


def batches_at_once(model: CodiModel) -> int:
    """Batches of one request that run beside each other."""
    return ACCOUNT.total if model.device.type == "cpu" else 1
