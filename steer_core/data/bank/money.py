"""Stories of dollars: what a person earns and saves, and what shopping costs."""

from steer_core.data.bank.parts import ASIDES, PERSON, story
from steer_core.data.templates import piece

SAVINGS = story(
    "savings",
    starts=(
        piece(
            "has",
            "",
            "{person} <has|had> ${t} [in the bank|in {his} bag|]+",
            "{person} <gets|got> ${t} from {his} {relative} [for {his} birthday|]+",
            "{person} <starts|started> [the week|the month|] with ${t}.",
        ),
        piece(
            "wage",
            "p*w",
            "{person} <earns|earned> ${p} an hour [by {chore}|] and <works|worked> {w} hours.",
            "{person} <is|was> paid ${p} [an|for each|per] hour for {chore}. {He} <works|worked> "
            "{w} hours.",
            "For {w} hours of {chore}, {person} <gets|got> ${p} an hour.",
        ),
        piece(
            "weekly",
            "p*w",
            "{person} <saves|saved> ${p} [a|each|every] week for {w} weeks.",
            "[Every|Each] [week|day|month], {person} <puts|put> ${p} in a jar. {He} <does|did> "
            "this {w} times.",
        ),
        piece(
            "hours",
            "k*h,y*p",
            "{person} <works|worked> {k} hours a day for {h} days and <earns|earned> ${p} an hour.",
            "{person} <earns|earned> ${p} an hour. {He} <works|worked> {k} hours [on each of|a day "
            "for] {h} days.",
        ),
        piece(
            "both",
            "n+m",
            "{person} <earns|earned> ${n} by {chore} and ${m} from {his} {relative}.",
            "{person} <saves|saved> ${n} [in the first month|in May] and ${m} [in the next month|"
            "in June].",
        ),
        piece(
            "times",
            "n*h",
            "{person2} <has|had> ${n}. {person} <has|had> {h} times as much [money|]+",
            "{person} <has|had> {h} times as much money as {person2}, who <has|had> ${n}.",
        ),
        piece(
            "less",
            "n-m",
            "{person2} <has|had> ${n}. {person} <has|had> ${m} less than {person2}+",
            "{person} <has|had> ${m} less than {person2}, who <has|had> ${n}.",
        ),
        piece(
            "halfof",
            "n/2",
            "{person2} <has|had> ${n}. {person} <has|had> half as much [money|]+",
            "{person} <has|had> half as much money as {person2}, who <has|had> ${n}.",
        ),
    ),
    events=(
        piece(
            "spend",
            "x-m",
            "~<spends|spent> ${m} on [food|lunch|clothes|{a_gift}|a book]",
            "~<buys|bought> [{a_gift}|{a_good}] for ${m}",
            "~<pays|paid> ${m} for [{a_gift}|the bus|lunch|{a_good}]",
        ),
        piece(
            "give",
            "x-m",
            "~<gives|gave> ${m} to {his} {relative}",
            "{His} {relative} <takes|took> ${m} [of it|of the money].",
        ),
        piece(
            "gift",
            "x+m",
            "{His} {relative} <gives|gave> {him} ${m} [more|].",
            "~<gets|got> ${m} [more|] from {his} {relative}",
        ),
        piece(
            "earn",
            "x+m",
            "~<earns|earned> ${m} [more|] by {chore}",
            "~<makes|made> ${m} [more|] by {chore}",
            "~<sells|sold> {a_craft} for ${m}",
        ),
        piece(
            "half",
            "x/2",
            "~<spends|spent> half of [it|the money|{his} money] on [food|clothes|{a_gift}]",
            "~<gives|gave> half of [it|the money|{his} money] to {his} {relative}",
        ),
        piece(
            "third",
            "x/3,x-y",
            "~<spends|spent> [a|one] third of [it|the money|{his} money] on [food|clothes|"
            "{a_gift}]",
            "~<gives|gave> [a|one] third of [it|the money|{his} money] to {his} {relative}",
        ),
        piece(
            "percent",
            "x*r/100,x-y",
            "~<pays|paid> {r}[%| percent] of [it|the money|{his} money] [in tax|for food]",
            "~<spends|spent> {r}[%| percent] of [it|the money|{his} money] on [food|clothes|"
            "{a_gift}]",
        ),
        piece(
            "buys",
            "k*p,x-y",
            "~<buys|bought> {k} {goods} for ${p} each",
            "~<buys|bought> {k} {goods} that cost ${p} each",
        ),
        piece(
            "work",
            "h*p,x+y",
            "~<works|worked> {h} [more|] hours for ${p} an hour",
            "~<earns|earned> ${p} an hour for {h} hours [more|of {chore}]",
        ),
        piece(
            "double",
            "x*2",
            "[In a year|Soon|In May], {he} <has|had> [twice|double] as much money.",
            "~<doubles|doubled> {his} money by {chore}",
        ),
    ),
    ends=(
        piece(
            "now",
            "",
            "How much money does {he} have [now|then|at the end|in the end]?",
            "How many dollars does {person} have [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How much money does {he} have left?",
            "How [many dollars|much] does {person} have left?",
            "How many dollars are left?",
        ),
        piece(
            "goal",
            "g-x",
            "{He} wants to buy {a_wish} for ${g}. How [much more money|many more dollars] does "
            "{he} need?",
            "{A_wish} costs ${g}. How much more does {he} need to buy it?",
        ),
        piece(
            "split",
            "x/d",
            "{He} [shares|splits] the money equally [among|between] {d} friends. How [much|many "
            "dollars] does each [friend|of them] get?",
            "If {d} people share the money equally, how [much|many dollars] does each [one|person] "
            "get?",
        ),
        piece(
            "howmany",
            "x/p",
            "One {good} costs ${p}. How many {goods} can {he} buy?",
            "How many {goods} can {he} buy for ${p} each?",
        ),
        piece(
            "together",
            "x+n",
            "{person3} has ${n}. How much money do they have [together|in all|in total]?",
            "If {person3} has ${n}, how many dollars do {person} and {person3} have [together|"
            "altogether]?",
        ),
        piece(
            "than",
            "x-m",
            "{person3} has ${m}. How much more money does {person} have than {person3}?",
            "How many more dollars does {person} have than {person3}, who has ${m}?",
        ),
        piece(
            "pairs",
            "x*h,x+y",
            "{person3} has {h} times as much money as {person}. How much do they have [together|in "
            "all|in total]?",
            "{person3} has {h} times as much. How many dollars do {person} and {person3} have "
            "[together|altogether]?",
        ),
        piece(
            "weeks",
            "x*h",
            "{He} does this every week. How much [money|] is that in {h} weeks?",
            "If this happens [every|each] week, how many dollars does {he} have in {h} weeks?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)

SHOPPING = story(
    "shopping",
    starts=(
        piece(
            "buys",
            "k*p",
            "{person} <buys|bought> {k} {goods} for ${p} each+",
            "One {good} <costs|cost> ${p}. {person} <buys|bought> {k} {goods}+",
            "At the {shop}, {goods} cost ${p} each. {person} <buys|bought> {k} [of them|]+",
            "{person} <goes|went> to the {shop} and <buys|bought> {k} {goods} at ${p} each.",
        ),
        piece(
            "gift",
            "",
            "{person} <buys|bought> {a_gift} for ${n}+",
            "{A_gift} <costs|cost> ${n} at the {shop}. {person} <buys|bought> it+",
            "{person} <needs|needed> {a_gift} that <costs|cost> ${n}.",
        ),
        piece(
            "tickets",
            "k*p",
            "A ticket to the {place} <costs|cost> ${p}. {person} <buys|bought> {k} tickets+",
            "{person} <pays|paid> for {k} tickets to the {place} at ${p} each.",
        ),
        piece(
            "two",
            "n+m",
            "{person} <buys|bought> {a_gift} for ${n} and {a_good} for ${m}.",
            "{A_gift} <costs|cost> ${n} and {a_good} <costs|cost> ${m}. {person} <buys|bought> "
            "both+",
        ),
        piece(
            "more",
            "n+m",
            "{A_good} <costs|cost> ${n}. {A_gift} <costs|cost> ${m} more than that. {person} "
            "<buys|bought> the {gift}+",
            "{person} <buys|bought> {a_gift} that <costs|cost> ${m} more than {a_good}, which "
            "<costs|cost> ${n}.",
        ),
        piece(
            "twice",
            "n*2",
            "{A_good} <costs|cost> ${n}. {A_gift} <costs|cost> [twice|double] as much. {person} "
            "<buys|bought> the {gift}+",
            "{person} <buys|bought> {a_gift} that <costs|cost> twice as much as {a_good}, which "
            "<costs|cost> ${n}.",
        ),
    ),
    events=(
        piece(
            "treats",
            "h*p,x+y",
            "~<buys|bought> {h} {treats} for ${p} each",
            "~<buys|bought> {h} {treats} [at|that cost] ${p} each",
            "~<gets|got> {h} [cups|glasses] of {drink} for ${p} each",
        ),
        piece(
            "lunch",
            "x+m",
            "~<pays|paid> ${m} [more|] for [lunch|a taxi|the bus|a bag]",
            "~also <buys|bought> [lunch|a bag|food] for ${m}",
        ),
        piece(
            "off",
            "x-m",
            "~<has|had> a coupon for ${m} off",
            "~<gets|got> ${m} off [the price|the total|]",
            "The {shop} <takes|took> ${m} off the [price|total].",
        ),
        piece(
            "halfprice",
            "x/2",
            "Everything <is|was> half price [today|on that day|this week].",
            "~<gets|got> it all for half the price",
            "{His} {relative} <pays|paid> half of the [price|total].",
        ),
        piece(
            "discount",
            "x*r/100,x-y",
            "The {shop} <takes|took> {r}[%| percent] off the [price|total].",
            "~<gets|got> {r}[%| percent] off the [price|total]",
        ),
        piece(
            "tax",
            "x*r/100,x+y",
            "There <is|was> a tax of {r}[%| percent] on the [price|total].",
            "~<pays|paid> {r}[%| percent] tax on the total",
        ),
    ),
    ends=(
        piece(
            "total",
            "",
            "How much does {he} [pay|spend] [in all|in total|altogether]?",
            "How many dollars does {person} [pay|spend] [in all|in total|altogether]?",
            "What [is|was] the total cost?",
        ),
        piece(
            "change",
            "t-x",
            "{He} pays with ${t}. How much change does {he} get?",
            "How much change does {he} get [from|back from] ${t}?",
            "If {he} had ${t}, how [much money|many dollars] does {he} have left?",
        ),
        piece(
            "split",
            "x/d",
            "{He} [shares|splits] the cost equally with friends, so that {d} people pay. How much "
            "does each [person|of them] pay?",
            "If {d} [friends|people] split the cost equally, how [much|many dollars] does each "
            "[one|of them] pay?",
        ),
        piece(
            "short",
            "x-m",
            "{He} has only ${m}. How much more [money|] does {he} need?",
            "If {he} has only ${m}, how many more dollars does {he} need?",
        ),
        piece(
            "weeks",
            "x*h",
            "{He} does this every week. How much does {he} spend in {h} weeks?",
            "If {he} does this every month, how many dollars does {he} spend in {h} months?",
        ),
        piece(
            "both",
            "x+n",
            "{person2} spends ${n}. How much do they spend [together|in all|in total]?",
            "If {person2} pays ${n}, how many dollars do {person} and {person2} [spend|pay] "
            "[together|altogether]?",
        ),
    ),
    asides=ASIDES,
    subjects=PERSON,
)
