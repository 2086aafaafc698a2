"""Recording: what a batch asks of a GPU, written down once and asked for again in one go.

Below some size a GPU is done with an operation before the CPU has asked for the next one, so a
batch of a shape that comes again is recorded as a CUDA graph (`steer_core.codi.program`). What is
not CUDA, or too large to gain, runs as it is.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from steer_core.errors import is_out_of_memory

LARGEST = 2**19
"""Numbers of one state [N, D] from which a GPU is busy for longer than it takes to ask."""
KEPT = 4
"""Programs that a model keeps; each has memory of its own."""
KEYS = 256
"""Shapes that are remembered as having come once."""
log = logging.getLogger(__name__)

Record = Callable[
    [Callable[[], Sequence[Tensor]], torch.device], tuple[Sequence[Tensor], Callable[[], None]]
]
"""Records a function without arguments on a device: the tensors it fills, and what fills them."""
RECORDING = threading.Lock()
"""Only one recording may be under way in a process."""


@cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    """Where a device records; libraries keep a workspace for each stream they have met."""
    return torch.cuda.Stream(device)


def record_cuda_graph(
    run: Callable[[], Sequence[Tensor]], device: torch.device
) -> tuple[Sequence[Tensor], Callable[[], None]]:
    """See `Record`. What is filled holds nothing before it is first filled."""
    graph = torch.cuda.CUDAGraph()
    # The outer stream is restored even where a broken recording leaves its own current.
    with RECORDING, torch.cuda.device(device), torch.cuda.stream(torch.cuda.current_stream()):
        aside = side_stream(device)
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries make their workspaces in a first run
            run()
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            filled = run()

    def again() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return filled, again


RECORDS: dict[str, Record] = {"cuda": record_cuda_graph}
"""How a kind of device records."""


class Programs:
    """The recorded programs of one model by shape, the least recently used dropped first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: OrderedDict[Hashable, Any] = OrderedDict()
        self.broken = False

    def suit(self, device: torch.device, numbers: int) -> bool:
        """Whether a batch with states of so many numbers may gain from being recorded."""
        return device.type in RECORDS and not self.broken and numbers <= LARGEST

    @contextmanager
    def lent(self, shape: Hashable, build: Callable[[], Any]) -> Iterator[Any | None]:
        """The program of a shape, to oneself.

        None for a shape that comes for the first time, while another thread has its program, or
        where it cannot be built: but for memory that ran out, that is said once, and nothing is
        recorded from then on.
        """
        with self.lock:
            program = self.known(shape, build)
        if program is None or not program.lock.acquire(blocking=False):
            yield None
            return
        try:
            yield program
        finally:
            program.lock.release()

    def known(self, shape: Hashable, build: Callable[[], Any]) -> Any | None:
        """A shape's program, built when the shape comes again."""
        program = self.seen.get(shape)
        if program is None and shape in self.seen and not self.broken:
            self.drop_old(KEPT - 1)
            program = self.built(build)
        self.seen[shape] = program
        self.seen.move_to_end(shape)
        self.drop_old(KEPT)
        return program

    def built(self, build: Callable[[], Any]) -> Any | None:
        """A new program, or None; where memory ran out, all are dropped to make room."""
        try:
            return build()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self.seen.clear()
                return None
            log.warning("a batch cannot be recorded (%s); going on without", error)
            self.broken = True
        return None

    def forget(self) -> None:
        """Drop everything, and with it the memory of the programs."""
        with self.lock:
            self.seen.clear()

    def drop_old(self, kept: int) -> None:
        """Drop what was used least recently: programs, and shapes that came once."""
        built = [shape for shape, program in self.seen.items() if program is not None]
        for shape in built[: max(0, len(built) - kept)]:
            del self.seen[shape]
        while len(self.seen) > KEYS:
            self.seen.popitem(last=False)
