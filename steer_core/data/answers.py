"""The answer in a text: the last number, by the rule of the official CODI evaluation."""

import re

Number = int | float

_NUMBER = re.compile(r"-?\d+\.?\d*")


def extract_answer(text: str) -> Number | None:
    """Return the last number in a text, or None when it holds none.

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
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(value.replace(",", "").strip() if isinstance(value, str) else value)
    except ValueError:
        return None
    return _narrow(number) if abs(number) < float("inf") else None


def format_number(value: Number) -> str:
    """Return a number as it is written in a question or answer: 12.0 is "12", 2.5 is "2.5"."""
    return str(_narrow(value))


def _narrow(value: Number) -> Number:
    return int(value) if value == int(value) else value
