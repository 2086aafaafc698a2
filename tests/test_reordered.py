"""Weights in the order of a CPU's fastest products: the same numbers, the same ids, one copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_models import noise
from torch import Tensor
from training_parts import large, small_tokenizer

from steer_core import load_model
from steer_core.codi import body as bodies
from steer_core.codi import reordered
from steer_core.codi.body import Block, Body, Linear
from steer_core.codi.head import Head
from steer_core.codi.model import CodiModel
from steer_core.codi.projection import Projection
from steer_core.codi.reordered import FEW, LARGE, MANY, Reordered, can_reorder
from steer_core.data.pairs import load_pairs
from steer_core.steering.decode import Options, Row, acting, decode_rows
from steer_core.steering.edits import Edit

pytestmark = pytest.mark.skipif(not can_reorder(torch.zeros(1)), reason="no oneDNN for this CPU")

IN, OUT = 40, 72


@pytest.fixture(scope="module", autouse=True)
def wide_registers() -> Iterator[None]:
    """Everything is reordered, as on a CPU with AVX-512; the operations work on any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reordered, "has_avx512", lambda: True)
        yield


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def linear() -> Linear:
    return Linear(numbers(OUT, IN), numbers(OUT))


WAYS: dict[str, Callable[[Linear, Tensor, Tensor], Tensor]] = {
    "product": lambda linear, x, y: linear(x),
    "onto": lambda linear, x, y: linear.onto(x, y),
    "gelu": lambda linear, x, y: linear.gelu(x, "none"),
    "tanh": lambda linear, x, y: linear.gelu(x, "tanh"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", [1, MANY // 2, MANY, 3 * MANY])
@torch.inference_mode()
def test_a_reordered_matrix_gives_the_same_numbers(linear: Linear, rows: int, way: str):
    x, y = numbers(rows, 1, IN), numbers(rows, 1, OUT)
    found = WAYS[way](linear.reordered(), x, y)
    assert torch.allclose(found, WAYS[way](linear, x, y), atol=1e-4)


@torch.inference_mode()
def test_parts_of_larger_tensors_can_be_multiplied(linear: Linear):
    """The last block computes some positions of many."""
    x, y = numbers(MANY, 5, IN)[:, -2:], numbers(MANY, 4, OUT)[:, -2:]
    expected = y + F.linear(x, linear.weight, linear.bias)
    assert torch.allclose(linear.reordered().onto(x, y), expected, atol=1e-4)


@torch.inference_mode()
def test_few_rows_take_it_only_by_a_large_matrix():
    small, large = Reordered(numbers(8, 8)), Reordered(numbers(LARGE // 256, 256))
    assert not small.suits(numbers(MANY - 1, 8), small.source)
    assert small.suits(numbers(MANY, 8), small.source)
    assert not large.suits(numbers(1, FEW - 1, 256), large.source)
    assert large.suits(numbers(1, FEW, 256), large.source)


def test_gradients_go_the_plain_way(linear: Linear):
    linear.weight.requires_grad_(True)
    linear.reordered().onto(numbers(MANY, IN), numbers(MANY, OUT)).sum().backward()
    assert linear.weight.grad is not None


@torch.inference_mode()
def test_a_weight_that_is_replaced_is_what_is_multiplied_with(linear: Linear):
    x, zero = numbers(MANY, IN), torch.zeros(OUT, IN)
    fast = linear.reordered()
    assert torch.equal(replace(fast, weight=zero, bias=None)(x), x @ zero.T)
    assert torch.allclose(replace(fast, bias=None)(x), x @ linear.weight.T, atol=1e-4)
    assert torch.allclose(replace(fast, bias=numbers(OUT) + 1)(x), linear(x) + 1, atol=1e-4)


@torch.no_grad()
def test_so_is_one_that_is_written_to(linear: Linear):
    fast, x = linear.reordered(), numbers(MANY, IN)
    fast.weight.zero_()
    assert linear.bias is not None
    assert torch.equal(fast(x), linear.bias.expand(MANY, -1))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@torch.inference_mode()
def test_copies_are_as_fast(linear: Linear, copied: Callable[[Linear], Linear]):
    fast, x = linear.reordered(), numbers(MANY, IN)
    again = copied(fast)
    assert again.fast is not None
    assert again.fast.suits(x, again.weight)
    assert torch.equal(again(x), fast(x))


# --- models --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-gpt2"])
def model(request: pytest.FixtureRequest) -> CodiModel:
    return load_model(request.param, device="cpu", dtype="float32")


def plain(model: CodiModel) -> CodiModel:
    """The same without anything reordered."""

    def bare(linear: Linear | None) -> Linear | None:
        return None if linear is None else Linear(linear.weight, linear.bias)

    def block_of(block: Block) -> Block:
        four = {name: bare(getattr(block, name)) for name in ("qkv", "out", "up", "down")}
        return replace(block, **four, fast=None)

    body, projection = model.body, model.projection
    blocks = tuple(block_of(block) for block in body.blocks)
    thoughts = Projection(bare(projection.first), bare(projection.second), projection.norm)
    head = Head(body.head.weight)
    return replace(model, body=replace(body, blocks=blocks, head=head), projection=thoughts)


def test_many_rows_get_the_ids_of_the_plain_way(model: CodiModel, monkeypatch: pytest.MonkeyPatch):
    questions = [pair.clean.question for pair in load_pairs("test")[:24]]
    edits = [Edit(noise(model), a / 4, "residual", 1 + a % 4, (1, 2, 5)) for a in range(-8, 9)]
    rows = [Row(q, acting(model, edit)) for q in range(len(questions)) for edit in edits]
    called = []
    product = Reordered.__call__
    monkeypatch.setattr(
        Reordered, "__call__", lambda self, x, *how: called.append(len(x)) or product(self, x, *how)
    )

    def ids(model: CodiModel) -> list[tuple[int, ...]]:
        batches = decode_rows(model, questions, rows, Options(24, max_rows=1000))
        found = dict(pair for batch in batches for pair in batch)
        return [found[i].token_ids for i in range(len(rows))]

    expected = ids(plain(model))
    assert not called
    assert ids(model) == expected
    assert called
    assert len(set(expected)) > 20


@torch.inference_mode()
def test_an_ablated_block_and_head_are_ablated_for_many_rows_too(model: CodiModel):
    block, head = model.body.blocks[0], model.body.head
    x = numbers(MANY, 1, model.config.hidden)
    up = replace(block.up, weight=torch.zeros_like(block.up.weight), bias=None)
    assert not replace(block, up=up).inner(x).any()
    turned = replace(head, weight=-head.weight)
    assert torch.allclose(turned.without_eot(x), -head.without_eot(x), atol=1e-3)
    assert torch.equal(turned.choice(x), turned.without_eot(x).argmax(-1))


def fast_parts(body: Body) -> list[object]:
    gates = [block.fast for block in body.blocks if block.gated]
    matrices = [x.fast for b in body.blocks for x in (b.qkv, b.out, b.down)]
    return [*gates, *matrices, body.head.fast or None]


def test_a_loaded_model_has_everything_reordered(model: CodiModel):
    assert None not in fast_parts(model.body)
    assert None not in fast_parts(plain(model).body.reordered())


@torch.inference_mode()
def test_without_avx512_only_large_matrices_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reordered, "has_avx512", lambda: False)
    model = load_model("tiny-gpt2", device="cpu", dtype="float32")
    assert set(fast_parts(model.body)[:-1]) == {None}
    assert model.body.head.weight.numel() > LARGE
    assert model.body.head.fast
    x, up = numbers(FEW, IN), Linear(numbers(LARGE // IN + 1, IN))
    again = up.reordered()
    assert again.fast is not None
    for way in ("none", "tanh"):  # its own GELU: oneDNN's is slow there
        assert torch.allclose(again.gelu(x, way), up.gelu(x, way), atol=1e-4)


@pytest.mark.parametrize("why", ["memory", "machine", "torch", "dtype"])
def test_where_it_cannot_be_all_goes_the_plain_way(why: str, monkeypatch: pytest.MonkeyPatch):
    if why == "memory":
        monkeypatch.setattr(bodies, "MOST", 100_000)
    if why == "machine":
        monkeypatch.setattr(reordered.platform, "machine", lambda: "aarch64")
    if why == "torch":
        monkeypatch.setattr(reordered, "has_operations", lambda: False)
    dtype = "bfloat16" if why == "dtype" else "float32"
    model = load_model("tiny-llama", device="cpu", dtype=dtype)
    assert set(fast_parts(model.body)) == {None}


def test_what_is_trained_has_no_copy_that_its_weights_would_leave_behind(tmp_path: Path):
    student = large("llama", small_tokenizer(tmp_path))
    assert set(fast_parts(student.body)) == {None}
