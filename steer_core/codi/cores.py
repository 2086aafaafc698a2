"""CPU cores: how many there are to compute with, and who computes now.

A matrix product of a narrow model is over before a second thread has woken up, so such models use
several cores by running several batches, each on one thread. Every batch takes its cores from one
account, so that many requests at once never run more threads than there are cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from steer_core.codi.model import CodiModel

WIDE = 512
"""Hidden size from which one product keeps several threads busy."""
WIDE_ROWS, NARROW_ROWS = 64, 48
"""Rows that make a batch of its own worth a core."""
MANY_ROWS = 256
"""Rows of a narrow model from which its arithmetic takes longer than the calls of a pass."""


class Account:
    """The cores that are free; who has waited longest is served first.

    Args:
        total: Cores to give out.
    """

    def __init__(self, total: int):
        self.total = self.free = total
        self.changed = threading.Condition()
        self.waiting: deque[object] = deque()

    def take(self, wanted: int) -> int:
        """At least one core, up to `wanted` of those that are free; waits while there is none."""
        ticket = object()
        with self.changed:
            self.waiting.append(ticket)
            try:
                self.changed.wait_for(lambda: self.free > 0 and self.waiting[0] is ticket)
                taken = min(wanted, self.free)
                self.free -= taken
            finally:
                self.waiting.remove(ticket)
                self.changed.notify_all()
            return taken

    def give_back(self, taken: int) -> None:
        """Cores that were taken are free again."""
        with self.changed:
            self.free += taken
            self.changed.notify_all()


ACCOUNT = Account(torch.get_num_threads())
"""What torch was started with: all cores, or OMP_NUM_THREADS."""


class Hold:
    """The cores of one batch, of this thread; torch computes with as many while it lasts.

    Args:
        wanted: Cores it would like to have.
    """

    def __init__(self, wanted: int):
        self.wanted, self.cores = wanted, 0
        self.before = torch.get_num_threads()

    def take(self) -> None:
        """Wait for a core."""
        self.cores = ACCOUNT.take(self.wanted)
        set_threads(self.cores)

    def give_back(self) -> None:
        """Let others have them."""
        ACCOUNT.give_back(self.cores)
        self.cores = 0

    def aside(self, ask: Callable[[], bool]) -> bool:
        """Ask something without holding a core meanwhile."""
        self.give_back()
        try:
            return ask()
        finally:
            self.take()


def set_threads(count: int) -> None:
    """Threads of torch's operations, for this thread."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


@contextmanager
def computing(
    model: CodiModel, alone: bool, stop: Callable[[], bool]
) -> Iterator[Callable[[], bool]]:
    """Compute one batch on a fair share of the cores.

    Args:
        model: The model; on an accelerator nothing is asked for.
        alone: No other batch of this request runs beside it.
        stop: Asked before every step of the batch.

    Yields:
        `stop`, which is asked without a core in hand: whoever is asked may let others go first, and
        they need cores.
    """
    if model.device.type != "cpu":
        yield stop
        return
    hold = Hold(ACCOUNT.total if alone and is_wide(model) else 1)
    hold.take()
    try:
        yield lambda: hold.aside(stop)
    finally:
        hold.give_back()
        set_threads(hold.before)


def is_wide(model: CodiModel) -> bool:
    """Whether one product keeps several threads busy."""
    return model.config.hidden >= WIDE


def saves_passes(model: CodiModel, rows: int) -> bool:
    """Whether a pass less is worth a token more for each of so many rows.

    Arithmetic is all that counts in a large batch of a narrow model on a CPU; a wide one also reads
    its weights in every pass, and few rows or an accelerator wait for the calls of a pass.
    """
    return model.device.type != "cpu" or is_wide(model) or rows < MANY_ROWS


def batches_at_once(model: CodiModel, rows: int) -> int:
    """Batches of one request for so many rows that run beside each other."""
    if model.device.type != "cpu":
        return 1
    each = WIDE_ROWS if is_wide(model) else NARROW_ROWS
    return max(1, min(ACCOUNT.total, rows // each))
