"""Links, settings of the server, endpoints for scripts, and what crosses to the page."""

from __future__ import annotations

import math
import pickle
from dataclasses import fields, replace
from types import SimpleNamespace

import fake_engine
import gradio as gr
import numpy as np
import pytest

from steer_core.codi.config import CodiConfig
from steer_core.errors import UserError
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditSpec
from steer_core.ui import compute, links, payload, settings
from steer_core.ui.adapter import Adapter
from steer_core.ui.api import Endpoints
from steer_core.ui.compute import StripJob, SweepJob
from steer_core.ui.engine import Loader
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.options import options_from


def test_a_link_sets_what_it_names(explorer):
    query = {"model": "tiny-gpt2", "layer": "5", "alpha": "-1.2", "mask": "4,2", "problem": "t003"}
    values, complaints = links.restore(explorer, query)
    assert complaints == []
    assert values["model"] == "tiny-gpt2"
    assert (values["layer"], values["alpha"], values["mask"]) == (5, -1.2, [2, 4])
    assert values["problem"] == "t003"


@pytest.mark.parametrize(("layers", "middle"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (28, 14)])
def test_the_page_starts_at_the_layer_of_the_commands(layers: int, middle: int):
    info = fake_engine.FakeInfo("some", layers)
    config = CodiConfig(**dict.fromkeys((each.name for each in fields(CodiConfig)), layers))
    assert links.defaults(info)["layer"] == config.middle_layer == middle


def test_a_link_with_a_filter(explorer):
    values, complaints = links.restore(explorer, {"problem": "t003", "keep": "wrong"})
    assert (values["keep"], complaints) == ("wrong", [])
    values, complaints = links.restore(explorer, {"problem": "t001", "keep": "wrong"})
    assert values["keep"] == "all"  # t001 is answered right
    assert complaints == [
        "tiny-llama does not get problem t001 wrong; choose one of the 4 in the list"
        " (the page shows all)"
    ]


def test_of_many_choices_the_ends_are_named(explorer):
    known = [str(number) for number in range(240)]
    with pytest.raises(UserError, match=r"'x' is unknown; choose one of 0 to 239 \(240 in all\)"):
        settings.choose("problem", "x", known)


def test_an_empty_link_gives_the_defaults(explorer):
    values, complaints = links.restore(explorer, {})
    assert complaints == []
    assert (values["layer"], values["mask"], values["alpha"]) == (2, [1, 2, 3, 4, 5, 6], 0.0)
    assert links.restore(explorer, {"mask": ""})[0]["mask"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"model": "<b>"},
        {"layer": "9"},
        {"alpha": "inf"},
        {"mask": "1,x"},
        {"problem": "none"},
        {"keep": "some"},
        {"site": "?"},
        {"gold": "many"},
    ],
)
def test_a_wrong_link_falls_back_and_complains(explorer, query):
    values, complaints = links.restore(explorer, query)
    assert len(complaints) == 1
    assert values == links.restore(explorer, {})[0]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"layer": "99"}, "2"),
        ({"alpha": "77"}, "0"),
        ({"alpha": "1.23"}, "1.2"),
        ({"mask": "1,9"}, "1, 2, 3, 4, 5, 6"),
        ({"model": "nobody"}, "tiny-llama"),
        ({"unit": "metres"}, "raw"),
        ({"gold": "many"}, "nothing"),
    ],
)
def test_a_wrong_link_says_what_is_shown_instead(explorer, query, shown):
    (complaint,) = links.restore(explorer, query)[1]
    assert complaint.endswith(f" (the page shows {shown})")


def test_alpha_of_a_link_is_one_that_the_slider_has(explorer):
    assert links.restore(explorer, {"alpha": "1.23"})[0]["alpha"] == 1.2
    for alpha in settings.STRIP_ALPHAS:
        values, complaints = links.restore(explorer, {"alpha": str(alpha)})
        assert (values["alpha"], complaints) == (alpha, [])


def test_options_come_from_the_environment():
    options = options_from({"STEER_MODEL": "tiny-gpt2", "STEER_PORT": "8000"})
    assert (options.model, options.device, options.port) == ("tiny-gpt2", "auto", 8000)
    for name, value in (("STEER_DEVICE", "tpu"), ("STEER_DTYPE", "int8"), ("STEER_PORT", "0")):
        with pytest.raises(UserError, match=name):
            options_from({name: value})


def test_the_model_that_was_asked_for_comes_first():
    explorer = Explorer(fake_engine.engine(), "tiny-gpt2")
    assert list(explorer.models) == ["tiny-gpt2", "tiny-llama"]  # and no hub model that is not here
    with pytest.raises(UserError, match="'nowhere'"):
        Explorer(fake_engine.engine(), "nowhere")


def test_endpoint_decode_matches_the_page(explorer, setting):
    page = explorer.strip(Asked(pair_id="t001"), setting)
    found = Endpoints(explorer).decode(
        "tiny-llama", page["question"], alpha=2.0, layer=2, positions=[1, 2, 3]
    )
    assert found["baseline_answer"] is not None
    assert found["alpha"] == 2.0
    assert set(found) >= {"text", "answer", "baseline_text", "baseline_answer", "question"}


def test_endpoint_sweep_has_a_row_for_each_alpha(explorer):
    rows = Endpoints(explorer).sweep("tiny-llama", alphas=[-1, 1])
    assert [row["alpha"] for row in rows] == [-1.0, 0.0, 1.0]
    for row in rows:
        assert row["accuracy"] == pytest.approx(row["correct"] / row["n"])
        assert row["low"] <= row["accuracy"] <= row["high"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "nobody"},
        {"layer": 99},
        {"positions": [99]},
        {"alpha": math.nan},
        {"question": ""},
        {"site": "x"},
        {"direction": "x"},
    ],
)
def test_endpoints_refuse_in_one_line(explorer, arguments):
    with pytest.raises(gr.Error) as error:
        Endpoints(explorer).decode(**{"model": "tiny-llama", "question": "1 + 1?", **arguments})
    assert "\n" not in str(error.value.message)


def test_numbers_for_json_keep_four_digits_and_lose_what_is_not_finite():
    state = SimpleNamespace(
        alphas=np.array([-0.5, 0.0]),
        layer=1,
        done=np.array([3, 0]),
        correct=np.array([2, 0]),
        wrong_to_right=np.array([1, 0]),
        right_to_wrong=np.array([0, 0]),
        nonfinite=np.array([1, 0]),
        low=np.array([0.123456, math.nan]),
        high=np.array([0.98768, math.inf]),
        total=3,
        decoded=3,
        rows=6,
        baseline_accuracy=None,
    )
    setting = settings.Setting("m", (EditSpec(Site("residual", 1), (1,), "random"),))
    value = payload.sweep_payload(setting, state, finished=False)
    assert (value["low"], value["nonfinite"]) == ([0.1235, None], [1, 0])
    assert value["high"] == [0.9877, None]
    assert (value["baseline"], value["finished"]) == (None, False)
    assert [payload.number_text(x) for x in (12, -3.0, 0.25, None)] == ["12", "-3", "0.25", None]
    assert payload.number_text(2**53 + 1) == "9007199254740993"


def test_an_answer_says_what_was_asked(explorer):
    edit = {**fake_engine.EDIT, "model": "tiny-llama", "unit": "raw"}
    asked = {"source": "pairs", "problem": "t001", "variant": "clean"}
    typed = {"question": "typed, and not sent", "gold": "7"}
    view = Adapter(explorer).view(**edit, **asked, **typed)
    assert view["asked"] == {**edit, **asked}
    states = list(Adapter(explorer).sweep(SimpleNamespace(session_hash="v"), **edit))
    assert [state["asked"] for state in states] == [edit] * len(states) != []
    assert states[-1]["finished"]


def test_only_an_edit_has_a_direction_with_a_length(explorer, setting):
    bare = explorer.strip(
        Asked(pair_id="t001"), replace(setting, specs=(replace(setting.first, positions=()),))
    )
    assert bare["norms"] == [None] * 7
    assert None not in explorer.strip(Asked(pair_id="t001"), setting)["norms"]


def test_a_sweep_may_hold_the_gpu_longer_than_one_problem(setting):
    engine = fake_engine.engine()
    strip, sweep = StripJob(setting, "1 + 1?", 2, (0.0,)), SweepJob(setting, (0.0,))
    assert 0 < compute.seconds(engine, strip) < compute.seconds(engine, sweep)


def test_an_engine_survives_the_way_to_a_gpu_worker():
    engine = fake_engine.engine()
    loader = Loader("cpu", "float32")
    engine = replace(engine, load_model=loader, load_pairs=len, iter_sweep=len)  # no partials
    assert pickle.loads(pickle.dumps(engine)) == engine
    assert hash(pickle.loads(pickle.dumps(engine))) == hash(engine)
