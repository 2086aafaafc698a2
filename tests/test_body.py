"""The parts of a block, against torch's and transformers' own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from steer_core.codi.body import Norm, gelu, rotate
from steer_core.codi.layout import paired, unpaired


@pytest.mark.parametrize("with_grad", [False, True])
def test_gelu_is_the_tanh_approximation(with_grad: bool):
    x = torch.linspace(-30, 30, 4001)
    with torch.set_grad_enabled(with_grad):
        found = gelu(x)
    torch.testing.assert_close(found, F.gelu(x, approximate="tanh"), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("with_grad", [False, True])
def test_the_rms_norm_is_that_of_torch(size: float, with_grad: bool):
    x, weight = torch.randn(7, 3, 48) * size, torch.randn(48)
    with torch.set_grad_enabled(with_grad):
        found = Norm(weight, None, 1e-5, rms=True)(x)
    torch.testing.assert_close(found, F.rms_norm(x, (48,), weight, 1e-5), atol=1e-6, rtol=1e-6)


def test_the_input_of_a_norm_or_an_activation_stays_as_it_was():
    x, weight = torch.randn(5, 16), torch.randn(16)
    before = x.clone()
    with torch.inference_mode():
        gelu(x)
        Norm(weight, None, 1e-5, rms=True)(x)
    assert torch.equal(x, before)


def test_pairs_are_turned_as_transformers_turns_halves():
    heads, d = 3, 8
    x, angles = torch.randn(2, 5, heads, d), torch.randn(2, 5, d // 2)
    cos, sin = (torch.cat((wave, wave), -1) for wave in (angles.cos(), angles.sin()))
    halves = x.transpose(1, 2)
    expected, _ = apply_rotary_pos_emb(halves, halves, cos, sin)
    side_by_side = paired(x.flatten(-2).flatten(0, 1).t(), d).t().reshape(x.shape).contiguous()
    turned = rotate(side_by_side, torch.polar(torch.ones_like(angles), angles)[:, :, None])
    found = unpaired(turned.flatten(-2).flatten(0, 1).t(), d).t().reshape(x.shape)
    torch.testing.assert_close(found, expected.transpose(1, 2))
    assert not torch.equal(side_by_side, x)
