"""Operations and bytes that decoding needs at least, beside sums by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from steer_core.bench.floor import Rates, Work, floor_seconds, operations, traffic


def weights(*sizes: tuple[int, int]) -> list[SimpleNamespace]:
    return [SimpleNamespace(weight=torch.empty(size)) for size in sizes]


def small() -> SimpleNamespace:
    """Two blocks: D = 4, two heads of 2, one of keys and values, an MLP of 8; V = 11, K = 3."""
    names = ("qkv", "out", "up", "down")
    parts = weights((8, 4), (4, 4), (8, 4), (4, 8))
    block = SimpleNamespace(**dict(zip(names, parts, strict=True)))
    sizes = {"layers": 2, "hidden": 4, "heads": 2, "kv_heads": 1, "head_dim": 2}
    config = SimpleNamespace(**sizes, vocabulary=11, latents=3)
    return SimpleNamespace(
        config=config, body=SimpleNamespace(blocks=(block, block), tokens=torch.empty(0))
    )


def test_operations_by_hand():
    """5 questions of 10 tokens (BOT counted), 7 rows that are fed 4 tokens of an answer."""
    model, work = small(), Work(questions=5, prompt=10, rows=7, answer=4, batches=2)
    block = 8 * 4 + 4 * 4 + 8 * 4 + 4 * 8  # 112 weights
    keys_values = 4 * 4
    token = 2 * (block + block)
    short = 2 * (block + keys_values)  # of the last block, keys and values only
    look = 2 * 2 * 2 * 4  # one token at another: products with keys and values, two blocks of D = 4
    reading = 5 * (10 * short + look * 10 * 10 / 2)
    fed = 3 + 4  # latent thoughts, EOT and three tokens; the last thought as `short`
    steps = 7 * (6 * token + short + look * fed * (10 + fed / 2))
    heads = 7 * 4 * 2 * 4 * 10
    thoughts = 7 * 3 * 2 * (4 * 4 + 4 * 4)
    assert operations(model, work) == reading + steps + heads + thoughts
    shared = replace(work, shared=1)  # one of the two blocks, for 5 questions in place of 7 rows
    first = token / 2 + look * 10 / 2 + 2 * (4 * 4 + 4 * 4)  # with the first thought's projection
    assert operations(model, work) - operations(model, shared) == (7 - 5) * first


def test_traffic_by_hand():
    model, work = small(), Work(questions=5, prompt=10, rows=7, answer=4, batches=2)
    passes = 2 * 3 * (4 * 2 * 112) + 2 * (4 * 4 * 11)  # float32: blocks 3 times, the head once
    token = 4 * 2 * 2 * 2  # keys and values of two blocks, one head of 2
    assert traffic(model, work) == passes + 7 * (3 + 4) * token + 5 * 10 * 3 * token


def test_the_floor_is_the_slower_of_both():
    model, work = small(), Work(5, 10, 7, 4, 2)
    count, size = operations(model, work), traffic(model, work)
    assert floor_seconds(model, work, Rates(count, 1e30)) == pytest.approx(1)
    assert floor_seconds(model, work, Rates(1e30, size / 2)) == pytest.approx(2)
    assert floor_seconds(model, work, Rates(count, size / 2)) == pytest.approx(2)
