"""The whole sweep against a one-row loop: same model, same machine, same run, same ids.

    python -m benchmarks.sweep_speed --model tiny-llama

Times the engine on 13 alphas x all test pairs of one layer, and the one-row loop on a random sample
of those rows. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from random import Random

from steer_core.codi.load import MODELS_DIR, load_model
from steer_core.data.pairs import load_pairs
from steer_core.experiment.grid import Curve, fill_grid
from steer_core.experiment.sweep import SWEEP_ALPHAS
from steer_core.steering.library import cached_direction


def engine_run(model, problems, curve) -> tuple[float, dict]:
    """Seconds for the whole grid, and the ids of every row."""
    ids = {}

    def keep(_curve, alpha, problem, decoded):
        if alpha >= 0:
            ids[alpha, problem] = decoded.token_ids

    began = time.perf_counter()
    for _ in fill_grid(model, problems, [curve], SWEEP_ALPHAS, on_row=keep):
        pass
    return time.perf_counter() - began, ids


def loop_run(loop, problems, curve, sample) -> tuple[float, dict]:
    """Seconds for a sample of the rows one by one, and their ids."""
    direction = curve.direction.vectors
    began = time.perf_counter()
    ids = {
        (a, p): loop.decode(
            problems[p].question, curve.layer, SWEEP_ALPHAS[a], direction, curve.positions
        )
        for a, p in sample
    }
    return time.perf_counter() - began, ids


def measure(model, loop, problems, curve, count: int, repeats: int) -> dict:
    """Both ways in turn, `repeats` times; medians of their rates, and how many ids are equal."""
    rows = [(a, p) for a in range(len(SWEEP_ALPHAS)) for p in range(len(problems))]
    sample = Random(0).sample(rows, count)
    engine_run(model, problems[:8], curve)
    loop_run(loop, problems, curve, sample[:4])
    rates: dict[str, list[float]] = {"engine": [], "loop": []}
    equal = 0
    for repeat in range(repeats):
        part = sample[repeat::repeats]
        seconds, slow = loop_run(loop, problems, curve, part)
        rates["loop"].append(len(part) / seconds)
        seconds, fast = engine_run(model, problems, curve)
        rates["engine"].append(len(rows) / seconds)
        equal += sum(slow[key] == fast[key] for key in part)
    engine, one_row = (statistics.median(rates[name]) for name in ("engine", "loop"))
    return {
        "rows": len(rows),
        "loop_decodes_per_s": one_row,
        "engine_decodes_per_s": engine,
        "ratio": engine / one_row,
        "sweep_seconds": len(rows) / engine,
        "sweep_in_one_row_decodes": len(rows) / engine * one_row,
        "sampled": len(sample),
        "same_ids": equal,
        "ids_equal": equal == len(sample),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--layer", type=int, default=2)
    parser.add_argument("--sample", type=int, default=120, help="rows for the loop")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="CPU threads (default all)")
    args = parser.parse_args()
    # After the engine: it sets how threads wait, before torch is loaded.
    import torch

    from benchmarks.one_row_loop import OneRowLoop

    torch.set_num_threads(args.threads or torch.get_num_threads())
    model = load_model(args.model, device="cpu", dtype="float32")
    problems = [pair.clean for pair in load_pairs("test")]
    direction = cached_direction(model, "residual", args.layer)
    curve = Curve(direction, "residual", args.layer, model.config.positions[1:])
    loop = OneRowLoop(MODELS_DIR / args.model)
    found = measure(model, loop, problems, curve, args.sample, args.repeats)
    print(f"{'':22}{'decodes/s':>12}{'seconds for the sweep':>24}")
    for name, label in (("loop", "one-row loop"), ("engine", "engine")):
        rate = found[f"{name}_decodes_per_s"]
        print(f"{label:22}{rate:12.1f}{found['rows'] / rate:24.2f}")
    print(f"ratio {found['ratio']:.1f}; same ids on {found['same_ids']} of {found['sampled']} rows")
    about = {"model": args.model, "threads": torch.get_num_threads(), "torch": torch.__version__}
    print(json.dumps(about | found))


if __name__ == "__main__":
    main()
