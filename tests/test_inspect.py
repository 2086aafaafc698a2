"""Instruments: what they read is what the decoder computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, noise, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.model import CodiModel
from steer_core.inspect.attention import attention
from steer_core.inspect.early import early_answers, with_latents
from steer_core.inspect.lens import first_tokens, lens
from steer_core.inspect.swap import swap
from steer_core.steering.sites import Site

K, L = 6, 3


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp(request.param), request.param)


# --- lens ----------------------------------------------------------------------------------------


def test_the_lens_is_the_head_behind_the_final_norm(model: CodiModel):
    (found,) = lens(model, QUESTIONS[:1], values=[(2, 7)])
    (row,) = decode(model, QUESTIONS[:1], hidden=True, max_new_tokens=1)
    x = torch.from_numpy(row.hidden)
    normed = torch.cat((model.body.norm(x[:, :-1]), x[:, -1:]), 1)
    probs = (normed @ model.body.head.weight.T).softmax(-1)
    wanted, ids = probs.topk(5, -1)
    assert found.top_ids.shape == (K + 1, L + 1, 5)
    assert np.array_equal(found.top_ids, ids.numpy())
    np.testing.assert_allclose(found.top_probs, wanted.numpy(), rtol=1e-4)
    entropy = -(probs * probs.log()).sum(-1)
    np.testing.assert_allclose(found.entropy, entropy.numpy(), rtol=1e-3, atol=1e-4)
    for i, value in enumerate((2, 7)):
        best = probs[..., first_tokens(model, value)].amax(-1)
        np.testing.assert_allclose(found.probs[i], best.numpy(), rtol=1e-4)
        np.testing.assert_array_equal(found.ranks[i], (probs > best[..., None]).sum(-1).numpy())


def test_the_lens_sees_an_edit_where_it_arrives(model: CodiModel):
    edit = Edit(noise(model), 3.0, "residual", 2, (3,))
    plain, edited = lens(model, [QUESTIONS[0]] * 2, [None, edit])
    assert np.array_equal(plain.top_probs[:3], edited.top_probs[:3])
    assert np.array_equal(plain.top_probs[3, :2], edited.top_probs[3, :2])
    assert not np.allclose(plain.top_probs[3, 2], edited.top_probs[3, 2])


def test_tokens_are_text(model: CodiModel):
    (found,) = lens(model, QUESTIONS[:1])
    token = int(found.top_ids[2, 1, 0])
    assert found.top_tokens[2][1][0] == model.tokenizer.decode([token])


# --- early answers -------------------------------------------------------------------------------


def test_early_answers_are_those_of_fewer_latents(model: CodiModel):
    (found,) = early_answers(model, QUESTIONS[:1], max_new_tokens=4)
    for k in range(1, K + 1):
        (row,) = decode(with_latents(model, k), QUESTIONS[:1], max_new_tokens=4)
        assert (found.texts[k], found.answers[k]) == (row.text, row.answer)
    assert len(found.answers) == K + 1


def test_an_edit_changes_no_answer_before_its_position(model: CodiModel):
    edit = Edit(noise(model), 20.0, "embedding", None, (4, 5))
    plain = early_answers(model, QUESTIONS, max_new_tokens=4)
    edited = early_answers(model, QUESTIONS, [edit] * len(QUESTIONS), max_new_tokens=4)
    assert [row.texts[:4] for row in plain] == [row.texts[:4] for row in edited]
    assert any(one.texts != two.texts for one, two in zip(plain, edited, strict=True))


@pytest.mark.parametrize(
    ("answers", "settled"), [((1, 2, 3), 2), ((3, 3, 3), 0), ((3, None, 3), 2), ((1, 3, 3), 1)]
)
def test_where_an_answer_settles(answers, settled):
    from steer_core.inspect.early import EarlyAnswers

    assert EarlyAnswers("", ("",) * 3, answers).settled == settled


# --- swap ----------------------------------------------------------------------------------------


def test_a_swap_with_oneself_is_no_swap(model: CodiModel):
    for site in (Site("embedding"), Site("thought"), Site("residual", 2), Site("kv", 1)):
        (found,) = swap(model, QUESTIONS[:1], QUESTIONS[:1], site=site, max_new_tokens=4)
        assert found.answer == found.own_answer == found.donor_answer


def test_a_swap_of_half_is_the_mean_of_both_states(model: CodiModel):
    one, two = QUESTIONS[:2]
    (found,) = swap(model, [one], [two], positions=(1,), amount=0.5, max_new_tokens=4)
    rows = decode(model, [one, two], hidden=True, max_new_tokens=1)
    thoughts = [Site("embedding").states(model, row.states) for row in rows]
    mean = torch.from_numpy((thoughts[0] + thoughts[1]) / 2)
    (wanted,) = decode(
        model, [one], Edit(mean, 1.0, "embedding", None, (1,), "replace"), max_new_tokens=4
    )
    assert found.text == wanted.text
    assert found.positions == (1,)


def test_every_question_needs_its_donor(model: CodiModel):
    with pytest.raises(UserError, match="1 donors do not fit 2 questions"):
        swap(model, QUESTIONS[:2], QUESTIONS[:1])


# --- attention -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [None, Site("residual", 1), Site("thought"), Site("kv", 2), Site("keys", 1)]
)
def test_attention_is_what_the_answer_was_made_with(model: CodiModel, place: Site | None):
    """What the weights give for the first answer token is what was decoded."""
    edit = None
    if place is not None:
        direction = torch.randn(K + 1, place.width(model.config))
        edit = Edit(direction, 2.0, place.name, place.layer, (0, 2, 5))
    (found,) = attention(model, QUESTIONS[:1], [edit], max_new_tokens=3)
    (row,) = decode(model, QUESTIONS[:1], [edit], max_new_tokens=3, first_logits=True)
    np.testing.assert_allclose(found.logits[0], row.first_logits, rtol=0, atol=1e-4)
    assert found.text == row.text
    heads, queries, keys = found.weights.shape[1:]
    assert (heads, queries, keys) == (4, len(found.queries), len(found.keys))
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-5)
    assert [found.keys[i] for i in found.latents] == ["BOT", *(f"z{k}" for k in range(1, K + 1))]
    for query in range(queries):  # nobody looks ahead
        assert not found.weights[:, :, query, found.latents[0] + query + 1 :].any()


def test_attention_is_that_of_transformers(tmp_path):
    from tiny_checkpoints import VARIANTS, build

    from steer_core import load_model

    tiny = build(tmp_path, VARIANTS["llama-bin"])
    model = load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)
    question = QUESTIONS[0]
    (found,) = attention(model, [question], max_new_tokens=2)
    (row,) = decode(model, [question], hidden=True, max_new_tokens=2)
    lm = tiny.reference.model.get_base_model()
    lm.set_attn_implementation("eager")
    embed = lm.get_input_embeddings()
    prompt = model.encode(question)
    ids = [model.config.eot, *row.token_ids]
    with torch.no_grad():
        thoughts = torch.from_numpy(row.hidden[1:, 0])
        first = embed(torch.tensor([*prompt, model.config.bot]))
        fed = torch.cat((first, thoughts, embed(torch.tensor(ids))))
        out = tiny.reference.model(inputs_embeds=fed[None], output_attentions=True)
    wanted = torch.stack(out.attentions)[:, 0, :, len(prompt) :].numpy()
    np.testing.assert_allclose(found.weights, wanted, atol=1e-5)
