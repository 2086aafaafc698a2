"""Stories of a person and the things that the person has, picks, bakes or makes."""

from steer_core.data.bank.owning import (
    asked,
    asked_with_another_number,
    compared,
    gained_or_lost,
    owned,
    shared_out,
)
from steer_core.data.bank.parts import ASIDES, PERSON, story
from steer_core.data.templates import Piece, Story, piece


def _owner(
    name: str, many: str, one: str, starts: tuple[Piece, ...] = (), events: tuple[Piece, ...] = ()
) -> Story:
    """A story of someone who has things, with more starts and events than the usual ones."""
    return story(
        name,
        (*starts, *owned(many), *compared(many)),
        (*events, *gained_or_lost(many), *shared_out(many)),
        (*asked(many, one), *asked_with_another_number(many, one)),
        ASIDES,
        PERSON,
    )


POSSESSIONS: tuple[Story, ...] = (
    _owner("toys", "{toys}", "{toy}"),
    _owner(
        "fruit",
        "{fruits}",
        "{fruit}",
        starts=(
            piece(
                "picks",
                "",
                "{person} <picks|picked> {n} {fruits} [in the garden|from a tree|on a farm|]+",
                "{person} <comes|came> home from the {shop} with {n} {fruits}+",
            ),
            piece(
                "trees",
                "k*w",
                "{person} <picks|picked> {w} {fruits} from each of {k} trees.",
                "{person} <has|had> {k} trees. {He} <picks|picked> {w} {fruits} from [each|every] "
                "[one|tree].",
            ),
        ),
        events=(
            piece(
                "eats",
                "x-m",
                "~<eats|ate> {m} [of them|{fruits}|of the {fruits}] [for lunch|for breakfast|]",
                "{His} family <eats|ate> {m} of [them|the {fruits}].",
            ),
            piece(
                "bad",
                "x-m",
                "But {m} of them <are|were> bad.",
                "~<throws|threw> away {m} bad {fruits}",
            ),
        ),
    ),
    _owner(
        "treats",
        "{treats}",
        "{treat}",
        starts=(
            piece(
                "bakes",
                "",
                "{person} <bakes|baked> {n} {treats} [for a party|for the fair|for school|]+",
                "{person} <makes|made> {n} {treats}+",
            ),
            piece(
                "trays",
                "k*w",
                "{person} <bakes|baked> {k} trays of {w} {treats}.",
                "{person} <bakes|baked> {k} trays of {treats} with {w} [{treats}|] on each tray.",
                "Each tray <holds|held> {w} {treats}. {person} <bakes|baked> {k} trays.",
            ),
        ),
        events=(
            piece(
                "eats",
                "x-m",
                "~<eats|ate> {m} [of them|{treats}|of the {treats}]",
                "{His} family <eats|ate> {m} of [them|the {treats}].",
            ),
            piece(
                "burns",
                "x-m",
                "~<burns|burned> {m} [of them|{treats}]",
                "But {m} of the {treats} <are|were> burned.",
            ),
            piece(
                "bakes",
                "x+m",
                "~<bakes|baked> {m} more [{treats}|]",
                "~<makes|made> {m} more [{treats}|] in the [evening|morning|afternoon]",
            ),
        ),
    ),
    _owner(
        "crafts",
        "{crafts}",
        "{craft}",
        starts=(
            piece(
                "makes",
                "w*h",
                "{person} <makes|made> {w} {crafts} [a|each|every] day for {h} days.",
                "{person} <makes|made> {w} {crafts} [a|each|every] week. {He} <works|worked> for "
                "{h} weeks.",
            ),
        ),
        events=(
            piece(
                "sells",
                "x-m",
                "~<sells|sold> {m} [of them|{crafts}|of the {crafts}]",
                "~<sells|sold> {m} {crafts} at the [market|fair|school]",
            ),
            piece("makes", "x+m", "~<makes|made> {m} more [{crafts}|]", "~<adds|added> {m} more"),
        ),
    ),
    _owner("goods", "{goods}", "{good}"),
    _owner(
        "flowers",
        "{flowers}",
        "{flower}",
        starts=(
            piece(
                "plants",
                "",
                "{person} <plants|planted> {n} {flowers} [in the garden|by the house|]+",
                "{person}'s garden <has|had> {n} {flowers}.",
            ),
            piece(
                "rows",
                "k*w",
                "{person} <plants|planted> {k} rows of {w} {flowers}.",
                "{person}'s garden <has|had> {k} rows with {w} {flowers} [in each row|each].",
            ),
        ),
        events=(
            piece(
                "die",
                "x-m",
                "[After a storm|In the winter|In the cold], {m} of them <die|died>.",
                "But {m} of the {flowers} <die|died>.",
            ),
            piece(
                "plants",
                "x+m",
                "~<plants|planted> {m} more [{flowers}|]",
                "~<plants|planted> {m} new {flowers}",
            ),
        ),
    ),
)
