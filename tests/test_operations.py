"""The mathematics of each operation, on random states."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steer_core.steering.operations import OPERATIONS

SIZE = 24
seeds = st.integers(0, 2**32 - 1)
alphas = st.floats(-8, 8, allow_subnormal=False)


def states(seed: int, rows: int = 3) -> tuple[Tensor, Tensor]:
    """States and directions of very different sizes, [rows, SIZE] each."""
    generator = torch.Generator().manual_seed(seed)
    x, d = torch.randn(2, rows, SIZE, generator=generator)
    return x * 10, d / 10


def edited(name: str, x: Tensor, d: Tensor, alpha: float) -> Tensor:
    return OPERATIONS[name](x, d, torch.full((len(x), 1), alpha), x)


def along(x: Tensor, d: Tensor) -> Tensor:
    """The component of each row of x along d."""
    return (x * d).sum(-1) / d.norm(dim=-1)


def across(x: Tensor, d: Tensor) -> Tensor:
    """What is left of each row of x without that component."""
    unit = d / d.norm(dim=-1, keepdim=True)
    return x - (x * unit).sum(-1, keepdim=True) * unit


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@given(seed=seeds, alpha=alphas)
def test_add_moves_by_alpha_times_the_norm(seed: int, alpha: float):
    x, d = states(seed)
    moved = edited("add", x, d, alpha) - x
    assert_close(moved.norm(dim=-1), abs(alpha) * d.norm(dim=-1))
    assert_close(along(moved, d), alpha * d.norm(dim=-1))


@given(seed=seeds, alpha=alphas)
def test_project_out_removes_that_share_of_the_component(seed: int, alpha: float):
    x, d = states(seed)
    found = edited("project_out", x, d, alpha)
    assert_close(along(found, d), (1 - alpha) * along(x, d))
    assert_close(across(found, d), across(x, d))


@given(seed=seeds, alpha=alphas)
def test_clamp_sets_the_component_and_nothing_else(seed: int, alpha: float):
    x, d = states(seed)
    found = edited("clamp", x, d, alpha)
    assert_close(along(found, d), alpha * d.norm(dim=-1))
    assert_close(across(found, d), across(x, d))


@given(seed=seeds, alpha=st.floats(-math.pi, math.pi))
def test_rotate_turns_by_the_angle_and_keeps_the_norm(seed: int, alpha: float):
    x, d = states(seed)
    found = edited("rotate", x, d, alpha)
    assert_close(found.norm(dim=-1), x.norm(dim=-1))
    cosine = torch.cosine_similarity(found, x, dim=-1)
    assert_close(cosine, torch.full_like(cosine, math.cos(alpha)))
    # Towards d for a positive angle: the part of d across x grows with the sine.
    assert_close(along(found, across(d, x)), x.norm(dim=-1) * math.sin(alpha))


@given(seed=seeds)
def test_rotate_by_the_angle_between_them_arrives_at_the_direction(seed: int):
    x, d = states(seed, rows=1)
    angle = torch.cosine_similarity(x, d).acos().item()
    found = edited("rotate", x, d, angle)
    assert_close(found / found.norm(), d / d.norm())


@given(seed=seeds, alpha=alphas)
def test_scale_multiplies(seed: int, alpha: float):
    x, d = states(seed)
    assert_close(edited("scale", x, d, alpha), (1 + alpha) * x)


@given(seed=seeds, alpha=alphas)
def test_replace_goes_that_share_of_the_way(seed: int, alpha: float):
    x, d = states(seed)
    assert_close(edited("replace", x, d, alpha), x + alpha * (d - x))
    assert torch.equal(edited("replace", x, d, 1.0), d)


@pytest.mark.parametrize("name", ["add", "project_out", "clamp", "rotate"])
def test_a_zero_direction_changes_nothing(name: str):
    x, _ = states(0)
    assert torch.equal(edited(name, x, torch.zeros_like(x), 1.5), x)


@pytest.mark.parametrize("turned", [1.0, -1.0])
def test_parallel_states_span_no_plane_to_rotate_in(turned: float):
    x, _ = states(0)
    assert torch.equal(edited("rotate", x, turned * x / 3, 1.0), x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_do_not_mix(name: str):
    x, d = states(1, rows=4)
    alpha = torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    before = 2 * x
    parts = [slice(i, i + 1) for i in range(4)]
    rows = [OPERATIONS[name](x[i], d[i], alpha[i], before[i]) for i in parts]
    assert_close(OPERATIONS[name](x, d, alpha, before), torch.cat(rows))


@given(seed=seeds, alpha=st.floats(0, 1))
def test_restore_norm_goes_that_share_of_the_way_back(seed: int, alpha: float):
    before, d = states(seed)
    x = before + 30 * d
    found = OPERATIONS["restore_norm"](x, d, torch.full((len(x), 1), alpha), before)
    size, wanted = x.norm(dim=-1), before.norm(dim=-1)
    assert_close(found.norm(dim=-1), size + alpha * (wanted - size))
    assert_close(torch.cosine_similarity(found, x, dim=-1), torch.ones(len(x)))
