"""Runs jobs one at a time and remembers what is finished."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from functools import lru_cache
from typing import Any

from steer_core.ui import space
from steer_core.ui.compute import AtlasJob, NullJob, SweepJob, loaded, read, run
from steer_core.ui.engine import Engine
from steer_core.ui.gate import Gate, Hold
from steer_core.ui.logs import counted

KEPT_STRIPS = 256
KEPT_SWEEPS = 128
KEPT_LOOKS = 64
Streamed = SweepJob | AtlasJob | NullJob
"""Jobs whose results grow."""


class Runner:
    """Shared by all visitors: results depend on the job alone, so everyone may reuse them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gate = Gate()
        self.device: str | None = None
        """Where the last model was loaded, "cpu" or "cuda"; None before."""
        self._sweeps: OrderedDict[Streamed, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.strip = lru_cache(maxsize=KEPT_STRIPS)(self._decode)
        self.look = lru_cache(maxsize=KEPT_LOOKS)(self._decode)
        self.info = lru_cache(maxsize=None)(engine.model_info)
        """From a model's name to its `ModelInfo`; the files are looked up once."""
        self.hashes: dict[str, str] = {}
        """Of the models that have answered, by name."""

    def ready(self, name: str) -> None:
        """Load a model, which waits for its turn like any other work.

        Where the GPU is another process's, it is read on the CPU here: that process is a fork,
        which shares what was read before and only moves it, and no download counts as its time.

        Raises:
            UserError: for a model that cannot be used.
        """
        if space.FORKS:
            self.info(name)
            read(self.engine, name)
            return
        with self.gate.foreground():
            model = loaded(self.engine, name)
        self.device = getattr(getattr(model, "device", None), "type", None)

    def finished(self, job: Streamed) -> Any | None:
        """Return the last `SweepState` of a sweep that ran to its end, else None."""
        with self._lock:
            return self._sweeps.get(job)

    def sweep(self, job: Streamed, still_wanted: Callable[[], bool] = lambda: True) -> Any:
        """Run a sweep to its end and return its last `SweepState`; None where it was given up."""
        for _ in self.states(job, still_wanted):
            pass
        return self.finished(job)

    def states(
        self, job: Streamed, still_wanted: Callable[[], bool] = lambda: True
    ) -> Iterator[Any]:
        """Yield the state after each batch, and the last one again once the sweep is `finished`.

        Args:
            job: what to decode.
            still_wanted: asked before each decoding step; False ends the sweep.
        """
        known = self.finished(job)
        if known is not None:
            yield known
            return
        self.ready(job.model)
        holds: list[Hold] = []

        def stop() -> bool:
            holds[-1].give_way()
            return not still_wanted()

        asked = () if space.FORKS else (stop,)
        with closing(self._results(job, *asked)) as states, suppress(self.engine.cancelled):
            yield from self._batches(job, states, still_wanted, holds)

    def _batches(
        self,
        job: Streamed,
        states: Iterator[Any],
        still_wanted: Callable[[], bool],
        holds: list[Hold],
    ) -> Iterator[Any]:
        last = None
        while True:
            with self.gate.background() as hold:
                holds[:] = [hold]
                state = next(states, None) if still_wanted() else _Superseded
            if state is _Superseded:
                return
            if state is None:
                break
            counted(job.model, rows_of(state) - rows_of(last))
            yield (last := state)
        if last is not None:
            self._keep(job, last)
            yield last

    def _keep(self, job: Streamed, state: Any) -> None:
        with self._lock:
            self._sweeps[job] = state
            while len(self._sweeps) > KEPT_SWEEPS:
                self._sweeps.popitem(last=False)

    def _decode(self, job: Any) -> Any:
        self.ready(job.model)
        with self.gate.foreground(), closing(self._results(job)) as results:
            found = next(results)
        counted(job.model, len(job.alphas))
        return found

    def _results(self, job: Any, *stop: Callable[[], bool]) -> Generator[Any]:
        with closing(run(self.engine, job, *stop)) as results:
            self.hashes[job.model] = next(results)
            yield from results


def rows_of(state: Any) -> int:
    """Rows decoded for a growing result so far; an atlas does not count them."""
    return int(getattr(state, "decoded", 0))


class _Superseded:
    """Marks a batch that was not run because nobody waits for it."""
