"""Groups of questions decoded by actors of a Ray cluster; their rows are stored by whoever asks.

Ray is optional: `pip install 'steer-core[ray]'`. An actor loads the model once and is given a group
at a time, so every prefix is computed once; its batches are handed over one by one as they are
ready. One that dies costs the batch that it was in: another takes up what is left of its group.
One that runs out of memory goes on with half as many rows in a batch, and the others as before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from steer_core.codi import cores
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import Cancelled
from steer_core.errors import UserError
from steer_core.names import LOCAL, RAY
from steer_core.pipeline.runner import Filled, Filler, Job, Work

_log = logging.getLogger(__name__)
Load = Callable[[], CodiModel]
"""Loads the model in another process: a function that can be sent there."""
LOOK = 0.2
"""Seconds between two questions whether to stop."""
MOST_DEATHS = 5
"""Actors that may die at the same batch before the run ends."""
FIRST_CAP, LEAST_CAP = 2048, 1
"""Rows of a batch after the first time that memory ran out, and at least."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where actors run.

    `address` of a cluster (None: one on this machine), how many `workers` (None: as many as fit),
    `gpus` of each, and `threads` that torch has in each, on which the last bits of scores depend
    (None: as many as this process has).
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"{self.workers} workers decode nothing; give at least 1")
        if self.gpus < 0:
            raise UserError(f"{self.gpus:g} GPUs per worker are fewer than none; give 0 or more")
        if self.threads is not None and self.threads < 1:
            raise UserError(f"{self.threads} threads are too few; give at least 1")


class Decoder:
    """What an actor is: a model and what is decoded with it."""

    def __init__(self, load: Load, job: Job, threads: int, cap: int | None):
        self._load, self._job, self._threads, self._cap = load, job, threads, cap
        self._filler: Filler | None = None

    def fill(self, work: Work) -> Iterator[Filled]:
        """The rows that are missing, a batch at a time."""
        if self._filler is None:  # not before: what fails here is told as what this call raised
            self._filler = Filler(self._model(), self._job, self._cap)
        yield from self._filler.fill(work)

    def _model(self) -> CodiModel:
        set_threads(self._threads)
        model = self._load()
        if model.sha256 != self._job.plan.setting.model_sha256:
            raise UserError(
                f"a worker loads other weights as {model.name} than this process; give all of them "
                "the same files"
            )
        return model


@dataclass(slots=True, eq=False)
class Hand:
    """An actor, and what it is at.

    `cap`: rows that its batches may have; `left` of its group, with the `batches` that are still to
    come; how many actors have `died` at the next of them.
    """

    actor: Any
    cap: int | None = None
    left: Work | None = None
    batches: Any = None
    died: int = 0


class RayEngine:
    """Decodes with the actors of a cluster.

    Args:
        load: Loads the model in an actor.
        options: Where they run.
    """

    def __init__(self, load: Load, options: RayOptions = RayOptions()):
        self.load, self.options = load, options

    def fill(
        self, model: CodiModel, job: Job, works: Iterable[Work], stop: Callable[[], bool]
    ) -> Iterator[Filled]:
        """The rows that are missing, a batch at a time, in the order in which they are ready."""
        ray = required()
        own = not ray.is_initialized()
        connect(ray, self.options)
        pool = Pool(ray, self.load, ray.put(job), self.options)
        try:
            yield from pool.fill(iter(works), stop)
        finally:
            pool.close()
            if own:
                ray.shutdown()


def engine_from(environment: Mapping[str, str], model: CodiModel) -> RayEngine | None:
    """The engine that STEER_ENGINE asks for, for a model that has a name; None for this process.

    STEER_RAY_ADDRESS, STEER_WORKERS and STEER_GPUS_PER_WORKER are read as the commands' options.

    Raises:
        UserError: for a value that is none of its choices.
    """
    name = environment.get("STEER_ENGINE") or LOCAL
    if name not in (LOCAL, RAY):
        raise UserError(f"STEER_ENGINE is {name!r}; choose one of {LOCAL}, {RAY}")
    if name == LOCAL:
        return None
    from steer_core.codi.load import load_model

    workers = number_in(environment, "STEER_WORKERS")
    gpus = number_in(environment, "STEER_GPUS_PER_WORKER")
    device = model.device.type
    load = partial(
        *(load_model, model.name),
        device=device,
        dtype=str(model.dtype).removeprefix("torch."),
        check=False,
    )
    options = RayOptions(
        environment.get("STEER_RAY_ADDRESS") or None,
        None if workers is None else int(workers),
        float(device == "cuda") if gpus is None else gpus,
    )
    return RayEngine(load, options)


def number_in(environment: Mapping[str, str], name: str) -> float | None:
    """A number among settings; None where it is not given."""
    text = environment.get(name)
    try:
        return float(text) if text else None
    except ValueError as error:
        raise UserError(f"{name} is {text!r}; give a number") from error


class Pool:
    """The actors of one run, kept busy; those that die are replaced."""

    def __init__(self, ray: Any, load: Load, job: Any, options: RayOptions):
        self._ray, self._options = ray, options
        threads = options.threads or cores.ACCOUNT.total
        # On one machine whoever starts it says how many; a cluster has to find room.
        wanted = {"num_cpus": threads if options.address else 0, "num_gpus": options.gpus}
        self._decoder = ray.remote(**wanted, max_restarts=0)(Decoder)
        self._arguments = load, job, threads
        count = options.workers or fitting(ray.cluster_resources(), options.gpus, threads)
        self._hands = [Hand(self._actor(None)) for _ in range(count)]
        self._again: deque[Work] = deque()

    def _actor(self, cap: int | None) -> Any:
        return self._decoder.remote(*self._arguments, cap)

    def fill(self, works: Iterator[Work], stop: Callable[[], bool]) -> Iterator[Filled]:
        """Give every free actor a group, and hand on what comes."""
        while True:
            if stop():
                raise Cancelled
            for hand in self._hands:
                if hand.batches is None and (work := self._next(works)):
                    self._give(hand, work)
            busy = {hand.batches: hand for hand in self._hands if hand.batches is not None}
            if not busy:
                return
            ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=LOOK)
            for batches in ready:
                if (filled := self._take(busy[batches])) is not None:
                    yield filled

    def _next(self, works: Iterator[Work]) -> Work | None:
        return self._again.popleft() if self._again else next(works, None)

    def _give(self, hand: Hand, work: Work) -> None:
        hand.left = work
        hand.batches = hand.actor.fill.options(num_returns="streaming").remote(work)

    def _take(self, hand: Hand) -> Filled | None:
        """The next batch of an actor; None at the end of its group, or where it died."""
        errors = self._ray.exceptions
        assert hand.left is not None
        try:
            filled = self._ray.get(next(hand.batches))
        except StopIteration:
            hand.left = hand.batches = None
            return None
        except errors.RayTaskError as error:
            cause = error.cause
            if not out_of_memory(cause):
                raise (cause if isinstance(cause, UserError) else error) from None
            self._replace(hand, error, smaller(hand.cap))
            return None
        except (errors.OutOfMemoryError, errors.RayActorError) as error:
            killed = isinstance(error, errors.OutOfMemoryError)
            self._replace(hand, error, smaller(hand.cap) if killed else hand.cap)
            return None
        hand.left, hand.died = hand.left.after(filled.rows), 0
        return filled

    def _replace(self, hand: Hand, error: Exception, cap: int | None) -> None:
        """Another actor in the place of one that died, which goes on with its group."""
        hand.died += 1
        if hand.died > MOST_DEATHS:
            raise UserError(
                f"{hand.died} workers have died at one batch, the last of {first_line(error)}; see "
                "Ray's logs, then resume"
            )
        _log.warning("a worker died (%s); another goes on in its place", first_line(error))
        self._ray.kill(hand.actor)
        hand.actor, hand.cap = self._actor(cap), cap
        assert hand.left is not None
        self._give(hand, hand.left)

    def close(self) -> None:
        """End all actors, whatever they are at."""
        for hand in self._hands:
            self._ray.kill(hand.actor)


def set_threads(count: int) -> None:
    """Let an actor compute with so many threads; how many there are decides its last bits."""
    import torch

    torch.set_num_threads(count)
    cores.ACCOUNT = cores.Account(count)


def required() -> Any:
    """Ray.

    Raises:
        UserError: where it is not installed.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"--engine ray needs Ray ({error}); pip install 'steer-core[ray]', or leave it out"
        ) from error
    return ray


def connect(ray: Any, options: RayOptions) -> None:
    """Join the cluster, or start one on this machine.

    Raises:
        UserError: where there is none at the address.
    """
    if ray.is_initialized():
        return
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if options.address is None:
            ray.init(include_dashboard=False, **quiet)
        else:
            ray.init(address=options.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster at {options.address or 'this machine'} ({first_line(error)}); start "
            "one by 'ray start --head', or leave out --ray-address"
        ) from error


def fitting(resources: dict[str, float], gpus: float, threads: int) -> int:
    """How many workers a cluster has room for, at least one."""
    name, each = ("GPU", gpus) if gpus else ("CPU", threads)
    return max(1, int(resources.get(name, 1) // each))


def smaller(cap: int | None) -> int:
    """Half as many rows in a batch."""
    return FIRST_CAP if cap is None else max(LEAST_CAP, cap // 2)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether a worker had too little memory for its batch."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]
