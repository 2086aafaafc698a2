"""What the field has published about CODI's latents, measured on the bundled models.

    python -m benchmarks.published_table [--models NAME,...] [--pairs test] [--first N]

Prints Markdown (docs/latents.md holds it) and, last, one JSON line a model. Every share has its
95 % interval and, behind it, its random counterpart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import torch

from steer_core.codi.load import load_model
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Pair
from steer_core.inspect.atlas_states import probe_cells_of
from steer_core.inspect.cells import Cell, share_of
from steer_core.inspect.looks import sample_questions
from steer_core.inspect.over import atlas
from steer_core.inspect.over_pairs import decoded_twins
from steer_core.inspect.probes import CORRECT, probe
from steer_core.inspect.swap import DEFAULT_SITE, latent_positions, nobodys, replacement
from steer_core.steering.decode import decode, without_last_block
from steer_core.steering.spec import EditCurve

Table = dict[str, str]


def table(model: CodiModel, pairs: Sequence[Pair], what: str):
    """The whole table of an instrument."""
    *_, last = atlas(model, pairs, what, EditCurve(()))
    return last


def entry(cell: Cell) -> str:
    """A share with interval, and its counterpart."""
    return f"{between(cell.value, cell.low, cell.high)}, n = {cell.n}; random {cell.control:.1%}"


def between(value: float, low: float, high: float) -> str:
    """A share with its interval."""
    return f"{value:.1%} ({low:.0%}–{high:.0%})"


def swaps(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """Answers that become the twin's, all latents and each alone."""
    cells = table(model, pairs, "swap").cells
    return {f"swap: {cell.group}": entry(cell) for cell in cells}


def lens(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """Where each step's result is read best behind the last layer; the place is chosen on these."""
    cells = [c for c in table(model, pairs, "lens").cells if c.layer == model.config.layers]
    steps = sorted({cell.step for cell in cells if cell.step is not None})
    best = {
        step: max((c for c in cells if c.step == step), key=lambda c: c.value) for step in steps
    }
    return {
        f"lens: result of step {step}": f"{entry(cell)} (at position {cell.position})"
        for step, cell in best.items()
    }


def early(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """Accuracy after k latents."""
    cells = table(model, pairs, "early").cells
    return {f"early answers: {cell.group}": entry(cell) for cell in cells}


def necessity(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """Accuracy with all latents replaced by zeros, the mean, noise of a sample's spread."""
    found, where = {}, latent_positions(model.config, DEFAULT_SITE)
    questions = [pair.clean.question for pair in pairs]
    for kind in ("zero", "mean", "noise"):
        states = nobodys(model, DEFAULT_SITE, kind, sample_questions(), 0)
        rows = decode(model, questions, replacement(states, DEFAULT_SITE, where))
        right = [same_number(r.answer, p.clean.answer) for r, p in zip(rows, pairs, strict=True)]
        found[f"latents replaced: {kind}"] = between(*share_of(list(map(float, right))))
    return found


def components(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """Variance of the latents in three principal components, and even against odd."""
    seen = table(model, pairs, "paths")
    shares = [", ".join(f"{x:.0%}" for x in some) for some in (seen.variance, seen.random)]
    parity = f"AUC {max(seen.parity):.2f}, exact p = {seen.parity_p:.2f}"
    return {"PCA shares": f"{shares[0]}; shuffled {shares[1]}", "even against odd": parity}


def correctness(model: CodiModel, pairs: Sequence[Pair]) -> Table:
    """The best probe of correctness; its p is corrected for the choice of the place."""
    _, groups, states, right = decoded_twins(model, pairs)
    found = probe(without_last_block(states), right, label=CORRECT, groups=groups, shuffled=39)
    best = max(probe_cells_of(found), key=lambda cell: cell.value)
    where = f"position {best.position}, layer {best.layer}"
    shuffled = f"shuffled {best.control:.2f}, exact p = {best.p:.3f}"
    return {"probe of correctness, AUC": f"{best.value:.2f} at {where}; {shuffled}"}


SECTIONS = (swaps, lens, early, necessity, components, correctness)


def measure(name: str, pairs: Sequence[Pair]) -> Table:
    """All of it for one model."""
    model = load_model(name, device="cpu", dtype="float32")
    found: Table = {}
    for section in SECTIONS:
        found |= section(model, pairs)
    return found


def markdown(found: dict[str, Table]) -> str:
    """One table, a column for each model."""
    rows = list(dict.fromkeys(row for each in found.values() for row in each))
    head = f"| | {' | '.join(f'`{name}`' for name in found)} |\n{'| --- ' * (len(found) + 1)}|"
    lines = [
        f"| {row} | {' | '.join(each.get(row, '–') for each in found.values())} |" for row in rows
    ]
    return "\n".join([head, *lines])


def main() -> None:
    """Measure and print."""
    from steer_core.codi.places import bundled_names

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(bundled_names()))
    parser.add_argument("--pairs", default="test")
    parser.add_argument("--first", type=int, help="only so many pairs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pairs = load_pairs(args.pairs)[: args.first]
    found = {name: measure(name, pairs) for name in args.models.split(",")}
    print(markdown(found))
    for name, each in found.items():
        print(json.dumps({"model": name, "pairs": len(pairs), **each}, ensure_ascii=False))


if __name__ == "__main__":
    main()
