"""The one function that runs the model, so that a shared GPU is asked for in one place."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from steer_core.errors import UserError
from steer_core.inspect.asked import LookAsked
from steer_core.ui import space
from steer_core.ui.engine import Engine
from steer_core.ui.parts import ANY, pairs_of
from steer_core.ui.settings import PROMPT_TOKENS, Setting
from steer_core.ui.space import gpu


@dataclass(frozen=True, slots=True)
class StripJob:
    """Decode one question at every α."""

    setting: Setting
    question: str
    gold: int | float | None
    alphas: tuple[float, ...]
    twin: str | None = None
    """The question's twin, where the setting takes states from it."""

    @property
    def model(self) -> str:
        """Who answers."""
        return self.setting.model


@dataclass(frozen=True, slots=True)
class SweepJob:
    """Decode the test pairs at every α."""

    setting: Setting
    alphas: tuple[float, ...]
    variant: str = "clean"
    """Which twin of each pair is decoded."""
    part: str = ANY
    """Which split of the pairs, see `parts`."""

    @property
    def model(self) -> str:
        """Who answers."""
        return self.setting.model


@dataclass(frozen=True, slots=True)
class FitJob:
    """Compute the mean differences of a model and keep them, unless it has them."""

    model: str


@dataclass(frozen=True, slots=True)
class LookJob:
    """Look inside one question with one instrument, at every α."""

    setting: Setting
    asked: LookAsked
    alphas: tuple[float, ...]

    @property
    def model(self) -> str:
        """Who is looked into."""
        return self.setting.model


@dataclass(frozen=True, slots=True)
class AtlasJob:
    """Look inside the test pairs with one instrument."""

    setting: Setting
    what: str
    alpha: float
    alphas: tuple[float, ...] = (0.0,)
    """With another one than 0 where the instrument looks at an edit, which needs a direction."""

    @property
    def model(self) -> str:
        """Who is looked into."""
        return self.setting.model


@dataclass(frozen=True, slots=True)
class NullJob:
    """Decode the pairs of a sweep along directions without meaning."""

    sweep: SweepJob

    @property
    def model(self) -> str:
        """Who answers."""
        return self.sweep.model

    @property
    def setting(self) -> Setting:
        """That of the sweep."""
        return self.sweep.setting

    @property
    def alphas(self) -> tuple[float, ...]:
        """Those of the sweep."""
        return self.sweep.alphas


Job = StripJob | SweepJob | FitJob | LookJob | AtlasJob | NullJob


def needs_direction(setting: Setting, alphas: tuple[float, ...]) -> bool:
    """Whether anything is edited: a model that has no direction decodes all the same."""
    return setting.needs_direction and any(alphas)


@lru_cache(maxsize=2)
def loaded(engine: Engine, name: str) -> Any:
    """Load a model once and keep the last two."""
    if space.FORKS and engine.move_model is not None:
        return engine.move_model(read(engine, name))
    return engine.load_model(name)


@lru_cache(maxsize=2)
def read(engine: Engine, name: str) -> Any:
    """Read a model on the CPU; a forked process that begins afterwards has it in its memory."""
    _read.add((engine, name))
    return engine.load_model(name) if engine.read_model is None else engine.read_model(name)


_read: set[tuple[Engine, str]] = set()
"""What was read in this process."""


@lru_cache(maxsize=2)
def test_pairs(engine: Engine) -> tuple[Any, ...]:
    """Return the bundled test pairs."""
    return tuple(engine.load_pairs("test"))


START_SECONDS = 5.0
"""Of a GPU's process: its fork, and CUDA's start."""
READ_SECONDS = (4.0, 10.0)
"""Of a model that was not read before the fork: at least, and for each billion parameters."""
STRIP_SECONDS, ROWS_SECONDS = (10.0, 10.0), (20.0, 25.0)
"""Of one question at every α; of the test or fit pairs. At least, and for each billion parameters.
What is asked for counts against a visitor's quota, and work that takes longer is cut off."""
UNKNOWN_BILLIONS = 1.5
"""Parameters of a model that nobody has counted."""
MOST_SECONDS = 300


def billions(engine: Engine, name: str) -> float:
    """Parameters of a model, in billions."""
    known = engine.model_info(name).parameters
    return UNKNOWN_BILLIONS if known is None else known / 1e9


def start_seconds(engine: Engine, name: str) -> float:
    """Return how long a shared GPU is held before a model can compute anything there."""
    first, each = (0.0, 0.0) if (engine, name) in _read else READ_SECONDS
    return START_SECONDS + first + each * billions(engine, name)


def seconds(engine: Engine, job: Job, *_: Any) -> int:
    """Return the longest a job may hold a shared GPU, in seconds; takes what `run` takes."""
    many = isinstance(job, SweepJob | FitJob | AtlasJob)
    first, each = ROWS_SECONDS if many else STRIP_SECONDS
    work = first + each * billions(engine, job.model)
    return min(MOST_SECONDS, math.ceil(start_seconds(engine, job.model) + work))


@gpu(duration=seconds)
def run(
    engine: Engine,
    job: Job,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Any]:
    """Yield the `AlphaStrip` of a strip job, what a look sees, or a sweep's `SweepState`s.

    In front of them comes the hash of the model that answers, empty for a stand-in that has none.
    Sweeps and fits ask `stop` before each decoding step, and a fit tells its `progress`; neither
    can be reached from a forked process. Arguments and results can be pickled: on ZeroGPU this body
    runs in a forked process, which loads the model itself, see `space`.
    """
    model = loaded(engine, job.model)
    yield getattr(model, "sha256", "")
    if isinstance(job, FitJob):
        engine.keep_directions(model, progress, stop)
        return
    twin = job.twin if isinstance(job, StripJob) else None
    if needs_direction(job.setting, job.alphas):
        curve = engine.curve(model, job.setting.specs, twin)
    else:
        curve = engine.unedited(model, job.setting.specs)
    if isinstance(job, LookJob):
        check_tokens(engine.prompt_tokens(model, job.asked.question))
        yield engine.look(model, job.asked, curve, job.alphas)
        return
    if isinstance(job, AtlasJob):
        yield from engine.atlas(model, test_pairs(engine), job.what, curve, job.alpha, stop)
        return
    if isinstance(job, StripJob):
        check_tokens(engine.prompt_tokens(model, job.question))
        asked = (model, job.question, job.gold)
        yield engine.alpha_strip(*asked, curve=curve, alphas=job.alphas)
        return
    sweep = job.sweep if isinstance(job, NullJob) else job
    pairs = _variant(pairs_of(test_pairs(engine), sweep.part), sweep.variant)
    decode = engine.iter_nulls if isinstance(job, NullJob) else engine.iter_sweep
    yield from decode(model, pairs, curve=curve, alphas=job.alphas, stop=stop)


def check_tokens(tokens: int) -> None:
    """Refuse a question that its model reads as too many tokens.

    Raises:
        UserError: naming both numbers.
    """
    if tokens > PROMPT_TOKENS:
        raise UserError(
            f"the question has {tokens:,} tokens, the limit is {PROMPT_TOKENS}; shorten it"
        )


def _variant(pairs: list[Any], variant: str) -> list[Any]:
    if variant == "clean":
        return pairs
    return [replace(pair, clean=pair.corrupted, corrupted=pair.clean) for pair in pairs]
