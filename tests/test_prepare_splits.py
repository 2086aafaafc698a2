"""Which pairs are used and where they go: filters, balance, groups, and the counts on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core import UserError
from steer_core.data.problems import Pair, Problem
from steer_core.pipeline.funnel import ALIGNED, ENTERS, SWAPPED, TURNED
from steer_core.pipeline.prepared import FunnelStep, PreparedPair, Twin, problem_keys
from steer_core.pipeline.splits import SplitSettings, apportioned, arrange

HALVES = (0.5, 0.0, 0.5)


def pair(number: int, same_as: int | None = None, answer: int = 1, other: int = 2) -> Pair:
    """A pair of its own, or one whose clean question is the other's but for the name."""
    words = "zero one two three four five six seven eight nine".split()
    noun = "-".join(words[int(digit)] for digit in str(number if same_as is None else same_as))
    name = "Tom" if same_as is None else "Mia"
    clean = Problem(f"{name} has 3 {noun} pens. How many?", answer)
    return Pair(number, clean, Problem(f"Tom has {number} {noun} pens. How many?", other))


def twin(correct: bool, ablated: bool | None = None) -> Twin:
    return Twin("text", 1, correct, 1, ablated)


def twins(labels: str) -> list[tuple[Twin, Twin]]:
    """One letter a pair: r right, w wrong; both without latents wrong."""
    return [(twin(letter == "r", False), twin(False, False)) for letter in labels]


def places(rows: tuple[PreparedPair, ...]) -> list[str]:
    return [row.split or row.why for row in rows]


def step(funnel: tuple[FunnelStep, ...], name: str) -> tuple[int, int]:
    (found,) = [each for each in funnel if each.name == name]
    return found.count, found.of


def counts(rows: tuple[PreparedPair, ...]) -> Counter:
    return Counter((row.split, row.label) for row in rows if row.split)


# --- set aside -----------------------------------------------------------------------------------


def test_unchanged_answers_are_set_aside_unless_they_are_kept():
    asked = [pair(i, other=1 if i < 2 else 2) for i in range(6)]
    rows, funnel = arrange(asked, twins("rwrwrw"), SplitSettings(fractions=HALVES))
    assert places(rows)[:2] == ["the corruption leaves the answer unchanged"] * 2
    assert step(funnel, "answer changed by the corruption") == (4, 6)
    kept, funnel = arrange(
        asked, twins("rwrwrw"), SplitSettings(fractions=HALVES, keep_unchanged=True)
    )
    assert "the corruption leaves the answer unchanged" not in places(kept)
    assert step(funnel, "answer changed by the corruption") == (4, 6)
    assert step(funnel, "not seen before") == (6, 6)


def test_a_seen_id_or_question_is_set_aside_once():
    asked = [pair(1), pair(2), pair(3), pair(4)]
    again = Pair("1", pair(8).clean, pair(8).corrupted)  # an id as text is the same id
    shouted = Pair(9, Problem(asked[1].clean.question.upper() + " ", 1), pair(9).corrupted)
    rows, funnel = arrange(
        [*asked, again, shouted], twins("rwrwrw"), SplitSettings(fractions=HALVES)
    )
    assert places(rows)[4:] == ["its pair_id was seen before", "its question was seen before"]
    assert step(funnel, "not seen before") == (4, 6)
    assert None not in [row.split for row in rows[:4]]


def test_a_row_without_a_change_does_not_hide_a_later_one():
    asked = [pair(1, other=1), pair(2), Pair(1, pair(1).clean, pair(1).corrupted), pair(3), pair(4)]
    rows, _ = arrange(asked, twins("rrwrw"), SplitSettings(fractions=HALVES))
    assert [bool(row.split) for row in rows] == [False, True, True, True, True]


def test_the_funnel_says_at_which_step_the_twins_part():
    def solved(number: int, *chains: tuple[str, ...]) -> Pair:
        sides = (pair(number).clean, pair(number).corrupted)
        return Pair(number, *(replace(p, chain=c) for p, c in zip(sides, chains, strict=True)))

    first = (("<<1+2=3>>", "<<3-2=1>>"), ("<<2+2=4>>", "<<4-2=2>>"))
    second = (("<<1+2=3>>", "<<3-2=1>>"), ("<<1+2=3>>", "<<3-1=2>>"))
    asked = [solved(1, *first), solved(2, *second), solved(3, *second), pair(4)]
    _, funnel = arrange(asked, twins("rwrw"), SplitSettings(fractions=HALVES))
    assert step(funnel, ALIGNED) == (3, 4)
    assert step(funnel, ENTERS.format(1)) == (1, 3)
    assert step(funnel, ENTERS.format(2)) == (2, 3)
    _, plain = arrange([pair(i) for i in range(4)], twins("rwrw"), SplitSettings(fractions=HALVES))
    assert ALIGNED not in [each.name for each in plain]


# --- filters -------------------------------------------------------------------------------------

NEEDS = ((True, True), (True, False), (False, True), (False, False))


@pytest.mark.parametrize(
    ("name", "passing"),
    [
        ("none", [True, True, True, True]),
        ("clean", [True, True, False, False]),
        ("corrupted", [True, False, True, False]),
        ("either", [True, True, True, False]),
        ("both", [True, False, False, False]),
    ],
)
def test_a_filter_asks_which_twin_needs_its_latents(name: str, passing: list[bool]):
    """Eight rows more, wrong ones with a needy corrupted twin, so that a split is possible."""
    sides = [(twin(True, not clean), twin(True, not twin_)) for clean, twin_ in NEEDS] * 2
    if name in ("clean", "both"):  # then no wrong answer can pass: it is the error's business
        with pytest.raises(UserError, match="0 wrong answers"):
            arrange([pair(i) for i in range(8)], sides, SplitSettings(name, HALVES))
        return
    wrong = [(twin(False, False), twin(True, False))] * 4
    rows, funnel = arrange(
        [pair(i) for i in range(12)], sides + wrong, SplitSettings(name, HALVES, balanced=False)
    )
    dropped = f"dropped by the filter '{name}'"
    assert [row.why != dropped for row in rows] == [*passing, *passing, *[True] * 4]
    assert step(funnel, f"pass filter '{name}'") == (2 * sum(passing) + 4, 12)
    assert step(funnel, "needs latents: clean") == (4, 12)
    assert step(funnel, "needs latents: corrupted") == (8, 12)
    assert step(funnel, "needs latents: either") == (10, 12)
    assert step(funnel, "needs latents: both") == (2, 12)


def test_the_positive_control_counts_pairs_with_both_right():
    def side(correct: bool, answer: int, swapped: int) -> Twin:
        return replace(twin(correct), answer=answer, swapped_answer=swapped, swapped=swapped == 9)

    own, other, takes, wrong = side(True, 5, 5), side(True, 5, 7), side(True, 5, 9), twin(False)
    sides = [(each, twin(True)) for each in (own, other, takes, takes)]
    sides += [(takes, wrong), *[(replace(takes, correct=False), twin(True))] * 3]
    options = SplitSettings(fractions=HALVES, balanced=False)
    _, funnel = arrange([pair(i) for i in range(8)], sides, options)
    assert step(funnel, TURNED) == (3, 4)
    assert step(funnel, SWAPPED) == (2, 4)


def test_what_was_not_tested_is_not_counted():
    sides = [(twin(i % 2 == 0), twin(True)) for i in range(4)]
    _, funnel = arrange([pair(i) for i in range(4)], sides, SplitSettings(fractions=HALVES))
    assert not [each for each in funnel if "latents" in each.name]
    assert step(funnel, "clean twin right at baseline") == (2, 4)
    assert step(funnel, "corrupted twin right at baseline") == (4, 4)


# --- balance and splits --------------------------------------------------------------------------


def test_only_the_fit_split_is_balanced():
    """Accuracy on the others is that of the pairs: 75 % of them are right."""
    asked = [pair(i) for i in range(80)]
    rows, funnel = arrange(asked, twins("rrrw" * 20), SplitSettings())
    assert counts(rows) == {
        ("fit", "correct"): 8,
        ("fit", "wrong"): 8,
        ("select", "correct"): 6,
        ("select", "wrong"): 2,
        ("report", "correct"): 30,
        ("report", "wrong"): 10,
    }
    assert places(rows).count("not needed for balance") == 16
    assert step(funnel, "fit balanced, split") == (64, 80)
    assert step(funnel, "fit") == (16, 64)


def test_pairs_that_are_reported_on_may_all_be_right():
    rows, _ = arrange([pair(i) for i in range(6)], twins("rrrrrw"), SplitSettings(fractions=HALVES))
    assert counts(rows) == {
        ("fit", "correct"): 1,
        ("fit", "wrong"): 1,
        ("report", "correct"): 2,
    }


def test_all_labels_can_be_kept():
    rows, funnel = arrange(
        [pair(i) for i in range(80)], twins("rrrw" * 20), SplitSettings(balanced=False)
    )
    assert all(row.split for row in rows)
    assert counts(rows)["fit", "correct"] == 24
    assert counts(rows)["fit", "wrong"] == 8
    assert step(funnel, "split") == (80, 80)


def test_the_seed_decides_and_repeats():
    asked, sides = [pair(i) for i in range(40)], twins("rw" * 20)
    first, again, other = (
        places(arrange(asked, sides, SplitSettings(seed=seed))[0]) for seed in (1, 1, 2)
    )
    assert first == again != other


@given(
    labels=st.lists(st.sampled_from("rw"), min_size=12, max_size=60),
    links=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=20),
    balanced=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_two_splits_share_a_problem(labels, links, balanced, seed):
    """Whatever is connected with whatever, by names aside or through a twin."""
    n = len(labels)
    same_as = {a % n: b % n for a, b in links if a % n != b % n}
    asked = [pair(i, same_as.get(i)) for i in range(n)]
    try:
        rows, _ = arrange(
            asked,
            twins("".join(labels)),
            SplitSettings(fractions=HALVES, balanced=balanced, seed=seed),
        )
    except UserError:
        return  # too few of one label: another test's business
    sides: dict[object, set] = {}
    for row in rows:
        for key in problem_keys(row.pair) if row.split else ():
            sides.setdefault(key, set()).add(row.split)
    assert all(len(found) == 1 for found in sides.values())
    found = counts(rows)
    assert min(found["fit", "correct"], found["fit", "wrong"]) > 0
    assert found["report", "correct"] + found["report", "wrong"] > 0
    assert not balanced or found["fit", "correct"] == found["fit", "wrong"]


def test_a_problem_under_two_names_stays_on_one_side():
    """Twenty problems, each under two ids and names, answered right once and wrong once."""
    asked = [pair(i, same_as=i // 2 * 2 if i % 2 else None) for i in range(40)]
    rows, _ = arrange(asked, twins("rw" * 20), SplitSettings(fractions=HALVES))
    assert all(row.split for row in rows)
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first.split == second.split


@pytest.mark.parametrize("balanced", [True, False])
def test_a_large_group_costs_pairs_only_where_balance_is_asked_for(balanced: bool):
    """Three of four right answers are one problem, so the sides cannot get two each."""
    asked = [pair(0), pair(1, same_as=0), pair(2, same_as=0), *(pair(i) for i in range(3, 8))]
    # Pairs 1 and 2 have one clean question; the name of a third makes it another row.
    third = asked[2].clean.question.replace("Mia", "Ann")
    asked[2] = Pair(2, Problem(third, 1), asked[2].corrupted)
    rows, _ = arrange(asked, twins("rrrrwwww"), SplitSettings(fractions=HALVES, balanced=balanced))
    found = counts(rows)
    if balanced:
        assert found["fit", "correct"] == found["fit", "wrong"]
        assert places(rows).count("not needed for balance") == 8 - sum(found.values())
        assert found["report", "correct"] + found["report", "wrong"] >= 3
    else:
        assert sorted([found["fit", "correct"], found["report", "correct"]]) == [1, 3]
        assert all(row.split for row in rows)


@pytest.mark.parametrize(
    ("total", "fractions", "wanted"),
    [
        (226, (0.4, 0.1, 0.5), [90, 23, 113]),
        (30, (0.1, 0.2, 0.7), [3, 6, 21]),
        (3, (0.4, 0.1, 0.5), [1, 0, 2]),
        (0, (0.5, 0.0, 0.5), [0, 0, 0]),
    ],
)
def test_whole_numbers_near_fractions(total: int, fractions: tuple, wanted: list[int]):
    assert apportioned(total, fractions) == wanted


# --- user errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter": "some"}, "unknown filter 'some'; choose none, clean"),
        ({"fractions": (0.5, 0.5)}, "not three shares .*; give"),
        ({"fractions": (1.5, -0.5, 0.0)}, "not three shares"),
        ({"fractions": (0.5, 0.1, 0.5)}, r"sum to 1\.1, not to 1; correct"),
        ({"fractions": (0.0, 0.5, 0.5)}, "fit or report empty; give"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, "not three shares"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        SplitSettings(**settings)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        ("rrrrrr", {}, "there are 6 right and 0 wrong answers .*; use more or other pairs"),
        ("wwwwww", {"balanced": False}, "there are 0 right and 6 wrong"),
        (
            "rrrwww",
            {"filter": "clean"},
            "filter 'clean' leaves 3 right and 0 wrong .*--filter none",
        ),
        ("rrrwww", {}, "split select gets 0 right and 0 wrong answers of 3 correct and 3 wrong"),
        ("rrrrrw", {"fractions": (0.3, 0, 0.7)}, "split fit gets 2 right and 0 wrong .*both are"),
    ],
)
def test_too_few_of_a_label_is_an_error_with_counts(labels: str, settings: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        arrange([pair(i) for i in range(6)], twins(labels), SplitSettings(**settings))
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)
