"""Templates solved in three steps."""

from steer_core.data.templates import Template

THREE_STEPS: tuple[Template, ...] = (
    Template(
        "two_goods",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each and {c} {treats} for ${d} each. "
            "How much does {he} spend in all?",
            "A {good} costs ${b} and a {treat} costs ${d}. {person} buys {a} {goods} and {c} "
            "{treats}. What is the total cost?",
            "Sandwiches cost ${b} and drinks cost ${d} each. {person} paid for {a} sandwiches and "
            "{c} drinks. How many dollars did {he} pay?",
        ),
        numbers={"b": (3, 15), "d": (2, 6), "a": (2, 9), "c": (2, 12)},
        steps=("a*b", "c*d", "s1+s2"),
    ),
    Template(
        "market_eggs",
        phrasings=(
            "{person}'s {birds} lay {a} eggs a day. {He} eats {b} for breakfast, bakes with {c} "
            "and sells the rest for ${d} each. How much does {he} make every day?",
            "{person} collects {a} eggs. {He} keeps {b} of them, gives {c} to {his} {relative} and "
            "sells the others for ${d} each. How many dollars does {he} get?",
        ),
        numbers={"a": (12, 50), "b": (2, 9), "c": (2, 9), "d": (2, 5)},
        steps=("a-b", "s1-c", "s2*d"),
    ),
    Template(
        "trays_and_friends",
        phrasings=(
            "{person} bakes {a} trays of {b} {treats}. {He} keeps {c} and shares the rest equally "
            "among {d} friends. How many {treats} does each friend get?",
            "{person} makes {a} trays with {b} {treats} each. {His} family eats {c} of them and "
            "{d} friends share the rest equally. How many does each friend get?",
        ),
        numbers={"a": (2, 9), "b": (6, 20), "c": (2, 20), "d": (2, 9)},
        steps=("a*b", "s1-c", "s2/d"),
        constraints=("1<s3",),
    ),
    Template(
        "stand_profit",
        phrasings=(
            "{person} and some friends sell {a} {crafts} for ${b} each. They spent ${c} on "
            "supplies. They share the profit equally among {d} people. How much does each get?",
            "A club sells {a} {crafts} at ${b} each after spending ${c} to make them. "
            "The profit is shared equally by {d} members. How many dollars does each member get?",
        ),
        numbers={"a": (5, 30), "b": (3, 10), "c": (5, 40), "d": (2, 6)},
        steps=("a*b", "s1-c", "s2/d"),
        constraints=("1<s3",),
    ),
    Template(
        "three_collectors",
        phrasings=(
            "{person} has {a} {toys}. {person2} has twice as many, and {person3} has {b} more "
            "than {person2}. How many {toys} do the three have in all?",
            "{person} found {a} {toys}, {person2} found twice as many as {person}, and {person3} "
            "found {b} more than {person2}. How many {toys} did they find together?",
        ),
        numbers={"a": (4, 30), "b": (2, 25)},
        steps=("a*2", "s1+b", "a+s1+s2"),
    ),
    Template(
        "still_to_save",
        phrasings=(
            "{person} wants {a_wish} for ${d}. {He} saves ${a} a week for {b} weeks and gets ${c} "
            "from {his} {relative}. How much more money does {he} need?",
            "{A_wish} costs ${d}. {person} saved ${a} each week for {b} weeks and earned ${c} "
            "by washing cars. How many more dollars does {he} need?",
        ),
        numbers={"d": (80, 240, 10), "a": (4, 15), "b": (3, 10), "c": (5, 40)},
        steps=("a*b", "s1+c", "d-s2"),
    ),
    Template(
        "rest_of_book",
        phrasings=(
            "A book has {a} pages. {person} reads {b} pages a day for {c} days. {He} wants to "
            "finish it in {d} more days. How many pages must {he} read each day?",
            "{person} reads {b} pages a day for {c} days of a book with {a} pages. Then {he} reads "
            "the rest in {d} days. How many pages does {he} read on each of those days?",
        ),
        numbers={"a": (80, 240, 5), "b": (5, 20), "c": (2, 8), "d": (2, 6)},
        steps=("b*c", "a-s1", "s2/d"),
        constraints=("1<s3",),
    ),
    Template(
        "class_pencils",
        phrasings=(
            "A class has {a} boys and {b} girls. Each child needs {c} pencils. Pencils come in "
            "packs of {d}. How many packs does the class need?",
            "There are {a} boys and {b} girls in {person}'s class. {He} gives each child {c} "
            "pencils from packs of {d}. How many packs does {he} use?",
        ),
        numbers={"a": (6, 20), "b": (6, 20), "c": (2, 6), "d": (4, 12, 2)},
        steps=("a+b", "s1*c", "s2/d"),
    ),
    Template(
        "half_lost_found",
        phrasings=(
            "{person} had {a} {toys}. {He} gave half of them to {his} {relative}, lost {b} and "
            "then found {c}. How many {toys} does {he} have now?",
            "A shop had {a} {goods}. It sold half of them in the morning and {b} more in the "
            "afternoon. Then {c} new ones came. How many {goods} are there now?",
        ),
        numbers={"a": (20, 120, 2), "b": (2, 20), "c": (3, 30)},
        steps=("a/2", "s1-b", "s2+c"),
        constraints=("b!=c",),
    ),
    Template(
        "flower_rows",
        phrasings=(
            "{person} plants {a} rows of {b} {flowers}. After a storm {c} of them die. {He} sells "
            "the others for ${d} each. How much money does {he} get?",
            "A garden has {a} rows with {b} {flowers} each. {person} keeps {c} and sells the rest "
            "at ${d} each. How many dollars does {he} make?",
        ),
        numbers={"a": (2, 9), "b": (4, 15), "c": (2, 20), "d": (2, 4)},
        steps=("a*b", "s1-c", "s2*d"),
    ),
    Template(
        "pizza_slices",
        phrasings=(
            "{person} orders {a} pizzas with {b} slices each. {c} people eat {d} slices each. "
            "How many slices are left?",
            "At a party there are {a} pizzas, each cut into {b} slices. Each of {c} guests eats "
            "{d} slices. How many slices remain?",
        ),
        numbers={"a": (3, 12), "b": (6, 12), "c": (3, 15), "d": (2, 5)},
        steps=("a*b", "c*d", "s1-s2"),
    ),
    Template(
        "percent_cars",
        phrasings=(
            "Of {a} students, {b} percent take the bus. The others ride in cars with {c} students "
            "in each car. How many cars are there?",
            "A school trip has {a} students. {b} percent of them walk and the rest go in cars of "
            "{c}. How many cars do they need?",
        ),
        numbers={"a": (20, 200, 10), "b": (10, 80, 10), "c": (2, 6)},
        steps=("a*b/100", "a-s1", "s2/c"),
        constraints=("1<s3",),
    ),
    Template(
        "movie_night",
        phrasings=(
            "At the movies, {person} pays for {a} tickets at ${b} each and {c} drinks at ${d} "
            "each. How much does {he} pay altogether?",
            "A movie ticket costs ${b} and a drink costs ${d}. How much do {a} tickets and {c} "
            "drinks cost altogether?",
        ),
        numbers={"b": (6, 15), "d": (2, 6), "a": (2, 9), "c": (2, 9)},
        steps=("a*b", "c*d", "s1+s2"),
        held_out=True,
    ),
    Template(
        "library_shelves",
        phrasings=(
            "A library has {a} shelves of {b} books. People borrow {c} books, and the rest are "
            "moved into {d} rooms equally. How many books are in each room?",
            "There are {a} shelves with {b} books each. {person} takes away {c} old books and puts "
            "the others equally in {d} rooms. How many books does each room get?",
        ),
        numbers={"a": (3, 9), "b": (8, 24), "c": (3, 30), "d": (2, 6)},
        steps=("a*b", "s1-c", "s2/d"),
        constraints=("1<s3",),
        held_out=True,
    ),
)
