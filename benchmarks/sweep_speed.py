"""The whole sweep against a one-row loop: same model, same machine, same run, same ids.

    python benchmarks/sweep_speed.py --model tiny-llama

Times the engine on 13 alphas x all test pairs of one layer, and the loop of the seed experiment on a
random sample of those rows. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import steer_core  # noqa: E402, F401  (sets how threads wait, before torch is loaded)
import numpy as np  # noqa: E402  isort: skip
import torch  # noqa: E402  isort: skip

from one_row_loop import OneRowLoop  # noqa: E402  isort: skip
from steer_core.codi.load import MODELS_DIR, load_model  # noqa: E402
from steer_core.data.pairs import load_pairs  # noqa: E402
from steer_core.experiment.grid import Curve, fill_grid  # noqa: E402
from steer_core.experiment.sweep import SWEEP_ALPHAS  # noqa: E402
from steer_core.steering.library import cached_direction  # noqa: E402


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


def main() -> None:
    """Measure, alternating, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--layer", type=int, default=2)
    parser.add_argument("--sample", type=int, default=120, help="rows for the loop")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(args.model, device="cpu", dtype="float32")
    problems = [pair.clean for pair in load_pairs("test")]
    direction = cached_direction(model, "residual", args.layer)
    curve = Curve(direction, "residual", args.layer, model.config.positions[1:])
    loop = OneRowLoop(MODELS_DIR / args.model)
    rows = [(a, p) for a in range(len(SWEEP_ALPHAS)) for p in range(len(problems))]
    chosen = np.random.default_rng(0).permutation(len(rows))[: args.sample]
    sample = [rows[i] for i in chosen]
    engine_run(model, problems[:8], curve), loop_run(loop, problems, curve, sample[:4])  # warm-up
    rates = {"engine": [], "loop": []}
    equal = total = 0
    for repeat in range(args.repeats):
        part = sample[repeat :: args.repeats]
        seconds, slow = loop_run(loop, problems, curve, part)
        rates["loop"].append(len(part) / seconds)
        seconds, fast = engine_run(model, problems, curve)
        rates["engine"].append(len(rows) / seconds)
        equal += sum(slow[key] == fast[key] for key in part)
        total += len(part)
    middle = {name: float(np.median(values)) for name, values in rates.items()}
    grid_seconds = len(rows) / middle["engine"]
    print(f"{'':28}{'decodes/s':>12}{'seconds':>10}")
    print(f"{'one-row loop':28}{middle['loop']:12.1f}{len(rows) / middle['loop']:10.1f}")
    print(f"{'engine, whole sweep':28}{middle['engine']:12.1f}{grid_seconds:10.2f}")
    print(f"ratio {middle['engine'] / middle['loop']:.1f}, ids equal on {equal} of {total} rows")
    print(
        json.dumps(
            {
                "model": args.model,
                "rows": len(rows),
                "threads": args.threads,
                "loop_decodes_per_s": middle["loop"],
                "engine_decodes_per_s": middle["engine"],
                "ratio": middle["engine"] / middle["loop"],
                "sweep_seconds": grid_seconds,
                "sweep_in_one_row_decodes": grid_seconds * middle["loop"],
                "ids_equal": equal == total,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
