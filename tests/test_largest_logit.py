"""The greedy choice over a vocabulary that is searched in parts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_core.codi import head
from steer_core.codi.head import Head, first_largest

few = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def values(rows: int, size: int, kinds: int, seed: int) -> torch.Tensor:
    """Numbers of which many are equal, so that the first of them has to be told apart."""
    return torch.randint(
        kinds, (rows, 2, size), generator=torch.Generator().manual_seed(seed)
    ).float()


@few
@given(size=st.integers(1, 700), kinds=st.sampled_from([1, 2, 5, 1000]), seed=seeds)
def test_of_equal_numbers_it_is_the_first(size: int, kinds: int, seed: int):
    x = values(3, size, kinds, seed)
    assert torch.equal(first_largest(x), x.argmax(-1))


@pytest.mark.parametrize("at_a_time", [70, 129, 400, 4096])
@few
@given(size=st.integers(1, 500), kinds=st.sampled_from([2, 5, 1000]), seed=seeds)
def test_it_is_what_argmax_finds_over_all_logits(at_a_time: int, size: int, kinds: int, seed: int):
    before, head.VOCABULARY_AT_A_TIME = head.VOCABULARY_AT_A_TIME, at_a_time
    try:
        # Whole numbers, so that no sum is rounded and logits of equal tokens are equal.
        hidden, weight = values(4, 3, 4, seed), values(size + 1, 3, kinds, seed)[:, 0]
        found = Head(weight).choice(hidden)
    finally:
        head.VOCABULARY_AT_A_TIME = before
    assert torch.equal(found, (hidden @ weight[:-1].T).argmax(-1))
