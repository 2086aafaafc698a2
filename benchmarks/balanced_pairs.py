"""What balancing pairs by their own baseline answer does to a test, and what its allowance mends.

    python -m benchmarks.balanced_pairs [--repetitions 400]

An edit that wins as many of all pairs as it loses changes no accuracy. Balancing keeps all pairs
of the rarer kind of answer and a part of the others, so the edit seems to win or lose. Prints how
often one α without controls is then called an effect, as a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from steer_core.analysis.curves import measure_curves
from steer_core.analysis.statistics import FAIR, fair_after
from steer_core.analysis.verdict import judge

PAIRS = 480
CASES = ((0.63, 0.10), (0.75, 0.06), (0.63, 0.05), (0.30, 0.10))
"""Share of right answers, and share of all pairs that flips each way."""


def balanced(rng: np.random.Generator, right: float, flips: float):
    """Before and after the edit, bool [n], of as many right as wrong pairs; right of all pairs."""
    before = rng.random(PAIRS) < right
    lost, won = rng.random(PAIRS) < flips / right, rng.random(PAIRS) < flips / (1 - right)
    after = np.where(before, ~lost, won)
    sides = [np.flatnonzero(before), np.flatnonzero(~before)]
    kept = np.concatenate([rng.permutation(side)[: min(map(len, sides))] for side in sides])
    return before[kept], after[kept], float(before.mean())


def found(seed: int, right: float, flips: float) -> tuple[float, bool, bool]:
    """The change that seems to be there, and whether it is an effect without and with allowance."""
    before, after, share = balanced(np.random.default_rng(seed), right, flips)
    kinds = []
    for fair in (FAIR, fair_after(share, float(before.mean()))):
        answers = np.stack([before, after])[None]
        (curve,) = measure_curves([0, 1], before, answers, fair=fair, resamples=999, seed=seed)
        kinds.append(judge(curve).kind == "effect")
    return float(after.mean() - before.mean()), kinds[0], kinds[1]


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    repetitions = parser.parse_args().repetitions
    rows = []
    for right, flips in CASES:
        each = np.array([found(seed, right, flips) for seed in range(repetitions)], float)
        names = ("change", "effect_without", "effect_with")
        means = dict(zip(names, each.mean(0).round(4).tolist(), strict=True))
        rows.append({"right": right, "flips": flips} | means)
        print(
            f"{right:.0%} right, {flips:.0%} of pairs flip each way: seems to change accuracy by "
            f"{100 * means['change']:+.1f} points; called an effect {means['effect_without']:.1%} "
            f"without the allowance, {means['effect_with']:.1%} with it"
        )
    print(json.dumps({"repetitions": repetitions, "pairs": PAIRS, "rows": rows}))


if __name__ == "__main__":
    main()
