"""A declarative word-problem template: phrasings, number ranges, solution steps, constraints.

    Template(
        "fruit_left",
        phrasings=("{person} has {a} {fruits} and eats {b} of them. How many are left?",),
        numbers={"a": (10, 60), "b": (2, 30)},
        steps=("a-b",),
    )

A slot in a phrasing is a number name or a form of a word list (words.py); a digit after a form
("person2") asks for another word of the same list. A step is two or three operands joined by +
and -, or by * and /: number names, integers, or results of earlier steps (s1, s2, ...). Values
that make a step leave 1..limit, divide with a remainder or break a constraint are never drawn.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from string import Formatter

from steer_core.data.words import FORMS, WORD_LISTS

MAX_NUMBER = 999

_OPERAND = re.compile(r"[a-z]\d*|\d+")
_TOKEN = re.compile(rf"{_OPERAND.pattern}|[-+*/]")
_STEP = re.compile(r"(?:X)(?:(?:[+-](?:X))+|(?:[*/](?:X))+)".replace("X", _OPERAND.pattern))
_CONSTRAINT = re.compile(rf"({_OPERAND.pattern})(<|!=)({_OPERAND.pattern})")

Words = Mapping[str, Mapping[str, str]]
Values = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of word problem.

    Attributes:
        id: its name.
        phrasings: texts with named slots; every number appears exactly once in each.
        numbers: number name -> (low, high) or (low, high, step), both ends included.
        steps: the solution; the last step gives the answer.
        constraints: further conditions such as "b<a" or "a!=b".
        limit: largest result a step may have.
        held_out: whether it is kept out of training.
    """

    id: str
    phrasings: tuple[str, ...]
    numbers: Mapping[str, tuple[int, ...]]
    steps: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    limit: int = 300
    held_out: bool = False
    _ranges: Mapping[str, range] = field(init=False, repr=False, compare=False)
    _parsed: tuple = field(init=False, repr=False, compare=False)
    _texts: tuple = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile ranges, steps and phrasings once; a template that cannot work is our bug."""
        ranges = {name: _range(limits) for name, limits in self.numbers.items()}
        object.__setattr__(self, "_ranges", ranges)
        steps = tuple(_parse_step(step) for step in self.steps)
        tests = tuple(_parse_constraint(text) for text in self.constraints)
        object.__setattr__(self, "_parsed", (steps, tests))
        texts = tuple(_parse_phrasing(text, ranges) for text in self.phrasings)
        object.__setattr__(self, "_texts", texts)

    def values_of(self, name: str) -> range:
        """Values that a number may take."""
        return self._ranges[name]

    def draw_values(self, rng: Random) -> dict[str, int]:
        """Draw one value for each number; they may break the constraints."""
        return {name: rng.choice(values) for name, values in self._ranges.items()}

    def draw_words(self, rng: Random, phrasing: int) -> dict[str, Mapping[str, str]]:
        """Draw the words of one phrasing: slot key ("person", "person2") -> entry."""
        words: dict[str, Mapping[str, str]] = {}
        for key, name in self._texts[phrasing][1].items():
            entry = rng.choice(WORD_LISTS[name])
            while entry in words.values():
                entry = rng.choice(WORD_LISTS[name])
            words[key] = entry
        return words

    def solve(self, values: Values) -> tuple[int, ...] | None:
        """Return the result of each step, or None when these values are not allowed."""
        known = dict(values)
        steps, tests = self._parsed
        for index, step in enumerate(steps, start=1):
            result = _evaluate(step, known)
            if result is None or not 1 <= result <= self.limit:
                return None
            known[f"s{index}"] = result
        if not all(_holds(test, known) for test in tests):
            return None
        return tuple(known[f"s{index + 1}"] for index in range(len(steps)))

    def chain(self, values: Values, results: Sequence[int]) -> tuple[str, ...]:
        """Write the solved steps: ("<<3*4=12>>", "<<12+5=17>>")."""
        known = dict(values) | {f"s{i}": result for i, result in enumerate(results, start=1)}
        return tuple(
            f"<<{''.join(str(_value(token, known)) for token in step)}={result}>>"
            for step, result in zip(self._parsed[0], results, strict=True)
        )

    def render(self, phrasing: int, values: Values, words: Words) -> str:
        """Write the question."""
        return "".join(
            literal + _fill(slot, values, words) for literal, slot in self._texts[phrasing][0]
        )


def _range(limits: tuple[int, ...]) -> range:
    low, high, *step = limits
    assert 1 <= low < high <= MAX_NUMBER, limits
    return range(low, high + 1, *step)


def _parse_step(step: str) -> tuple[str, ...]:
    assert _STEP.fullmatch(step), step
    return tuple(_TOKEN.findall(step))


def _parse_constraint(text: str) -> tuple[str, ...]:
    parts = _CONSTRAINT.fullmatch(text)
    assert parts, text
    return parts.groups()


def _parse_phrasing(text: str, numbers: Mapping[str, range]) -> tuple[tuple, dict[str, str]]:
    """Split a phrasing into (literal, slot) parts; also return its word keys and their lists."""
    parts, lists, used = [], {}, []
    for literal, slot, _, _ in Formatter().parse(text):
        if slot in numbers:
            used.append(slot)
            parts.append((literal, slot))
        elif slot:
            form = slot.rstrip("0123456789")
            key = FORMS[form] + slot[len(form) :]
            lists[key] = FORMS[form]
            parts.append((literal, (key, form)))
        else:
            parts.append((literal, None))
    assert sorted(used) == sorted(numbers), text
    return tuple(parts), lists


def _fill(slot: str | tuple[str, str] | None, values: Values, words: Words) -> str:
    if slot is None:
        return ""
    if isinstance(slot, str):
        return str(values[slot])
    key, form = slot
    return words[key][form]


def _value(token: str, known: Values) -> str | int:
    return known.get(token, token)


def _number(token: str, known: Values) -> int:
    return known[token] if token in known else int(token)


def _evaluate(step: tuple[str, ...], known: Values) -> int | None:
    """Work a step out from left to right; None when a division leaves a remainder."""
    result = _number(step[0], known)
    for operator, token in zip(step[1::2], step[2::2], strict=True):
        operand = _number(token, known)
        if operator == "+":
            result += operand
        elif operator == "-":
            result -= operand
        elif operator == "*":
            result *= operand
        elif result % operand:
            return None
        else:
            result //= operand
    return result


def _holds(test: tuple[str, ...], known: Values) -> bool:
    left, right = _number(test[0], known), _number(test[2], known)
    return left < right if test[1] == "<" else left != right
