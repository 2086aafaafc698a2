"""A learned subspace: the same swap in training and in decoding, and its controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.gradient import Differentiable
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of
from steer_core.data.problems import Problem
from steer_core.steering import subspaces
from steer_core.steering.edits import Subspace
from steer_core.steering.fit import FitSet, Provenance, site_states
from steer_core.steering.sites import Site
from steer_core.steering.subspaces import learned_subspace, random_basis, right_twins, swapped

MORE = [f"Sam has {n} red pens and {n + 2} blue ones. How many?" for n in range(1, 10)]
ASKED = (*QUESTIONS, *MORE, "Eve eats 3 figs and 2 nuts. How many?")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("tiny"), "llama-bin")


@pytest.fixture(scope="module")
def fit(model: CodiModel) -> FitSet:
    """All right; golds are numbers that the vocabulary can write."""
    rows = decode(model, ASKED, max_new_tokens=2, hidden=True)
    states = np.stack([row.states for row in rows if row.states is not None])
    problems = tuple(Problem(q, 3 + i % 2) for i, q in enumerate(ASKED))
    origin = Provenance(model.name, model.sha256, "some", "", 22, 0, 0, {})
    return FitSet(states, np.ones(len(ASKED), bool), origin, problems, twins=True)


@pytest.mark.parametrize("site", [Site("embedding"), Site("residual", 2), Site("thought")], ids=str)
def test_training_swaps_what_decoding_swaps(model: CodiModel, fit: FitSet, site: Site):
    """Ids of the decoder with the swap as an edit are those that the trained forward picks."""
    basis = random_basis(site.width(model.config), 5, 1)
    states = site_states(model, fit.states, site.name, site.layer)
    other = states[np.arange(len(states)) ^ 1]
    part = Subspace(basis.expand(7, -1, -1))
    edits = [
        Edit(torch.from_numpy(one), 1.0, site.name, site.layer, (1, 2, 3, 5), "replace", part)
        for one in other
    ]
    rows = decode(model, ASKED, edits, max_new_tokens=5)
    change = swapped(site, torch.from_numpy(other), basis.T, (1, 2, 3, 5))
    hidden = Differentiable(model, ASKED).states(change, [row.token_ids for row in rows])
    picked = model.body.head.without_eot(hidden).argmax(-1)[:, len(start_of(model.config)) - 1 :]
    for said, row in zip(picked, rows, strict=True):
        assert said[: len(row.token_ids)].tolist() == list(row.token_ids)


def test_it_has_controls_of_its_size_and_is_scored_held_out(
    model: CodiModel, fit: FitSet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subspaces, "EPOCHS", 1)
    found = learned_subspace(model, fit, Site("embedding"), 3, (1, 2))
    assert found.basis.shape == (3, model.config.hidden)
    torch.testing.assert_close(found.basis @ found.basis.T, torch.eye(3), atol=1e-4, rtol=0)
    assert 0 < found.learned.n < len(ASKED)
    assert found.learned.n == found.principal.n == found.whole.n
    assert found.random.n == subspaces.DRAWS * found.learned.n
    assert found.learned.low - 1e-9 <= found.learned.share <= found.learned.high + 1e-9


def test_training_lowers_the_loss(model: CodiModel, fit: FitSet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subspaces, "EPOCHS", 6)
    site, where = Site("embedding"), (1, 2, 3, 4, 5, 6)
    twins = right_twins(model, fit, site)
    learned = subspaces.learn(model, twins, site, 4, where, 0)
    monkeypatch.setattr(subspaces, "EPOCHS", 0)
    start = subspaces.learn(model, twins, site, 4, where, 0)
    assert loss(model, twins, site, learned, where) < loss(model, twins, site, start, where)


def loss(model: CodiModel, twins, site: Site, basis: torch.Tensor, where) -> float:
    trunk = len(subspaces.answer_form(model).trunk)
    tokens = [(subspaces.answer_ids(model, answer) or ())[trunk] for answer in twins.answers]
    change = swapped(site, torch.from_numpy(twins.other), basis.T, where)
    with torch.no_grad():
        asked = Differentiable(model, twins.questions)
        return -subspaces.wanted_logs(asked, change, tokens).mean().item()


@pytest.mark.parametrize(
    ("site", "size", "says"),
    [
        (Site("kv", 1), 2, "no direction is trained at site kv"),
        (Site("embedding"), 0, "is none of 1..32"),
        (Site("embedding"), 33, "is none of 1..32"),
    ],
)
def test_what_cannot_be_learned_is_refused(model: CodiModel, fit: FitSet, site, size, says):
    with pytest.raises(UserError, match=says):
        learned_subspace(model, fit, site, size)


def test_too_few_pairs_are_refused(model: CodiModel, fit: FitSet):
    right = np.arange(len(ASKED)) < 6
    few = FitSet(fit.states, right, fit.provenance, fit.problems, twins=True)
    with pytest.raises(UserError, match="3 pairs are right on both twins"):
        learned_subspace(model, few, Site("embedding"), 2)
