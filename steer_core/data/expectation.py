"""What the answer should become when one step's result alone is the twin's."""

import re
from collections.abc import Sequence
from fractions import Fraction

from steer_core.data.answers import Number
from steer_core.data.problems import Pair

_STEP = re.compile(r"<<(\d+(?:\.\d+)?(?:[-+*/]\d+(?:\.\d+)?)+)=(\d+(?:\.\d+)?)>>")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[-+*/]")


def expected_answer(pair: Pair, step: int) -> Number | None:
    """Return the clean problem's answer if the result of one step were that of its twin.

    Later steps are worked out anew; the numbers of the question stay the clean problem's. Where a
    later step takes a result is read off the two chains: it is a number that is the clean result
    here and the twin's result there.

    Args:
        pair: a pair whose two solutions are known and take the same steps.
        step: whose result is exchanged, from 1.

    Returns:
        The answer; None where it is not known, or no whole number where the chain has whole ones.
    """
    one, other = _parse(pair.clean.chain), _parse(pair.corrupted.chain)
    if one is None or other is None or not 1 <= step <= pair.clean.steps:
        return None
    (clean, results), (corrupted, twin_results) = one, other
    if _signs(clean) != _signs(corrupted):
        return None
    new = [*results[: step - 1], twin_results[step - 1]]
    for tokens, twins in zip(clean[step:], corrupted[step:], strict=True):
        known = list(zip(results, twin_results, new, strict=False))
        value = _work_out([_now(*both, known) for both in zip(tokens, twins, strict=True)])
        if value is None:
            return None
        new.append(value)
    whole = all(result.denominator == 1 for result in results)
    if whole and new[-1].denominator != 1:
        return None
    return int(new[-1]) if new[-1].denominator == 1 else float(new[-1])


def _parse(chain: Sequence[str]) -> tuple[list[list[str]], list[Fraction]] | None:
    """Operands and operators of every step, and the results; None for a chain of another form."""
    found = [step for text in chain if (step := _STEP.fullmatch(text))]
    if not found or len(found) < len(chain):
        return None
    return [_TOKEN.findall(step[1]) for step in found], [Fraction(step[2]) for step in found]


def _signs(steps: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The operators of every step."""
    return [tokens[1::2] for tokens in steps]


def _now(token: str, other: str, known: Sequence[tuple[Fraction, ...]]) -> str | Fraction:
    """An operand after the exchange: the result whose clean and twin's values stand at its place.

    `known` holds the clean, the twin's and the new result of the steps so far; the latest counts.
    """
    if token[0].isdigit():
        for clean, twin, new in reversed(known):
            if (clean, twin) == (Fraction(token), Fraction(other)):
                return new
    return token


def _work_out(tokens: Sequence[str | Fraction]) -> Fraction | None:
    """From left to right; None for a division by zero."""
    result = Fraction(tokens[0])
    for sign, token in zip(tokens[1::2], tokens[2::2], strict=True):
        operand = Fraction(token)
        if sign == "+":
            result += operand
        elif sign == "-":
            result -= operand
        elif sign == "*":
            result *= operand
        elif operand == 0:
            return None
        else:
            result /= operand
    return result
