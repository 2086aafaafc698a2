"""Stories of what is measured out: liters, pounds and feet."""

from steer_core.data.bank.parts import ASIDES, PERSON, story
from steer_core.data.templates import Piece, piece


def _common_events(what: str, uses: str, adds: str) -> tuple[Piece, ...]:
    """Events of a quantity of `what` ("liters of water") that someone uses and adds to."""
    return (
        piece("half", "x/2", f"~{uses} half of [it|the {what}]"),
        piece("third", "x/3,x-y", f"~{uses} [a|one] third of [it|the {what}]"),
        piece("quarter", "x/4,x-y", f"~{uses} [a|one] [quarter|fourth] of [it|the {what}]"),
        piece("percent", "x*r/100,x-y", f"~{uses} {{r}}[%| percent] of [it|the {what}]"),
        piece("double", "x*2", f"~{adds} until there <is|was> [twice|double] as much"),
    )


LIQUID = story(
    "liquid",
    starts=(
        piece(
            "holds",
            "",
            "{person}'s {tank} <holds|held> {n} liters of {liquid}.",
            "There <are|were> {n} liters of {liquid} in {person}'s {tank}.",
            "{person} <has|had> {n} liters of {liquid} in a {tank}+",
        ),
        piece(
            "minutes",
            "k*w",
            "{person} <fills|filled> a {tank} with {k} liters of {liquid} a minute for {w} "
            "minutes.",
            "A pipe <brings|brought> {k} liters of {liquid} a minute into {person}'s {tank}. It "
            "<runs|ran> for {w} minutes.",
        ),
        piece(
            "bottles",
            "k*h",
            "{person} <pours|poured> {k} bottles of {liquid} into a {tank}. Each bottle <holds|"
            "held> {h} liters.",
            "{person} <has|had> {k} bottles with {h} liters of {liquid} in each.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <has|had> {n} liters of {liquid} in [one|a big] {tank} and {m} liters in "
            "[another|a small] one.",
            "{person} <pours|poured> {n} liters and then {m} [more|] liters of {liquid} into a "
            "{tank}.",
        ),
    ),
    events=(
        piece(
            "uses",
            "x-m",
            "~<uses|used> {m} liters [of it|]",
            "Then {m} liters <are|were> [used|lost].",
            "{His} {relative} <takes|took> {m} liters.",
        ),
        piece(
            "adds",
            "x+m",
            "~<adds|added> {m} [more|] liters",
            "~<pours|poured> in {m} [more|] liters",
        ),
        piece(
            "pipe",
            "h*k,x+y",
            "~<adds|added> {h} liters a minute for {k} minutes",
            "~<adds|added> {k} bottles of {h} liters each",
        ),
        piece(
            "plants",
            "h*k,x-y",
            "~<gives|gave> {k} plants {h} liters each",
            "~<fills|filled> {k} bottles with {h} liters each",
        ),
        *_common_events("{liquid}", "<uses|used>", "<adds|added> {liquid}"),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many liters [are there|does {he} have] [now|then|at the end]?",
            "How much {liquid} is there [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many liters are left?",
            "How many liters does {he} have left?",
            "How much {liquid} is left?",
        ),
        piece(
            "cans",
            "x/d",
            "{He} fills it into cans of {d} liters. How many cans does {he} [need|fill]?",
            "How many bottles of {d} liters can {he} fill with it?",
        ),
        piece(
            "share",
            "x/d",
            "{He} shares it equally among {d} people. How many liters does each [one|of them] get?",
            "If it lasts {d} days, how many liters does {he} use each day?",
        ),
        piece(
            "sell",
            "x*p",
            "{He} sells it for ${p} a liter. How [much money|many dollars] does {he} [make|get]?",
            "If one liter costs ${p}, how much is it worth?",
        ),
        piece(
            "full",
            "g-x",
            "There is room for {g} liters. How many more liters are needed?",
            "How many more liters does {he} need to have {g}?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

POUNDS = story(
    "pounds",
    starts=(
        piece(
            "has",
            "",
            "{person} <has|had> {n} pounds of {food}+",
            "{person} <buys|bought> {n} pounds of {food}+",
        ),
        piece(
            "sacks",
            "k*w",
            "{person} <has|had> {k} {bags} of {food}. Each {bag} <holds|held> {w} pounds.",
            "{person} <buys|bought> {k} {bags} with {w} pounds of {food} in each.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <has|had> {n} pounds of {food} in the [kitchen|house] and {m} pounds in the "
            "car.",
            "{person} <buys|bought> {n} pounds of {food} on [Monday|Friday] and {m} [pounds|more] "
            "on [Tuesday|Sunday].",
        ),
        piece(
            "halfof",
            "n/2",
            "{person2} <has|had> {n} pounds of {food}. {person} <has|had> half as much+",
            "{person} <has|had> half as much {food} as {person2}, who <has|had> {n} pounds.",
        ),
    ),
    events=(
        piece(
            "uses",
            "x-m",
            "~<uses|used> {m} pounds [of it|] [for a cake|for dinner|]",
            "~<gives|gave> {m} pounds to {his} {relative}",
            "Then {m} pounds <are|were> [used|lost|sold].",
        ),
        piece(
            "buys",
            "x+m",
            "~<buys|bought> {m} [more|] pounds",
            "{His} {relative} <brings|brought> {m} [more|] pounds.",
        ),
        piece(
            "days",
            "h*k,x-y",
            "~<uses|used> {h} pounds [a|each|every] day for {k} days",
            "~<gives|gave> {h} pounds to each of {k} [friends|neighbors]",
        ),
        piece(
            "bags",
            "h*k,x+y",
            "~<buys|bought> {k} [more|] bags of {h} pounds each",
            "~<gets|got> {h} pounds from each of {k} [friends|neighbors]",
        ),
        *_common_events("{food}", "<uses|used>", "<buys|bought> {food}"),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many pounds does {he} have [now|then|at the end]?",
            "How many pounds are there [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many pounds are left?",
            "How many pounds does {he} have left?",
            "How many pounds does {person} [keep|still have]?",
        ),
        piece(
            "bags",
            "x/d",
            "{He} puts it in bags of {d} pounds. How many bags does {he} [need|fill]?",
            "How many boxes of {d} pounds can {he} fill with it?",
        ),
        piece(
            "weeks",
            "x/d",
            "{He} eats {d} pounds a week. How many weeks does it last?",
            "If {he} uses {d} pounds [a|each] day, for how many days is it enough?",
        ),
        piece(
            "sell",
            "x*p",
            "{He} sells it for ${p} a pound. How [much money|many dollars] does {he} [make|get]?",
            "If one pound costs ${p}, how much is it worth?",
        ),
        piece(
            "goal",
            "g-x",
            "{He} needs {g} pounds. How many more pounds does {he} need?",
            "How many more pounds does {he} need to have {g}?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

FEET = story(
    "feet",
    starts=(
        piece(
            "long",
            "",
            "{person} <has|had> a {rope} that <is|was> {n} feet long+",
            "A {rope} of {person} <is|was> {n} feet long.",
        ),
        piece(
            "pieces",
            "k*w",
            "{person} <has|had> {k} pieces of {rope}. Each [piece|one] <is|was> {w} feet long.",
            "{person} <buys|bought> {k} pieces of {rope}, each {w} feet long+",
        ),
        piece(
            "two",
            "n+m",
            "{person} <ties|tied> a {rope} of {n} feet to one of {m} feet.",
            "{person} <has|had> a red {rope} of {n} feet and a blue one of {m} feet.",
        ),
        piece(
            "longer",
            "n+m",
            "{person2} <has|had> a {rope} of {n} feet. {person}'s {rope} <is|was> {m} feet longer.",
            "{person}'s {rope} <is|was> {m} feet longer than that of {person2}, which <is|was> {n} "
            "feet long.",
        ),
        piece(
            "shorter",
            "n-m",
            "{person2} <has|had> a {rope} of {n} feet. {person}'s {rope} <is|was> {m} feet "
            "shorter.",
            "{person}'s {rope} <is|was> {m} feet shorter than that of {person2}, which <is|was> "
            "{n} feet long.",
        ),
    ),
    events=(
        piece(
            "cuts",
            "x-m",
            "~<cuts|cut> off {m} feet",
            "~<uses|used> {m} feet [of it|] [for a fence|for a kite|]",
            "{His} {relative} <takes|took> {m} feet [of it|].",
        ),
        piece(
            "adds",
            "x+m",
            "~<adds|added> {m} [more|] feet",
            "~<buys|bought> {m} more feet of {rope}",
        ),
        piece(
            "cutpieces",
            "h*k,x-y",
            "~<cuts|cut> off {k} pieces of {h} feet each",
            "~<uses|used> {h} feet for each of {k} {crafts}",
        ),
        *_common_events("{rope}", "<uses|used>", "<adds|added> {rope}"),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many feet of {rope} does {he} have [now|then|at the end]?",
            "How many feet are there [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many feet are left?",
            "How many feet of {rope} does {he} have left?",
            "How much {rope} is left?",
        ),
        piece(
            "equal",
            "x/d",
            "{He} cuts it into {d} equal pieces. How long is each [piece|one]?",
            "If {he} cuts it into {d} equal pieces, how many feet long is [each|one] piece?",
        ),
        piece(
            "ofd",
            "x/d",
            "{He} cuts it into pieces of {d} feet. How many pieces does {he} get?",
            "How many pieces of {d} feet can {he} cut from it?",
        ),
        piece(
            "goal",
            "g-x",
            "{He} needs {g} feet. How many more feet does {he} need?",
            "A fence needs {g} feet. How many feet are missing?",
        ),
        piece(
            "worth",
            "x*p",
            "One foot costs ${p}. How much is it worth?",
            "{He} pays ${p} a foot. How many dollars does {he} pay?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)
