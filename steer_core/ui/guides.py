"""Guided examples, looked for in what the loaded model does with the test pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from steer_core.errors import UserError
from steer_core.names import RANDOM
from steer_core.ui.handlers import Asked, Explorer, ModelChoice
from steer_core.ui.links import defaults
from steer_core.ui.settings import TWIN

MOST_TRIED = 40
"""Problems that are looked through for one example."""
MOVED = 0.05
"""Share of its norm by which a final state moves where an edit is said to have arrived."""
Strip = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Guide:
    """One example: what its button says, how it edits, and at which α a strip shows it."""

    label: str
    edit: Callable[[ModelChoice], dict[str, Any]]
    shown: Callable[[Strip], float | None]
    """An α at which what is promised is seen; None where the strip does not show it."""
    missing: str
    """What is said when no problem shows it."""


def usual(info: ModelChoice) -> dict[str, Any]:
    """The edit that a page opens with."""
    plain = {"site": "residual", "direction": "mean_difference", "operation": "add", "unit": "raw"}
    return {**plain, "schedule": "", "layers": "", **defaults(info)}


def noise(info: ModelChoice) -> dict[str, Any]:
    """Noise of the direction's length: it arrives, and means nothing."""
    return {**usual(info), "direction": RANDOM}


def unread(info: ModelChoice) -> dict[str, Any]:
    """An edit of a state that nothing reads."""
    return {**usual(info), "site": "thought", "positions": [info.latents]}


def swapped(info: ModelChoice) -> dict[str, Any]:
    """The twin's latent thoughts in the place of the question's own."""
    edit = {"site": "embedding", "direction": TWIN, "operation": "replace"}
    return {**usual(info), **edit}


def turned(strip: Strip) -> float | None:
    """The α nearest to 0 at which the answer turned from right to wrong, or the reverse."""
    return smallest(strip, lambda i: strip["correct"][i] is not strip["correct"][strip["baseline"]])


def flat(strip: Strip) -> float | None:
    """The largest α, where no answer differs though final states move."""
    moved = max(row[-1] or 0 for row in strip["relative"][-1])
    still = len(set(strip["answers"])) == 1 and not strip["nonfinite"]
    return strip["alphas"][-1] if still and moved >= MOVED else None


def never(strip: Strip) -> float | None:
    """Any α, where every edited position is one that nothing reads."""
    return 2.0 if len(strip["inert"]) == len(strip["positions"]) > 0 else None


def taken(strip: Strip) -> float | None:
    """α = 1, where the answer is the twin's and was the own one before."""
    at, base = strip["alphas"].index(1.0), strip["baseline"]
    own, answer = strip["answers"][base], strip["answers"][at]
    return 1.0 if own == strip["gold"] and answer == strip["twin"] != own else None


def smallest(strip: Strip, fits: Callable[[int], bool]) -> float | None:
    """The α nearest to 0 with a given property."""
    order = sorted(range(len(strip["alphas"])), key=lambda i: (abs(strip["alphas"][i]), i))
    known = [i for i in order if i not in strip["nonfinite"] and fits(i)]
    return strip["alphas"][known[0]] if known else None


GUIDES = {
    "flips": Guide("An answer that flips", usual, turned, "an answer that turns right or wrong"),
    "null": Guide("A real null", noise, flat, "states that move under an answer that stays"),
    "unread": Guide("An edit that never arrives", unread, never, "an edit that nothing reads"),
    "swap": Guide("A twin swap", swapped, taken, "an answer that follows its twin's latents"),
}


def found(explorer: Explorer, model: str, name: str) -> dict[str, Any]:
    """What the inputs hold where an example is seen: the first test problem that shows it.

    Raises:
        UserError: when none of the first problems does.
    """
    guide, info = GUIDES[name], explorer.info(model)
    edit = guide.edit(info)
    asked = {key: value for key, value in edit.items() if key != "unit"}
    setting = explorer.setting(model, **asked)
    for pair_id in pair_ids(explorer, info.name):
        strip = explorer.strip(Asked(pair_id=pair_id), setting)
        if "note" in strip:
            raise UserError(f"{strip['note']}; then try again")
        alpha = guide.shown(strip)
        if alpha is not None:
            where = {"source": "pairs", "variant": "clean", "keep": "all", "problem": pair_id}
            return {**where, **edit, "alpha": alpha}
    raise UserError(
        f"none of the first {MOST_TRIED} problems shows {guide.missing} with {info.name}; "
        "choose another model"
    )


def pair_ids(explorer: Explorer, model: str) -> Iterator[str]:
    """The problems that are looked through."""
    for _, pair_id in explorer.problems(model, "clean")[:MOST_TRIED]:
        yield pair_id
