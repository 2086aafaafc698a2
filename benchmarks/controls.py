"""How comparable each kind of control is: `python -m benchmarks.controls [--layers 1,4]`.

For the direction of a bundled model and some controls of each kind: mean cosine between positions,
share of the squared norm in the states' first eight principal components, and the worst change in
accuracy over alpha on the bundled test pairs. Prints a table, and one JSON line last.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd

from steer_core import load_model, load_pairs, sweep
from steer_core.codi.model import CodiModel
from steer_core.names import CONTROL_KINDS, KIND_WORDS, REAL, DirectionRef
from steer_core.steering.controls import Background, draw, likeness
from steer_core.steering.fit import FitSet, bundled_fit_problems, fit_set
from steer_core.steering.library import cached_direction

ALPHAS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--layers", default="1,4")
    parser.add_argument("--each", type=int, default=5, help="controls of each kind")
    parser.add_argument("--pairs", type=int, default=240, help="test pairs at most")
    args = parser.parse_args()
    model = load_model(args.model, device="cpu", dtype="float32")
    fit = fit_set(model, bundled_fit_problems(), "fit")
    layers = [int(layer) for layer in args.layers.split(",")]
    table = pd.concat(
        [shape(model, fit, at, args.each).assign(layer=at) for at in layers], ignore_index=True
    )
    harm = harms(model, layers, args.each, args.pairs)
    table = table.merge(harm, on=["layer", "kind"])[
        ["layer", "kind", "coherence", "leading_8", "worst_points"]
    ]
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    rows = table.round(4).to_dict("records")
    print(json.dumps({"model": args.model, "each": args.each, "pairs": args.pairs, "rows": rows}))


def shape(model: CodiModel, fit: FitSet, layer: int, each: int) -> pd.DataFrame:
    """How the direction and its controls lie among the states, mean of each kind."""
    real = cached_direction(model, "residual", layer)
    here = Background.at(model, fit, "residual", layer)
    several = {REAL: [real.vectors]}
    several |= {
        kind: [draw(kind, real, seed, here).vectors for seed in range(each)]
        for kind in CONTROL_KINDS
    }
    rows = [
        (kind, *np.mean([(like.coherence, like.leading) for like in found], axis=0))
        for kind, vectors in several.items()
        for found in [likeness(vectors, here.states)]
    ]
    return pd.DataFrame(rows, columns=["kind", "coherence", "leading_8"])


def harms(model: CodiModel, layers: list[int], each: int, pairs: int) -> pd.DataFrame:
    """The worst change in accuracy over alpha, in points, mean over the controls of each kind."""
    found = sweep(
        model,
        load_pairs("test")[:pairs],
        layers=layers,
        alphas=(0.0, *ALPHAS),
        **dict.fromkeys(KIND_WORDS, each),
    )
    base = found.loc[found.alpha == 0, "accuracy"].iloc[0]
    kinds = found.direction.map(lambda label: DirectionRef.of_label(label).kind)
    worst = 100 * (found.accuracy - base).groupby([found.layer, kinds, found.direction]).min()
    worst = worst.groupby(level=[0, 1]).mean()
    return worst.rename_axis(["layer", "kind"]).rename("worst_points").reset_index()


if __name__ == "__main__":
    main()
