"""Stories of measured quantities: miles, minutes, liters, pounds, feet, pages, points, years."""

from steer_core.data.bank.parts import ASIDES, PERSON, story
from steer_core.data.templates import Piece, Story, piece


def _common_events(what: str, uses: str, adds: str) -> tuple[Piece, ...]:
    """Events of a quantity of `what` ("liters of water") that someone uses and adds to."""
    return (
        piece("half", "x/2", f"~{uses} half of [it|the {what}]"),
        piece("third", "x/3,x-y", f"~{uses} [a|one] third of [it|the {what}]"),
        piece("quarter", "x/4,x-y", f"~{uses} [a|one] [quarter|fourth] of [it|the {what}]"),
        piece("percent", "x*r/100,x-y", f"~{uses} {{r}}[%| percent] of [it|the {what}]"),
        piece("double", "x*2", f"~{adds} until there <is|was> [twice|double] as much"),
    )


_MILES = story(
    "miles",
    starts=(
        piece(
            "drives",
            "",
            "{person} <drives|drove> {n} miles [in the morning|on Monday|to the {place}|]+",
            "{person} <rides|rode> {n} miles by [bike|bus|train]+",
        ),
        piece(
            "hours",
            "w*h",
            "{person} <walks|walked> {h} miles an hour for {w} hours.",
            "{person} <rides|rode> {w} miles [an hour|each hour|every hour] for {h} hours.",
            "For {h} hours, {person} <rides|rode> {w} miles an hour.",
        ),
        piece(
            "daily",
            "k*w",
            "{person} <runs|ran> {k} miles [a|each|every] day for {w} days.",
            "[Every|Each] day for {w} days, {person} <walks|walked> {k} miles.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <drives|drove> {n} miles on [Monday|Friday] and {m} [miles|more] on [Tuesday|"
            "Sunday].",
            "It <is|was> {n} miles to the {place} and {m} more miles to the {shop}. {person} "
            "<drives|drove> all the way+",
        ),
        piece(
            "return",
            "n*2",
            "The {place} <is|was> {n} miles away. {person} <drives|drove> there and back+",
            "{person} <drives|drove> {n} miles to the {place} and the same way back.",
        ),
        piece(
            "more",
            "n+m",
            "{person2} <drives|drove> {n} miles. {person} <drives|drove> {m} miles more+",
            "{person} <drives|drove> {m} miles more than {person2}, who <drives|drove> {n}.",
        ),
        piece(
            "times",
            "n*h",
            "{person2} <drives|drove> {n} miles. {person} <drives|drove> {h} times as far+",
            "{person} <drives|drove> {h} times as far as {person2}, who <drives|drove> {n} miles.",
        ),
    ),
    events=(
        piece(
            "further",
            "x+m",
            "~<drives|drove> {m} miles [more|] to the {shop}",
            "~<walks|walked> {m} [more|] miles",
            "~<goes|went> {m} miles [further|more] by [bus|train|taxi]",
        ),
        piece(
            "hours",
            "k*h,x+y",
            "~<walks|walked> {h} miles an hour for {k} hours",
            "~<rides|rode> {k} miles on each of {h} days",
        ),
        piece(
            "again",
            "x*2",
            "~<does|did> the same [way|] again",
            "[The next day|On Sunday], {he} <does|did> the same again.",
        ),
    ),
    ends=(
        piece(
            "total",
            "",
            "How many miles does {he} [go|travel] [in all|in total|altogether]?",
            "How far does {person} [go|travel] [in all|in total|altogether]?",
            "What is the total number of miles?",
        ),
        piece(
            "left",
            "t-x",
            "The whole way is {t} miles. How many miles are left?",
            "{He} wants to go {t} miles. How many more miles does {he} have to go?",
        ),
        piece(
            "days",
            "x*h",
            "How many miles is that in {h} weeks if {he} does this [every|each] week?",
            "{He} does this {h} times. How many miles does {he} [go|travel] [in all|in total]?",
        ),
        piece(
            "perhour",
            "x/d",
            "This [takes|took] {d} hours. How many miles does {he} go [in each|each|an] hour?",
            "If {he} needs {d} hours for this, how many miles does {he} go [each|every|an] hour?",
        ),
        piece(
            "gas",
            "x/d",
            "One liter of gas lasts {d} miles. How many liters does {he} need?",
            "How many liters of gas does {he} need if one liter lasts {d} miles?",
        ),
        piece(
            "than",
            "x-m",
            "{person3} travels {m} miles. How many more miles does {person} travel?",
            "How many miles more is that than {person3} travels, who goes {m} miles?",
        ),
        piece(
            "pay",
            "x*h",
            "{He} is paid {h} dollars for each mile. How [much money|many dollars] does {he} get?",
            "If one mile costs {h} dollars, how much does {he} pay [in all|in total]?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

_LIQUID = story(
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

_POUNDS = story(
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

_MINUTES = story(
    "minutes",
    starts=(
        piece(
            "spends",
            "",
            "{person} <spends|spent> {n} minutes on {task}+",
            "[On Monday|Today|After school], {person} <spends|spent> {n} minutes on {task}+",
        ),
        piece(
            "each",
            "k*w",
            "{person} <does|did> {k} tasks. Each [of them|one|task] <takes|took> {w} minutes.",
            "It <takes|took> {person} {w} minutes to paint [one|a] picture. {He} <paints|painted> "
            "{k} [pictures|of them].",
            "{person} <spends|spent> {w} minutes on {task} [each|every] day for {k} days.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <spends|spent> {n} minutes on {task} and {m} minutes on {task2}.",
            "First {person} <spends|spent> {n} minutes on {task}. Then "
            "{he} <spends|spent> {m} minutes on {task2}.",
        ),
        piece(
            "times",
            "n*h",
            "{person2} <spends|spent> {n} minutes on {task}. {person} <spends|spent> {h} times as "
            "long on it+",
            "{person} <needs|needed> {h} times as long for {task} as {person2}, who <needs|needed> "
            "{n} minutes.",
        ),
        piece(
            "halfof",
            "n/2",
            "{person2} <spends|spent> {n} minutes on {task}. {person} <spends|spent> half as long "
            "on it+",
            "{person} <needs|needed> half as long for {task} as {person2}, who <needs|needed> {n} "
            "minutes.",
        ),
    ),
    events=(
        piece(
            "then",
            "x+m",
            "~<works|worked> {m} minutes [more|] on {task3}",
            "~<spends|spent> {m} [more|] minutes on {task3}",
            "~<waits|waited> {m} minutes for the bus",
        ),
        piece(
            "breaks",
            "h*k,x+y",
            "~<makes|made> {h} phone calls of {k} minutes each",
            "~<takes|took> {h} breaks of {k} minutes each",
        ),
        piece("again", "x*2", "~<does|did> it all [once more|again]", "~<does|did> the same again"),
    ),
    ends=(
        piece(
            "total",
            "",
            "How many minutes is that [in all|in total|altogether]?",
            "How many minutes does {he} spend [in all|in total|altogether]?",
            "How long does {person} need [in all|in total]?",
        ),
        piece(
            "left",
            "t-x",
            "{He} has {t} minutes. How many minutes are left?",
            "{He} planned {t} minutes for this. How many minutes does {he} have left?",
        ),
        piece(
            "days",
            "x*h",
            "{He} does this on {h} days. How many minutes is that [in all|in total]?",
            "How many minutes is that in {h} days if {he} does this [every|each] day?",
        ),
        piece(
            "saved",
            "x-m",
            "With some help, it would take {m} minutes less. How many minutes would that be?",
            "If {he} was {m} minutes faster, how many minutes would {he} need?",
        ),
        piece(
            "people",
            "x/d",
            "If {d} people share this work equally, how many minutes does each [one|of them] work?",
            "{He} wants to spread this time over {d} days equally. How many minutes is that a day?",
        ),
    ),
    asides=(
        "{He} is {o} years old.",
        "{His} {relative} is {o} years old.",
        "The {shop} is {o} miles away.",
        "It is {o} degrees outside.",
        "{His} street has {o} houses.",
        "The [room|house] has {o} windows.",
    ),
    subjects=PERSON,
)

_FEET = story(
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

MEASURES: tuple[Story, ...] = (_MILES, _LIQUID, _POUNDS, _MINUTES, _FEET)
