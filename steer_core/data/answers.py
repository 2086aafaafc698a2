"""The answer in a text: the last number, by the rule of the official CODI evaluation."""

import math
import re

Number = int | float

_NUMBER = re.compile(r"-?\d+\.?\d*")
_GOLD = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)")


def extract_answer(text: str) -> Number | None:
    """Return the last number in a text, or None when it holds none that a float can hold.

    Commas are dropped first, so "1,200" is 1200; a number without a fractional part is an int.
    The rule is kept as the official evaluation has it, quirks included: in "3-4" the last number
    is -4, and "1,2" is 12.
    """
    found = _NUMBER.findall(text.replace(",", ""))
    return _narrow(float(found[-1])) if found else None


def parse_answer(value: object) -> Number | None:
    """Return a stored gold answer as a number, or None when it is no finite number.

    Accepts numbers and strings that are one number, thousands commas allowed: 7, 7.0, "1,200".
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return _narrow(value)
    if isinstance(value, str) and _GOLD.fullmatch(value.strip()):
        return _narrow(float(value.replace(",", "")))
    return None


def format_number(value: Number) -> str:
    """Return a finite number as a question or answer writes it: 12.0 is "12", 2.5 is "2.5"."""
    return str(_narrow(value))


def _narrow(value: Number) -> Number | None:
    """An int where nothing is lost; None for a float that is infinite or no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
