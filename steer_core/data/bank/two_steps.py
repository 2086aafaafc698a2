"""Templates solved in two steps."""

from steer_core.data.templates import Template

TWO_STEPS: tuple[Template, ...] = (
    Template(
        "goods_and_gift",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each and {a_gift} for ${c}. "
            "How much does {he} spend in all?",
            "{A_gift} costs ${c} and a {good} costs ${b}. "
            "How much do {a} {goods} and one {gift} cost together?",
        ),
        numbers={"c": (5, 60), "a": (2, 9), "b": (2, 20)},
        steps=("a*b", "s1+c"),
    ),
    Template(
        "give_then_get",
        phrasings=(
            "{person} has {a} {toys}. {He} gives {b} to {his} {relative} and then buys {c} more. "
            "How many {toys} does {he} have now?",
            "{person} had {a} {toys}. {He} lost {b} of them, but later {he} found {c} new ones. "
            "How many {toys} does {he} have now?",
        ),
        numbers={"a": (15, 80), "b": (2, 30), "c": (3, 30)},
        steps=("a-b", "s1+c"),
        constraints=("b!=c",),
    ),
    Template(
        "change_back",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each and pays with ${c}. "
            "How much change does {he} get?",
            "{person} has ${c}. {He} buys {a} {goods} that cost ${b} each. "
            "How much money does {he} have left?",
        ),
        numbers={"a": (2, 9), "b": (2, 12), "c": (20, 100, 10)},
        steps=("a*b", "c-s1"),
    ),
    Template(
        "packs_used",
        phrasings=(
            "{person} buys {a} packs of {toys} with {b} in each pack and uses {c} of them. "
            "How many {toys} are left?",
            "A {toy} pack holds {b} {toys}. {person} opens {a} packs and gives away {c} {toys}. "
            "How many {toys} does {he} keep?",
        ),
        numbers={"b": (5, 20), "a": (3, 9), "c": (3, 30)},
        steps=("a*b", "s1-c"),
    ),
    Template(
        "pool_and_share",
        phrasings=(
            "{person} picks {a} {fruits} and {person2} picks {b}. "
            "They share them equally among {c} friends. How many {fruits} does each friend get?",
            "{person} has {a} {fruits} and buys {b} more. {He} puts the same number into each of "
            "{c} {bags}. How many {fruits} are in each {bag}?",
        ),
        numbers={"a": (6, 80), "b": (4, 60), "c": (2, 9)},
        steps=("a+b", "s1/c"),
        constraints=("1<s2",),
    ),
    Template(
        "eat_then_pack",
        phrasings=(
            "{person} bakes {a} {treats}. {His} family eats {b} and {he} packs the rest in {bags} "
            "of {c}. How many {bags} does {he} need?",
            "A baker makes {a} {treats} and burns {b} of them. The others go into {bags} of {c}. "
            "How many {bags} does the baker fill?",
        ),
        numbers={"a": (20, 120), "b": (2, 30), "c": (2, 12)},
        steps=("a-b", "s1/c"),
        constraints=("1<s2",),
    ),
    Template(
        "times_total",
        phrasings=(
            "{person} has {a} {toys}. {person2} has {b} times as many. "
            "How many {toys} do they have together?",
            "{person} picked {a} {flowers} in the morning and {b} times as many in the afternoon. "
            "How many {flowers} did {he} pick that day?",
        ),
        numbers={"a": (4, 30), "b": (2, 6)},
        steps=("a*b", "a+s1"),
    ),
    Template(
        "more_total",
        phrasings=(
            "{person} read {a} pages on Monday and {b} more pages than that on Tuesday. "
            "How many pages did {he} read in the two days?",
            "A farm has {a} goats and {b} more cows than goats. "
            "How many goats and cows are there in all?",
        ),
        numbers={"a": (8, 60), "b": (3, 30)},
        steps=("a+b", "a+s1"),
    ),
    Template(
        "weeks_to_save",
        phrasings=(
            "{person} wants {a_wish} that costs ${a}. {He} has ${b} and saves ${c} each week. "
            "How many weeks does {he} need to save?",
            "{A_wish} costs ${a}. {person} already has ${b} and earns ${c} a week. "
            "In how many weeks can {he} buy the {wish}?",
        ),
        numbers={"a": (40, 200, 5), "b": (10, 90), "c": (3, 15)},
        steps=("a-b", "s1/c"),
        constraints=("1<s2",),
    ),
    Template(
        "pages_left",
        phrasings=(
            "{person}'s book has {c} pages. {He} reads {a} pages a day for {b} days. "
            "How many pages are left?",
            "{person} reads {a} pages every day. After {b} days, how many pages of a book with "
            "{c} pages does {he} still have to read?",
        ),
        numbers={"c": (80, 240, 10), "a": (5, 25), "b": (2, 9)},
        steps=("a*b", "c-s1"),
    ),
    Template(
        "egg_cartons",
        phrasings=(
            "{person} has {a} {birds} that each lay {b} eggs a week. {He} packs the eggs in "
            "cartons of {c}. How many cartons does {he} fill each week?",
            "A farmer keeps {a} {birds}. Each one lays {b} eggs a week. One carton holds {c} eggs. "
            "How many cartons are filled in a week?",
        ),
        numbers={"a": (4, 30), "b": (3, 7), "c": (4, 12, 2)},
        steps=("a*b", "s1/c"),
        constraints=("1<s2",),
    ),
    Template(
        "round_trips",
        phrasings=(
            "{person} lives {a} miles from work and drives there and back every day. "
            "How many miles does {he} drive in {b} days?",
            "The school is {a} miles from {person}'s home. {He} goes there and back {b} times. "
            "How many miles is that?",
        ),
        numbers={"a": (3, 20), "b": (2, 9)},
        steps=("a*2", "s1*b"),
        limit=400,
    ),
    Template(
        "half_then_more",
        phrasings=(
            "{person} had {a} {toys}. {He} gave half of them to {his} {relative} and then bought "
            "{b} more. How many {toys} does {he} have now?",
            "A shop had {a} {goods}. It sold half of them and then got {b} new ones. "
            "How many {goods} are in the shop now?",
        ),
        numbers={"a": (8, 120, 2), "b": (3, 30)},
        steps=("a/2", "s1+b"),
    ),
    Template(
        "percent_off",
        phrasings=(
            "{A_gift} costs ${a}. Today it is {b} percent off. What is the new price in dollars?",
            "{person} buys {a_gift} with a price of ${a} and gets {b} percent off. "
            "How much does {he} pay?",
        ),
        numbers={"a": (20, 200, 10), "b": (10, 50, 10)},
        steps=("a*b/100", "a-s1"),
    ),
    Template(
        "two_day_wages",
        phrasings=(
            "{person} earns ${c} an hour. {He} works {a} hours on Friday and {b} hours on "
            "Saturday. How much does {he} earn?",
            "{person} works {a} hours one day and {b} hours the next day for ${c} an hour. "
            "How many dollars does {he} earn in all?",
        ),
        numbers={"c": (6, 20), "a": (2, 9), "b": (2, 9)},
        steps=("a+b", "s1*c"),
    ),
    Template(
        "sell_half",
        phrasings=(
            "{person} makes {a} {crafts} and sells half of them for ${b} each. "
            "How much money does {he} get?",
            "{person} had {a} {crafts}. Half of them were sold at ${b} each. "
            "How many dollars did {he} make?",
        ),
        numbers={"a": (6, 40, 2), "b": (2, 12)},
        steps=("a/2", "s1*b"),
    ),
    Template(
        "concert_tickets",
        phrasings=(
            "A concert ticket costs ${b}. A group buys {a} tickets and pays ${c} for parking. "
            "What is the total cost?",
            "{person} pays ${c} for parking and buys {a} concert tickets at ${b} each. "
            "How much does the evening cost {him}?",
        ),
        numbers={"b": (5, 25), "a": (2, 9), "c": (4, 30)},
        steps=("a*b", "s1+c"),
        held_out=True,
    ),
    Template(
        "train_riders",
        phrasings=(
            "A train leaves with {a} people. At the first stop {b} get off and {c} get on. "
            "How many people are on the train now?",
            "There are {a} people on a train. Then {b} people leave and {c} people come in. "
            "How many people are there now?",
        ),
        numbers={"a": (20, 90), "b": (3, 30), "c": (3, 30)},
        steps=("a-b", "s1+c"),
        constraints=("b!=c",),
        held_out=True,
    ),
)
