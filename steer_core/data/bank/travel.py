"""Stories of the way and of the time that something takes: miles and minutes."""

from steer_core.data.bank.parts import ASIDES, PERSON, story
from steer_core.data.templates import piece

MILES = story(
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

MINUTES = story(
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
