"""Instruments on a model of two blocks whose every number is known by hand.

Queries and keys are zero, so every token looks evenly at all that it may see. Values carry the code
of a digit, e_digit, and nothing else; a thought is the digit part of h, large. So the latents of a
question are the code of its digit, and the answer is the digit that most of the latents hold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from steer_core.codi.body import Linear
from steer_core.codi.head import Head
from steer_core.codi.model import CodiModel
from steer_core.inspect.attention import attention
from steer_core.inspect.lens import lens
from steer_core.inspect.swap import swap, swap_curve

K, DIGITS = 6, (2, 7)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    tiny = tiny_model(tmp_path_factory.mktemp("hand"), "llama-bin")
    D, V = tiny.config.hidden, len(tiny.body.head.weight)
    codes = torch.zeros(V, D)
    for axis, digit in enumerate(DIGITS):
        codes[token(tiny, digit), axis] = 1
    plain = codes.clone()
    plain[codes.sum(1) == 0, D - 1] = 1  # no digit: an axis that no value carries
    blocks = tuple(even_block(block, D) for block in tiny.body.blocks[:2])
    norm = replace(tiny.body.norm, weight=torch.ones(D))
    body = replace(tiny.body, tokens=plain, blocks=blocks, norm=norm, head=Head(codes))
    part = torch.diag(torch.tensor([100.0] * len(DIGITS) + [0.0] * (D - len(DIGITS))))
    whole = torch.eye(D)
    first, second = (Linear(weight, torch.zeros(D)) for weight in (part, whole))
    projection = replace(tiny.projection, first=first, second=second, norm=None)
    config = replace(tiny.config, layers=2)
    return replace(tiny, body=body, projection=projection, config=config)


def even_block(block, D: int):
    """Attends evenly, copies the first numbers of a state, has no MLP."""
    rows = (block.heads + 2 * block.kv_heads) * block.head_dim
    qkv = torch.zeros(rows, D)
    for axis in range(len(DIGITS)):
        qkv[rows - block.kv_heads * block.head_dim + axis, axis] = 1
    out = torch.zeros(D, block.heads * block.head_dim)
    for axis in range(len(DIGITS)):
        out[axis, axis] = 1
    norm = replace(block.attention_norm, weight=torch.ones(D))
    return replace(
        block,
        attention_norm=norm,
        mlp_norm=norm,
        qkv=Linear(qkv),
        out=Linear(out),
        down=Linear(torch.zeros_like(block.down.weight)),
        fast=None,
    )


def token(model: CodiModel, digit: int) -> int:
    """The token of a digit in the questions below."""
    (found,) = (i for i in model.encode(question(digit)) if model.text([i]).strip() == str(digit))
    return found


def question(digit: int) -> str:
    return f"Tom has {digit} pens."


def test_the_lens_reads_the_digit_in_every_latent(model: CodiModel):
    for digit in DIGITS:
        (found,) = lens(model, [question(digit)], values=[(digit,)])
        assert (found.top_ids[1:, :, 0] == token(model, digit)).all()
        assert (found.ranks[0, 1:] == 0).all()
        assert found.top_probs[0, 0, 0] == pytest.approx(1 / len(model.body.head.weight), rel=1e-4)


def test_attention_is_even(model: CodiModel):
    (found,) = attention(model, [question(2)], max_new_tokens=1)
    first = found.latents[0]
    for query in range(len(found.queries)):
        seen = first + query + 1
        np.testing.assert_allclose(found.weights[:, :, query, :seen], 1 / seen, rtol=1e-5)


def test_a_swap_gives_the_donors_digit_and_one_latent_alone_does_not(model: CodiModel):
    two, seven = map(question, DIGITS)
    (all_of_them,) = swap(model, [two], [seven], max_new_tokens=1)
    assert (all_of_them.own_answer, all_of_them.answer) == (2, 7)
    assert all_of_them.followed
    (one,) = swap(model, [two], [seven], positions=(K,), max_new_tokens=1)
    assert one.answer == 2  # five of six latents still hold a 2


def test_along_a_swap_the_answer_turns(model: CodiModel):
    """Each latent hands its mixture on: with a tenth of the donor's digit in each, six hold little.

    At six tenths the first holds more of the donor's than of the own, and each further one more.
    """
    two, seven = map(question, DIGITS)
    found = swap_curve(model, two, seven, amounts=(0.0, 0.1, 0.6, 1.0), max_new_tokens=1)
    assert found.answers == (2, 2, 7, 7)
    assert found.own_answer == 2
    assert found.donor_answer == 7
    assert (np.diff(found.kl) > 0).all()
