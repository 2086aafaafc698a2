"""The template bank: starts, events and ends of each story combined, a share of them held out."""

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import permutations, product
from random import Random

from steer_core.data.bank.farm import FARM
from steer_core.data.bank.measures import FEET, LIQUID, POUNDS
from steer_core.data.bank.money import SAVINGS, SHOPPING
from steer_core.data.bank.places import PEOPLE, SHOP
from steer_core.data.bank.possessions import POSSESSIONS
from steer_core.data.bank.records import AGES, PAGES, POINTS
from steer_core.data.bank.travel import MILES, MINUTES
from steer_core.data.templates import Piece, Story, Template
from steer_core.data.wording import pick

STORIES: tuple[Story, ...] = (
    *POSSESSIONS,
    SAVINGS,
    SHOPPING,
    PEOPLE,
    SHOP,
    FARM,
    MILES,
    LIQUID,
    POUNDS,
    MINUTES,
    FEET,
    PAGES,
    POINTS,
    AGES,
)
"""Their order decides which problems a seed draws."""
TRAINED: Mapping[int, int] = {1: 40, 2: 40, 3: 40, 4: 40, 5: 24}
"""Trained templates of a story, by number of steps; of one step there may be fewer."""
HELD_OUT: Mapping[int, int] = {1: 1, 2: 1, 3: 1, 4: 1, 5: 0}
"""Held-out templates of a story, by number of steps."""
MOST_EVENTS = 3
_DRAWS = 3000
"""Stories with few events have fewer templates of five steps."""

_Pieces = tuple[Piece, ...]


@cache
def bank() -> tuple[Template, ...]:
    """Every template, the same ones in the same order at all times."""
    return tuple(template for story in STORIES for template in _of_story(story))


def _of_story(story: Story) -> Iterator[Template]:
    """The templates of a story; no trained one has the same pieces as a held-out one.

    They are drawn by a generator of the story's own, so that a new story changes no other.
    """
    rng = Random(f"templates of {story.id}")
    single = [pieces for pieces in _told(story, 1) if _steps(pieces) == 1]
    rng.shuffle(single)
    groups = {1: single[: TRAINED[1] + HELD_OUT[1]]}
    groups |= {steps: [] for steps in TRAINED if steps > 1}
    _draw(story, groups, rng)
    for steps, group in groups.items():
        held = HELD_OUT[steps]
        yield from (Template(story, pieces, index < held) for index, pieces in enumerate(group))


def _draw(story: Story, groups: dict[int, list[_Pieces]], rng: Random) -> None:
    """Fill the groups of more than one step; two templates never differ in order alone."""
    wanted = {steps: TRAINED[steps] + HELD_OUT[steps] for steps in groups if steps > 1}
    taken: set[frozenset[int]] = set()
    for _ in range(_DRAWS):
        events = rng.sample(story.events, min(rng.randrange(MOST_EVENTS + 1), len(story.events)))
        pieces = (pick(rng, story.starts), *events, pick(rng, story.ends))
        steps = _steps(pieces)
        kind = frozenset(map(id, pieces))
        if len(groups.get(steps, ())) < wanted.get(steps, 0) and _fits(pieces, kind, taken):
            taken.add(kind)
            groups[steps].append(pieces)
            if all(len(groups[steps]) == count for steps, count in wanted.items()):
                return


def _told(story: Story, most_events: int) -> Iterator[_Pieces]:
    for start, end in product(story.starts, story.ends):
        for count in range(most_events + 1):
            for events in permutations(story.events, count):
                pieces = (start, *events, end)
                if _fits(pieces, frozenset(), frozenset()):
                    yield pieces


def _steps(pieces: _Pieces) -> int:
    return sum(len(piece.steps) for piece in pieces)


def _fits(pieces: _Pieces, kind: frozenset[int], taken: Collection[frozenset[int]]) -> bool:
    """Whether a story is new and makes sense: what is left needs an event that takes away."""
    *told, end = pieces
    if kind in taken or len({piece.id for piece in told}) < len(told):
        return False
    return end.id != "left" or bool(end.steps) or (len(told) > 1 and told[-1].takes_away)
