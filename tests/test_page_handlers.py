"""The page's handlers without a browser: plain values in, dicts that JSON can carry out."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import replace

import fake_engine
import numpy as np
import pytest
from fake_engine import EDIT

from steer_core.errors import UserError
from steer_core.steering.sites import Site
from steer_core.ui import settings
from steer_core.ui.adapter import Adapter
from steer_core.ui.compute import SweepJob
from steer_core.ui.gate import Gate
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.runner import Runner
from steer_core.ui.settings import UNITS, with_unit

VALUES = {
    "model": "tiny-llama",
    "source": "pairs",
    "problem": "t001",
    "variant": "clean",
    "question": "",
    "gold": None,
    **EDIT,
    "unit": "raw",
}


# Settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "nobody"}, ["'nobody'", "tiny-llama, tiny-gpt2"]),
        ({"site": "head"}, ["'head'", "residual, thought, embedding"]),
        ({"layer": 5}, ["layer of tiny-llama", "5", "1 to 4"]),
        ({"layer": 0}, ["0", "1 to 4"]),
        ({"layer": 1.5}, ["1.5", "whole number"]),
        ({"layer": math.nan}, ["nan", "1 to 4"]),
        ({"layer": None}, ["None", "number"]),
        ({"positions": [1, 7]}, ["7", "0 to 6"]),
        ({"positions": ["x"]}, ["'x'", "number"]),
        ({"direction": "up"}, ["'up'", "mean_difference"]),
        ({"direction": "random:metres"}, ["'random:metres'", "choose one of"]),
        ({"direction": "/etc/a.safetensors"}, ["unknown"]),
        ({"operation": "melt"}, ["'melt'", "add, project_out"]),
        ({"schedule": "1,2"}, ["2 factors", "give 7"]),
        ({"schedule": "1,1,1,1,1,1,x"}, ["x", "number"]),
        ({"schedule": [1, 1, 1, 1, 1, 1, 11]}, ["11", "-10 to 10"]),
        ({"schedule": [1, 1, 1, 1, 1, 1, math.nan]}, ["nan", "-10 to 10"]),
        ({"layers": "9:1"}, ["9", "1 to 4"]),
        ({"layers": "1:x"}, ["x", "number"]),
        ({"layers": "1:99"}, ["99", "-10 to 10"]),
        ({"layers": "1,2,3,4,1"}, ["5 values", "4"]),
    ],
)
def test_an_edit_out_of_range_names_value_and_limit(explorer, change, words):
    values = {"model": "tiny-llama", **EDIT, **change}
    with pytest.raises(UserError) as error:
        explorer.setting(**values)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_the_unit_of_alpha_is_a_part_of_the_directions_name(explorer):
    names = ["mean_difference", "mean_difference:sd", "mean_difference:dose"]
    assert [with_unit("mean_difference", unit) for unit in UNITS] == names
    for name in names:
        edit = explorer.setting("tiny-llama", **{**EDIT, "direction": name}).first
        assert edit.direction == name


def test_an_edit_is_one_spec_a_layer(explorer):
    edit = {**EDIT, "operation": "rotate", "schedule": "1,.5,1,1,1,1,0", "layers": "1:0.5,2:9,3"}
    first, *others = explorer.setting("tiny-llama", **edit).specs
    assert first.site == Site("residual", 2)
    assert (first.operation, first.factor) == ("rotate", 1.0)
    assert first.schedule == (1, 0.5, 1, 1, 1, 1, 0)
    factors = {spec.site.layer: spec.factor for spec in others}
    assert factors == {1: 0.5, 3: 1.0}  # 2 is the chosen layer, whose factor is 1
    assert {spec.schedule for spec in others} == {first.schedule}


def test_usual_factors_are_the_usual_edit(explorer, setting):
    usual = {"operation": "add", "schedule": "1,1,1,1,1,1,1", "layers": "1:0,2"}
    assert explorer.setting("tiny-llama", **EDIT, **usual) == setting
    thought = explorer.setting("tiny-llama", **{**EDIT, "site": "thought"}, layers="1,3")
    assert len(thought.specs) == 1  # there are no layers


def test_positions_are_a_set_in_order(explorer):
    edit = explorer.setting("tiny-llama", **{**EDIT, "positions": [5, 1, 1]}).first
    assert edit.positions == (1, 5)


@pytest.mark.parametrize("alpha", [math.nan, math.inf, -3.01, "x", None])
def test_alpha_must_be_finite_and_small(alpha):
    with pytest.raises(UserError, match="α is"):
        settings.finite_alpha(alpha)


@pytest.mark.parametrize("text", ["", "   ", None, "word " * 10_000, "x" * 5_000])
def test_questions_have_a_length(text):
    with pytest.raises(UserError, match="question"):
        settings.question_text(text)


def test_gold_answers_are_numbers():
    assert settings.gold_number("12") == 12
    assert settings.gold_number(2.5) == 2.5
    assert settings.gold_number(None) is settings.gold_number("") is None
    for value, number in (
        ("1,200", 1200),
        ("$12", 12),
        ("#### 7", 7),
        ("9007199254740993", 2**53 + 1),
    ):
        assert settings.gold_number(value) == number
    for value in ("twelve", math.inf, "3,5", "1/2", "9" * 5000):
        with pytest.raises(UserError, match="gold answer"):
            settings.gold_number(value)


def test_the_grids_hold_zero_and_the_ends():
    for grid in (settings.STRIP_ALPHAS, settings.SWEEP_ALPHAS):
        assert (grid[0], grid[-1]) == (-3.0, 3.0)
        assert 0.0 in grid
    assert len(settings.STRIP_ALPHAS) == 61
    assert set(settings.SWEEP_ALPHAS) <= set(settings.STRIP_ALPHAS)


# One problem


def test_a_strip_is_json_with_every_alpha(explorer, setting):
    value = explorer.strip(Asked(pair_id="t001"), setting)
    value = json.loads(json.dumps(value, allow_nan=False))
    assert value["gold"] == "10"
    assert value["alphas"][value["baseline"]] == 0
    assert len(value["text"]) == len(value["answers"]) == len(value["correct"]) == 61
    assert np.shape(value["delta"]) == np.shape(value["relative"]) == (61, 7, 5)
    assert not np.any(value["delta"][value["baseline"]])
    texts = [value["texts"][i] for i in value["text"]]
    assert all(str(answer) in text for answer, text in zip(value["answers"], texts, strict=True))


def test_the_corrupted_twin_is_another_problem(explorer, setting):
    clean, corrupted = (
        explorer.strip(Asked(pair_id="t001", variant=variant), setting)
        for variant in settings.VARIANTS
    )
    assert (clean["gold"], corrupted["gold"]) == ("10", "14")
    assert clean["question"] != corrupted["question"]


def test_an_own_question_is_decoded(explorer, setting):
    value = explorer.strip(Asked(source="own", question=" What is 2 + 2? ", gold=4), setting)
    assert (value["question"], value["gold"]) == ("What is 2 + 2?", "4")
    assert set(value["correct"]) == {True, False}


def test_without_a_gold_answer_nothing_is_right_or_wrong(explorer, setting):
    value = explorer.strip(Asked(source="own", question="What is 2 + 2?"), setting)
    assert value["gold"] is None
    assert value["correct"] == [None] * 61
    assert len(set(value["answers"])) > 1


def test_an_unknown_problem_is_an_error(explorer, setting):
    with pytest.raises(UserError, match="'t999'"):
        explorer.strip(Asked(pair_id="t999"), setting)


def test_a_strip_is_decoded_once(setting):
    calls = []
    engine = counting(fake_engine.engine(), "alpha_strip", calls)
    explorer = Explorer(engine)
    for _ in range(3):
        explorer.strip(Asked(pair_id="t001"), setting)
    assert len(calls) == 1


def test_layers_do_not_reach_the_engine_at_other_sites(setting):
    calls = []
    explorer = Explorer(counting(fake_engine.engine(), "alpha_strip", calls))
    thought = explorer.setting("tiny-llama", **{**EDIT, "site": "thought"})
    explorer.strip(Asked(pair_id="t001"), thought)
    assert calls[0]["curve"].specs[0].site == Site("thought")


def counting(engine, name, calls):
    """The engine with the keyword arguments of one function noted down."""
    function = getattr(engine, name)

    def noted(*args, **kwargs):
        calls.append(kwargs)
        return function(*args, **kwargs)

    return replace(engine, **{name: noted})


def test_errors_become_one_line(explorer, caplog):
    adapter = Adapter(explorer)
    assert "1 to 4" in adapter.view(**{**VALUES, "layer": 9})["error"]
    broken = adapter.view(**{**VALUES, "source": "own", "question": "explode", "gold": 1})
    assert broken["error"] == "this did not work (RuntimeError); try another input"
    assert "secret detail" in caplog.text
    assert "error" not in adapter.view(**VALUES)


def test_serials_grow(explorer):
    first, second = (Adapter(explorer).view(**VALUES)["serial"] for _ in range(2))
    assert second > first
    assert second < 2**53  # JavaScript counts no further


# All test pairs


def test_a_sweep_grows_to_its_end(explorer, setting):
    values = list(explorer.sweep("ada", setting))
    decoded = [value["decoded"] for value in values]
    assert decoded == sorted(decoded)
    assert [value["finished"] for value in values] == [False] * 13 + [True]
    assert values[0]["low"].count(None) == 12  # not decoded yet: no number, and no NaN
    json.dumps(values, allow_nan=False)


def test_flips_keep_their_sides_from_the_sweep_to_the_page(setting):
    explorer = Explorer(fake_engine.engine(batch_seconds=0.0, pairs=200), settle_seconds=0.0)
    value = list(explorer.sweep("ada", setting))[-1]
    assert set(value["wrong_to_right"]) == {
        5
    }  # of the 100 of the select split: 5 that were wrong, 8 that were right
    assert set(value["right_to_wrong"]) == {8}


def test_a_finished_sweep_comes_from_memory(explorer, setting):
    first = list(explorer.sweep("ada", setting))[-1]
    again = list(explorer.sweep("bob", setting))
    assert len(again) == 1
    assert again[0] == {**first, "run": again[0]["run"]}


def test_a_newer_sweep_ends_the_older_one(explorer, setting):
    older = explorer.sweep("ada", setting)
    next(older)
    newer = explorer.sweep("ada", explorer.setting("tiny-llama", **{**EDIT, "layer": 1}))
    assert next(newer)["run"] > 0
    assert list(older) == []


def test_a_newer_sweep_interrupts_a_batch_of_the_older_one(setting):
    explorer = Explorer(fake_engine.engine(batch_seconds=0.2), settle_seconds=0.0)
    older = explorer.sweep("ada", setting)
    next(older)
    threading.Timer(0.05, explorer.leave, ["ada"]).start()
    assert list(older) == []  # the batch that was running is thrown away


def test_a_dragged_slider_starts_one_sweep():
    calls = []
    engine = counting(fake_engine.engine(batch_seconds=0.0), "iter_sweep", calls)
    explorer = Explorer(engine, settle_seconds=0.2)
    layers = [explorer.setting("tiny-gpt2", **{**EDIT, "layer": layer}) for layer in (1, 2, 3)]
    threads = [threading.Thread(target=list, args=[explorer.sweep("ada", s)]) for s in layers]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(5)
    assert [call["curve"].specs[0].site.layer for call in calls] == [3]


def test_sweeps_of_two_visitors_live_side_by_side(explorer, setting):
    ada, bob = explorer.sweep("ada", setting), explorer.sweep("bob", setting)
    next(ada), next(bob)
    assert list(ada)[-1]["finished"]
    assert list(bob)[-1]["finished"]


def test_a_visitor_who_leaves_ends_the_sweep(explorer, setting):
    states = explorer.sweep("ada", setting)
    next(states)
    explorer.leave("ada")
    assert list(states) == []


def test_an_ended_sweep_is_not_kept_as_finished(explorer, setting):
    states = explorer.sweep("ada", setting)
    next(states)
    states.close()
    assert len(list(explorer.sweep("ada", setting))) == 14


def test_the_filter_follows_the_baseline(explorer):
    ids = {
        keep: [pair for _, pair in explorer.problems("tiny-llama", "clean", keep)]
        for keep in settings.FILTERS
    }
    assert ids["wrong"] == [f"t{i:03d}" for i in range(0, 12, 3)]
    assert sorted(ids["right"] + ids["wrong"]) == ids["all"]


def test_labels_are_one_short_line(explorer):
    for label, pair_id in explorer.problems("tiny-llama", "clean"):
        assert label.startswith(f"{pair_id} · Mia has")
        assert label.endswith("…")
        assert len(label) < 100
        assert "\n" not in label


def test_labels_name_what_was_never_trained_on(setting):
    pairs = [
        replace(pair, held_out=pair.pair_id == "t001") for pair in fake_engine._pairs(3, "test")
    ]
    engine = replace(fake_engine.engine(), load_pairs=lambda name: pairs)
    labels = [label for label, _ in Explorer(engine).problems("tiny-llama", "clean")]
    assert [label.endswith("template not trained on") for label in labels] == [False, True, False]


# One at a time


def test_the_gate_lets_one_in_and_prefers_those_who_wait():
    gate, order = Gate(), []
    inside = threading.Event()

    def sweep():
        for _ in range(3):
            with gate.background():
                inside.set()
                order.append("batch")
                time.sleep(0.05)

    def visitor():
        with gate.foreground():
            order.append("answer")

    runner, person = threading.Thread(target=sweep), threading.Thread(target=visitor)
    runner.start()
    inside.wait(5)
    person.start()
    runner.join(5), person.join(5)
    assert order == ["batch", "answer", "batch", "batch"]


def test_a_sweep_steps_aside_for_a_visitor_and_for_no_other_sweep():
    gate, order, stop = Gate(), [], threading.Event()

    def sweep():
        while not stop.is_set():
            hold.give_way()
            time.sleep(0.001)

    def caller(kind, name):
        with kind():
            order.append(name)

    other = threading.Thread(target=caller, args=(gate.background, "other sweep"))
    experiment = threading.Thread(target=caller, args=(lambda: gate.background(True), "long"))
    person = threading.Thread(target=caller, args=(gate.foreground, "person"))
    with gate.background() as hold:
        # Two threads share the hold, as batches that are decoded beside each other do.
        helpers = [threading.Thread(target=sweep) for _ in range(2)]
        for thread in (*helpers, other, experiment):
            thread.start()
        time.sleep(0.05)
        assert order == []
        person.start()
        person.join(10)
        stop.set()
        for thread in helpers:
            thread.join(10)
        assert not any(thread.is_alive() for thread in helpers)
        assert gate.busy
        order.append("sweep")
    other.join(10), experiment.join(10)
    assert "person" in order[: order.index("sweep")]
    assert sorted(order) == ["long", "other sweep", "person", "sweep"]
    assert (gate.busy, gate.waiting, gate.queued) == (False, 0, 0)


def test_a_decode_waits_for_a_step_of_a_sweep_not_for_its_batch(setting):
    steps, seen = threading.Event(), []

    def iter_sweep(model, pairs, *, stop, **_):
        steps.set()
        ends = time.monotonic() + 5
        while not seen and time.monotonic() < ends:  # one batch, as long as nobody was answered
            stop()
            time.sleep(0.001)
        yield from ()

    explorer = Explorer(replace(fake_engine.engine(), iter_sweep=iter_sweep), settle_seconds=0.0)
    sweep = threading.Thread(target=list, args=[explorer.sweep("ada", setting)])
    sweep.start()
    steps.wait(5)
    began = time.monotonic()
    seen.append(explorer.strip(Asked(pair_id="t001"), setting))
    sweep.join(10)
    assert time.monotonic() - began < 4


def test_the_gate_opens_after_an_error():
    gate = Gate()
    for turn in (gate.foreground, gate.background, gate.foreground):
        with pytest.raises(RuntimeError), turn():
            raise RuntimeError


def test_old_sweeps_are_forgotten(monkeypatch, explorer, setting):
    monkeypatch.setattr("steer_core.ui.runner.KEPT_SWEEPS", 2)
    runner = Runner(fake_engine.engine(batch_seconds=0.0, pairs=2))
    jobs = [SweepJob(setting, (0.0, alpha)) for alpha in (1.0, 2.0, 3.0)]
    for job in jobs:
        runner.sweep(job)
    assert [runner.finished(job) is not None for job in jobs] == [False, True, True]
