"""Guided examples, and the two splits of the test pairs that the first tab is over."""

from __future__ import annotations

from dataclasses import replace

import fake_engine
import pytest
from fake_engine import EDIT

from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.pipeline import ledger
from steer_core.pipeline.ledger import REPORT, SELECT
from steer_core.ui import guides
from steer_core.ui.handlers import Asked
from steer_core.ui.parts import FOLDER, Ledger, pairs_of

STRIP = {
    "alphas": [-1.0, 0.0, 1.0],
    "baseline": 1,
    "answers": ["8", "7", "9"],
    "correct": [False, True, False],
    "gold": "7",
    "twin": "9",
    "nonfinite": [],
    "relative": [[[0.0, 0.2]], [[0.0, 0.0]], [[0.0, 0.3]]],
    "positions": [1, 2],
    "inert": [],
}


def strip(**changes):
    return {**STRIP, **changes}


def test_an_answer_flips_where_right_and_wrong_change_places():
    assert guides.turned(strip()) in (-1.0, 1.0)
    assert guides.turned(strip(correct=[True, True, False])) == 1.0
    assert guides.turned(strip(nonfinite=[2], correct=[True, True, False])) is None
    assert guides.turned(strip(correct=[True, True, True])) is None


def test_a_null_is_real_only_where_the_edit_arrived():
    still = strip(answers=["7", "7", "7"])
    assert guides.flat(still) == 1.0
    assert guides.flat({**still, "relative": [[[0.0, 0.001]]] * 3}) is None
    assert guides.flat(strip()) is None


def test_an_edit_never_arrives_where_every_position_is_inert():
    dead = [[1, "why"], [2, "why"]]
    assert guides.never(strip(inert=dead)) == 2.0
    assert guides.never(strip(inert=dead[:1])) is None
    assert guides.never(strip(positions=[])) is None


def test_a_swap_works_where_the_answer_becomes_the_twins():
    assert guides.taken(strip()) == 1.0
    assert guides.taken(strip(twin="11")) is None
    assert guides.taken(strip(gold="8")) is None  # the own answer was not known either


def test_an_example_is_what_its_inputs_then_show(explorer):
    values = guides.found(explorer, "tiny-llama", "flips")
    edit = {name: values[name] for name in EDIT}
    shown = explorer.strip(Asked(pair_id=values["problem"]), explorer.setting("tiny-llama", **edit))
    at = shown["alphas"].index(values["alpha"])
    assert shown["correct"][at] is not shown["correct"][shown["baseline"]]
    values = guides.found(explorer, "tiny-llama", "unread")
    assert (values["site"], values["positions"]) == ("thought", [6])


def test_an_example_that_no_problem_shows_is_said_so(explorer):
    with pytest.raises(UserError, match=r"none of the first 40 problems shows .* tiny-llama"):
        guides.found(explorer, "tiny-llama", "swap")  # the stand-in knows no twins' states


def test_a_question_of_ones_own_has_no_twin(explorer):
    setting = explorer.setting("tiny-llama", **{**EDIT, "direction": "twin"})
    with pytest.raises(UserError, match="no twin"):
        explorer.strip(Asked(source="own", question="2 + 2?"), setting)
    with pytest.raises(UserError, match="no one direction"):
        list(explorer.sweep("ada", setting))


def test_every_pair_is_in_one_split_the_same_always():
    pairs = load_pairs("test")
    select, report = (pairs_of(pairs, part) for part in (SELECT, REPORT))
    ids = [pair.pair_id for pair in (*select, *report)]
    assert sorted(map(str, ids)) == sorted(str(pair.pair_id) for pair in pairs)
    assert abs(len(select) - len(report)) <= 0.1 * len(pairs)
    assert pairs_of(pairs[::-1], SELECT)[::-1] == select
    assert pairs_of(pairs, "") == pairs


def test_what_shares_a_template_is_in_one_split():
    templates = [
        {pair.clean.template for pair in pairs_of(load_pairs("test"), part)}
        for part in (SELECT, REPORT)
    ]
    assert not templates[0] & templates[1] - {None}


def test_a_setting_that_is_opened_leaves_a_look(explorer, setting, tmp_path):
    explorer.ledger = Ledger(tmp_path)
    list(explorer.sweep("ada", setting))
    assert not (tmp_path / FOLDER).exists()  # to explore opens nothing
    *_, first = explorer.sweep("ada", setting, part=REPORT)
    *_, again = explorer.sweep("ada", setting, part=REPORT)
    assert (first["part"], first["mark"], again["mark"]) == (REPORT, "", "")
    assert first["finished"]
    other = explorer.setting("tiny-llama", **{**EDIT, "layer": 3})
    *_, marked = explorer.sweep("ada", other, part=REPORT)
    assert "looked at once more, along 1 other curve; p counts all 2" in marked["mark"]
    looks, damaged = ledger.read(tmp_path / FOLDER / ledger.FILE)
    assert (len(looks), damaged) == (2, 0)
    assert {look.who for look in looks} == {"page"}
    assert [look.settings for look in looks] == [
        ("mean_difference at residual 2, positions 1-3",),
        ("mean_difference at residual 3, positions 1-3",),
    ]


def test_both_splits_of_a_sweep_are_over_other_pairs():
    def pairs_seen(model, pairs, *, curve, alphas, stop):
        seen.append([pair.pair_id for pair in pairs])
        yield from usual(model, pairs, curve=curve, alphas=alphas, stop=stop)

    seen: list[list[str]] = []
    engine = fake_engine.engine(batch_seconds=0.0, pairs=12)
    usual = engine.iter_sweep
    explorer = guides.Explorer(replace(engine, iter_sweep=pairs_seen), settle_seconds=0.0)
    edit = explorer.setting("tiny-llama", **EDIT)
    for part in (SELECT, REPORT):
        list(explorer.sweep("ada", edit, part=part))
    assert len(seen) == 2
    assert len(seen[0]) == len(seen[1]) == 6
    assert not set(seen[0]) & set(seen[1])


def test_pairs_all_alike_are_one_group():
    pair = load_pairs("test")[0]
    alike = [Pair(i, pair.clean, pair.corrupted) for i in range(4)]
    assert sorted(len(pairs_of(alike, part)) for part in (SELECT, REPORT)) == [0, 4]
