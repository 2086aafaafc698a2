"""What a visitor chose, checked: every value names its limit when it is out of range."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from steer_core.data.answers import parse_answer
from steer_core.data.rows import show
from steer_core.errors import UserError
from steer_core.names import UNITS, with_unit

SITES = ("residual", "thought", "embedding")
DIRECTIONS = ("mean_difference", "random")
DIRECTIONS_IN_UNITS = tuple(with_unit(name, unit) for name in DIRECTIONS for unit in UNITS)
"""With what α counts behind the name, see `steer_core.steering.units`."""
VARIANTS = ("clean", "corrupted")
FILTERS = ("all", "right", "wrong")
ALPHA_LIMIT = 3.0
ALPHA_STEP = 0.1
QUESTION_WORDS = 400
MOST_LISTED = 12
STRIP_ALPHAS = tuple(round(-ALPHA_LIMIT + ALPHA_STEP * i, 1) for i in range(61))
SWEEP_ALPHAS = tuple(round(-ALPHA_LIMIT + 0.5 * i, 1) for i in range(13))


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to steer, without α: the key of every cache."""

    model: str
    site: str
    layer: int
    """Block 1..L; the sites `thought` and `embedding` do not depend on it."""
    positions: tuple[int, ...]
    """Edited positions, ascending, each 0..K."""
    direction: str
    """One of `DIRECTIONS_IN_UNITS`."""


def choose(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        UserError: naming the value and the choices.
    """
    choices = tuple(choices)
    if value not in choices:
        raise UserError(f"{name} {value!r} is unknown; choose one of {listed(choices)}")
    return str(value)


def listed(choices: tuple[str, ...]) -> str:
    """The choices in words; of many the first and the last."""
    if len(choices) <= MOST_LISTED:
        return ", ".join(choices)
    return f"{choices[0]} to {choices[-1]} ({len(choices)} in all)"


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an integer from `low` to `high`.

    Raises:
        UserError: if it is not a whole number or out of range.
    """
    number = value if isinstance(value, (int, float)) else _number(name, value)
    if not math.isfinite(number) or number != int(number) or not low <= number <= high:
        raise UserError(f"{name} is {value}; give a whole number from {low} to {high}")
    return int(number)


def finite_alpha(value: Any) -> float:
    """Return α as a float; it must be finite and at most `ALPHA_LIMIT` in size.

    Raises:
        UserError: if it is not.
    """
    number = _number("α", value)
    if not math.isfinite(number) or abs(number) > ALPHA_LIMIT:
        raise UserError(f"α is {value}; give a number from {-ALPHA_LIMIT:g} to {ALPHA_LIMIT:g}")
    return number


def question_text(value: Any) -> str:
    """Return the question, stripped; it must have between 1 and `QUESTION_WORDS` words.

    Raises:
        UserError: if it is empty or too long.
    """
    text = str(value or "").strip()
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
    info: Any, site: Any, layer: Any, positions: Iterable[Any], direction: Any
) -> Setting:
    """Check the edit against the model it is meant for.

    Args:
        info: the model's `ModelInfo` (name, layers, latents).
        site: one of `SITES`.
        layer: block 1..L.
        positions: any of 0..K, in any order.
        direction: one of `DIRECTIONS_IN_UNITS`.

    Raises:
        UserError: naming the value, the limit and the next move.
    """
    return Setting(
        model=info.name,
        site=choose("site", site, SITES),
        layer=whole(f"layer of {info.name}", layer, 1, info.layers),
        positions=tuple(
            sorted({whole(f"position of {info.name}", p, 0, info.latents) for p in positions})
        ),
        direction=choose("direction", direction, DIRECTIONS_IN_UNITS),
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} is {value!r}; give a number") from None
