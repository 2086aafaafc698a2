"""Addresses that restore what somebody looked at: ?model=…&problem=…&layer=…&alpha=…&mask=1,2."""

from collections.abc import Callable, Mapping
from typing import Any

from steer_core.codi.config import middle_layer
from steer_core.errors import UserError
from steer_core.ui import settings
from steer_core.ui.handlers import Explorer, ModelChoice

SOURCES = ("pairs", "own")
SHOWN_FIRST = "124"
"""The pair a page is opened with: its answer turns within the slider's range, in every model of
the box, so that whoever drags alpha for the first time sees something happen."""


def restore(explorer: Explorer, query: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the value of every control, and one line for each part of the address that is wrong.

    A wrong part falls back to its default, so an old link still opens the page; its line names that
    too.
    """
    complaints: list[str] = []

    def take(name: str, default: Any, check: Callable[[str], Any]) -> Any:
        if name not in query:
            return default
        try:
            return check(query[name])
        except UserError as error:
            complaints.append(f"{error} ({_instead(default)})")
            return default

    first = next(iter(explorer.models.values()))
    info = take("model", first, explorer.info)
    values = {"model": info.name} | {
        name: take(name, default, check) for name, (default, check) in _controls(info).items()
    }
    known = [pair_id for _, pair_id in explorer.problems(info.name, values["variant"])]
    usual = SHOWN_FIRST if SHOWN_FIRST in known else known[0]
    values["problem"] = take("problem", usual, lambda text: settings.choose("problem", text, known))
    values["keep"] = take("keep", "all", lambda text: _keep(explorer, values, text))
    values["alpha"], asked = _on_slider(values["alpha"]), values["alpha"]
    if values["alpha"] != asked:
        step = f"α is {asked:g}; the slider has steps of {settings.ALPHA_STEP:g}"
        complaints.append(f"{step} ({_instead(values['alpha'])})")
    return values, complaints


def _on_slider(alpha: float) -> float:
    """The nearest α of the slider: box, slider, figures and address all show one."""
    return min(settings.STRIP_ALPHAS, key=lambda known: abs(known - alpha))


def _instead(default: Any) -> str:
    """What the page shows where the address is wrong, in words."""
    if isinstance(default, ModelChoice):
        default = default.name
    if isinstance(default, list):
        default = ", ".join(map(str, default))
    if isinstance(default, float):
        default = f"{default:g}"
    return f"the page shows {'nothing' if default in (None, '') else default}"


def _keep(explorer: Explorer, values: Mapping[str, Any], text: str) -> str:
    """The filter, which the problem that is shown must pass.

    Raises:
        UserError: if it does not.
    """
    left = explorer.problems(values["model"], values["variant"], text)
    if values["problem"] not in [pair_id for _, pair_id in left]:
        wanted = f"{values['model']} does not get problem {values['problem']} {text}"
        raise UserError(f"{wanted}; choose one of the {len(left)} in the list")
    return text


def defaults(info: ModelChoice) -> dict[str, Any]:
    """Return layer and positions a model is opened with: the middle block, all latent steps."""
    return {
        "layer": middle_layer(info.layers),
        "positions": list(range(1, info.latents + 1)),
    }


def _controls(info: ModelChoice) -> dict[str, tuple[Any, Callable[[str], Any]]]:
    usual = defaults(info)
    return {
        "source": ("pairs", lambda text: settings.choose("source", text, SOURCES)),
        "variant": ("clean", lambda text: settings.choose("variant", text, settings.VARIANTS)),
        "question": ("", settings.question_text),
        "gold": (None, settings.gold_number),
        "site": ("residual", lambda text: settings.choose("site", text, settings.sites())),
        "layer": (
            usual["layer"],
            lambda text: settings.whole(f"layer of {info.name}", text, 1, info.layers),
        ),
        "mask": (usual["positions"], lambda text: _mask(text, info)),
        "direction": (
            "mean_difference",
            lambda text: settings.choose("direction", text, settings.directions()),
        ),
        "unit": ("raw", lambda text: settings.choose("unit of α", text, settings.UNITS)),
        "operation": (
            "add",
            lambda text: settings.choose("operation", text, settings.operations()),
        ),
        "schedule": ("", lambda text: _checked(text, settings.schedule_factors, info.latents)),
        "layers": ("", lambda text: _checked(text, settings.layer_factors, info)),
        "alpha": (0.0, settings.finite_alpha),
    }


def _checked(text: str, check: Callable[[str, Any], Any], limits: Any) -> str:
    """A text that the settings can read, as it stands."""
    check(text, limits)
    return text


def _mask(text: str, info: ModelChoice) -> list[int]:
    chosen = [part for part in text.split(",") if part.strip()]
    return sorted({settings.whole("mask position", part, 0, info.latents) for part in chosen})
