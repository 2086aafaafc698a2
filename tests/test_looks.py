"""Looks inside one question from the page: checked values in, what JSON can hold out."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import fake_engine
import numpy as np
import pytest
from tiny_models import QUESTIONS, direction, tiny_model

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.inspect.asked import LOOKS, LookAsked, SwapAsked
from steer_core.inspect.looks import look
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve, EditSpec
from steer_core.ui.compute import LookJob
from steer_core.ui.inspect.atlas import Atlases
from steer_core.ui.inspect.looks import Looks, expectations
from steer_core.ui.inspect.payload import payload_of
from steer_core.ui.settings import STRIP_ALPHAS, Setting

ASKED = {
    "source": "pairs",
    "problem": "t001",
    "variant": "clean",
    "model": "tiny-llama",
    "unit": "raw",
    **fake_engine.EDIT,
}


@pytest.fixture
def looks() -> Looks:
    return Looks(fake_engine.explorer())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("looks"), "llama-bin")


def test_a_trace_holds_every_alpha_of_the_slider(looks: Looks):
    found = looks.look("trace", {"key": "k", "asked": ASKED})
    assert found["key"] == "k"
    assert found["alphas"] == list(STRIP_ALPHAS)
    assert len(found["sentence"]) == len(STRIP_ALPHAS)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (None, "lacks source"),
        ({"asked": "x"}, "lacks source"),
        ({"asked": {**ASKED, "problem": "none"}}, "is no test pair"),
        ({"asked": {**ASKED, "layer": 99}}, "whole number from 1 to 4"),
        ({"asked": {**ASKED, "model": ["x"]}}, "is unknown"),
    ],
)
def test_what_makes_no_sense_is_one_line(looks: Looks, told, line: str):
    assert line in looks.look("trace", told)["error"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"donor": "nobody"}, "is no test pair"),
        ({"site": "head"}, "site 'head' is unknown"),
        ({"positions": [9]}, "whole number from 0 to 6"),
        ({"positions": 3}, "give a list"),
        ({"site": "kv", "layer": 7}, "whole number from 1 to 4"),
    ],
)
def test_a_swap_checks_its_own_inputs(looks: Looks, options, line: str):
    assert line in looks.look("swap", {"asked": ASKED, "options": options})["error"]


@pytest.mark.parametrize("what", LOOKS)
def test_every_instrument_fits_into_json(model: CodiModel, what: str):
    curve = EditCurve.along(direction(model, "embedding", None), "embedding", None, (1, 2))
    swap = SwapAsked(donor=QUESTIONS[1])
    wanted = LookAsked(what, QUESTIONS[0], values=(3,), swap=swap)
    alphas = (-1.0, 0.0, 1.0)
    seen = look(model, wanted, curve, alphas)
    setting = Setting("tiny", (EditSpec(Site("embedding"), (1, 2)),))
    info = SimpleNamespace(layers=3, latents=6)
    found = payload_of(LookJob(setting, wanted, alphas), seen, 3, info)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_attention_crosses_as_bytes(model: CodiModel):
    curve = EditCurve.along(direction(model, "embedding", None), "embedding", None, (1,))
    wanted = LookAsked("attention", QUESTIONS[0], block=2)
    seen = look(model, wanted, curve, (0.0, 2.0))
    found = payload_of(
        LookJob(Setting("tiny", (EditSpec(Site("embedding"), (1,)),)), wanted, (0.0, 2.0)),
        seen,
        None,
        SimpleNamespace(layers=3, latents=6),
    )
    levels = np.frombuffer(base64.b64decode(found["levels"]), np.uint8).reshape(found["shape"])
    np.testing.assert_allclose(levels / 255, seen.weights, atol=0.5 / 255 + 1e-6)
    assert found["shape"][1] == 4  # heads of block 2
    assert (seen.weights.sum(-1) < 1 + 1e-5).all()


def test_a_swap_says_what_each_step_predicts():
    clean = Problem("q", 14, ("<<3*4=12>>", "<<12+2=14>>"))
    corrupted = Problem("r", 22, ("<<5*4=20>>", "<<20+2=22>>"))
    pair = Pair("p", clean, corrupted)
    assert expectations(pair, "clean") == [[1, "22"], [2, "22"]]
    assert expectations(pair, "corrupted") == [[1, "14"], [2, "14"]]
    assert expectations(None, "clean") == []


def test_an_atlas_streams_until_it_is_whole():
    atlases = Atlases(fake_engine.explorer())
    found = list(atlases.run("me", {"what": "swap", "model": "tiny-llama"}))
    assert [one["done"] for one in found] == [1, 2, 3, 3]
    assert [one["finished"] for one in found] == [False, False, False, True]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_atlas_stops_when_its_visitor_says_so():
    atlases = Atlases(fake_engine.explorer())
    run = atlases.run("me", {"what": "swap", "model": "tiny-llama"})
    next(run)
    atlases.stop("me")
    assert list(run) == []


def test_a_map_of_no_edit_is_refused():
    asked = {"what": "map", "model": "tiny-llama", "alpha": 0}
    (found,) = Atlases(fake_engine.explorer()).run("me", asked)
    assert "α is 0" in found["error"]
