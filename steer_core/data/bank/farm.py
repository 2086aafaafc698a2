"""The story of a farm and its animals."""

from steer_core.data.bank.parts import PLAIN_ASIDES, story
from steer_core.data.templates import piece

FARM = story(
    "farm",
    starts=(
        piece(
            "has",
            "",
            "A farmer <has|had> {n} {animals}+",
            "There <are|were> {n} {animals} on a farm.",
        ),
        piece(
            "fields",
            "k*w",
            "A farm <has|had> {k} fields with {w} {animals} in each [field|].",
            "A farmer <keeps|kept> {w} {animals} in each of {k} fields.",
            "There <are|were> {k} barns on a farm. Each barn <holds|held> {w} {animals}.",
        ),
        piece(
            "two",
            "n+m",
            "A farmer <has|had> {n} [brown|white|young] {animals} and {m} [black|gray|old] ones.",
            "A farm <has|had> {n} {animals} in the barn and {m} [more|] in the field.",
        ),
        piece(
            "times",
            "n*h",
            "One farm <has|had> {n} {animals}. Another farm <has|had> {h} times as many.",
            "A farmer <has|had> {n} cats and {h} times as many {animals}.",
        ),
        piece(
            "twice",
            "n*2",
            "One farm <has|had> {n} {animals}. Another farm <has|had> twice as many.",
            "A farmer <has|had> {n} cats and [twice|double] as many {animals}.",
        ),
    ),
    events=(
        piece(
            "sells",
            "x-m",
            "~<sells|sold> {m} [of them|{animals}|of the {animals}]",
            "[In the winter|In the fall|One night], {m} of them <die|died>.",
            "Then {m} [of them|{animals}] <run|ran> away.",
        ),
        piece(
            "buys",
            "x+m",
            "~<buys|bought> {m} [more|new] {animals}",
            "Then {m} [more|new] {animals} <are|were> born.",
            "[In the spring|In the summer], {m} {animals} <are|were> born.",
        ),
        piece(
            "half",
            "x/2",
            "~<sells|sold> half of [them|the {animals}]",
            "[In the fall|Later], half of [them|the {animals}] <are|were> sold.",
        ),
        piece(
            "third",
            "x/3,x-y",
            "~<sells|sold> [a|one] third of [them|the {animals}]",
            "[In the fall|Later], [a|one] third of [them|the {animals}] <are|were> sold.",
        ),
        piece(
            "percent",
            "x*r/100,x-y",
            "~<sells|sold> {r}[%| percent] of [them|the {animals}]",
            "[In the fall|Later], {r}[%| percent] of [them|the {animals}] <are|were> sold.",
        ),
        piece(
            "trucks",
            "k*h,x+y",
            "Then {k} trucks <bring|brought> {h} {animals} each.",
            "~<buys|bought> {h} {animals} from each of {k} neighbors",
        ),
        piece(
            "double",
            "x*2",
            "[In a year|In the spring], the number of {animals} <doubles|doubled>.",
            "[In a year|In the spring], there <are|were> [twice|double] as many {animals}.",
        ),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many {animals} [are there|does the farmer have] [now|then|at the end]?",
            "How many {animals} are on the farm [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many {animals} are left [on the farm|]?",
            "How many {animals} does the farmer [still have|keep]?",
        ),
        piece(
            "milk",
            "x*h",
            "Each of them eats {h} pounds of corn a day. How many pounds of corn do they eat a "
            "day?",
            "If each of them drinks {h} liters of water [a|each] day, how many liters is that?",
        ),
        piece(
            "pens",
            "x/d",
            "They are put in {d} [barns|fields] equally. How many {animals} are in each [one|of "
            "them]?",
            "The farmer keeps {d} of them in each field. How many fields does the farmer need?",
        ),
        piece(
            "worth",
            "x*p",
            "If the farmer gets ${p} for each of them, how [much money|many dollars] does the "
            "farmer get?",
            "It costs ${p} a week to feed one of them. How much does it cost to feed them all for "
            "a week?",
        ),
        piece(
            "others",
            "x+m",
            "The farm also has {m} dogs. How many animals are there [in all|in total|altogether]?",
            "The farmer has {m} dogs too. How many animals does the farmer have [in all|in total]?",
        ),
    ),
    asides=PLAIN_ASIDES,
    subjects=(("The farmer", "the farmer"),),
)
