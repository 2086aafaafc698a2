"""What the bundled models can do, as the README's tables say: test pairs, greedy, float32.

    python -m benchmarks.bundled_models [--models NAME,...] [--pairs test] [--sizes 1,2,4,8,16]

Prints tables as Markdown and, last, one JSON line a model: accuracy by steps and templates, with
latents zeroed, replaced by the mean or noise, or fewer of them; swaps with the twin's latents;
what the lens reads; subspaces. Every share has its Wilson 95 % interval, every look inside its
random counterpart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.interventions import Asked, Share, ablations, ask, lens, share, swaps
from benchmarks.subspaces import SIZES, subspaces
from steer_core.box import MODELS_DIR
from steer_core.codi.load import load_model
from steer_core.codi.places import bundled_names
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Pair
from steer_core.steering.decode import decode

Section = dict[str, Share]


def accuracy(asked: Asked, pairs: Sequence[Pair]) -> Section:
    """Of the clean twins, of the corrupted, by templates and by steps."""
    clean, right = asked.problems[::2], asked.right[::2]
    held = np.array([pair.held_out for pair in pairs])
    steps = np.array([problem.steps for problem in clean])
    found = {
        "test accuracy": share(right),
        "corrupted twins": share(asked.right[1::2]),
        "templates trained on": share(right[~held]),
        "templates never trained on": share(right[held]),
    }
    return found | {f"{n} steps": share(right[steps == n]) for n in sorted(set(steps.tolist()))}


def fewer(name: str, asked: Asked) -> Section:
    """Accuracy of both twins with the first 0..K-1 latents only."""
    found = {}
    for latents in range(asked.model.config.latents):
        model = load_model(name, device="cpu", dtype="float32", latents=latents)
        answers = decode(model, [problem.question for problem in asked.problems])
        right = [d.answer == p.answer for d, p in zip(answers, asked.problems, strict=True)]
        found[f"{latents} latents"] = share(right)
    return found


def measure(name: str, pairs: Sequence[Pair], sizes: Sequence[int]) -> dict[str, Section]:
    """Everything the tables say about one model; directions and subspaces come from the fit set."""
    model = load_model(name, device="cpu", dtype="float32")
    asked, fit = ask(model, pairs), ask(model, load_pairs("fit"))
    return {
        "Accuracy": accuracy(asked, pairs),
        "Latents replaced: still right": ablations(asked, fit) | fewer(name, asked),
        "Latents swapped: the twin's answer": swaps(asked),
        "Lens: step results read": lens(asked),
        "Subspace swapped: the twin's answer": {
            f"k = {size}, {kind}": found
            for size, kinds in subspaces(fit, asked, sizes).items()
            for kind, found in kinds.items()
        },
    }


def table(section: str, results: dict[str, dict[str, Section]]) -> str:
    """One section of all models as a Markdown table."""
    rows = list(dict.fromkeys(row for found in results.values() for row in found[section]))
    head = [f"| {section} | {' | '.join(f'`{name}`' for name in results)} |"]
    head.append("| --- " * (len(results) + 1) + "|")
    return "\n".join(head + [line(row, section, results) for row in rows])


def line(row: str, section: str, results: dict[str, dict[str, Section]]) -> str:
    """One row of a table."""
    cells = [str(found[section].get(row, "")) for found in results.values()]
    return f"| {row} | {' | '.join(cells)} |"


def as_json(name: str, found: dict[str, Section]) -> str:
    """One JSON line of a model."""
    size = MODELS_DIR / name / "model.safetensors"
    sections = {
        section: {row: hits.row() for row, hits in rows.items()} for section, rows in found.items()
    }
    return json.dumps(
        {"model": name, "bytes": size.stat().st_size if size.exists() else None} | sections
    )


def main() -> None:
    """Measure and print every bundled model."""
    parser = argparse.ArgumentParser(description="what the bundled models can do")
    parser.add_argument("--models", help="names or folders, with commas; default all in the box")
    parser.add_argument("--pairs", default="test", help="a bundled set or a file (default test)")
    usual = ",".join(map(str, SIZES))
    parser.add_argument("--sizes", default=usual, help=f"of subspaces, with commas ({usual})")
    options = parser.parse_args()
    names = options.models.split(",") if options.models else bundled_names()
    pairs = load_pairs(options.pairs)
    sizes = [int(size) for size in options.sizes.split(",")]
    results = {name: measure(name, pairs, sizes) for name in names}
    for section in next(iter(results.values())):
        print(table(section, results), end="\n\n")
    for name, found in results.items():
        print(as_json(name, found))


if __name__ == "__main__":
    main()
