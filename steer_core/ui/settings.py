"""What a visitor chose, checked: every value names its limit when it is out of range."""

import math
from collections.abc import Iterable, Sequence
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


def make_setting(info: Any, site: Any, layer: Any, positions: Any, direction: Any) -> Setting:
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
            sorted(
                {
                    whole(f"position of {info.name}", position, 0, info.latents)
                    for position in some("positions", positions, info.latents + 1)
                }
            )
        ),
        direction=choose("direction", direction, DIRECTIONS_IN_UNITS),
    )


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        pass
    raise UserError(f"{name} is {shown(value)}; give a number")
