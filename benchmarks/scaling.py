"""How many workers one writer keeps up with, simulated: workers sleep, the writer writes.

`python -m benchmarks.scaling [--rows 320] [--seconds 1.0]`: workers that decode batches of so many
rows in so many seconds each are events of a clock that is not waited for; the writer is the real
store, and the clock moves on by the processor time that each of its batches takes. So 512 workers
need no 512 processes. A line a size: rows/s, as a share of what is decoded, and the share of
the time that the writer is busy.
"""

from __future__ import annotations

import argparse
import heapq
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.store import outcome_of, plan_of
from steer_core.pipeline.store import FILE, RunIds, Store, StoredRow

SIZES = (1, 2, 8, 32, 64, 128, 256, 512)


def simulated(
    store: Store, ids: RunIds, workers: int, rows: int, seconds: float, batches: int
) -> tuple[float, float]:
    """Rows a second, and the share of the time in which the writer is busy.

    A worker begins its next batch when its last one is handed over, as actors do, so a writer that
    is behind holds nobody up until all of it is used.
    """
    rng = np.random.default_rng(workers)
    ready = [(seconds * (1 + i / workers), i) for i in range(workers)]
    heapq.heapify(ready)
    free = busy = begun = 0.0
    for number in range(batches):
        if number == workers:  # each has handed over one: from here on they are under way
            begun, busy = free, 0.0
        when, worker = heapq.heappop(ready)
        batch = batch_of(ids, number * rows, rows, rng)
        began = time.process_time()
        store.write(ids, batch)
        took = time.process_time() - began
        free, busy = max(free, when) + took, busy + took
        heapq.heappush(ready, (max(when, free - took) + seconds, worker))
    return (batches - workers) * rows / (free - begun), busy / (free - begun)


def batch_of(ids: RunIds, start: int, rows: int, rng: np.random.Generator) -> list[StoredRow]:
    """Rows that are not stored yet, question by question."""
    cells = len(ids.edits)
    where = [divmod(each, cells) for each in range(start, start + rows)]
    return [
        StoredRow(ids.questions[pair], ids.edits[cell], outcome_of(pair, cell, rng, False))
        for pair, cell in where
    ]


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=320, help="of a batch")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a worker takes for it")
    parser.add_argument("--batches", type=int, default=256)
    args = parser.parse_args()
    for workers in SIZES:
        count = max(args.batches, 4 * workers)
        # Room for a few questions more than are filled.
        plan = plan_of(args.rows * count + 10_000)
        with TemporaryDirectory() as folder, Store(Path(folder) / FILE) as store:
            ids = store.begin(plan)
            rate, busy = simulated(store, ids, workers, args.rows, args.seconds, count)
        wanted = workers * args.rows / args.seconds
        print(
            f"{workers:4} workers: {rate:10,.0f} rows/s, {100 * rate / wanted:5.1f} % of "
            f"{wanted:,.0f}; the writer is busy {100 * busy:5.1f} % of the time",
            flush=True,
        )


if __name__ == "__main__":
    main()
