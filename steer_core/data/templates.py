"""A word-problem template: sentences about one quantity, and the arithmetic they stand for.

A story is told in pieces. A start says how large the quantity is, events change it, an end asks.
Each piece brings its sentences (wording.py) and its steps:

    Piece("packs", "k*w,x+y", "~<buys|bought> {k} {bags} of {w} {toys}")

In a step, `x` is the quantity before the piece and `y` the result of the step before; the last
step gives the quantity behind it. A step is two or three operands, number names, integers or
results, joined by + and -, or by * and /. A piece without steps starts from its only number, or
leaves the quantity as it is. Values that make a step leave 1..`LIMIT`, leave a remainder or a
quotient of one are never drawn.

A sentence that begins with "~" lacks its subject, which the template puts in front, sometimes after
a word such as "Then"; two of one subject may become one sentence. One that ends in "+" may go on
with such a sentence by "and".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, mul, sub
from random import Random

from steer_core.data.problems import NUMBER_WORDS
from steer_core.data.wording import (
    KINDS,
    NEVER_SPELLED,
    Text,
    Wording,
    compile_text,
    numbers_in,
    pick,
)

LIMIT = 200
"""Largest result of a step."""
SPELLED_SHARE, ASIDE_SHARE, PAST_SHARE = 0.2, 0.15, 0.5
"""Shares of problems with number words, with a sentence that does not matter, in the past."""
JOINED_SHARE, LINKED_SHARE, NAMED_SHARE = 0.35, 0.3, 0.25
"""Shares of events joined by "and", opened by "Then" or the like, told with the person's name."""
LINKS = tuple(f"{word} " for word in ("Then", "Later,", "After that,", "Next,"))

_OPERAND = r"(?:[a-z]\d?|\d+)"
_TOKEN = re.compile(rf"{_OPERAND}|[-+*/]")
_STEP = re.compile(rf"{_OPERAND}(?:(?:[+-]{_OPERAND}){{1,2}}|(?:[*/]{_OPERAND}){{1,2}})")
_TRIES = 8

Values = Sequence[int]


def _divide(left: int, right: int) -> int:
    """The quotient; 0, which is no allowed result, where there is a remainder or nothing left."""
    quotient, remainder = divmod(left, right)
    return 0 if remainder or quotient < 2 else quotient


OPERATORS: Mapping[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul, "/": _divide}


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a story.

    Attributes:
        id: its name, unique among the starts, events or ends of its story.
        steps: the steps, each split into operands and operators.
        sources: the sentences as they are written.
        numbers: names of its numbers.
        bare: for each compiled sentence whether it lacks its subject.
        texts: the compiled sentences.
    """

    id: str
    steps: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]
    numbers: tuple[str, ...]
    texts: tuple[Text, ...] = field(repr=False)
    bare: tuple[bool, ...] = field(repr=False)
    open: tuple[bool, ...] = field(repr=False)

    @property
    def takes_away(self) -> bool:
        """Whether less is left behind it."""
        return bool(self.steps) and self.steps[-1][1] in "-/"


def piece(name: str, steps: str, *sources: str) -> Piece:
    """Compile a piece; steps are separated by commas. One that cannot work is our bug."""
    parsed = tuple(_parse_step(step) for step in steps.split(",") if step)
    texts = tuple(compile_text(source.removeprefix("~").removesuffix("+")) for source in sources)
    numbers = tuple(sorted(numbers_in(texts[0])))
    assert len(set(numbers)) == len(numbers), sources
    for text in texts:
        assert tuple(sorted(numbers_in(text))) == numbers, (name, text)
    used = {token for step in parsed for token in step if token[0].isalpha()}
    assert not parsed or used - {"x", "y"} == set(numbers), (name, steps)
    bare = tuple(source.startswith("~") for source in sources)
    return Piece(
        name, parsed, sources, numbers, texts, bare, tuple(s.endswith("+") for s in sources)
    )


@dataclass(frozen=True, slots=True)
class Story:
    """A setting and everything that may happen in it.

    Attributes:
        id: its name.
        starts: pieces that say how large the quantity is.
        events: pieces that change it.
        ends: pieces that ask.
        asides: sentences with numbers that do not matter.
        subjects: what a bare sentence is told of, at a sentence's start and inside one; the first
            is the usual one.
    """

    id: str
    starts: tuple[Piece, ...]
    events: tuple[Piece, ...]
    ends: tuple[Piece, ...]
    asides: tuple[Text, ...]
    subjects: tuple[tuple[Text, Text], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of word problem: a start, events and an end of one story.

    Attributes:
        story: the story.
        pieces: its pieces in order.
        held_out: whether it is kept out of training.
        id: its name.
        steps: number of solution steps.
        indices: place of each number among the values, by index of its piece and its name.
    """

    story: Story
    pieces: tuple[Piece, ...]
    held_out: bool = False
    id: str = field(init=False)
    steps: int = field(init=False)
    indices: Mapping[tuple[str, str], int] = field(init=False, repr=False, compare=False)
    _numbers: tuple = field(init=False, repr=False, compare=False)
    _plan: tuple = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Number every operand once: values come first, then constants, then results."""
        set_ = object.__setattr__
        set_(self, "id", f"{self.story.id}:{'-'.join(piece.id for piece in self.pieces)}")
        set_(self, "steps", sum(len(piece.steps) for piece in self.pieces))
        names = [(str(i), name) for i, part in enumerate(self.pieces) for name in part.numbers]
        set_(self, "_numbers", tuple((key, KINDS[key[1][0]]) for key in names))
        set_(self, "indices", {key: index for index, key in enumerate(names)})
        set_(self, "_plan", _plan(self.pieces, names))

    def values_of(self, index: int) -> Sequence[int]:
        """Values that a number may take."""
        return self._numbers[index][1]

    def draw(self, rng: Random) -> tuple[list[int], list[int]]:
        """Draw values that work, piece by piece; return them and the results of the steps."""
        while True:
            if (drawn := self._try_draw(rng)) is not None:
                return drawn

    def solve(self, values: Values) -> list[int] | None:
        """Return the result of each step, or None when these values are not allowed."""
        constants, parts = self._plan
        known = [*values, *constants]
        for _, _, steps in parts:
            if not _run(steps, known):
                return None
        return known[len(known) - self.steps :]

    def chain(self, values: Values, results: Values) -> tuple[str, ...]:
        """Write the solved steps: ("<<3*4=12>>", "<<12+5=17>>")."""
        constants, parts = self._plan
        known = [*values, *constants, *results]
        lines = []
        for _, _, steps in parts:
            for first, rest in steps:
                tail = "".join(f"{sign}{known[index]}" for sign, _, index in rest)
                lines.append(f"<<{known[first]}{tail}={results[len(lines)]}>>")
        return tuple(lines)

    def write(self, rng: Random) -> Wording:
        """Choose every word of the text; the numbers stay open."""
        wording = Wording(rng, rng.random() < PAST_SHARE, rng.random() < SPELLED_SHARE)
        aside = 0
        if self.story.asides and rng.random() < ASIDE_SHARE:
            aside = 1 if rng.random() < 0.5 else len(self.pieces) - 1
        may_join = ""
        for index, part in enumerate(self.pieces):
            if index and index == aside:
                wording.write(pick(rng, self.story.asides), "aside")
                wording.parts.append(" ")
                may_join = ""
            may_join = self._tell(wording, index, part, may_join)
        return wording

    def _tell(self, wording: Wording, index: int, part: Piece, may_join: str) -> str:
        """Write one piece; return what a bare sentence behind it may be joined by."""
        rng, parts = wording.rng, wording.parts
        chosen = int(rng.random() * len(part.texts))
        bare = part.bare[chosen]
        if bare and may_join and rng.random() < JOINED_SHARE:
            parts[-1] = may_join
        elif bare:
            self._begin(wording)
        wording.write(part.texts[chosen], str(index))
        if bare or part.open[chosen]:
            parts.append(". ")
            return " and " if index == 0 or parts.count(" and ") == 0 else ""
        parts.append(" ")
        return ""

    def _begin(self, wording: Wording) -> None:
        """Write the subject of a bare sentence."""
        rng, subjects = wording.rng, self.story.subjects
        subject = subjects[0] if rng.random() >= NAMED_SHARE else pick(rng, subjects)
        linked = bool(wording.parts) and rng.random() < LINKED_SHARE
        if linked:
            wording.parts.append(pick(rng, LINKS))
        wording.write(subject[linked])
        wording.parts.append(" ")

    def _try_draw(self, rng: Random) -> tuple[list[int], list[int]] | None:
        constants, parts = self._plan
        known = [0] * len(self._numbers) + list(constants)
        base = len(known)
        for first, last, steps in parts:
            for _ in range(_TRIES):
                for index in range(first, last):
                    known[index] = pick(rng, self._numbers[index][1])
                size = len(known)
                if _run(steps, known):
                    break
                del known[size:]
                if first == last:
                    return None
            else:
                return None
        return known[: len(self._numbers)], known[base:]


def _parse_step(step: str) -> tuple[str, ...]:
    assert _STEP.fullmatch(step), step
    return tuple(_TOKEN.findall(step))


def _plan(pieces: Sequence[Piece], names: list) -> tuple:
    """The constants, and for each piece (first value, end of values, steps by operand index)."""
    tokens = [token for part in pieces for step in part.steps for token in step]
    constants = sorted({int(token) for token in tokens if token.isdigit()})
    base = len(names)
    results = base + len(constants)
    parts, quantity, first = [], None, 0
    for number, part in enumerate(pieces):
        before = quantity
        steps = []
        for step in part.steps:
            where = {"x": before, "y": quantity}
            operands = [
                base + constants.index(int(token))
                if token.isdigit()
                else where[token]
                if token in where
                else names.index((str(number), token))
                for token in step[::2]
            ]
            assert None not in operands, part
            signs = step[1::2]
            rest = [
                (sign, OPERATORS[sign], index)
                for sign, index in zip(signs, operands[1:], strict=True)
            ]
            steps.append((operands[0], tuple(rest)))
            quantity = results
            results += 1
        if quantity is None:
            quantity = names.index((str(number), part.numbers[0]))
        parts.append((first, first + len(part.numbers), tuple(steps)))
        first += len(part.numbers)
    return tuple(constants), tuple(parts)


def _run(steps: Sequence, known: list[int]) -> bool:
    """Append the result of each step; False at the first that is not allowed."""
    for first, rest in steps:
        result = known[first]
        for _, operator, index in rest:
            result = operator(result, known[index])
        if not 1 <= result <= LIMIT:
            return False
        known.append(result)
    return True


def write_number(value: int, spelled: bool) -> str:
    """A number as a question shows it."""
    return NUMBER_WORDS[value] if spelled else str(value)


def may_spell(name: str, value: int) -> bool:
    """Whether a number may be written as a word."""
    return name[0] not in NEVER_SPELLED and value in NUMBER_WORDS
