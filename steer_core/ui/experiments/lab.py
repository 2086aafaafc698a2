"""Runs one experiment at a time, in a thread of its own: no visitor has to stay for it."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.pipeline.prepared import ABOUT_FILE
from steer_core.pipeline.store import FILE as STORE
from steer_core.ui import space
from steer_core.ui.engine import Engine
from steer_core.ui.experiments.owners import Who, check_change, may_change, own
from steer_core.ui.experiments.settings import FILE, Experiment, load_experiment
from steer_core.ui.experiments.summary import newest_run
from steer_core.ui.experiments.work import (
    LONGEST_SECONDS,
    PAIRS_USED,
    PREPARE,
    REPORT,
    SLICE_SECONDS,
    STAGES,
    SWEEP,
    Order,
    keep_pairs,
    sample,
    work,
)
from steer_core.ui.gate import Hold
from steer_core.ui.limits import OWN
from steer_core.ui.runner import Runner

IDLE, RUNNING, STOPPING, STOPPED, FAILED, DONE = (
    *("idle", "running", "stopping", "stopped", "failed", "done"),
)
ACTIVE = (RUNNING, STOPPING)
CONSOLE = Who()
KEPT_WORDS = "What is decoded is kept; Resume, in the list below, goes on from here."
STOPPED_WORDS = f"Stopped. {KEPT_WORDS}"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageState:
    """How far a stage is: `done` of `total` decodes (directions: layers) after `seconds`.

    `before` of them were stored when this sitting began, so that they do not count for the rate.
    """

    done: int = 0
    total: int = 0
    seconds: float = 0.0
    before: int = 0

    @property
    def rate(self) -> float | None:
        """Decodes a second in this sitting; None while there is nothing to tell it from."""
        fresh = self.done - self.before
        return fresh / self.seconds if fresh > 0 and self.seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until the stage is done, None where unknown."""
        return None if self.rate is None else (self.total - self.done) / self.rate


@dataclass(frozen=True, slots=True)
class State:
    """The experiment that runs, or the last one that ran; `stage` is one of `STAGES`."""

    status: str = IDLE
    name: str = ""
    stage: str = PREPARE
    stages: Mapping[str, StageState] = field(default_factory=dict)
    message: str = ""
    began: float = 0.0

    @property
    def active(self) -> bool:
        """Whether something runs."""
        return self.status in ACTIVE

    def told(self, stage: str, done: int, total: int, seconds: float) -> State:
        """The state after news of a stage."""
        known = self.stages.get(stage)
        first = done if known is None else known.before
        news = StageState(done, total, seconds, first)
        return replace(self, stage=stage, stages={**self.stages, stage: news})


class Lab:
    """Shared by all visitors.

    Args:
        runner: Of the page; experiments use its models, and let its visitors go first.
        folder: Where experiments are kept, one folder each.
        finish: Makes the report of a folder; the last stage.
        rule: Who may change what, see `owners.may_change`.
    """

    def __init__(
        self, runner: Runner, folder: Path, finish: Callable[[Path], object], rule: str = OWN
    ) -> None:
        self.folder = folder
        self._rule = rule
        self._runner, self._finish = runner, finish
        self._lock = threading.Lock()
        self._state = State()
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._context = contextvars.copy_context()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        """What runs now."""
        with self._lock:
            return self._state

    def start(
        self, experiment: Experiment, who: Who = CONSOLE, pairs: Sequence[Pair] | None = None
    ) -> str:
        """Begin a new experiment and return its name.

        Args:
            experiment: What to do.
            who: Whose it is.
            pairs: Those of a file that was handed in; None for a bundled set.

        Raises:
            UserError: while another one runs, for a name that is taken, or a folder that cannot be
                written.
        """
        with self._lock:
            self._check_idle()
            name = experiment.name or self._free_name(experiment.model)
            folder = self.folder / name
            if folder.exists() and not (is_empty(folder) and may_change(folder, who, self._rule)):
                raise UserError(f"{name!r} exists already; choose another name, or resume it")
            experiment = replace(experiment, name=name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / PAIRS_USED).unlink(missing_ok=True)  # of other settings
                own(folder, who)
                if pairs is not None:
                    keep_pairs(folder, sample(pairs, experiment.most, experiment.seed))
                experiment.save(folder)
            except OSError as error:
                raise UserError(f"{name} cannot be written ({error.strerror})") from error
            self._launch(experiment)
        return name

    def resume(self, name: str, who: Who = CONSOLE) -> None:
        """Go on with a stored experiment from what it has stored.

        Raises:
            UserError: while one runs, for a folder that this page did not begin, or somebody else.
        """
        check_change(self.folder / name, who, self._rule)
        with self._lock:
            self._check_idle()
            self._launch(load_experiment(self.folder / name))

    def cancel(self, who: Who = CONSOLE) -> None:
        """Stop before the next decoding step; everything decoded stays.

        Raises:
            UserError: for an experiment of somebody else.
        """
        if self.state.status == RUNNING:
            check_change(self.folder / self.state.name, who, self._rule)
        with self._lock:
            if self._state.status == RUNNING:
                self._stop.set()
                self._state = replace(self._state, status=STOPPING)

    def renew(self) -> None:
        """Use a shared GPU, from the next slice on, in the name of whoever asks now.

        A visitor's token lasts minutes and an experiment hours; while their page is open it asks
        again and again, each time with a fresh one.
        """
        with self._lock:
            self._context = contextvars.copy_context()

    @property
    def closing(self) -> bool:
        """Whether the page is stopping, and nothing more is begun."""
        return self._closing.is_set()

    def close(self, seconds: float) -> None:
        """Stop once the batch in flight is stored; after so many seconds at the next step."""
        self._closing.set()
        if self.wait(seconds).active:
            self._stop.set()
            self.wait(seconds)

    def wait(self, seconds: float | None = None) -> State:
        """Wait until nothing runs, and return the state."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.state

    def _check_idle(self) -> None:
        state = self._state
        if self.closing:
            raise UserError("the page is being stopped; begin, or resume, once it is back")
        if state.active:
            raise UserError(
                f"{state.name!r} is running, and one experiment runs at a time; wait for it, or"
                " cancel it"
            )

    def _free_name(self, model: str) -> str:
        stem, number = Path(model).name, 1
        while (self.folder / f"{stem}-{number}").exists():
            number += 1
        return f"{stem}-{number}"

    def _launch(self, experiment: Experiment) -> None:
        self._stop = threading.Event()
        self._state = State(RUNNING, experiment.name, began=time.time())
        # The visitor's context: on ZeroGPU it says whose share of the GPU is used.
        self._context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=self._run, args=(experiment, self._stop), name="experiment", daemon=True
        )
        self._thread.start()

    # In the experiment's own thread

    def _run(self, experiment: Experiment, stop: threading.Event) -> None:
        folder = self.folder / experiment.name
        try:
            self._runner.ready(experiment.model)
            self._decode(Order(experiment, folder), stop)
            self._told(REPORT, 0, 1, 0.0)
            began = time.monotonic()
            self._finish(folder)
            self._told(REPORT, 1, 1, time.monotonic() - began)
            self._end(DONE)
        except self._runner.engine.cancelled:
            self._end(STOPPED, STOPPED_WORDS)
        except space.Unavailable as error:
            self._end(
                STOPPED, f"{str(error).rstrip('.')}. {STOPPED_WORDS.removeprefix('Stopped. ')}"
            )
        except UserError as error:
            self._end(FAILED, str(error))
        except Exception as error:
            log.exception("the experiment %s ended", experiment.name)
            self._end(FAILED, f"it ended with an error ({type(error).__name__}); see the log")

    def _decode(self, order: Order, stop: threading.Event) -> None:
        engine = self._runner.engine
        if not space.FORKS:
            with (
                self._runner.gate.background(long=True) as hold,
                closing(work(engine, order, self._asked(stop, hold), self._told)) as slices,
            ):
                next(slices)
            return
        self._sliced(order, stop)

    def _sliced(self, order: Order, stop: threading.Event) -> None:
        """Work in slices that cannot be asked to stop, and see that each stores something.

        A slice has a device and a copy of the model of its own, so visitors need not wait. What it
        does before its first rows (the fit set, a batch of baselines) is done anew in the next one:
        where that is all there was time for, one more slice gets all the time there is.
        """
        engine, seconds = self._runner.engine, SLICE_SECONDS
        began, known = time.monotonic(), stored(order.folder)
        while not stop.is_set():
            with self._lock:
                context = self._context.copy()
            finished = context.run(one_slice, engine, replace(order, seconds=seconds))
            if (record := newest_run(order.folder)) is not None:
                self._told(SWEEP, record.done, record.total, time.monotonic() - began)
            if finished:
                return
            before, known = known, stored(order.folder)
            if known == before:
                seconds = longer(seconds)
        raise engine.cancelled

    def _asked(self, stop: threading.Event, hold: Hold) -> Callable[[], bool]:
        def asked() -> bool:
            hold.give_way()
            return stop.is_set()

        return asked

    def _told(self, stage: str, done: int, total: int, seconds: float) -> None:
        assert stage in STAGES
        with self._lock:
            self._state = self._state.told(stage, done, total, seconds)
        if self.closing:  # a batch has just been stored
            raise self._runner.engine.cancelled

    def _end(self, status: str, message: str = "") -> None:
        with self._lock:
            self._state = replace(self._state, status=status, message=message)


def one_slice(engine: Engine, order: Order) -> bool:
    """Work for some seconds; whether that was all."""
    with closing(work(engine, order)) as slices:
        return next(slices)


def stored(folder: Path) -> tuple[bool, int, int]:
    """What a slice can add to: whether pairs are prepared, the run, and its rows."""
    prepared, record = (folder / ABOUT_FILE).is_file(), newest_run(folder)
    return (prepared, record.id, record.done) if record and record.done else (prepared, 0, 0)


def longer(seconds: float) -> float:
    """The length of the slice after one that stored nothing.

    Raises:
        UserError: when that one was as long as a slice can be.
    """
    if seconds >= LONGEST_SECONDS:
        raise UserError(
            f"{seconds:g} seconds on the GPU stored nothing new, and no slice can be longer;"
            " choose fewer pairs or a smaller model, or run it on a GPU of your own"
        )
    return LONGEST_SECONDS


def is_empty(folder: Path) -> bool:
    """Whether an experiment of this page has no results, so that its name can be used again."""
    return (folder / FILE).is_file() and not any(
        (folder / name).exists() for name in (ABOUT_FILE, STORE)
    )
