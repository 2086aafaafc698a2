"""Everything the page asks of the library below it, in one place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steer_core.ui.options import Options


@dataclass(frozen=True, slots=True)
class Engine:
    """The functions behind the page; tests put their own here.

    All fields are module-level functions or frozen dataclasses, so that an engine can be hashed
    for a cache, and is still equal to itself after it was pickled for a GPU worker.
    """

    list_models: Callable[[], list[Any]]
    model_info: Callable[[str], Any]
    """name -> ModelInfo, from its files, which are fetched if need be; no weights are read."""
    load_model: Callable[[str], Any]
    load_pairs: Callable[[str], list[Any]]
    direction: Callable[..., Any]
    """(model, site, layer, method) -> Direction; method is one of `settings.DIRECTIONS`."""
    no_direction: Callable[..., Any]
    """(model, site, layer) -> Direction that adds nothing, for what edits nothing."""
    has_directions: Callable[[Any], bool]
    keep_directions: Callable[..., None]
    """(model, progress, stop): computes what `direction` gives, where a model lacks it."""
    prompt_tokens: Callable[[Any, str], int]
    """(model, question) -> how many tokens it reads."""
    alpha_strip: Callable[..., Any]
    iter_sweep: Callable[..., Any]
    look: Callable[..., Any]
    """(model, LookAsked, direction, site, layer, positions, alphas) -> what `inspect.looks` has."""
    atlas: Callable[..., Any]
    """(model, pairs, what, direction, site, layer, positions, alpha, stop) -> growing tables."""
    extract_answer: Callable[[str], int | float | None]
    cancelled: type[Exception]
    """What `iter_sweep` raises when its `stop` says so."""


def shown_name(model: str | None) -> str | None:
    """The name of a model on the page: of a folder the last part, unless a bundled model has it."""
    from steer_core.codi.places import bundled_names

    if not model or model in bundled_names() or not Path(model).expanduser().is_dir():
        return model
    name = Path(model).expanduser().resolve().name
    return f"{name} (folder)" if name in bundled_names() else name


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads a model where the options say; equal options make equal loaders, as a cache needs."""

    device: str
    dtype: str
    first: str | None = None
    """The model of whoever starts the page; visitors know a folder by its `shown_name` alone."""

    def __call__(self, name: str) -> Any:
        """Return the `CodiModel` of this name or folder."""
        from steer_core.codi.load import load_model

        model = load_model(self.place(name), device=self.device, dtype=self.dtype)
        return model if self.place(name) == name else replace(model, name=name)

    def place(self, name: str) -> str:
        """What a name on the page means here."""
        return self.first if self.first and name == shown_name(self.first) else name


@dataclass(frozen=True, slots=True)
class Facts:
    """Looks models up under the names of the page."""

    loader: Loader

    def __call__(self, name: str) -> Any:
        """Return the `ModelInfo` of this name or folder."""
        from steer_core.codi.listing import model_info

        return model_info(self.loader.place(name))


def prompt_tokens(model: Any, question: str) -> int:
    """Count the tokens of a question, BOT not among them."""
    return len(model.encode(question))


def library(options: Options) -> Engine:
    """The real engine, on the device and in the dtype that were asked for."""
    from steer_core.codi.engine import Cancelled
    from steer_core.codi.listing import list_models
    from steer_core.data.answers import extract_answer
    from steer_core.data.pairs import load_pairs
    from steer_core.experiment.strip import alpha_strip
    from steer_core.experiment.sweep import iter_sweep
    from steer_core.inspect.looks import look_along
    from steer_core.inspect.over import atlas_along
    from steer_core.steering.kept import has_directions, keep_directions
    from steer_core.steering.library import cached_direction, no_direction

    loader = Loader(options.device, options.dtype, options.model)
    return Engine(
        list_models=list_models,
        model_info=Facts(loader),
        load_model=loader,
        load_pairs=load_pairs,
        direction=cached_direction,
        no_direction=no_direction,
        has_directions=has_directions,
        keep_directions=keep_directions,
        prompt_tokens=prompt_tokens,
        alpha_strip=alpha_strip,
        iter_sweep=iter_sweep,
        look=look_along,
        atlas=atlas_along,
        extract_answer=extract_answer,
        cancelled=Cancelled,
    )
