"""The notation in which the bank's sentences are written, and its compiled form.

    "{person} <has|had> {n} {toys} in [a box|a drawer]."

`{n}` is a number: a kind (`KINDS`), with a digit behind it where a sentence holds two of the kind.
`{toys}` is a form of a word list (words.py); a digit behind it ("person2") asks for another word of
the list. `[a|b]` is a free choice, `<present|past>` follows the tense of the problem; both may hold
slots and choices. A problem keeps its wording in `Wording`: only the numbers are still open, so a
twin is written with the very same words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from steer_core.data.words import FORMS, WORD_LISTS

KINDS: dict[str, Sequence[int]] = {
    "n": range(8, 81),  # a large count
    "m": range(2, 31),  # a middling count
    "w": range(2, 13),  # a row, a box
    "k": range(2, 10),  # a few
    "h": range(2, 7),  # a handful
    "d": range(2, 11),  # a divisor
    "p": range(2, 13),  # a price in dollars
    "t": range(20, 101, 5),  # a round amount
    "g": range(50, 201, 10),  # a goal
    "r": (10, 20, 25, 30, 40, 50, 60, 75, 80, 90),  # a percentage
    "o": range(2, 61),  # of no consequence
}
"""Values of each kind of number, the same to every template."""
NEVER_SPELLED = frozenset("ptgr")

_NUMBER = re.compile(rf"[{''.join(KINDS)}]\d?")
_CLOSING = {"[": "]", "<": ">"}


@dataclass(frozen=True, slots=True)
class _Number:
    name: str


@dataclass(frozen=True, slots=True)
class _Word:
    key: str
    form: str
    entries: Sequence[dict[str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple, ...]
    by_tense: bool


Text = tuple[str | _Number | _Word | _Choice, ...]
"""A compiled sentence."""


@dataclass(slots=True)
class Wording:
    """The words of one problem while it is being written.

    Attributes:
        rng: source of every free choice.
        past: the tense.
        spell: whether numbers up to twelve are written as words.
        words: the words drawn so far, by slot key.
        parts: literal text, and where a number goes its name.
    """

    rng: Random
    past: bool
    spell: bool
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    parts: list = field(default_factory=list)

    def write(self, text: Text, prefix: str = "") -> None:
        """Append a sentence; the names of its numbers get the prefix."""
        for part in text:
            if isinstance(part, str):
                self.parts.append(part)
            elif isinstance(part, _Word):
                self.parts.append(self._word(part))
            elif isinstance(part, _Number):
                self.parts.append((prefix, part.name))
            else:
                self.write(self._option(part), prefix)

    def _word(self, slot: _Word) -> str:
        word = self.words.get(slot.key)
        if word is None:
            word = pick(self.rng, slot.entries)
            while word in self.words.values():
                word = pick(self.rng, slot.entries)
            self.words[slot.key] = word
        return word[slot.form]

    def _option(self, choice: _Choice) -> tuple:
        return choice.options[self.past] if choice.by_tense else pick(self.rng, choice.options)


def pick(rng: Random, options: Sequence):
    """One of the options; faster than `Random.choice`, and the same in every Python release."""
    return options[int(rng.random() * len(options))]


def compile_text(source: str) -> Text:
    """Compile a sentence; one that cannot work is our bug."""
    text, rest = _compile(source, "")
    assert not rest, source
    return text


def numbers_in(text: Text) -> list[str]:
    """Names of the numbers in the order of the text; options of a choice agree about them."""
    names: list[str] = []
    for part in text:
        if isinstance(part, _Number):
            names.append(part.name)
        elif isinstance(part, _Choice):
            options = [numbers_in(option) for option in part.options]
            assert all(sorted(option) == sorted(options[0]) for option in options), text
            names += options[0]
    return names


def words_in(text: Text) -> set[str]:
    """Every text that a sentence may show where no number stands."""
    shown: set[str] = set()
    for part in text:
        if isinstance(part, str):
            shown.add(part)
        elif isinstance(part, _Word):
            shown |= {entry[part.form] for entry in part.entries}
        elif isinstance(part, _Choice):
            shown = shown.union(*(words_in(option) for option in part.options))
    return shown


def _compile(source: str, closing: str) -> tuple[Text, str]:
    """Compile up to a separator or the closing sign; return what is left from there on."""
    parts: list = []
    while source and not (closing and source[0] in "|" + closing):
        head = source[0]
        if head == "{":
            name, _, source = source[1:].partition("}")
            parts.append(_slot(name))
        elif head in _CLOSING:
            choice, source = _compile_choice(source[1:], head)
            parts.append(choice)
        else:
            literal = re.match(r"[^{\[<|\]>]+", source)
            assert literal, source
            parts.append(literal[0])
            source = source[literal.end() :]
    return tuple(parts), source


def _compile_choice(source: str, opening: str) -> tuple[_Choice, str]:
    options = []
    while True:
        option, source = _compile(source, _CLOSING[opening])
        options.append(option)
        assert source, "a choice that is not closed"
        head, source = source[0], source[1:]
        if head != "|":
            by_tense = opening == "<"
            assert len(options) == 2 or not by_tense
            return _Choice(tuple(options), by_tense), source


def _slot(name: str) -> _Number | _Word:
    if _NUMBER.fullmatch(name):
        return _Number(name)
    form = name.rstrip("0123456789")
    list_name = FORMS[form]
    return _Word(list_name + name[len(form) :], form, WORD_LISTS[list_name])
