"""Batches one after another, or several beside each other; what does not fit is halved."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from steer_core.errors import is_out_of_memory
from steer_core.steering.grids import Grid

Result = TypeVar("Result")
Run = Callable[[Grid, Callable[[], bool]], Result]
"""Decodes a batch; asks the second argument before every step."""


def run_all(
    grids: Iterable[Grid], run: Run[Result], at_once: int, stop: Callable[[], bool]
) -> Iterator[Result]:
    """Run batches, `at_once` beside each other; results come as they are done.

    An out-of-memory error halves a batch and goes on; any other error ends the rest and is raised.
    Whoever closes this iterator ends the batches that still run.
    """
    waiting = deque(grids)
    if at_once == 1 or len(waiting) < 2:
        while waiting:
            if done := halved_or_done(waiting, waiting.popleft(), run, stop):
                yield done[0]
        return
    closed = threading.Event()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from stream(pool, waiting, run, at_once, lambda: closed.is_set() or stop())
        finally:
            closed.set()


def halved_or_done(waiting: deque[Grid], grid: Grid, run: Run[Result], stop) -> tuple[Result, ...]:
    """The result of a batch, or nothing where it did not fit and its halves wait instead."""
    try:
        return (run(grid, stop),)
    except (RuntimeError, MemoryError) as error:
        if grid.size == 1 or not is_out_of_memory(error):
            raise
    waiting.extendleft(reversed(grid.halves()))
    return ()


def stream(pool: ThreadPoolExecutor, waiting, run, at_once: int, stop) -> Iterator:
    """Keep the pool busy; results as they come."""
    running: set[Future] = set()
    while waiting or running:
        while waiting and len(running) < at_once:
            running.add(pool.submit(halved_or_done, waiting, waiting.popleft(), run, stop))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield from future.result()
