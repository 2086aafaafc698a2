"""Directions by gradient: the same forward as the decoder's, and what training is worth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, noise, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.answer_form import answer_form, answer_ids
from steer_core.codi.gradient import Differentiable
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.data.problems import Problem
from steer_core.names import DirectionRef
from steer_core.steering import trained
from steer_core.steering.background import Background, shuffled, vectors_of
from steer_core.steering.fit import FitSet, Provenance, site_states
from steer_core.steering.rows import Decoded
from steer_core.steering.separate import separation
from steer_core.steering.sites import Site

SITES = (Site("residual", 1), Site("residual", 3), Site("thought"), Site("embedding"))


@pytest.fixture(scope="module", params=["llama-bin", "gpt2-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("tiny"), request.param)


@pytest.fixture(scope="module")
def fit(model: CodiModel) -> FitSet:
    """Pairs with gold answers that the vocabulary can write."""
    golds = [n for n in range(10) if answer_ids(model, n) is not None]
    rows = decode(model, QUESTIONS, max_new_tokens=8, hidden=True)
    problems = tuple(Problem(q, golds[i % 3]) for i, q in enumerate(QUESTIONS))
    states = np.stack([row.states for row in rows if row.states is not None])
    origin = Provenance(model.name, model.sha256, "some", "", 6, 6, 0, {})
    return FitSet(states, np.arange(len(rows)) % 2 == 0, origin, problems, twins=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained, "STEPS", 8)
    monkeypatch.setattr(trained, "ROWS", 12)


def said(model: CodiModel, rows: list[Decoded], change) -> list[list[int]]:
    """What the differentiable forward picks at every token of given answers, and one beyond."""
    asked = Differentiable(model, [row.question for row in rows])
    hidden = asked.states(change, [row.token_ids for row in rows])
    picked = model.body.head.without_eot(hidden).argmax(-1)[:, len(start_of(model.config)) - 1 :]
    return [each[: len(row.token_ids)].tolist() for each, row in zip(picked, rows, strict=True)]


@pytest.mark.parametrize("site", SITES, ids=str)
def test_ids_are_those_of_the_decoder(model: CodiModel, site: Site):
    vectors = noise(model, 4)
    vectors[0] = 0
    edit = Edit(vectors, 1.0, site.name, site.layer, tuple(range(1, 7)))
    for edits, change in (
        ([], lambda name, layer, position, x: x),
        ([edit] * len(QUESTIONS), trained.added(site, vectors)),
    ):
        rows = decode(model, QUESTIONS, edits or None, max_new_tokens=8)
        assert said(model, rows, change) == [list(row.token_ids) for row in rows]


def test_gradients_reach_every_position_that_can_act(model: CodiModel):
    site = Site("residual", 1)
    vectors = torch.zeros(7, model.config.hidden, requires_grad=True)
    asked = Differentiable(model, QUESTIONS[:2])
    trained.wanted_logs(asked, trained.added(site, vectors), [3, 4]).sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.norm(dim=-1) > 0).all()
    assert not model.body.tokens.requires_grad


def test_a_trained_direction_raises_what_it_is_trained_for(model: CodiModel, fit: FitSet, quick):
    """More than 20 random directions of its length; and its length is within the budget."""
    site = Site("residual", 2)
    vectors = trained.trained(model, site, fit, "margin")
    budget = trained.budget_of(model, site, fit)[:, 0].cpu()
    assert (vectors.norm(dim=-1) <= budget * 1.001).all()
    assert vectors.norm(dim=-1).max() > 0
    random = [noise(model, seed) for seed in range(20)]
    random = [r / r.norm(dim=-1, keepdim=True) * vectors.norm(dim=-1, keepdim=True) for r in random]
    aims = trained.aims_of(model, fit, "margin")
    gains = trained.gains(model, site, aims, [vectors, *random])
    assert gains[0] > 0
    assert gains[0] > gains[1:].max()


def test_gains_are_measured_on_what_is_decoded(model: CodiModel, fit: FitSet):
    """The change of the log-probability is that of the decoder's logits where numbers begin."""
    site, vectors = Site("thought"), noise(model, 2)
    aims = trained.aims_of(model, fit, "margin")
    found = trained.gains(model, site, aims, [vectors])[0]
    trunk = answer_form(model).trunk
    logs = []
    for change in (lambda name, layer, position, x: x, trained.added(site, vectors)):
        asked = Differentiable(model, aims.questions)
        hidden = asked.states(change, [trunk] * len(aims.questions))[:, -1]
        logits = model.body.head.without_eot(hidden).log_softmax(-1)
        logs.append(logits[torch.arange(len(logits)), list(aims.wanted)].mean().item())
    assert found == pytest.approx(logs[1] - logs[0], abs=1e-4)


def test_the_twins_answer_is_that_of_the_other_problem(model: CodiModel, fit: FitSet):
    own, twin = (trained.aims_of(model, fit, target) for target in ("margin", "twin"))
    for i in range(len(own.wanted)):
        assert twin.wanted[i] == own.wanted[i ^ 1]


def test_its_control_is_trained_for_answers_of_others(model: CodiModel, fit: FitSet, quick):
    here = Background(site_states(model, fit.states, "thought", None), fit, model, Site("thought"))
    ref = DirectionRef.parse("trained:twin")
    mine, control = vectors_of(ref, here), vectors_of(ref, here, shuffled(3))
    assert mine.shape == control.shape
    assert not torch.equal(mine, control)
    assert mine[6].norm() == 0  # nothing projects h_6 any more
    found = separation(ref, here, 19)
    assert len(found.score) == 1
    assert "random directions" in found.words


def test_keys_are_not_trained(model: CodiModel, fit: FitSet):
    with pytest.raises(UserError, match="no direction is trained at site kv"):
        trained.trained(model, Site("kv", 1), fit, "margin")
