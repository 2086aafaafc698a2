"""Endless word problems and pairs of twins from the template bank, deterministic by seed."""

from bisect import bisect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random

from steer_core.data.bank import bank
from steer_core.data.problems import NUMBER_WORDS, Pair, Problem, question_key
from steer_core.data.templates import Template, may_spell, write_number
from steer_core.data.wording import KINDS, Wording, pick
from steer_core.errors import UserError

STEP_WEIGHTS: Mapping[int, float] = {1: 0.17, 2: 0.28, 3: 0.26, 4: 0.19, 5: 0.1}
"""Share of problems by number of solution steps."""

_MAX_MISSES = 1_000


@dataclass(frozen=True, slots=True)
class _Draft:
    """A template with every word and number chosen but the text not yet written.

    `text` is literal strings and, where a number goes, (index of the value, written as a word).
    """

    template: Template
    text: tuple
    values: list[int]
    results: list[int]

    def problem(self) -> Problem:
        values = self.values
        question = "".join(
            part if type(part) is str else write_number(values[part[0]], part[1])
            for part in self.text
        )
        return Problem(
            question=question,
            answer=self.results[-1],
            chain=self.template.chain(values, self.results),
            template=self.template.id,
        )


def generate_problems(
    seed: int,
    held_out: bool = False,
    step_weights: Mapping[int, float] = STEP_WEIGHTS,
    forbidden: Collection[str] = frozenset(),
) -> Iterator[Problem]:
    """Yield word problems without end, the same ones for the same arguments.

    Args:
        seed: any integer.
        held_out: False for the templates that training uses, True for the others only.
        step_weights: relative share of problems by number of steps; numbers of steps for which
            no such template exists are left out.
        forbidden: question keys (see `question_key`) of problems that are left out.
    """
    rng = Random(seed)
    for template in _draw_templates(rng, held_out, step_weights):
        problem = _draft(template, rng).problem()
        if not forbidden or question_key(problem.question) not in forbidden:
            yield problem


def generate_twins(
    seed: int,
    held_out: bool = False,
    step_weights: Mapping[int, float] = STEP_WEIGHTS,
    forbidden: Collection[str] = frozenset(),
) -> Iterator[Pair]:
    """Yield pairs of twins without end, numbered from 0; arguments as in `generate_problems`.

    The two problems of a pair have the same words; one number and the answer differ.
    """
    rng = Random(seed)
    number = 0
    for template in _draw_templates(rng, held_out, step_weights):
        twins = _twins(_draft(template, rng), rng)
        if twins and not any(question_key(twin.question) in forbidden for twin in twins):
            yield Pair(number, *twins, held_out=held_out)
            number += 1


def generate_pairs(
    n: int,
    seed: int,
    held_out_share: float = 0.0,
    exclude: Collection[str] = frozenset(),
    *,
    step_weights: Mapping[int, float] = STEP_WEIGHTS,
    first_id: int = 0,
) -> list[Pair]:
    """Return n pairs, no two of which share a problem.

    Args:
        n: number of pairs.
        seed: any integer.
        held_out_share: share of pairs (0..1, rounded to whole pairs, placed last) written by
            templates that training never uses.
        exclude: question keys (see `question_key`) that must not occur.
        step_weights: relative share of problems by number of steps.
        first_id: pair_id of the first pair; the others count up from it.

    Raises:
        UserError: when the share is outside 0..1 or the bank cannot supply so many new problems.
    """
    if not 0 <= held_out_share <= 1:
        raise UserError(f"held-out share {held_out_share} is outside 0..1; give a fraction")
    rng = Random(seed)
    seen = set(exclude)
    held = round(n * held_out_share)
    twins = _new_twins(n - held, rng, False, step_weights, seen)
    twins += _new_twins(held, rng, True, step_weights, seen)
    return [
        Pair(first_id + index, clean, corrupted, held_out=index >= n - held)
        for index, (clean, corrupted) in enumerate(twins)
    ]


def _new_twins(
    n: int, rng: Random, held_out: bool, step_weights: Mapping[int, float], seen: set[str]
) -> list[tuple[Problem, Problem]]:
    twins: list[tuple[Problem, Problem]] = []
    misses = 0
    templates = _draw_templates(rng, held_out, step_weights)
    while len(twins) < n:
        pair = _twins(_draft(next(templates), rng), rng)
        keys = {question_key(problem.question) for problem in pair or ()}
        if pair and not keys & seen:
            seen |= keys
            twins.append(pair)
            misses = 0
        elif (misses := misses + 1) > _MAX_MISSES:
            raise UserError(f"{n} pairs asked, only {len(twins)} new ones found; ask for fewer")
    return twins


def _draw_templates(
    rng: Random, held_out: bool, step_weights: Mapping[int, float]
) -> Iterator[Template]:
    groups = _by_steps(held_out)
    counts = [steps for steps in groups if step_weights.get(steps, 0) > 0]
    if not counts:
        raise UserError(
            f"no template has {sorted(step_weights)} steps; give a weight to one of {[*groups]}"
        )
    weights = [step_weights[steps] for steps in counts]
    bounds = list(accumulate(weights))
    while True:
        place = bisect(bounds, rng.random() * bounds[-1], hi=len(bounds) - 1)
        yield pick(rng, groups[counts[place]])


@cache
def _by_steps(held_out: bool) -> Mapping[int, Sequence[Template]]:
    groups: dict[int, list[Template]] = {}
    chosen = [template for template in bank() if template.held_out == held_out]
    for template in sorted(chosen, key=lambda template: template.steps):
        groups.setdefault(template.steps, []).append(template)
    return groups


def _draft(template: Template, rng: Random) -> _Draft:
    values, results = template.draw(rng)
    return _Draft(template, _text(template, template.write(rng), values), values, results)


def _text(template: Template, wording: Wording, values: Sequence[int]) -> tuple:
    """The text with everything fixed that twins share; blanks of choices left empty are closed."""
    index = template.indices
    parts: list = []
    literal = ""
    for part in wording.parts:
        if type(part) is str:
            literal += part
            continue
        place = index.get(part)
        if place is None:
            literal += str(pick(wording.rng, KINDS["o"]))
            continue
        parts.append(_tidy(literal))
        spelled = wording.spell and may_spell(part[1], values[place])
        parts.append((place, spelled))
        literal = ""
    parts.append(_tidy(literal).rstrip())
    return tuple(parts)


def _tidy(literal: str) -> str:
    """Close the gaps that an empty option of a choice leaves."""
    while "  " in literal:
        literal = literal.replace("  ", " ")
    for sign in ".,?":
        literal = literal.replace(f" {sign}", sign)
    return literal


def _twins(draft: _Draft, rng: Random) -> tuple[Problem, Problem] | None:
    """The problem and its twin: one number changed, allowed by the template, another answer."""
    template = draft.template
    spelled = {part[0] for part in draft.text if type(part) is not str and part[1]}
    for index in _shuffled(range(len(draft.values)), rng):
        for value in _shuffled(template.values_of(index), rng):
            if index in spelled and value not in NUMBER_WORDS:
                continue
            values = [*draft.values]
            values[index] = value
            results = template.solve(values)
            if results and results[-1] != draft.results[-1]:
                twin = _Draft(template, draft.text, values, results)
                return draft.problem(), twin.problem()
    return None


def _shuffled(values: Sequence[int], rng: Random) -> list[int]:
    return rng.sample(values, len(values))
