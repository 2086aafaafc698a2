"""Everything the page asks of the library below it, in one place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from steer_core.codi.listing import list_models
from steer_core.data.answers import extract_answer
from steer_core.data.pairs import load_pairs
from steer_core.errors import Cancelled
from steer_core.ui.options import Options
from steer_core.ui.settings import TWIN


@dataclass(frozen=True, slots=True)
class Later:
    """A function of the library that is imported when it is called.

    torch takes seconds to import, and the page is shown without it.
    """

    module: str
    name: str

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call it."""
        return getattr(import_module(f"steer_core.{self.module}"), self.name)(*args, **options)


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
    curve: Callable[..., Any]
    """(model, specs, twin) -> EditCurve, with their directions looked up by name; `settings.TWIN`
    names the states of the question `twin`."""
    unedited: Callable[..., Any]
    """(model, specs) -> EditCurve that changes nothing and needs no direction."""
    has_directions: Callable[[Any], bool]
    keep_directions: Callable[..., None]
    """(model, progress, stop): computes what `direction` gives, where a model lacks it."""
    prompt_tokens: Callable[[Any, str], int]
    """(model, question) -> how many tokens it reads."""
    alpha_strip: Callable[..., Any]
    iter_sweep: Callable[..., Any]
    iter_nulls: Callable[..., Any]
    """As `iter_sweep`, of directions without meaning in the place of the curve's."""
    look: Callable[..., Any]
    """(model, LookAsked, curve, alphas) -> what `inspect.looks` has."""
    atlas: Callable[..., Any]
    """(model, pairs, what, curve, alpha, stop) -> growing tables."""
    extract_answer: Callable[[str], int | float | None]
    cancelled: type[Exception]
    """What `iter_sweep` raises when its `stop` says so."""
    read_model: Callable[[str], Any] | None = None
    """name -> model on the CPU, in the precision of the GPU; None: as `load_model`."""
    move_model: Callable[[Any], Any] | None = None
    """A model that was read -> the same on the device of the options."""


def shown_name(model: str | None) -> str | None:
    """The name of a model on the page: of a folder the last part, unless a bundled model has it."""
    from steer_core.codi.places import bundled_names

    if not model or model in bundled_names() or not Path(model).expanduser().is_dir():
        return model
    name = Path(model).expanduser().resolve().name
    return f"{name} (folder)" if name in bundled_names() else name


ON_GPU = "bfloat16"
"""What `auto` means on a GPU."""


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
class Reader:
    """Reads a model on the CPU, in the precision that it has on a GPU."""

    loader: Loader

    def __call__(self, name: str) -> Any:
        """Return the `CodiModel` of this name or folder."""
        dtype = self.loader.dtype
        on_gpu = ON_GPU if dtype == "auto" and self.loader.device != "cpu" else dtype
        return replace(self.loader, device="cpu", dtype=on_gpu)(name)


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves a model that was read to the device of the options."""

    device: str

    def __call__(self, model: Any) -> Any:
        """Return the same model there."""
        from steer_core.codi.load import pick_device
        from steer_core.codi.placement import moved

        return moved(model, pick_device(self.device))


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


def named_curve(model: Any, specs: Any, twin: str | None) -> Any:
    """Look the directions of edits up by name; visitors name no files of this machine."""
    from steer_core.experiment.donors import states_of
    from steer_core.steering.library import cached_direction
    from steer_core.steering.spec import resolved

    def find(model: Any, site: str, layer: int | None, name: str) -> Any:
        if name == TWIN and twin is not None:
            return states_of(model, twin, site, layer, TWIN)
        return cached_direction(model, site, layer, name)

    return resolved(model, specs, find=find)


def library(options: Options) -> Engine:
    """The real engine, on the device and in the dtype that were asked for."""
    loader = Loader(options.device, options.dtype, options.model)
    return Engine(
        list_models=list_models,
        model_info=Facts(loader),
        load_model=loader,
        load_pairs=load_pairs,
        curve=named_curve,
        unedited=Later("steering.spec", "unedited"),
        has_directions=Later("steering.kept", "has_directions"),
        keep_directions=Later("steering.kept", "keep_directions"),
        prompt_tokens=prompt_tokens,
        alpha_strip=Later("experiment.strip", "alpha_strip"),
        iter_sweep=Later("experiment.sweep", "iter_sweep"),
        iter_nulls=Later("experiment.nulls", "iter_nulls"),
        look=Later("inspect.looks", "look"),
        atlas=Later("inspect.over", "atlas"),
        extract_answer=extract_answer,
        cancelled=Cancelled,
        read_model=Reader(loader),
        move_model=Mover(options.device),
    )
