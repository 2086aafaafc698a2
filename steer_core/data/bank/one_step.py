"""Templates solved in one step."""

from steer_core.data.templates import Template

ONE_STEP: tuple[Template, ...] = (
    Template(
        "give_away",
        phrasings=(
            "{person} has {a} {toys}. {He} gives {b} of them to {his} {relative}. "
            "How many {toys} does {person} have left?",
            "{person} had {a} {toys} and gave {b} to {his} {relative}. How many {toys} are left?",
            "There are {a} {toys} in {person}'s drawer. {He} takes out {b} for {his} {relative}. "
            "How many {toys} are still in the drawer?",
        ),
        numbers={"a": (12, 90), "b": (2, 30)},
        steps=("a-b",),
    ),
    Template(
        "find_more",
        phrasings=(
            "{person} has {a} {toys}. {He} finds {b} more. How many {toys} does {he} have now?",
            "{person} collected {a} {toys} on Monday and {b} on Tuesday. "
            "How many {toys} did {he} collect in all?",
            "{person} has {a} {toys} and {his} {relative} has {b}. "
            "How many {toys} do they have together?",
            "A library has {a} books in one room and {b} books in the next room. "
            "How many books is that in all?",
        ),
        numbers={"a": (5, 80), "b": (3, 40)},
        steps=("a+b",),
    ),
    Template(
        "buy_cost",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each. How many dollars does {he} spend?",
            "One {good} costs ${b}. How much do {a} {goods} cost?",
            "At the store, {goods} cost ${b} each. {person} buys {a}. "
            "How much does {he} pay in all?",
            "A movie ticket costs ${b}. How much do {a} tickets cost?",
        ),
        numbers={"a": (2, 12), "b": (2, 20)},
        steps=("a*b",),
    ),
    Template(
        "bake_trays",
        phrasings=(
            "{person} bakes {a} trays of {treats}. Each tray holds {b} {treats}. "
            "How many {treats} does {he} bake?",
            "A bakery fills {a} trays with {b} {treats} each. "
            "How many {treats} does the bakery make?",
        ),
        numbers={"a": (2, 12), "b": (4, 24)},
        steps=("a*b",),
    ),
    Template(
        "share_equally",
        phrasings=(
            "{person} shares {a} {fruits} equally among {b} friends. "
            "How many {fruits} does each friend get?",
            "{b} children share {a} {fruits} equally. How many {fruits} does each child get?",
            "{person} sets up {a} chairs in {b} equal rows. How many chairs are in each row?",
        ),
        numbers={"a": (8, 144), "b": (2, 12)},
        steps=("a/b",),
        constraints=("1<s1",),
    ),
    Template(
        "pack_bags",
        phrasings=(
            "{person} picks {a} {fruits} and puts {b} in each {bag}. "
            "How many {bags} does {he} need?",
            "A farmer packs {a} {fruits} into {bags} of {b}. How many {bags} does the farmer fill?",
            "{person} has {a} {fruits}. One {bag} holds {b} {fruits}. "
            "How many {bags} can {he} fill?",
            "{person} puts {a} books on shelves with {b} books on each shelf. "
            "How many shelves does {he} fill?",
        ),
        numbers={"a": (12, 180), "b": (3, 12)},
        steps=("a/b",),
        constraints=("1<s1",),
    ),
    Template(
        "times_as_many",
        phrasings=(
            "{person} has {a} {toys}. {His} {relative} has {b} times as many. "
            "How many {toys} does {his} {relative} have?",
            "{person} picked {a} {fruits}. {person2} picked {b} times as many. "
            "How many {fruits} did {person2} pick?",
        ),
        numbers={"a": (4, 40), "b": (3, 9)},
        steps=("a*b",),
    ),
    Template(
        "how_many_more",
        phrasings=(
            "{person} read {a} pages and {person2} read {b} pages. "
            "How many more pages did {person} read?",
            "{person} ran {a} laps this month and {person2} ran {b} laps. "
            "How many more laps did {person} run than {person2}?",
            "A red rope is {a} feet long and a blue rope is {b} feet long. "
            "How many feet longer is the red rope?",
        ),
        numbers={"a": (20, 99), "b": (5, 60)},
        steps=("a-b",),
    ),
    Template(
        "age_sum",
        phrasings=(
            "{person} is {a} years old. {His} uncle is {b} years older. How old is {his} uncle?",
            "{person} is {a} years old now. How old will {he} be in {b} years?",
        ),
        numbers={"a": (5, 30), "b": (4, 40)},
        steps=("a+b",),
    ),
    Template(
        "half_sold",
        phrasings=(
            "{person} made {a} {treats} and sold half of them. How many {treats} did {he} sell?",
            "A shop had {a} {goods} and sold half of them. How many {goods} did the shop sell?",
            "Half of the {a} {animals} on a farm are brown. How many {animals} are brown?",
        ),
        numbers={"a": (6, 120)},
        steps=("a/2",),
    ),
    Template(
        "drive_miles",
        phrasings=(
            "{person} drives {a} miles each hour. How many miles does {he} drive in {b} hours?",
            "A train travels {a} miles every hour. How far does it travel in {b} hours?",
        ),
        numbers={"a": (15, 70, 5), "b": (2, 9)},
        steps=("a*b",),
        limit=630,
    ),
    Template(
        "simple_change",
        phrasings=(
            "{person} pays for {a_gift} with ${a}. The {gift} costs ${b}. "
            "How much change does {he} get?",
            "{person} has ${a} and buys {a_gift} for ${b}. How much money does {he} have left?",
        ),
        numbers={"a": (20, 100, 5), "b": (3, 80)},
        steps=("a-b",),
    ),
    Template(
        "bus_riders",
        phrasings=(
            "A bus has {a} people on it. At the next stop, {b} people get off. "
            "How many people are still on the bus?",
            "There are {a} people on a bus and {b} of them get off at the park. "
            "How many people stay on the bus?",
        ),
        numbers={"a": (12, 70), "b": (2, 30)},
        steps=("a-b",),
        held_out=True,
    ),
    Template(
        "chair_rows",
        phrasings=(
            "A hall has {a} rows of chairs with {b} chairs in each row. "
            "How many chairs are in the hall?",
            "{person} sets up {a} rows of {b} chairs. How many chairs does {he} set up?",
        ),
        numbers={"a": (3, 12), "b": (4, 24)},
        steps=("a*b",),
        held_out=True,
    ),
)
