"""What the bundled models can do, as the README's table says: on the test pairs, greedy, float32.

    python -m benchmarks.bundled_models

Prints a table and one JSON line per model: accuracy on the clean twins with its Wilson interval, by
number of steps, on templates never trained on, and with every latent thought replaced by zeros.
"""

from __future__ import annotations

import json

from steer_core.analysis.statistics import wilson
from steer_core.codi.load import load_model
from steer_core.codi.places import MODELS_DIR, bundled_names
from steer_core.data.pairs import load_pairs
from steer_core.steering.decode import decode
from steer_core.steering.edits import Edit


def zeroed_latents(model) -> Edit:
    """Every latent thought is replaced by zeros."""
    config = model.config
    nothing = model.body.tokens.new_zeros(config.latents + 1, config.hidden)
    return Edit(nothing, 1.0, "embedding", None, config.positions[1:], "replace")


def right_answers(model, problems, edit=None) -> list[bool]:
    """Which problems the model answers correctly."""
    decoded = decode(model, [problem.question for problem in problems], edit)
    return [d.answer == p.answer for d, p in zip(decoded, problems, strict=True)]


def share(right: list[bool]) -> dict:
    """Count, share and Wilson 95 % interval."""
    low, high = wilson(sum(right), len(right))
    found = {"correct": sum(right), "n": len(right), "accuracy": sum(right) / len(right)}
    return found | {"low": float(low), "high": float(high)}


def measure(name: str) -> dict:
    """Everything the table says about one model."""
    model = load_model(name, device="cpu", dtype="float32")
    pairs = load_pairs("test")
    problems = [pair.clean for pair in pairs]
    right = right_answers(model, problems)
    steps = sorted({problem.steps for problem in problems})
    log = MODELS_DIR / name / "training_log.jsonl"
    last = json.loads(log.read_text().splitlines()[-1]) if log.is_file() else {}
    return {
        "model": name,
        "bytes": (MODELS_DIR / name / "model.safetensors").stat().st_size,
        "test": share(right),
        "corrupted": share(right_answers(model, [pair.corrupted for pair in pairs])),
        "zeroed": share(right_answers(model, problems, zeroed_latents(model))),
        "held_out": share([r for r, pair in zip(right, pairs, strict=True) if pair.held_out]),
        "trained": share([r for r, pair in zip(right, pairs, strict=True) if not pair.held_out]),
        "by_steps": {
            n: share([r for r, p in zip(right, problems, strict=True) if p.steps == n])
            for n in steps
        },
        "training_seconds": last.get("seconds"),
        "training_steps": last.get("step"),
    }


def percent(found: dict) -> str:
    """A share with its interval."""
    return f"{found['accuracy']:.1%} ({found['low']:.0%}-{found['high']:.0%}, n={found['n']})"


def main() -> None:
    """Measure and print every bundled model."""
    results = [measure(name) for name in bundled_names()]
    for result in results:
        print(result["model"])
        for name in ("test", "corrupted", "zeroed", "trained", "held_out"):
            print(f"  {name:10} {percent(result[name])}")
        for steps, found in result["by_steps"].items():
            print(f"  {steps} steps    {percent(found)}")
    for result in results:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
