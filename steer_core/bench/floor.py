"""The least time a grid can take here: operations over the matrix rate, bytes over the bandwidth.

The operations are those of the engine's own plan with nothing wasted: every question's tokens once,
then for every row its latent steps, from its first edit on, and the tokens of its answer. The bytes
are the weights once for every pass over a batch, and every row's keys and values once for every
token it adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from steer_core.codi.model import CodiModel
from steer_core.codi.reordered import Reordered, can_reorder


@dataclass(frozen=True, slots=True)
class Rates:
    """What the machine does at best: `flops` a second in products, `bandwidth` in bytes a second.

    Of all the cores that the engine uses together.
    """

    flops: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a grid asks for: `questions` of `prompt` tokens (BOT counted), `rows` of them.

    `answer`: tokens that a row is fed after its latent thoughts, EOT counted; prompt and answer are
    means. `batches` that the rows are decoded in. `shared`: blocks in front of a row's first edit
    that all rows of its question go through as one, from position 1 on; a mean.
    """

    questions: int
    prompt: float
    rows: int
    answer: float
    batches: int
    shared: float = 0.0


def floor_seconds(model: CodiModel, work: Work, rates: Rates) -> float:
    """Seconds below which the work cannot be done, whatever the program."""
    return max(operations(model, work) / rates.flops, traffic(model, work) / rates.bandwidth)


def operations(model: CodiModel, work: Work) -> float:
    """Floating-point operations, a multiplication and an addition counted as two."""
    config = model.config
    token, attention = 2 * block_weights(model), 4 * config.layers * config.heads * config.head_dim
    # Of the last block nobody reads more than keys and values at question tokens and at position K.
    last = 2 * last_block_unread(model)
    reading = work.questions * (work.prompt * (token - last) + attention * work.prompt**2 / 2)
    steps = config.latents + work.answer
    head = 2 * config.hidden * (config.vocabulary - 1)
    thoughts = config.latents * 4 * config.hidden**2
    each = steps * (token + attention * (work.prompt + steps / 2)) - last
    # What all rows of a question go through as one: the first thought, and blocks behind it.
    once = work.shared * (token + attention * work.prompt) / config.layers
    once += 4 * config.hidden**2 * (work.shared > 0)
    rows = work.rows * (each + work.answer * head + thoughts - once)
    return reading + work.questions * once + rows


def last_block_unread(model: CodiModel) -> int:
    """Numbers in the last block's matrices, those of keys and values not counted."""
    config, block = model.config, model.body.blocks[-1]
    keys_values = 2 * config.hidden * config.kv_heads * config.head_dim
    every = (block.qkv, block.out, block.up, block.down)
    return sum(linear.weight.numel() for linear in every) - keys_values


def traffic(model: CodiModel, work: Work) -> float:
    """Bytes that must come from memory."""
    config, item = model.config, model.body.tokens.element_size()
    head = config.hidden * config.vocabulary
    passes = work.batches * config.latents  # the last thought and an answer as one
    weights = item * (passes * block_weights(model) + work.batches * head)
    each = 2 * config.layers * config.kv_heads * config.head_dim * item
    own = work.rows * (config.latents + work.answer) * each
    shared = work.questions * work.prompt * each * config.latents
    return weights + own + shared


def block_weights(model: CodiModel) -> int:
    """Numbers in the matrices of all blocks."""
    return sum(
        linear.weight.numel()
        for block in model.body.blocks
        for linear in (block.qkv, block.out, block.up, block.down)
    )


def measured_rates(model: CodiModel, cores: int) -> Rates:
    """The best of large products in the model's dtype, and of large copies, on all cores."""
    device, dtype = model.device, model.dtype
    size = 1024 if device.type == "cpu" else 8192
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in "ab")
        product = fastest(lambda: a @ b, device)
        if can_reorder(b):
            kept = Reordered(b)
            product = min(product, fastest(lambda: kept(a), device))
        long = torch.ones(2**26 if device.type == "cpu" else 2**28, device=device)
        other = torch.ones_like(long)  # pages nobody wrote are all the same one
        copy = fastest(lambda: other.copy_(long), device)
    finally:
        torch.set_num_threads(before)
    return Rates(2 * size**3 / product, 2 * long.nbytes / copy)


def best_of(one: Rates, other: Rates) -> Rates:
    """The better of two measurements: whatever else ran can only have slowed them."""
    return Rates(max(one.flops, other.flops), max(one.bandwidth, other.bandwidth))


def fastest(call: Callable[[], object], device: torch.device, seconds: float = 1.0) -> float:
    """The shortest time of a call within about a second of calls."""
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 3:
        start = time.perf_counter()
        call()
        finish(device)
        times.append(time.perf_counter() - start)
    return min(times)


def finish(device: torch.device) -> None:
    """Wait until an accelerator has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
