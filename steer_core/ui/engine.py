"""Everything the page asks of the library below it, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from steer_core.ui.options import Options


@dataclass(frozen=True, slots=True)
class Engine:
    """The functions behind the page; tests put their own here.

    All fields are module-level functions (or partials of them), so an engine can be hashed for a
    cache and pickled for a GPU worker.
    """

    list_models: Callable[[], list[Any]]
    load_model: Callable[[str], Any]
    load_pairs: Callable[[str], list[Any]]
    direction: Callable[..., Any]
    """(model, site, layer, method) -> Direction; method is one of `settings.DIRECTIONS`."""
    alpha_strip: Callable[..., Any]
    iter_sweep: Callable[..., Any]
    extract_answer: Callable[[str], int | float | None]
    make_problem: Callable[..., Any]


def library(options: Options) -> Engine:
    """The real engine, on the device and in the dtype that were asked for."""
    from steer_core.experiment.strip import alpha_strip
    from steer_core.experiment.sweep import iter_sweep
    from steer_core.steering.library import cached_direction

    from steer_core.codi.model import list_models, load_model
    from steer_core.data.answers import extract_answer
    from steer_core.data.pairs import load_pairs
    from steer_core.data.problems import Problem

    return Engine(
        list_models=list_models,
        load_model=partial(load_model, device=options.device, dtype=options.dtype),
        load_pairs=load_pairs,
        direction=cached_direction,
        alpha_strip=alpha_strip,
        iter_sweep=iter_sweep,
        extract_answer=extract_answer,
        make_problem=Problem,
    )
