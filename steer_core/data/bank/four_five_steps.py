"""Templates solved in four or five steps."""

from steer_core.data.templates import Template

FOUR_STEPS: tuple[Template, ...] = (
    Template(
        "two_goods_change",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each and {c} {treats} for ${d} each. {He} pays "
            "with ${e}. How much change does {he} get?",
            "{person} has ${e}. {He} buys {a} {goods} at ${b} each and {c} {treats} at ${d} each. "
            "How much money does {he} have left?",
        ),
        numbers={"a": (2, 6), "b": (3, 12), "c": (2, 9), "d": (2, 5), "e": (50, 150, 10)},
        steps=("a*b", "c*d", "s1+s2", "e-s3"),
    ),
    Template(
        "wages_split",
        phrasings=(
            "{person} works {a} hours a day for {b} days and earns ${c} an hour. {He} spends ${d} "
            "and saves half of the rest. How much does {he} save?",
            "{person} earns ${c} an hour. {He} works {a} hours on each of {b} days, pays ${d} for "
            "food and puts half of what is left in the bank. How much is that?",
        ),
        numbers={"a": (2, 6), "b": (2, 5), "c": (6, 15), "d": (10, 60)},
        steps=("a*b", "s1*c", "s2-d", "s3/2"),
    ),
    Template(
        "three_scores",
        phrasings=(
            "{person} scored {a} points. {person2} scored twice as many and {person3} scored {b} "
            "fewer than {person2}. Their team needs {c} points. How many more do they need?",
            "{person} sold {a} tickets, {person2} sold twice as many, and {person3} sold {b} fewer "
            "than {person2}. The goal is {c} tickets. How many more must they sell?",
        ),
        numbers={"a": (5, 25), "b": (2, 15), "c": (60, 200, 10)},
        steps=("a*2", "s1-b", "a+s1+s2", "c-s3"),
    ),
    Template(
        "milk_cans",
        phrasings=(
            "On a farm, {a} cows give {b} liters of milk each and {c} goats give {d} liters each. "
            "The milk goes into cans of {e} liters. How many cans are filled?",
            "A farmer gets {b} liters of milk from each of {a} cows and {d} liters from each of "
            "{c} goats. One can holds {e} liters. How many cans does the farmer fill?",
        ),
        numbers={"a": (3, 12), "b": (6, 15), "c": (2, 12), "d": (2, 5), "e": (3, 10)},
        steps=("a*b", "c*d", "s1+s2", "s3/e"),
    ),
    Template(
        "half_of_visitors",
        phrasings=(
            "A park has {a} visitors. {b} of them leave and {c} new ones come. Then half of the "
            "visitors go home and {d} more arrive. How many visitors are there now?",
            "There are {a} visitors in a museum. First {b} leave and {c} come in. Later half of "
            "them leave and {d} come in. How many visitors are there at the end?",
        ),
        numbers={"a": (30, 120), "b": (3, 25), "c": (4, 30), "d": (3, 25)},
        steps=("a-b", "s1+c", "s2/2", "s3+d"),
        constraints=("b!=c",),
    ),
    Template(
        "sell_by_bag",
        phrasings=(
            "{person} bakes {a} trays of {b} {treats} and keeps {c}. {He} packs the rest in {bags} "
            "of {d} and sells each {bag} for ${e}. How much does {he} make?",
            "{person} picks {a} {bags2} of {b} {fruits} and eats {c} of the {fruits}. The others "
            "go into packs of {d} that sell for ${e} each. How much money does {he} make?",
        ),
        numbers={"a": (2, 8), "b": (6, 20), "c": (2, 15), "d": (3, 10), "e": (2, 9)},
        steps=("a*b", "s1-c", "s2/d", "s3*e"),
        constraints=("1<s3",),
    ),
    Template(
        "water_tank",
        phrasings=(
            "A tank holds {e} liters of water. A pipe adds {a} liters a minute for {b} minutes. "
            "Then {c} plants get {d} liters each. How many liters are left in the tank?",
            "{person} has {e} liters of water and adds {a} liters a minute for {b} minutes. {He} "
            "then gives {c} plants {d} liters each. How many liters are left?",
        ),
        numbers={"e": (10, 60), "a": (3, 12), "b": (3, 12), "c": (3, 12), "d": (2, 6)},
        steps=("a*b", "s1+e", "c*d", "s2-s3"),
    ),
    Template(
        "school_fair",
        phrasings=(
            "At a school fair, {person} sells {a} drinks for ${b} each and {c} sandwiches for "
            "${d} each. The food cost ${e}. How many dollars of profit does {he} make?",
            "{person} sells {a} drinks at ${b} and {c} sandwiches at ${d} each. {He} paid ${e} for "
            "the food. What is {his} profit in dollars?",
        ),
        numbers={"a": (4, 12), "b": (2, 5), "c": (3, 12), "d": (3, 9), "e": (10, 60)},
        steps=("a*b", "c*d", "s1+s2", "s3-e"),
        held_out=True,
    ),
)

FIVE_STEPS: tuple[Template, ...] = (
    Template(
        "coupon_change",
        phrasings=(
            "{person} buys {a} {goods} for ${b} each and {c} {treats} for ${d} each. {He} has a "
            "coupon for ${e} off and pays with ${f}. How much change does {he} get?",
            "{person} has ${f}. {He} buys {a} {goods} at ${b} each and {c} {treats} at ${d} each, "
            "with ${e} off the total. How much money does {he} have left?",
        ),
        numbers={
            "a": (2, 6),
            "b": (3, 12),
            "c": (2, 9),
            "d": (2, 5),
            "e": (2, 12),
            "f": (50, 150, 10),
        },
        steps=("a*b", "c*d", "s1+s2", "s3-e", "f-s4"),
    ),
    Template(
        "bag_profit",
        phrasings=(
            "{person} bakes {a} trays of {b} {treats} and eats {c}. {He} packs the rest in {bags} "
            "of {d} and sells each {bag} for ${e}. The baking cost ${f}. What is {his} profit?",
            "{person} picks {b} {fruits} on each of {a} days and gives {c} to {his} {relative}. "
            "The others go into {bags} of {d} that sell for ${e} each. {He} pays ${f} for the "
            "{bags}. How much money does {he} keep?",
        ),
        numbers={
            "a": (2, 8),
            "b": (6, 20),
            "c": (2, 15),
            "d": (3, 10),
            "e": (3, 9),
            "f": (5, 30),
        },
        steps=("a*b", "s1-c", "s2/d", "s3*e", "s4-f"),
        constraints=("1<s3",),
    ),
    Template(
        "weekend_savings",
        phrasings=(
            "{person} works {a} hours on Saturday and {b} hours on Sunday for ${c} an hour. {He} "
            "spends ${d}, saves half of the rest and adds it to the ${e} in {his} bank. "
            "How much is in the bank now?",
            "{person} has ${e} in the bank. {He} works {a} hours on Friday and {b} hours on Sunday "
            "for ${c} an hour, spends ${d} and puts half of the rest in the bank. "
            "How much is in the bank now?",
        ),
        numbers={"a": (2, 8), "b": (2, 8), "c": (6, 15), "d": (6, 40), "e": (10, 80)},
        steps=("a+b", "s1*c", "s2-d", "s3/2", "s4+e"),
    ),
    Template(
        "three_share",
        phrasings=(
            "{person} has {a} {toys}. {person2} has twice as many and {person3} has {b} more than "
            "{person2}. They put them together, lose {c} and pack the rest in {bags} of {d}. "
            "How many {bags} do they fill?",
            "{person} picks {a} {fruits}, {person2} picks twice as many, and {person3} picks {b} "
            "more than {person2}. They eat {c} and put all the others in {bags} of {d}. "
            "How many {bags} do they fill?",
        ),
        numbers={"a": (4, 24), "b": (2, 20), "c": (2, 15), "d": (2, 9)},
        steps=("a*2", "s1+b", "a+s1+s2", "s3-c", "s4/d"),
        constraints=("1<s5",),
    ),
    Template(
        "farm_sale",
        phrasings=(
            "{person} has {a} hens that lay {b} eggs each and {c} ducks that lay {d} eggs each. "
            "{He} keeps {e} eggs and sells the rest for ${f} each. How much money does {he} make?",
            "On a farm, {a} hens lay {b} eggs each and {c} ducks lay {d} eggs each. The farmer "
            "uses {e} eggs and sells the others for ${f} each. How many dollars does that make?",
        ),
        numbers={
            "a": (3, 9),
            "b": (3, 7),
            "c": (2, 8),
            "d": (2, 6),
            "e": (3, 25),
            "f": (2, 4),
        },
        steps=("a*b", "c*d", "s1+s2", "s3-e", "s4*f"),
    ),
    Template(
        "two_gardens",
        phrasings=(
            "{person} picks {a} {fruits}. {person2} picks twice as many and then eats {b}. They "
            "put all the other {fruits} in {bags} of {c} and give {d} {bags} away. "
            "How many {bags} are left?",
            "{person} plants {a} {flowers}. {person2} plants twice as many, but {b} of those die. "
            "They put all the rest in {bags} of {c} and sell {d} {bags}. "
            "How many {bags} are left?",
        ),
        numbers={"a": (8, 40), "b": (2, 15), "c": (3, 9), "d": (2, 8)},
        steps=("a*2", "s1-b", "a+s2", "s3/c", "s4-d"),
        held_out=True,
    ),
)
