"""Directions: how they are computed."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_checkpoints import HIDDEN
from tiny_models import PLACES, problems, tiny_model

from steer_core import UserError, decode
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Problem, problems_hash
from steer_core.steering.decode import Decoded
from steer_core.steering.directions import (
    fit_set,
    mean_differences,
)
from steer_core.steering.fit import site_states

K = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("gpt2"), "gpt2-bin")


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Problem]:
    return problems(model)


@pytest.fixture(scope="module")
def found(model: CodiModel, asked: list[Problem]) -> dict:
    return {(d.site, d.layer): d for d in mean_differences(model, asked, "mine")}


# --- mean differences ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(model: CodiModel, asked: list[Problem]) -> list[tuple[bool, Decoded]]:
    """Every problem decoded by itself, and whether its answer was right."""
    rows = [decode(model, [problem.question], hidden=True)[0] for problem in asked]
    return [(row.answer == p.answer, row) for row, p in zip(rows, asked, strict=True)]


def naive(model: CodiModel, alone: list, site: str, layer: int | None) -> np.ndarray:
    """Mean of the right minus mean of the wrong, one problem and one position at a time."""
    sums = {True: np.zeros((K + 1, HIDDEN)), False: np.zeros((K + 1, HIDDEN))}
    counts = {True: 0, False: 0}
    for right, row in alone:
        counts[right] += 1
        for k in range(K + 1):
            if site == "residual":
                sums[right][k] += row.states[k, layer]
            elif site == "thought":
                sums[right][k] += row.hidden[k, -1]
            elif k > 0:
                fed = torch.from_numpy(row.hidden[k - 1, -1].copy())
                sums[right][k] += model.projection(fed).numpy()
    assert min(counts.values()) >= 2
    return sums[True] / counts[True] - sums[False] / counts[False]


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_the_mean_difference_is_that_of_a_plain_loop(
    model: CodiModel, alone: list, found: dict, site: str, layer: int | None
):
    vectors = found[site, layer].vectors
    assert vectors.dtype == torch.float32
    wanted = naive(model, alone, site, layer)
    np.testing.assert_allclose(vectors.numpy(), wanted, rtol=0, atol=1e-4)
    assert np.abs(wanted[1:]).max() > 0.01


def test_every_site_and_layer_gets_one(found: dict):
    assert tuple(found) == PLACES


def test_the_embedding_sites_states_are_what_is_fed(model: CodiModel):
    """Index 0 of the states is the thought as the body got it, with GPT-2's position added."""
    (row,) = decode(model, ["Ann ran 5 km."], max_new_tokens=1, hidden=True)
    positions = row.prompt_tokens - 1 + np.arange(1, K + 1)
    fed = row.states[1:, 0] - model.body.positions[positions].numpy()
    thoughts = site_states(model, row.states, "embedding", None)
    np.testing.assert_allclose(thoughts[1:], fed, rtol=0, atol=1e-5)
    assert not thoughts[0].any()


def test_provenance_says_where_a_direction_comes_from(
    model: CodiModel, asked: list[Problem], alone: list, found: dict
):
    right = sum(right for right, _ in alone)
    for each in found.values():
        origin = each.provenance
        assert each.method == "mean_difference"
        assert (origin.model, origin.model_sha256) == (model.name, model.sha256)
        assert (origin.problems, origin.problems_sha256) == ("mine", problems_hash(asked))
        assert (origin.correct, origin.wrong) == (right, len(asked) - right)
        assert {"steer_core", "torch", "transformers", "python"} <= set(origin.versions)


def test_the_hash_depends_on_questions_answers_and_order(asked: list[Problem]):
    other = dataclasses.replace(asked[0], answer=123456)
    hashes = {problems_hash(each) for each in (asked, asked[::-1], asked[1:], [other, *asked[1:]])}
    assert len(hashes) == 4


def test_known_labels_are_not_scored_again(model: CodiModel, asked: list[Problem]):
    """Nor is anything decoded behind the states."""
    right = np.arange(len(asked)) < 5
    unknown = [dataclasses.replace(problem, answer=123456) for problem in asked]
    given = fit_set(model, unknown, "mine", right=right, seed=4)
    scored = fit_set(model, asked, "mine")
    assert given.right.tolist() == right.tolist() != scored.right.tolist()
    np.testing.assert_allclose(given.states, scored.states, rtol=0, atol=1e-4)
    assert (given.provenance.correct, given.provenance.wrong) == (5, len(asked) - 5)
    assert (given.provenance.seed, scored.provenance.seed) == (4, 0)
    with pytest.raises(UserError, match="0 of 12 answers are right"):
        fit_set(model, asked, "mine", right=np.zeros(len(asked), bool))
    with pytest.raises(Cancelled):
        fit_set(model, asked, "mine", stop=lambda: True)


@pytest.mark.parametrize("right", [True, False])
def test_a_difference_needs_two_sides(model: CodiModel, right: bool):
    texts = ["Ann ran 5 km.", "Ann ran 6 km."]
    golds = [row.answer if right else 123456 for row in decode(model, texts)]
    assert None not in golds
    asked = [Problem(text, gold) for text, gold in zip(texts, golds, strict=True)]
    with pytest.raises(UserError, match=rf"{2 * right} of 2 answers are right.*choose") as caught:
        mean_differences(model, asked, "mine")
    assert "\n" not in str(caught.value)
