"""Endless word problems and pairs of twins from the template bank, deterministic by seed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from steer_core.data.bank import BANK
from steer_core.data.problems import Pair, Problem, question_key
from steer_core.data.templates import Template
from steer_core.errors import UserError

STEP_WEIGHTS: Mapping[int, float] = {1: 0.22, 2: 0.36, 3: 0.24, 4: 0.12, 5: 0.06}
"""Share of problems by number of solution steps."""

_MAX_MISSES = 1_000


@dataclass(frozen=True, slots=True)
class _Draft:
    """A template with everything chosen but the text not yet written."""

    template: Template
    phrasing: int
    values: Mapping[str, int]
    results: tuple[int, ...]
    words: Mapping[str, Mapping[str, str]]

    def problem(self) -> Problem:
        template = self.template
        return Problem(
            question=template.render(self.phrasing, self.values, self.words),
            answer=self.results[-1],
            chain=template.chain(self.values, self.results),
            template=template.id,
        )


def generate_problems(
    seed: int, held_out: bool = False, step_weights: Mapping[int, float] = STEP_WEIGHTS
) -> Iterator[Problem]:
    """Yield word problems without end, the same ones for the same arguments.

    Args:
        seed: any integer.
        held_out: False for the templates that training uses, True for the others only.
        step_weights: relative share of problems by number of steps; numbers of steps for which
            no such template exists are left out.
    """
    rng = Random(seed)
    for template in _draw_templates(rng, held_out, step_weights):
        yield _draft(template, rng).problem()


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
    while True:
        yield rng.choice(groups[rng.choices(counts, weights)[0]])


def _by_steps(held_out: bool) -> dict[int, Sequence[Template]]:
    chosen = [template for template in BANK if template.held_out == held_out]
    counts = sorted({len(template.steps) for template in chosen})
    return {steps: [t for t in chosen if len(t.steps) == steps] for steps in counts}


def _draft(template: Template, rng: Random) -> _Draft:
    phrasing = rng.randrange(len(template.phrasings))
    words = template.draw_words(rng, phrasing)
    while True:
        values = template.draw_values(rng)
        results = template.solve(values)
        if results:
            return _Draft(template, phrasing, values, results, words)


def _twins(draft: _Draft, rng: Random) -> tuple[Problem, Problem] | None:
    """The problem and its twin: one number changed, allowed by the template, another answer."""
    names = list(draft.values)
    rng.shuffle(names)
    for name in names:
        for value in _shuffled(draft.template.values_of(name), rng):
            values = {**draft.values, name: value}
            results = draft.template.solve(values)
            if results and results[-1] != draft.results[-1]:
                twin = _Draft(draft.template, draft.phrasing, values, results, draft.words)
                return draft.problem(), twin.problem()
    return None


def _shuffled(values: range, rng: Random) -> list[int]:
    return rng.sample(values, len(values))
