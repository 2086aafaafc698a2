"""What a visitor chose, checked: every value names its limit when it is out of range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from steer_core.data.answers import parse_answer
from steer_core.data.rows import show
from steer_core.errors import UserError
from steer_core.names import CONTROL_KINDS, UNITS, with_unit

if TYPE_CHECKING:
    from steer_core.steering.spec import EditSpec

SITES = ("residual", "thought", "embedding")
"""Those that a newcomer and an experiment choose from; `sites` are all."""
MOST_OPTIONS = 8
"""That stand behind the name of a method in the list."""


# What can be edited is named by modules that import torch: they are asked once the page is shown.


@lru_cache(maxsize=1)
def sites() -> tuple[str, ...]:
    """Names of all sites."""
    from steer_core.steering.sites import SITES

    return SITES


@lru_cache(maxsize=1)
def operations() -> tuple[str, ...]:
    """Names of all operations."""
    from steer_core.steering.operations import OPERATIONS

    return tuple(OPERATIONS)


@lru_cache(maxsize=1)
def directions() -> tuple[str, ...]:
    """Names of all directions."""
    return (*direction_names(), TWIN)


def directions_in_units() -> tuple[str, ...]:
    """With what α counts behind the name, see `steer_core.steering.units`."""
    return tuple(with_unit(name, unit) for name in directions() for unit in UNITS)


def has_layers(site: str) -> bool:
    """Whether every block has this site."""
    from steer_core.steering.sites import Site

    return Site(site).has_layers


def direction_names() -> Iterator[str]:
    """Every method, with what may stand behind it, and the controls."""
    from steer_core.steering.methods import METHODS

    for name, method in METHODS.items():
        yield name
        for option in getattr(method, "options", ())[1:MOST_OPTIONS]:  # the first is the default
            yield f"{name}:{option}"
    yield from CONTROL_KINDS


TWIN = "twin"
"""The states of the problem's twin, for one problem; what replaces states by it swaps the twins."""
MOST_FACTOR = 10.0
"""Of a layer, or of a position in a schedule."""
VARIANTS = ("clean", "corrupted")
FILTERS = ("all", "right", "wrong")
ALPHA_LIMIT = 3.0
ALPHA_STEP = 0.1
QUESTION_WORDS = 400
PROMPT_TOKENS = 800
MOST_DECODES = 20_000
"""Of one request; an experiment has its own limit, see `limits`."""
MOST_LISTED = 12
MOST_SHOWN = 80
STRIP_ALPHAS = tuple(round(-ALPHA_LIMIT + ALPHA_STEP * i, 1) for i in range(61))
SWEEP_ALPHAS = tuple(round(-ALPHA_LIMIT + 0.5 * i, 1) for i in range(13))


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to steer, without α: the key of every cache."""

    model: str
    specs: tuple[EditSpec, ...]
    """Edits that are made together and moved by one α: the same one at each of its layers."""

    @property
    def first(self) -> EditSpec:
        """The edit at the chosen layer; the others have another layer and factor."""
        return self.specs[0]

    def edited_at(self, positions: tuple[int, ...]) -> Setting:
        """The same edit at other positions."""
        return replace(self, specs=tuple(replace(spec, positions=positions) for spec in self.specs))

    @property
    def of_twin(self) -> bool:
        """Whether it is another edit for each problem: with the states of its twin."""
        return self.first.direction == TWIN and self.needs_direction

    @property
    def needs_direction(self) -> bool:
        """Whether anything is edited along one: without, a model that has none decodes as well."""
        from steer_core.steering.operations import OPERATIONS

        return bool(self.first.positions) and OPERATIONS[self.first.operation].directed


def choose(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        UserError: naming the value and the choices.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{name} {shown(value)} is unknown; choose one of {listed(choices)}")
    return str(value)


def listed(choices: tuple[str, ...]) -> str:
    """The choices in words; of many the first and the last."""
    if len(choices) <= MOST_LISTED:
        return ", ".join(choices)
    return f"{choices[0]} to {choices[-1]} ({len(choices)} in all)"


def shown(value: Any, quoted: bool = True) -> str:
    """A value of any kind and length as an error says it; text is `quoted` or as it is."""
    text = value if isinstance(value, str) and not quoted else repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def some(name: str, values: Any, most: int) -> list[Any]:
    """Return the values of a list that has at most so many.

    Raises:
        UserError: if it is none, or has more.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise UserError(f"{name} is {shown(values)}; give a list of at most {most}")
    if len(values) > most:
        raise UserError(f"{name} has {len(values):,} values, the limit is {most}; give fewer")
    return list(values)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an integer from `low` to `high`.

    Raises:
        UserError: if it is not a whole number or out of range.
    """
    number = _number(name, value)
    if not math.isfinite(number) or number != int(number) or not low <= number <= high:
        raise UserError(
            f"{name} is {shown(value, False)}; give a whole number from {low} to {high}"
        )
    return int(number)


def finite_alpha(value: Any) -> float:
    """Return α as a float; it must be finite and at most `ALPHA_LIMIT` in size.

    Raises:
        UserError: if it is not.
    """
    number = _number("α", value)
    if not math.isfinite(number) or abs(number) > ALPHA_LIMIT:
        raise UserError(
            f"α is {shown(value, False)}; give a number from {-ALPHA_LIMIT:g} to {ALPHA_LIMIT:g}"
        )
    return number


def sweep_alphas(values: Any, pairs: int) -> tuple[float, ...]:
    """Return the α of a sweep over so many pairs, sorted and with 0; the standard ones for None.

    Raises:
        UserError: for more of them than the page's slider has, or more work than one request may
            ask for.
    """
    if values is None:
        return SWEEP_ALPHAS
    found = map(finite_alpha, some("alphas", values, len(STRIP_ALPHAS)))
    alphas = tuple(sorted({0.0, *found}))
    decodes = len(alphas) * pairs
    if decodes > MOST_DECODES:
        raise UserError(
            f"{len(alphas)} α over {pairs} pairs are {decodes:,} decodes, the limit of one request"
            f" is {MOST_DECODES:,}; give fewer α"
        )
    return alphas


def question_text(value: Any) -> str:
    """Return the question, stripped; it must have between 1 and `QUESTION_WORDS` words.

    Raises:
        UserError: if it is empty or too long.
    """
    if not isinstance(value, str | None):
        raise UserError(f"the question is {shown(value)}; give text")
    text = (value or "").strip()
    if text.encode("utf-8", "ignore").decode() != text:
        raise UserError("the question holds half a character, which is no Unicode; type it anew")
    words = len(text.split())
    if not words:
        raise UserError("the question is empty; type a word problem that asks for one number")
    if words > QUESTION_WORDS or len(text) > 12 * QUESTION_WORDS:
        raise UserError(
            f"the question has {words} words ({len(text)} characters), the limit is"
            f" {QUESTION_WORDS} words ({12 * QUESTION_WORDS} characters); shorten it"
        )
    return text


def gold_number(value: Any) -> int | float | None:
    """Return the gold answer as a number, read as those of files; None where it was left empty.

    Raises:
        UserError: if it is not one finite number.
    """
    if value is None or not str(value).strip():
        return None
    number = parse_answer(value)
    if number is None:
        raise UserError(f"the gold answer is {show(value)}, not a number; write such as 7 or 1,200")
    return number


def make_setting(
    info: Any,
    site: Any,
    layer: Any,
    positions: Any,
    direction: Any,
    operation: Any = "add",
    schedule: Any = None,
    layers: Any = None,
) -> Setting:
    """Check the edit against the model it is meant for.

    Args:
        info: the model's `ModelInfo` (name, layers, latents).
        site: one of `sites()`.
        layer: block 1..L; sites without layers do not depend on it.
        positions: any of 0..K, in any order.
        direction: one of `directions_in_units()`.
        operation: one of `operations()`.
        schedule: factors of α at 0..K, such as "1,1,0.5,0,0,0,0" or a list; nothing for 1.
        layers: further blocks that are edited too, each with its factor of α, such as "1:0.5,3";
            nothing for none.

    Raises:
        UserError: naming the value, the limit and the next move.
    """
    from steer_core.steering.sites import Site
    from steer_core.steering.spec import EditSpec

    site = choose("site", site, sites())
    block = whole(f"layer of {info.name}", layer, 1, info.layers)
    masked = some("positions", positions, info.latents + 1)
    chosen = {whole(f"position of {info.name}", each, 0, info.latents) for each in masked}
    first = EditSpec(
        Site(site, block if Site(site).has_layers else None),
        tuple(sorted(chosen)),
        choose("direction", direction, directions_in_units()),
        choose("operation", operation, operations()),
        schedule=schedule_factors(schedule, info.latents),
    )
    more = layer_factors(layers, info) if first.site.has_layers else {}
    others = [
        replace(first, site=Site(site, each), factor=factor)
        for each, factor in more.items()
        if each != block
    ]
    return Setting(info.name, (first, *others))


def unedited(model: str) -> Setting:
    """The setting that changes nothing."""
    from steer_core.steering.sites import Site
    from steer_core.steering.spec import EditSpec

    return Setting(model, (EditSpec(Site("residual", 1), ()),))


def schedule_factors(value: Any, latents: int) -> tuple[float, ...] | None:
    """The factors of α at positions 0..K; None where each is 1.

    Raises:
        UserError: for another number of them, or one that is out of range.
    """
    parts = _parts("schedule", value, latents + 1)
    if not parts:
        return None
    if len(parts) != latents + 1:
        raise UserError(
            f"the schedule has {len(parts)} factors; give {latents + 1}, for positions 0..{latents}"
        )
    factors = tuple(_factor("factor of the schedule", part) for part in parts)
    return None if set(factors) == {1.0} else factors


def layer_factors(value: Any, info: Any) -> dict[int, float]:
    """The further layers of "1:0.5,3" with their factors of α, 1 where none is said.

    Raises:
        UserError: for a layer that the model lacks, or a factor that is out of range.
    """
    found = {}
    for part in _parts("layers", value, info.layers):
        layer, _, factor = str(part).partition(":")
        number = whole(f"layer of {info.name}", layer, 1, info.layers)
        if factor := _factor("factor of a layer", factor or 1):
            found[number] = factor
    return dict(sorted(found.items()))


def _parts(name: str, value: Any, most: int) -> list[Any]:
    """The parts of a text with commas, or of a list."""
    parts = value.split(",") if isinstance(value, str) and value.strip() else value or []
    return some(name, parts, most)


def _factor(name: str, value: Any) -> float:
    number = _number(name, value)
    if not abs(number) <= MOST_FACTOR:  # also where it is no number
        limits = f"a number from {-MOST_FACTOR:g} to {MOST_FACTOR:g}"
        raise UserError(f"{name} is {shown(value, False)}; give {limits}")
    return number


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        pass
    raise UserError(f"{name} is {shown(value)}; give a number")
