"""What a GPU should take, by counting: `python -m benchmarks.predicted [--shape llama-1b]`.

Nothing here is measured on a GPU. Operations and bytes of the weights are those of the engine's own
plan (`steer_core.bench.floor`), kernels those that `tests/test_on_a_gpu.py` counts and holds to;
rates are of an H100 (SXM), what large products and copies are known to reach there. Prints a table
and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from dataclasses import asdict, dataclass

import torch
from transformers import AutoModelForCausalLM

from steer_core.bench.floor import Rates, Work, block_weights, operations, traffic
from steer_core.bench.shapes import SHAPES, asked, model_of
from steer_core.codi.model import CodiModel
from steer_core.experiment.grid import ROWS_AT_A_TIME

KERNELS = {"llama": 24, "gpt2": 22}
"""Most kernels of one block in a latent step of half precision: its share of all around the blocks
counted. Tests hold the engine to it."""
RATES = Rates(flops=620e12, bandwidth=2.9e12)
"""Of an H100 in bfloat16: 989e12 and 3.35e12 on paper."""
LAUNCH_S, REPLAYED_S = 4.5e-6, 1.5e-6
"""From one small kernel to the next: asked for one by one, and as part of a recorded batch."""
PROBLEMS, ALPHAS, LAYERS = 107, 13, 3
"""Of the seed experiment."""
STRIP_ROWS, ANSWER, NODES = 61, 9, 10
"""Rows of a strip; tokens of an answer, the one that starts it counted; nodes of a drafted one."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One piece of work.

    `passes` over the weights, `kernels` of them all; `operations` and `bytes` (of weights, keys and
    values, and `activations`); seconds: `floor_s` by the larger of operations and weights alone,
    `seconds` with what activations cost, plain and recorded.
    """

    what: str
    rows: int
    passes: int
    kernels: int
    operations: float
    bytes: float
    activations: float
    floor_s: float
    seconds: float
    seconds_recorded: float


def sizes_only(shape: str) -> CodiModel:
    """A model without numbers: its tensors have sizes and no memory."""
    config = deepcopy(SHAPES[shape])
    with torch.device("meta"):
        twin = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        twin.resize_token_embeddings(config.vocab_size + 3, mean_resizing=False)
    return model_of(shape, config, twin, torch.device("meta"), torch.bfloat16)


def predicted(model: CodiModel, what: str, work: Work, rates: Rates = RATES) -> Predicted:
    """Counts of some work, and the seconds that they come to."""
    config = model.config
    # The last thought and the drafts go as one pass; one more for answers that leave their drafts.
    passes = work.batches * (config.latents + 1)
    kernels = passes * config.layers * KERNELS[config.family]
    tokens = work.rows * (config.latents + NODES)
    moved = tokens * config.layers * activation_bytes(model, work.prompt + config.latents)
    flops, weights = operations(model, work), traffic(model, work)
    floor = max(flops / rates.flops, weights / rates.bandwidth)
    # Products and what lies between them do not overlap: they are one stream.
    busy = floor + moved / rates.bandwidth
    return Predicted(
        what,
        work.rows,
        passes,
        kernels,
        flops,
        weights + moved,
        moved,
        floor,
        max(busy, kernels * LAUNCH_S),
        max(busy, kernels * REPLAYED_S),
    )


def activation_bytes(model: CodiModel, seen: float) -> float:
    """Bytes that the kernels of one block read and write for one token that sees so many others."""
    config, block = model.config, model.body.blocks[0]
    item = model.body.tokens.element_size()
    wide, heads = len(block.up.weight), config.heads
    numbers = {
        "norms and residuals": 10 * config.hidden,
        "queries, keys, values": config.hidden + 3 * len(block.qkv.weight),
        # Read in half precision, turned in float32 twice as wide, summed, written.
        "rotary": 10 * len(block.qkv.weight) if model.body.inverse_frequencies is not None else 0,
        "scores": 8 * heads * seen,
        "attention's output": 4 * config.hidden,
        "inner layer": (3.5 if block.gated else 4) * wide,
    }
    return item * sum(numbers.values())


def works(model: CodiModel) -> dict[str, Work]:
    """The seed's grid, and a strip of one problem."""
    prompt = sum(len(model.encode(each.question)) + 1 for each in asked(PROBLEMS)) / PROBLEMS
    rows = PROBLEMS * (LAYERS * (ALPHAS - 1) + 1)
    shared = model.config.layers / 2
    batches = -(-rows // ROWS_AT_A_TIME["cuda"])
    return {
        "the seed's grid": Work(PROBLEMS, prompt, rows, ANSWER, batches, shared),
        "a strip": Work(1, prompt, STRIP_ROWS, ANSWER, 1, shared),
    }


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description="what a GPU should take, by counting")
    parser.add_argument("--shape", default="llama-1b", choices=list(SHAPES))
    args = parser.parse_args()
    model = sizes_only(args.shape)
    found = [predicted(model, what, work) for what, work in works(model).items()]
    print("predicted by counting, not measured")
    heads = "rows kernels TFLOP GB floor plain recorded".split()
    print(f"{'':18}" + "".join(f"{name:>10}" for name in heads))
    for each in found:
        numbers = each.rows, each.kernels, each.operations / 1e12, each.bytes / 1e9
        times = each.floor_s, each.seconds, each.seconds_recorded
        cells = [f"{number:.4g}" for number in numbers] + [f"{1e3 * t:.1f} ms" for t in times]
        print(f"{each.what:18}" + "".join(f"{cell:>10}" for cell in cells))
    weights = block_weights(model) * model.body.tokens.element_size()
    each_pass = {"bytes_of_weights": weights, "seconds": weights / RATES.bandwidth}
    told = {"shape": args.shape, "predicted": True, "pass": each_pass, "rates": asdict(RATES)}
    print(json.dumps(told | {"work": [asdict(each) for each in found]}))


if __name__ == "__main__":
    main()
