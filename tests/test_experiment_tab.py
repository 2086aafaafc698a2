"""The handlers of the second tab, without a browser: values in, what Gradio is given out."""

from __future__ import annotations

from types import SimpleNamespace

import experiment_forms as forms
import gradio as gr
import pytest

from steer_core.ui.experiments.lab import DONE, RUNNING, State
from steer_core.ui.experiments.panels import SIZES, Form, build_layout
from steer_core.ui.experiments.tab import Wiring

VALUES = {"model": forms.MODEL, **forms.SMALL}


@pytest.fixture
def desk(tmp_path):
    return forms.desk(tmp_path)


@pytest.fixture
def wiring(desk):
    with gr.Blocks():
        models = [(name, name) for name in desk.explorer.models]
        return Wiring(desk, build_layout(models, desk.explorer.info(forms.MODEL)))


def values(**change):
    return [{**VALUES, **change}[name] for name in Form.__slots__]


KEY = "0123456789abcdef" * 2
SCRIPT = None
"""No request: whoever calls is the person at the console."""


def event(**data):
    return SimpleNamespace(**data)


def test_a_size_fills_in_what_it_means(wiring):
    noise, shuffled, covariance, nuisance, most = 0, 5, 5, 5, 0
    wanted = [200, "-3,3", noise, shuffled, covariance, nuisance, most]
    assert wiring.fill("quick") == wanted
    assert all(len(wiring.fill(size)) == len(wanted) for size in SIZES)


def test_another_model_has_other_layers(wiring, desk):
    info = SimpleNamespace(name="wide", layers=12, latents=3)
    desk.explorer = SimpleNamespace(info=lambda name: info)
    layers, positions = wiring.configure("wide")
    assert layers["value"] == list(range(1, 13))
    assert positions["value"] == [1, 2, 3]
    assert [k for _, k in positions["choices"]] == [0, 1, 2, 3]


def test_layers_are_chosen_for_the_residual_stream_only(wiring):
    assert wiring.layers_matter("residual")["interactive"]
    assert not wiring.layers_matter("thought")["interactive"]


def test_the_plan_is_numbers_or_one_line(wiring):
    assert wiring.plan(*values())["decodes"] > 0
    assert "start:stop:step" in wiring.plan(*values(alphas="3:-3:1"))["error"]


def test_an_error_of_our_own_is_one_line_without_detail(wiring, desk, caplog):
    def broken(*_):
        raise RuntimeError("secret detail")

    desk.plan = desk.opened = broken
    found = [wiring.plan(*values())["error"], wiring.open(event(name="small"))["error"]]
    assert found == ["this did not work (RuntimeError); try another input"] * 2
    assert "secret detail" in caplog.text


def test_what_cannot_be_opened_or_compared_is_one_line(wiring):
    assert "'none' is not among" in wiring.open(event(name="none"))["error"]
    assert "tick two" in wiring.compare(event(names=["small"]))["error"]


def test_what_cannot_be_begun_leaves_the_tab_as_it_is(wiring):
    steps, run, cancel, clock, shelf = wiring.run(SCRIPT, *values(alphas="0"), KEY)
    assert (steps["status"], shelf["entries"]) == ("idle", [])
    assert run["interactive"]
    assert not cancel["interactive"]
    assert not clock.active


def test_the_clock_goes_on_as_long_as_a_run_is_shown(wiring, desk):
    """A run that ends between two looks at it must be looked at once more."""
    shown = {**desk.progress(), "status": RUNNING, "name": "small"}
    desk.progress = lambda: shown
    assert not desk.lab.state.active
    _, run, cancel, clock, _ = wiring.tick(KEY, SCRIPT)
    assert clock.active
    assert cancel["interactive"]
    assert not run["interactive"]


def test_a_tab_that_waits_sees_what_another_visitor_began(wiring, desk):
    idle = event(status="idle", name="")
    assert wiring.look(KEY, idle, SCRIPT) == [gr.skip()] * 5  # and nothing is read or sent
    desk.lab._state = State(RUNNING, "small")
    steps, run, cancel, clock, _ = wiring.look(KEY, idle, SCRIPT)
    assert (steps["status"], steps["name"]) == (RUNNING, "small")
    assert clock.active
    assert cancel["interactive"]
    assert not run["interactive"]


def test_the_list_is_read_once_a_run_has_ended(wiring, desk):
    desk.lab._state = State(RUNNING, "small")
    assert wiring.tick(KEY, SCRIPT)[-1] == gr.skip()
    desk.lab._state = State(DONE, "small")
    assert wiring.tick(KEY, SCRIPT)[-1]["entries"] == []


def test_a_run_that_ended_is_marked_as_such(wiring):
    assert wiring.ended(event(name="none"))["ended"]
    assert "ended" not in wiring.open(event(name="none"))
