"""Answers: of a text by the rule of the official CODI evaluation, and gold ones of any file."""

import math
import re
from decimal import Decimal
from numbers import Integral, Real

Number = int | float

FINAL = "####"
"""In GSM8K's answers the number behind this is the answer."""
_NUMBER = re.compile(r"-?\d+\.?\d*")
_WHOLE = re.compile(r"[+-]?\d+\.?")
_MARK = re.compile(rf".*(?:{FINAL}|\bthe (?:final )?answer is:?)", re.DOTALL | re.IGNORECASE)
_GOLD = re.compile(
    r"(?P<sign>[+-]?)\s?[$€£¥₹]?\s?(?P<inner>[+-]?)"
    r"(?P<number>(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)"
    r"\s?%?\.?",
    re.ASCII | re.IGNORECASE,
)
_EXACT_IN_A_FLOAT = 2**53


def extract_answer(text: str) -> Number | None:
    """Return the last number in a text, or None when it holds none that a float can hold.

    Commas are dropped first, so "1,200" is 1200; a number without a fractional part is an int.
    The rule is kept as the official evaluation has it, quirks included: in "3-4" the last number
    is -4, and "1,2" is 12. Only that a whole number keeps all of its digits is ours.
    """
    numbers = _NUMBER.findall(text.replace(",", ""))
    return _written(numbers[-1]) if numbers else None


def parse_answer(value: object) -> Number | None:
    """Return a stored gold answer as a number, or None when it is not one finite number.

    The one rule for every gold answer: of files, of pairs, of the page. A text may hold a solution
    before "####" or "The answer is:"; what stands behind is taken. It is one number: 7, -3.5,
    1.5e3, "1,200" (commas only before groups of three digits, so that "3,5" is none), with a
    currency sign or a percent sign that change nothing ("$12", "12 %"), also with a Unicode minus.
    Fractions, units and words are none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, Integral):
        return int(value) if _is_finite(int(value)) else None
    if isinstance(value, Real):
        return _narrow(float(value))
    return _parse_text(str(value)) if isinstance(value, str | Decimal) else None


def same_number(one: Number | None, other: Number | None) -> bool:
    """Whether two answers are equal: whole numbers to the last digit, 7 and 7.0 too.

    A float beyond 2^53 stands for all whole numbers that round to it: those of GSM-Hard were
    rounded when they were written. None, no number, is equal to None.
    """
    if one is None or other is None:
        return one is other
    if isinstance(one, float) or isinstance(other, float):
        return float(one) == float(other)
    return one == other


def format_number(value: Number) -> str:
    """Return a finite number as a question or answer writes it: 12.0 is "12", 2.5 is "2.5"."""
    return str(int(value) if value == int(value) else value)


def _parse_text(text: str) -> Number | None:
    """The number that a text is, or ends in behind a mark."""
    mark = _MARK.match(text)
    rest = text[mark.end() :] if mark else text
    found = _GOLD.fullmatch(rest.strip().replace("\N{MINUS SIGN}", "-"))
    if not found or (found["sign"] and found["inner"]):
        return None
    return _written(found["sign"] + found["inner"] + found["number"].replace(",", ""))


def _written(text: str) -> Number | None:
    """The number that digits write: whole ones exactly; None beyond what a float can hold."""
    near = float(text)
    if math.isfinite(near) and _WHOLE.fullmatch(text):
        return int(text.removesuffix("."))
    return _narrow(near)


def _narrow(value: float) -> Number | None:
    """An int where nothing is lost; None for a float that is infinite or no number."""
    if not math.isfinite(value):
        return None
    whole = value.is_integer() and abs(value) <= _EXACT_IN_A_FLOAT
    return int(value) if whole else value


def _is_finite(value: int) -> bool:
    """Whether a float can hold a whole number, if rounded."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
