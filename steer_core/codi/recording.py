"""Recording: what a batch asks of a GPU, written down once and asked for again in one go.

Below some size a GPU is done with an operation before the CPU has asked for the next one, so a
batch of a shape that comes again is recorded as a CUDA graph (`steer_core.codi.program`): a small
one when it comes, a large one while nobody waits (`Programs.build_waiting`), for recording takes as
long as a few plain runs. What is not CUDA, or too large to gain, runs as it is.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from steer_core.errors import is_out_of_memory

LARGEST = 2**32
"""Multiplications N * D * D of one square product of all rows from which a GPU is busy for longer
than it takes to ask: 1,024 rows of D 2,048. The kernels of a block are then asked for in the time
that an H100 takes for its products."""
SMALL = 2**30
"""The same up to which a recording is made while somebody waits for the batch: a strip."""
KEPT = 8
"""Programs that a model keeps."""
PART = 0.25
"""Part of the memory that is free, or taken by programs, that all programs of a model may take."""
KEYS = 256
"""Shapes that are remembered as having come once."""
WAITING = 4
"""Batches that are kept to be recorded later; each holds what it read."""
FAILURES = 4
"""Shapes that cannot be recorded, and none that could, from which no other one is tried."""
log = logging.getLogger(__name__)

Record = Callable[
    [Callable[[], Sequence[Tensor]], torch.device], tuple[Sequence[Tensor], Callable[[], None]]
]
"""Records a function without arguments on a device: the tensors it fills, and what fills them."""
RECORDING = threading.Lock()
"""Only one recording may be under way in a process."""


@cache
def turn_on(device: torch.device) -> threading.Lock:
    """Held by the batch that uses a recording of a device: all of them share their memory."""
    return threading.Lock()


POOLS: dict[torch.device, Any] = {}
"""Where the recordings of a device have their memory, see `shared_pool`."""


def shared_pool(device: torch.device) -> Any:
    """Memory of all recordings of a device.

    What one of them needs only while it runs is the next one's too, so that ten recordings take
    little more than the largest. None may run while another one's results are in use (`turn_on`).
    """
    if device not in POOLS:
        POOLS[device] = torch.cuda.graph_pool_handle()
    return POOLS[device]


def idle_in_pool(device: torch.device) -> int:
    """Bytes that recordings have reserved and do not use now: no batch can have them."""
    if device not in POOLS:
        return 0
    segments = torch.cuda.memory_snapshot(POOLS[device])
    return sum(each["total_size"] - each["allocated_size"] for each in segments)


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
            torch.cuda.synchronize(device)
            # Not `torch.cuda.graph`, which gives the allocator's memory back to the driver first:
            # every batch behind it would have to ask for it anew.
            graph.capture_begin(shared_pool(device), capture_error_mode="thread_local")
            try:
                filled = run()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(aside)

    def again() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return filled, again


RECORDS: dict[str, Record] = {"cuda": record_cuda_graph}
"""How a kind of device records."""


@dataclass(frozen=True, slots=True, eq=False)
class Build:
    """How a program is made: of `size` bytes, while `free` says how many there are.

    Among programs it stands for one that is to be recorded later. It holds nothing that holds the
    programs, or their model would outlive its last user.
    """

    make: Callable[[], Any]
    size: int = 0
    free: Callable[[], int] = lambda: 2**60


@contextmanager
def recording_on(wanted: bool) -> Iterator[None]:
    """Whether batches are recorded at all while it is open."""
    known = dict(RECORDS)
    if not wanted:
        RECORDS.clear()
    try:
        yield
    finally:
        RECORDS.update(known)


class Programs:
    """The recorded programs of one model by shape, the least recently used dropped first.

    `seen` maps a shape to its program, to its `Build`, or to None where it has come and nothing is
    kept of it. `banned` shapes cannot be recorded, or came out wrong; others are not touched by it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: OrderedDict[Hashable, Any] = OrderedDict()
        self.banned: set[Hashable] = set()
        self.worked = False

    def suit(self, device: torch.device, rows: int, width: int) -> bool:
        """Whether a batch of so many rows of states [N, width] may gain from being recorded."""
        small = rows * width * width <= LARGEST
        return device.type in RECORDS and small and not self.hopeless

    @property
    def hopeless(self) -> bool:
        """Whether nothing could be recorded so far, however often it was tried."""
        return not self.worked and len(self.banned) >= FAILURES

    @contextmanager
    def lent(
        self, shape: Hashable, device: torch.device, build: Build, at_once: bool = True
    ) -> Iterator[Any | None]:
        """The program of a shape, to oneself.

        Args:
            shape: What a program depends on.
            device: Whose recordings may be used by one batch at a time.
            build: Makes the program.
            at_once: Make it when the shape comes again; else wait for `build_waiting`.

        Yields:
            None for a shape that comes for the first time, while another batch uses a program, or
            where it cannot be built: but for memory that ran out, that is said once, and the shape
            is not tried again.
        """
        turn = turn_on(device)
        program = None
        if turn.acquire(blocking=False):
            try:
                with self.lock:
                    program = self.known(shape, build, at_once)
            finally:
                if program is None:
                    turn.release()
        if program is None:
            yield None
            return
        try:
            yield program
        finally:
            turn.release()

    def known(self, shape: Hashable, build: Build, at_once: bool) -> Any | None:
        """A shape's program, built when the shape comes again."""
        program = self.seen.get(shape)
        if shape in self.banned:
            return None
        if at_once and program is None and shape in self.seen:
            program = self.built(shape, build)
        elif program is None and not at_once:
            program = build
        self.keep(shape, program)
        return None if isinstance(program, Build) else program

    def keep(self, shape: Hashable, program: Any) -> None:
        """Put a shape in front, and drop what is beyond the limits."""
        self.seen[shape] = program
        self.seen.move_to_end(shape)
        waiting = [key for key, kept in self.seen.items() if isinstance(kept, Build)]
        for key in waiting[: max(0, len(waiting) - WAITING)]:
            self.seen[key] = None
        self.drop_old(KEPT)

    def build_waiting(self, device: torch.device, stop: Callable[[], bool] = lambda: False) -> int:
        """Record the batches that wait for it, while nobody waits for a result.

        Args:
            device: The model's.
            stop: Asked between one and the next.

        Returns:
            How many were recorded.
        """
        done = 0
        for shape in self.waiting():
            if stop() or not turn_on(device).acquire(blocking=False):
                break
            try:
                with self.lock:
                    kept = self.seen.get(shape)
                    if isinstance(kept, Build):
                        program = self.built(shape, kept)
                        self.keep(shape, program)
                        done += program is not None
            finally:
                turn_on(device).release()
        return done

    def waiting(self) -> list[Hashable]:
        """Shapes that wait for being recorded, the latest first."""
        with self.lock:
            return [key for key, kept in reversed(self.seen.items()) if isinstance(kept, Build)]

    def built(self, shape: Hashable, build: Build) -> Any | None:
        """A new program, or None; where memory ran out, all are dropped to make room."""
        self.drop_old(KEPT - 1)
        if not self.make_room(build.size, build.free()):
            return None
        try:
            program = build.make()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                self.seen.clear()
                return None
            log.warning("a batch cannot be recorded (%s); going on without", error)
            self.banned.add(shape)
            return None
        self.worked = True
        return program

    def forget(self) -> None:
        """Drop everything, and with it the memory of the programs."""
        with self.lock:
            self.seen.clear()

    @property
    def count(self) -> int:
        """Programs there are."""
        return sum(map(is_program, self.seen.values()))

    @property
    def nbytes(self) -> int:
        """Bytes of all programs."""
        return sum(program.nbytes for program in self.seen.values() if is_program(program))

    def make_room(self, size: int, free: int) -> bool:
        """Drop programs until one of `size` bytes is within `PART`; whether it can be."""
        most = PART * (free + self.nbytes)
        if size > most:
            return False
        for shape in [shape for shape, kept in self.seen.items() if is_program(kept)]:
            if self.nbytes + size <= most:
                break
            del self.seen[shape]
        return True

    def drop_old(self, kept: int) -> None:
        """Drop what was used least recently: programs, and shapes that came once."""
        built = [shape for shape, program in self.seen.items() if is_program(program)]
        for shape in built[: max(0, len(built) - kept)]:
            del self.seen[shape]
        while len(self.seen) > KEYS:
            self.seen.popitem(last=False)


def is_program(kept: Any) -> bool:
    """Whether what is kept of a shape is its program."""
    return kept is not None and not isinstance(kept, Build)
