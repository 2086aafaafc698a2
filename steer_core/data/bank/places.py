"""Stories of places: people who come and go, and what a shop sells."""

from steer_core.data.bank.parts import PLAIN_ASIDES, story
from steer_core.data.templates import piece

PEOPLE = story(
    "people",
    starts=(
        piece(
            "are",
            "",
            "There <are|were> {n} {guests} [in|at] the {place}.",
            "The {place} <has|had> {n} {guests}.",
            "[In the morning|At first|One day], {n} {guests} <are|were> at the {place}.",
        ),
        piece(
            "rows",
            "k*w",
            "The {place} <has|had> {k} rows of {w} seats, and one of the {guests} <is|was> in "
            "every seat.",
            "There <are|were> {k} rooms in the {place} with {w} {guests} in each room.",
            "At the {place}, {guests} <sit|sat> in {k} rows of {w}.",
        ),
        piece(
            "groups",
            "k*w",
            "Today {k} groups of {w} {guests} <come|came> to the {place}.",
            "There <are|were> {k} groups at the {place}. Each group <has|had> {w} {guests}.",
        ),
        piece(
            "both",
            "n+m",
            "There <are|were> {n} boys and {m} girls [in|at] the {place}.",
            "In the {place}, there <are|were> {n} men and {m} women.",
            "On [Monday|Friday], {n} {guests} <come|came> to the {place}, and {m} [more|] "
            "<come|came> on [Tuesday|Saturday].",
        ),
        piece(
            "times",
            "n*h",
            "On [Monday|Friday], {n} {guests} <come|came> to the {place}. On [Tuesday|Saturday], "
            "{h} times as many <come|came>.",
            "There <are|were> {n} {guests} at the {place} on [Monday|Friday] and {h} times as many "
            "on [Tuesday|Saturday].",
        ),
    ),
    events=(
        piece(
            "leave",
            "x-m",
            "Then {m} [of them|people|{guests}] <leave|left> [early|].",
            "[At noon|After an hour|Later], {m} [of them|{guests}|people] <go|went> home.",
            "In the evening, {m} [of them|{guests}|people] <go|went> away.",
        ),
        piece(
            "come",
            "x+m",
            "Then {m} more [{guests}|people|] <come|came> [in|].",
            "[At noon|After an hour|Later], {m} [new|more] {guests} <come|came>.",
            "Then {m} [{guests}|people] <join|joined> them.",
        ),
        piece(
            "half",
            "x/2",
            "Then half of [them|the {guests}|the people] <leave|left>.",
            "[At noon|After an hour|Later], half of [them|the {guests}|the people] <go|went> home.",
        ),
        piece(
            "third",
            "x/3,x-y",
            "Then [a|one] third of [them|the {guests}|the people] <leave|left>.",
            "[At noon|Later], [a|one] third of [them|the {guests}] <go|went> home.",
        ),
        piece(
            "percent",
            "x*r/100,x-y",
            "Then {r}[%| percent] of [them|the {guests}|the people] <leave|left>.",
            "[At noon|Later], {r}[%| percent] of [them|the {guests}] <go|went> home.",
        ),
        piece(
            "cars",
            "k*h,x+y",
            "Then {k} cars <arrive|arrived> with {h} [people|{guests}] in each [car|].",
            "[At noon|Later], {k} groups of {h} [people|{guests}] <come|came>.",
        ),
        piece(
            "buses",
            "k*h,x-y",
            "Then {k} cars <take|took> {h} [people|{guests}] home each.",
            "[At noon|Later], {k} groups of {h} [people|{guests}] <leave|left>.",
        ),
        piece(
            "double",
            "x*2",
            "[At noon|Later], [twice|double] as many [people|{guests}] <are|were> there.",
            "[On Sunday|In summer], the number of [people|{guests}] <doubles|doubled>.",
        ),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many {guests} are [there|at the {place}] [now|then|at the end]?",
            "How many {guests} does the {place} have [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many {guests} are left [in the {place}|]?",
            "How many {guests} are still [there|at the {place}]?",
            "How many {guests} stay?",
        ),
        piece(
            "groups",
            "x/d",
            "They [form|make] {d} equal groups. How many {guests} are in each [group|one]?",
            "If they split into {d} equal groups, how many {guests} are in [each|one] group?",
        ),
        piece(
            "tables",
            "x/d",
            "If {d} of them sit at each table, how many tables do they need?",
            "One car holds {d} [people|{guests}]. How many cars do they need?",
            "They go home in cars of {d}. How many cars are there?",
        ),
        piece(
            "tickets",
            "x*p",
            "Each of them pays ${p} for a ticket. How much [money|] do they pay [in all|in total]?",
            "If a ticket costs ${p}, how many dollars do they pay [in all|in total|together]?",
        ),
        piece(
            "each",
            "x*h",
            "Each of them needs {h} {toys}. How many {toys} is that?",
            "If each of them gets {h} {treats}, how many {treats} is that [in all|]?",
        ),
        piece(
            "room",
            "g-x",
            "There is room for {g} {guests}. How many more can come?",
            "The {place} has {g} seats. How many seats are [free|empty]?",
        ),
    ),
    asides=PLAIN_ASIDES,
    subjects=(("The {place}", "the {place}"),),
)

SHOP = story(
    "shop",
    starts=(
        piece(
            "has",
            "",
            "A {shop} <has|had> {n} {goods}+",
            "There <are|were> {n} {goods} in a {shop}.",
            "[In the morning|On Monday], a {shop} <has|had> {n} {goods}+",
        ),
        piece(
            "shelves",
            "k*w",
            "A {shop} <has|had> {k} shelves with {w} {goods} on each [shelf|].",
            "There <are|were> {k} shelves in a {shop}. Each shelf <holds|held> {w} {goods}.",
            "A {shop} <gets|got> {k} {bags} of {w} {goods}.",
        ),
        piece(
            "two",
            "n+m",
            "A {shop} <has|had> {n} [red|old|big] {goods} and {m} [blue|new|small] ones.",
            "A {shop} <has|had> {n} {goods} in the window and {m} [more|] in the back.",
        ),
        piece(
            "daily",
            "w*h",
            "A {shop} <gets|got> {w} {goods} [a|each|every] day for {h} days.",
            "[Every|Each] day, a {shop} <gets|got> {w} {goods}. This <goes|went> on for {h} days.",
        ),
        piece(
            "times",
            "n*h",
            "One {shop} <has|had> {n} {goods}. Another {shop} <has|had> {h} times as many+",
            "A {shop} <orders|ordered> {n} {goods} and <gets|got> {h} times as many+",
        ),
    ),
    events=(
        piece(
            "sells",
            "x-m",
            "~<sells|sold> {m} [of them|{goods}|of the {goods}]",
            "[Customers|People] <buy|bought> {m} [of them|{goods}|of the {goods}].",
        ),
        piece(
            "gets",
            "x+m",
            "~<gets|got> {m} [more|new] {goods}",
            "A truck <brings|brought> {m} [more|new] [{goods}|ones].",
        ),
        piece(
            "back",
            "x+m",
            "[Customers|People] <bring|brought> back {m} [of them|{goods}].",
            "~<takes|took> back {m} {goods}",
        ),
        piece(
            "half",
            "x/2",
            "~<sells|sold> half of [them|the {goods}|its {goods}]",
            "[Customers|People] <buy|bought> half of [them|the {goods}].",
        ),
        piece(
            "quarter",
            "x/4,x-y",
            "~<sells|sold> [a|one] [quarter|fourth] of [them|the {goods}]",
            "[Customers|People] <buy|bought> [a|one] [quarter|fourth] of [them|the {goods}].",
        ),
        piece(
            "percent",
            "x*r/100,x-y",
            "~<sells|sold> {r}[%| percent] of [them|the {goods}|its {goods}]",
            "[Customers|People] <buy|bought> {r}[%| percent] of [them|the {goods}].",
        ),
        piece(
            "boxes",
            "k*w,x+y",
            "~<gets|got> {k} {bags} of {w} {goods}",
            "A truck <brings|brought> {k} {bags} with {w} {goods} in each.",
        ),
        piece(
            "customers",
            "k*h,x-y",
            "Then {k} [customers|people] <buy|bought> {h} {goods} each.",
            "~<sells|sold> {h} {goods} [a|each|every] day for {k} days",
        ),
    ),
    ends=(
        piece(
            "now",
            "",
            "How many {goods} does the {shop} have [now|then|at the end]?",
            "How many {goods} are [in the {shop}|there] [now|then|at the end]?",
        ),
        piece(
            "left",
            "",
            "How many {goods} are left [in the {shop}|]?",
            "How many {goods} does the {shop} [still have|keep]?",
            "How many {goods} does the {shop} have left?",
        ),
        piece(
            "worth",
            "x*p",
            "It sells [them all|all of them] for ${p} each. How [much money|many dollars] "
            "does it [make|get]?",
            "If each {good} costs ${p}, how much are [they|the {goods}] worth [in all|together]?",
        ),
        piece(
            "boxes",
            "x/d",
            "They are packed in boxes of {d}. How many boxes are there?",
            "The {shop} puts {d} of them in each box. How many boxes does it need?",
        ),
        piece(
            "shelves",
            "x/d",
            "The {shop} puts them on {d} shelves equally. How many {goods} are on each shelf?",
            "If they stand on {d} shelves equally, how many {goods} are on [each|one] shelf?",
        ),
        piece(
            "profit",
            "x*p,y-m",
            "It sells [them|the {goods}] for ${p} each and pays ${m} for [the room|a worker]. How "
            "much [profit|money] does it make?",
            "The {shop} gets ${p} for each {good} but spends ${m} on [bags|a truck]. How many "
            "dollars does it keep?",
        ),
        piece(
            "goal",
            "g-x",
            "The {shop} [wants|needs] {g} {goods}. How many more does it need?",
            "How many more {goods} does the {shop} need to have {g}?",
        ),
    ),
    asides=PLAIN_ASIDES,
    subjects=(("The {shop}", "the {shop}"), ("It", "it")),
)
