"""Stories of counts that grow or shrink by rule: pages, points, ages and a class."""

from steer_core.data.bank.parts import ASIDES, PERSON, PLAIN_ASIDES, story
from steer_core.data.templates import piece

PAGES = story(
    "pages",
    starts=(
        piece(
            "reads",
            "",
            "{person} <reads|read> {n} pages of a {subject} [on Monday|in the morning|]+",
            "[On Sunday|Today], {person} <reads|read> {n} pages of a {subject}+",
        ),
        piece(
            "daily",
            "w*k",
            "{person} <reads|read> {w} pages [a|each|every] day for {k} days.",
            "For {k} days, {person} <reads|read> {w} pages of a {subject} [a|each|every] day.",
            "{person} <reads|read> {k} stories. Each [story|one] <has|had> {w} pages.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <reads|read> {n} pages on [Monday|Friday] and {m} [pages|more] on [Tuesday|"
            "Sunday].",
            "{person} <reads|read> {n} pages of a {subject} and {m} pages of another one.",
        ),
        piece(
            "more",
            "n+m",
            "{person2} <reads|read> {n} pages. {person} <reads|read> {m} more than {person2}+",
            "{person} <reads|read> {m} more pages than {person2}, who <reads|read> {n}.",
        ),
        piece(
            "twice",
            "n*2",
            "{person2} <reads|read> {n} pages. {person} <reads|read> twice as many+",
            "{person} <reads|read> twice as many pages as {person2}, who <reads|read> {n}.",
        ),
        piece(
            "half",
            "n/2",
            "A {subject} <has|had> {n} pages. {person} <reads|read> half of them+",
            "{person} <reads|read> half of the {n} pages of a {subject}+",
        ),
        piece(
            "percent",
            "t*r/100",
            "A {subject} <has|had> {t} pages. {person} <reads|read> {r}[%| percent] of them+",
            "{person} <reads|read> {r}[%| percent] of the {t} pages of a {subject}+",
        ),
    ),
    events=(
        piece(
            "more",
            "x+m",
            "~<reads|read> {m} [more|] pages",
            "~<reads|read> {m} more [pages|] in the [evening|afternoon]",
            "[At night|The next day], {he} <reads|read> {m} more pages.",
        ),
        piece(
            "days",
            "w*h,x+y",
            "~<reads|read> {w} pages on each of {h} days",
            "~<reads|read> {h} more stories of {w} pages each",
        ),
        piece(
            "again",
            "x*2",
            "~<reads|read> the same number of pages again",
            "[The next day|On Sunday], {he} <reads|read> as many pages again.",
        ),
    ),
    ends=(
        piece(
            "total",
            "",
            "How many pages does {he} read [in all|in total|altogether]?",
            "How many pages is that [in all|in total|altogether]?",
        ),
        piece(
            "left",
            "g-x",
            "{He} wants to read {g} pages. How many pages are left?",
            "How many pages are left if {he} has to read {g} pages [in all|in total]?",
        ),
        piece(
            "rest",
            "g-x,y/d",
            "{He} wants to read {g} pages. {He} reads the rest in {d} days. How many pages is that "
            "[a|each] day?",
            "{He} has to read {g} pages and has {d} days for the rest. How many pages does {he} "
            "read on each of [those|these] days?",
        ),
        piece(
            "perday",
            "x/d",
            "This [takes|took] {d} days. How many pages does {he} read [a|each|every] day?",
            "If {he} needs {d} hours for this, how many pages does {he} read [an|each|every] hour?",
        ),
        piece(
            "than",
            "x-m",
            "{person3} reads {m} pages. How many more pages does {person} read?",
            "How many more pages is that than {person3} reads, who reads {m}?",
        ),
        piece(
            "weeks",
            "x*h",
            "{He} does this [every|each] week. How many pages does {he} read in {h} weeks?",
            "How many pages is that in {h} weeks if {he} does this [every|each] week?",
        ),
        piece(
            "time",
            "x*h",
            "{He} needs {h} minutes for each page. How many minutes does {he} read?",
            "If [one|each] page takes {h} minutes, how many minutes does {he} need?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

POINTS = story(
    "points",
    starts=(
        piece(
            "scores",
            "",
            "{person} <scores|scored> {n} points in a {game}+",
            "In the first {game}, {person} <gets|got> {n} points+",
        ),
        piece(
            "rounds",
            "w*h",
            "{person} <scores|scored> {w} points in each of {h} {games}.",
            "{person} <plays|played> {h} {games} and <gets|got> {w} points in each.",
        ),
        piece(
            "questions",
            "k*h",
            "In a {game}, {person} <has|had> {k} right answers. Each [one|right answer] "
            "<gives|gave> {h} points.",
            "{person} <gets|got> {h} points for each of {k} right answers in a {game}.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <scores|scored> {n} points in the first {game} and {m} in the [second|next].",
            "{person} <gets|got> {n} points on [Monday|Friday] and {m} [points|more] on [Tuesday|"
            "Sunday].",
        ),
        piece(
            "fewer",
            "n-m",
            "{person2} <scores|scored> {n} points. {person} <scores|scored> {m} [fewer|less]+",
            "{person} <scores|scored> {m} points fewer than {person2}, who <scores|scored> {n}.",
        ),
        piece(
            "times",
            "n*h",
            "{person2} <scores|scored> {n} points. {person} <scores|scored> {h} times as many+",
            "{person} <scores|scored> {h} times as many points as {person2}, who <scores|scored> "
            "{n}.",
        ),
    ),
    events=(
        piece(
            "loses",
            "x-m",
            "~<loses|lost> {m} points",
            "~<loses|lost> {m} [of them|of the points] for [a mistake|being late]",
            "The teacher <takes|took> away {m} points.",
        ),
        piece(
            "gains",
            "x+m",
            "~<scores|scored> {m} [more|] points",
            "~<gets|got> {m} [more|] points for [a good answer|helping a friend]",
            "The teacher <gives|gave> {him} {m} more points.",
        ),
        piece(
            "rounds",
            "h*k,x+y",
            "~<gets|got> {h} points for each of {k} [tasks|answers]",
            "~<scores|scored> {k} points in each of {h} more {games}",
        ),
        piece(
            "mistakes",
            "h*k,x-y",
            "~<loses|lost> {h} points for each of {k} [mistakes|wrong answers]",
            "~<makes|made> {k} mistakes and <loses|lost> {h} points for each",
        ),
        piece(
            "double",
            "x*2",
            "~<doubles|doubled> {his} points in the next {game}",
            "In the last {game}, {his} points <are|were> doubled.",
        ),
        piece(
            "half",
            "x/2",
            "~<loses|lost> half of [them|the points|{his} points]",
            "In the last {game}, {he} <loses|lost> half of [them|the points].",
        ),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many points does {he} have [now|then|at the end|in the end]?",
            "How many points does {person} have [now|then|at the end]?",
            "What is {his} score [now|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many points does {he} have left?",
            "How many points are left?",
        ),
        piece(
            "win",
            "g-x",
            "{He} needs {g} points to win. How many more points does {he} need?",
            "How many points are missing if {he} needs {g} to win?",
        ),
        piece(
            "prizes",
            "x/d",
            "A prize costs {d} points. How many prizes can {he} get?",
            "How many prizes can {he} get for {d} points each?",
        ),
        piece(
            "team",
            "x+n",
            "{person3} has {n} points. How many points do they have [together|in all|in total]?",
            "If {person3} has {n} points, how many points do {person} and {person3} have "
            "[together|altogether]?",
        ),
        piece(
            "behind",
            "x-m",
            "{person3} has {m} points. How many more points does {person} have?",
            "How many more points does {person} have than {person3}, who has {m}?",
        ),
        piece(
            "pairs",
            "x*h,x+y",
            "{person3} has {h} times as many points as {person}. How many points do they have "
            "[together|in all]?",
            "{person3} has {h} times as many. How many points do {person} and {person3} have "
            "[together|altogether]?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

AGES = story(
    "ages",
    starts=(
        piece(
            "older",
            "w+m",
            "{person2} <is|was> {w} years old. {person} <is|was> {m} years older.",
            "{person} <is|was> {m} years older than {person2}, who <is|was> {w}.",
        ),
        piece(
            "younger",
            "n-m",
            "{person2} <is|was> {n} years old. {person} <is|was> {m} years younger.",
            "{person} <is|was> {m} years younger than {person2}, who <is|was> {n}.",
        ),
        piece(
            "times",
            "w*h",
            "{person2} <is|was> {w} years old. {person} <is|was> {h} times as old.",
            "{person} <is|was> {h} times as old as {person2}, who <is|was> {w}.",
        ),
        piece(
            "half",
            "n/2",
            "{person2} <is|was> {n} years old. {person} <is|was> half as old.",
            "{person} <is|was> half as old as {person2}, who <is|was> {n}.",
        ),
        piece(
            "is",
            "",
            "{person} <is|was> {m} years old.",
            "[Today|Now] {person} <is|was> {m} years old.",
        ),
    ),
    events=(
        piece(
            "later",
            "x+k",
            "Then {k} years <pass|passed>.",
            "[After that|Since then], {k} years <pass|passed>.",
        ),
    ),
    ends=(
        piece(
            "old",
            "",
            "How old is {person} [now|then]?",
            "What is {person}'s age [now|then]?",
            "How many years old is {person} [now|then]?",
        ),
        piece(
            "in",
            "x+m",
            "How old is {person} in {m} years [from then|]?",
            "What is {person}'s age in {m} [more|] years?",
        ),
        piece(
            "ago",
            "x-k",
            "How old was {person} {k} years before that?",
            "What was {person}'s age {k} years earlier?",
        ),
        piece(
            "until",
            "g-x",
            "How many years is it until {person} is {g} years old?",
            "In how many years is {person} {g} years old?",
        ),
        piece(
            "aunt",
            "x*h",
            "{His} {relative} is {h} times as old. How old is {his} {relative}?",
            "How old is {his} {relative}, who is {h} times as old?",
        ),
        piece(
            "sum",
            "x+n",
            "{person3} is {n} years old. How old are {person} and {person3} together?",
            "What is the sum of {person}'s age and that of {person3}, who is {n} years old?",
        ),
        piece(
            "family",
            "x*h,x+y",
            "{His} {relative} is {h} times as old. How old are they together?",
            "{person3} is {h} times as old as {person}. What is the sum of their ages?",
        ),
    ),
    asides=PLAIN_ASIDES,
    subjects=PERSON,
)
