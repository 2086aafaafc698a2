"""Directions that a model lacks: computed beside the page, which says so and stays usable."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from steer_core.errors import UserError
from steer_core.ui import space
from steer_core.ui.compute import FitJob, loaded, run
from steer_core.ui.gate import Hold
from steer_core.ui.runner import Runner

FORGOTTEN_SECONDS = 20.0
"""A computation that nobody has asked after for so long ends; nothing of it is kept."""
LOOK_SECONDS = 0.5
"""Between two looks at one by whoever waits for it."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Fit:
    """One computation: how far it is, and what ended it."""

    model: str
    pairs: int
    done: int = 0
    total: int = 0
    asked: float = field(default_factory=time.monotonic)
    error: Exception | None = None

    @property
    def line(self) -> str:
        """What the page says meanwhile."""
        count = f" ({self.done} of {self.total} problems)" if self.total else ""
        return (
            f"{self.model}: computing the direction from {self.pairs} fit pairs, once per model"
            f"{count}"
        )


class Fits:
    """Shared by all visitors: a model's directions are computed once, whoever needs them."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._fits: dict[str, Fit] = {}

    def news(self, model: str) -> str | None:
        """Return None when a model has its directions, else a line on what is done for them.

        The first who asks begins it; it goes on for as long as somebody asks.

        Raises:
            UserError: for a model that cannot have any; it is not tried again.
        """
        if model in self._known:
            return None
        if model not in self._fits:
            self._runner.ready(model)
        with self._lock:
            fit = self._fits.get(model)
            if fit is None and self._has(model):
                self._known.add(model)
            if model in self._known:
                return None
            if fit is None:
                return self._begin(model).line
            fit.asked = time.monotonic()
            if fit.error is None:
                return fit.line
            if not is_final(fit.error):
                del self._fits[model]
            raise fit.error

    def wait(self, model: str, there: Callable[[], bool] = lambda: True) -> None:
        """Wait until a model has its directions, or nobody is `there` for them.

        Raises:
            UserError: as `news`.
        """
        while there() and self.news(model) is not None:
            time.sleep(LOOK_SECONDS)

    def _has(self, model: str) -> bool:
        """Whether there is nothing to do; where the model is elsewhere, that one looks."""
        if space.FORKS:
            return self._runner.info(model).source == "bundled"
        engine = self._runner.engine
        return engine.has_directions(loaded(engine, model))

    def _begin(self, model: str) -> Fit:
        fit = self._fits[model] = Fit(model, len(self._runner.engine.load_pairs("fit")))
        # With the visitor's context: on ZeroGPU it says whose share of the GPU is used.
        target = contextvars.copy_context().run
        threading.Thread(target=target, args=(self._run, fit), name="fit", daemon=True).start()
        return fit

    # In the computation's own thread

    def _run(self, fit: Fit) -> None:
        try:
            self._compute(fit)
        except self._runner.engine.cancelled:
            with self._lock:
                del self._fits[fit.model]
        except Exception as error:
            if not isinstance(error, UserError):
                log.exception("the directions of %s were not computed", fit.model)
            fit.error = error
        else:
            with self._lock:
                self._known.add(fit.model)
                del self._fits[fit.model]

    def _compute(self, fit: Fit) -> None:
        engine, job = self._runner.engine, FitJob(fit.model)
        holds: list[Hold] = []

        def forgotten() -> bool:
            holds[-1].give_way()
            return time.monotonic() - fit.asked > FORGOTTEN_SECONDS

        def progress(done: int, total: int) -> None:
            fit.done, fit.total = done, total

        asked: tuple[Any, ...] = () if space.FORKS else (forgotten, progress)
        with (
            self._runner.gate.background(long=True) as hold,
            closing(run(engine, job, *asked)) as results,
        ):
            holds.append(hold)
            for _ in results:
                pass


def is_final(error: Exception) -> bool:
    """Whether a model would fail the same way another time, for other visitors too."""
    return isinstance(error, UserError) and not isinstance(error, space.Unavailable)
