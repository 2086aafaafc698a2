"""What stories share: subjects, and sentences whose numbers do not matter."""

from collections.abc import Sequence

from steer_core.data.templates import Piece, Story
from steer_core.data.wording import compile_text

PERSON = (("{He}", "{he}"), ("{person}", "{person}"))
"""A person is told of by pronoun, sometimes by name."""
ASIDES = (
    "{He} is {o} years old.",
    "{His} {relative} is {o} years old.",
    "The {shop} is {o} miles away.",
    "It [takes|took] {o} minutes to get there.",
    "The [room|house|garden] [has|had] {o} windows.",
    "There are {o} [people|children|trees|cars|birds] [nearby|outside].",
    "{His} {relative} [lives|works] {o} miles away.",
    "It is {o} degrees outside.",
    "The work [takes|took] {o} minutes.",
    "{He} [waits|waited] {o} minutes for {his} {relative}.",
    "{His} street has {o} houses.",
)
"""Asides of a story about a person."""
PLAIN_ASIDES = (
    "It is {o} degrees outside.",
    "There are {o} [people|children|trees|cars|birds] [nearby|outside].",
    "The next town is {o} miles away.",
    "It [takes|took] {o} minutes to get there.",
    "The street has {o} houses.",
    "The building is {o} years old.",
    "The place has {o} [doors|windows|lamps].",
)
"""Asides of a story without one."""


def story(
    name: str,
    starts: Sequence[Piece],
    events: Sequence[Piece],
    ends: Sequence[Piece],
    asides: Sequence[str],
    subjects: Sequence[tuple[str, str]],
) -> Story:
    """Compile a story."""
    return Story(
        name,
        tuple(starts),
        tuple(events),
        tuple(ends),
        tuple(compile_text(aside) for aside in asides),
        tuple((compile_text(first), compile_text(inside)) for first, inside in subjects),
    )
