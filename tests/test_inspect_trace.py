"""The arrival trace names where an edit died, or what it moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, noise, tiny_model

from steer_core import Edit, decode
from steer_core.codi.model import CodiModel
from steer_core.inspect.effects import FlipDistance, effect_map, flip_distance
from steer_core.inspect.trace import trace, trace_curve
from steer_core.steering.sites import Site

K, L = 6, 3
ALL = tuple(range(K + 1))


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp(request.param), request.param)


def outcome(model: CodiModel, *edits: Edit) -> tuple[str, str]:
    (found,) = trace(model, QUESTIONS[:1], edits, max_new_tokens=3)
    return found.outcome, found.sentence


# --- planted cases -------------------------------------------------------------------------------


def test_an_edit_that_works_is_followed_to_the_answer(model: CodiModel):
    edit = Edit(noise(model), 4.0, "residual", 2, (2, 3))
    (found,) = trace(model, QUESTIONS[:1], [edit], max_new_tokens=3)
    assert found.outcome == "arrived"
    assert found.kl > 1e-4
    assert not found.relative[:2].any()  # nothing in front of the first position
    assert not found.relative[2, :2].any()  # nor below the layer there
    size = 4 * noise(model)[2].norm().item()
    assert found.delta_norm[2, 2] == pytest.approx(size, rel=1e-4)
    assert (found.read[3:] > 0).all()


def test_dead_sites_say_why(model: CodiModel):
    edit = Edit(noise(model), 4.0, "thought", None, (K,))
    assert outcome(model, edit) == (
        "dead site",
        f"The edit is never read: position {K}: nothing projects h_{K} any more.",
    )
    edit = Edit(noise(model), 4.0, "residual", L, (K,))
    kind, sentence = outcome(model, edit)
    assert kind == "dead site"
    assert "nothing reads it" in sentence


def test_what_edits_nothing_says_so(model: CodiModel):
    d = noise(model)
    assert outcome(model, Edit(d, 4.0, "residual", 2, ()))[0] == "empty mask"
    assert outcome(model, Edit(d, 0.0, "residual", 2, ALL))[0] == "no edit"
    assert outcome(model, Edit(torch.zeros_like(d), 4.0, "residual", 2, ALL))[0] == "zero direction"


def test_a_common_scale_is_absorbed_by_the_layer_norm(model: CodiModel):
    """In a projection without biases and activation, a scaled state is a scaled LayerNorm input."""
    projection = model.projection
    first, second = projection.first, projection.second
    # GELU is nearly the identity far above zero, so scaling h scales what the LayerNorm gets.
    first = replace(first, weight=torch.eye(len(first.weight)), bias=torch.full_like(first.bias, 0))
    second = replace(second, bias=torch.zeros_like(second.bias))
    lifted = replace(model, projection=replace(projection, first=PassThrough(first), second=second))
    edit = Edit(noise(model), 3.0, "thought", None, tuple(range(K)), "scale")
    (found,) = trace(lifted, QUESTIONS[:1], [edit], max_new_tokens=3)
    assert found.outcome == "absorbed"
    assert found.before_norm.min() > 1
    assert found.thought.max() < 0.01
    assert "LayerNorm" in found.sentence


class PassThrough:
    """A first layer without its activation."""

    def __init__(self, linear):
        self.linear = linear

    def gelu(self, x, approximate):
        return self.linear(x)


def test_what_nothing_reads_is_said_to_have_arrived(model: CodiModel):
    """Values of a head whose output goes nowhere: orthogonal to all that follows."""
    block = model.body.blocks[1]
    weight = block.out.weight.clone()
    shared = block.heads // block.kv_heads * block.head_dim
    weight[:, :shared] = 0
    deaf = replace(block, out=replace(block.out, weight=weight))
    blocks = (model.body.blocks[0], deaf, model.body.blocks[2])
    planted = replace(model, body=replace(model.body, blocks=blocks))
    direction = torch.zeros(K + 1, Site("values", 2).width(model.config))
    direction[:, : block.head_dim] = 3.0
    edit = Edit(direction, 2.0, "values", 2, (3,))
    kind, sentence = outcome(planted, edit)
    assert kind == "not read"
    assert "off what the answer reads" in sentence
    assert "(position 3, block 2)" in sentence
    assert outcome(model, edit)[0] == "arrived"


def test_an_edited_cache_shows_at_its_place(model: CodiModel):
    place = Site("values", 2)
    edit = Edit(torch.randn(K + 1, place.width(model.config)), 5.0, "values", 2, (3,))
    (found,) = trace(model, QUESTIONS[:1], [edit], max_new_tokens=3)
    assert found.cached[3, 1] > 0.1
    assert not found.cached[:3].any()
    assert not found.cached[3, [0, 2]].any()


@pytest.mark.parametrize("operation", ["add", "scale"])
def test_an_edited_thought_shows_in_the_final_state(model: CodiModel, operation: str):
    """The decoder keeps h_k as it was; what the projection gets is h_k with its edit."""
    d, where = noise(model), (0, 2, K)
    edit = Edit(d, 3.0, "thought", None, where, operation)
    (found,) = trace(model, QUESTIONS[:1], [edit], max_new_tokens=3)
    (plain,) = decode(model, QUESTIONS[:1], hidden=True, max_new_tokens=3)
    first = d[0].norm().item() if operation == "add" else np.linalg.norm(plain.hidden[0, -1])
    assert found.delta_norm[0, L] == pytest.approx(3 * first, rel=1e-4)
    assert not found.delta_norm[0, :L].any()
    (without,) = trace(model, QUESTIONS[:1], [replace(edit, positions=(0, 2))], max_new_tokens=3)
    np.testing.assert_array_equal(found.delta_norm[K], without.delta_norm[K])  # h_K is read by none


def test_traces_along_a_curve_are_those_of_each_edit(model: CodiModel):
    edits = [Edit(noise(model), alpha, "residual", 2, (2, 3)) for alpha in (-2.0, 0.0, 4.0)]
    edits.append(Edit(torch.randn(K + 1, Site("kv", 2).width(model.config)), 3.0, "kv", 2, (1, 4)))
    along = trace_curve(model, QUESTIONS[0], [[edit] for edit in edits], max_new_tokens=3)
    for edit, one in zip(edits, along, strict=True):
        (alone,) = trace(model, QUESTIONS[:1], [edit], max_new_tokens=3)
        assert (one.outcome, one.answer) == (alone.outcome, alone.answer)
        for name in ("relative", "thought", "cached", "attention"):
            np.testing.assert_allclose(getattr(one, name), getattr(alone, name), atol=1e-4)
        assert one.kl == pytest.approx(alone.kl, rel=1e-3, abs=1e-5)


# --- effect map and flip distance ----------------------------------------------------------------


def test_the_effect_map_is_one_edit_at_a_time(model: CodiModel):
    d = noise(model, size=3.0)
    found = effect_map(
        model, QUESTIONS[0], lambda layer: Edit(d, 2.0, "residual", layer, ALL), max_new_tokens=3
    )
    assert found.kl.shape == (K + 1, L)
    assert found.kl[K, L - 1] == 0  # dead
    for k, layer in ((1, 1), (4, 2), (6, 2)):
        one = Edit(d, 2.0, "residual", layer, (k,))
        (row,) = decode(model, QUESTIONS[:1], one, max_new_tokens=3)
        assert found.answers[k, layer - 1] == row.answer
        assert found.flipped[k, layer - 1] == (row.answer != found.baseline_answer)


def test_the_flip_distance_is_where_the_answer_turns(model: CodiModel):
    d = noise(model)
    edit = Edit(d, 1.0, "residual", 2, ALL)
    found = flip_distance(
        model, QUESTIONS[0], lambda a: (replace(edit, alpha=a),), max_new_tokens=3
    )
    assert isinstance(found, FlipDistance)
    turned = [way for way in (found.below, found.above) if way.alpha is not None]
    assert turned
    for way in turned:
        inside = way.alpha - np.sign(way.alpha) * 0.011 * abs(way.alpha)
        near, at = decode(
            model,
            QUESTIONS[:1] * 2,
            [replace(edit, alpha=float(a)) for a in (inside, way.alpha)],
            max_new_tokens=3,
        )
        assert near.answer == found.baseline_answer
        assert at.answer == way.answer != found.baseline_answer


def test_no_flip_says_how_far_was_looked(model: CodiModel):
    dead = Edit(noise(model), 1.0, "thought", None, (K,))
    found = flip_distance(
        model, QUESTIONS[0], lambda a: (replace(dead, alpha=a),), farthest=9.0, max_new_tokens=3
    )
    assert (found.below.alpha, found.above.alpha, found.above.searched) == (None, None, 9.0)
    assert found.distance == float("inf")
