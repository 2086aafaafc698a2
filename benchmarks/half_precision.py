"""How often half precision changes what a model answers, against float32 on the same device.

    python -m benchmarks.half_precision [--dtype float16] [--device cuda]

The live chart's grid (13 alphas x 240 pairs, the middle layer) of both models in the box. Prints a
table and one JSON line: the share of rows whose token ids are the same, of those whose answer is
the same, and the largest change of accuracy at any alpha.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import torch

from steer_core.bench.measure import device_name, engine
from steer_core.bench.shapes import Subject, bundled
from steer_core.codi.load import load_model
from steer_core.codi.places import bundled_names
from steer_core.data.answers import extract_answer
from steer_core.version import versions

ALPHAS = [x / 2 for x in range(-6, 7)]


def answers(subject: Subject, dtype: str, device: str) -> tuple[dict, dict]:
    """Token ids and the number of every row, by (problem, layer, alpha)."""
    model = load_model(subject.model.name, device=device, dtype=dtype)
    _, ids = engine(replace(subject, model=model), ALPHAS, None)
    return ids, {row: extract_answer(model.text(list(found))) for row, found in ids.items()}


def accuracies(subject: Subject, found: dict) -> np.ndarray:
    """Share of right answers at every alpha."""
    right = {alpha: [] for alpha in ALPHAS}
    for (problem, _, alpha), answer in found.items():
        right[alpha].append(answer == subject.problems[problem].answer)
    return np.array([np.mean(right[alpha]) for alpha in ALPHAS])


def measure(name: str, dtype: str, device: str) -> dict:
    """One model."""
    subject = bundled(name, 240)
    exact, numbers = answers(subject, "float32", device)
    half, other_numbers = answers(subject, dtype, device)
    moved = accuracies(subject, other_numbers) - accuracies(subject, numbers)
    return {
        "model": name,
        "dtype": dtype,
        "device": device_name(torch.device(device)),
        "rows": len(exact),
        "same_ids": float(np.mean([half[row] == ids for row, ids in exact.items()])),
        "same_answer": float(np.mean([other_numbers[row] == n for row, n in numbers.items()])),
        "accuracy_moves_at_most": float(np.abs(moved).max()),
        "accuracy_moves_on_average": float(moved.mean()),
    }


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description="how often half precision changes answers")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16"])
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    args = parser.parse_args()
    found = [measure(name, args.dtype, args.device) for name in bundled_names()]
    print(f"{'':12}{'rows':>8}{'same ids':>12}{'same answer':>14}{'accuracy moves':>24}")
    for each in found:
        most, mean = each["accuracy_moves_at_most"], each["accuracy_moves_on_average"]
        moves = f"{100 * mean:+.1f}, at most {100 * most:.1f} points"
        same = f"{each['same_ids']:12.1%}{each['same_answer']:14.1%}"
        print(f"{each['model']:12}{each['rows']:8}{same}{moves:>28}")
    print(json.dumps({"models": found, "versions": versions()}))


if __name__ == "__main__":
    main()
