"""How often a direction without meaning is called an effect, and a planted effect is found.

    python -m benchmarks.false_positives [DIR] [--repetitions 200]

In every repetition the "real" direction is one of the label-shuffled ones, judged against the
others and the random ones as a report judges a sweep. With the folder of a swept experiment these
are its decoded rows, each time on another random half of the pairs; without one, answers are
simulated in which every direction harms the model by a chance amount. Four times: with right and
wrong exchanged on a random half of the pairs, which leaves no change on average, so that each p can
be checked; as it is, where all directions may harm alike; and with a share of right answers lost at
every α < 0. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from steer_core.analysis.curves import Curve, measure_curves
from steer_core.analysis.grid import Grid, build_grid
from steer_core.analysis.statistics import FAIR, fair_after, mcnemar_exact, wilson
from steer_core.analysis.verdict import judge
from steer_core.errors import UserError
from steer_core.pipeline.store import FILE, Store
from steer_core.report.source import preparation_of, right_before

LEVEL = 0.05
ALPHAS = np.arange(-3, 3.01, 0.5)
CONTROLS = 20
HARM = 0.006


@dataclass(frozen=True)
class Sweep:
    """Answers of one sweep over C curves, A α, n pairs: right or wrong.

    `baseline` [n]; `real` [C, A, n]; `controls` by kind [X, C, A, n]; `before`: share of right
    answers before pairs were balanced by them, None for pairs that were not.
    """

    alphas: np.ndarray
    baseline: np.ndarray
    real: np.ndarray
    controls: dict[str, np.ndarray]
    before: float | None = None


def simulated(
    pairs: int, layers: int, harm: float = HARM
) -> Callable[[np.random.Generator], Sweep]:
    """Sweeps whose directions are all drawn alike: each harms by a chance amount that grows.

    `harm` is the mean share of pairs that they lose per unit of α.
    """

    def draw(rng: np.random.Generator) -> Sweep:
        right = rng.random(pairs) < 0.6
        lost = rng.gamma(4, harm / 4, (1 + 2 * CONTROLS, layers, 1)) * np.abs(ALPHAS)
        noise = 0.02 * (ALPHAS != 0)
        lose = np.clip((lost + noise) / 0.6, 0, 1)
        win = np.broadcast_to(noise / 0.4, lost.shape)
        # A pair's luck is half its own and half new at each α: neighbours are alike.
        own = rng.standard_normal((*lost.shape[:2], 1, pairs), np.float32)
        luck = (own + rng.standard_normal((*lost.shape, pairs), np.float32)) / np.sqrt(2)
        after = right ^ (luck < np.where(right, ndtri(lose)[..., None], ndtri(win)[..., None]))
        kinds = {"random": after[1 : 1 + CONTROLS], "label-shuffled": after[1 + CONTROLS :]}
        return Sweep(ALPHAS, right, after[0], kinds)

    return draw


def decoded(folder: Path, run: int | None) -> tuple[str, Callable[[np.random.Generator], Sweep]]:
    """Sweeps from decoded rows: one label-shuffled direction against the others, half the pairs."""
    with Store(folder / FILE, create=False) as store:
        record = store.run(run or store.runs()[-1].id)
        grid = build_grid(store.table(record.id))
    before = right_before(preparation_of(folder, record))
    shuffled = grid.controls.get("shuffled")
    if shuffled is None or len(shuffled.correct) < CONTROLS:
        raise UserError(
            f"{folder} holds fewer than {CONTROLS} label-shuffled directions; sweep with "
            f"--controls random={CONTROLS},shuffled={CONTROLS}"
        )
    words = f"{len(shuffled.correct)} decoded label-shuffled directions, {len(grid.names)} curves"
    return words, lambda rng: half_of(grid, rng, before)


def half_of(grid: Grid, rng: np.random.Generator, before: float | None) -> Sweep:
    """One draw from decoded rows."""
    n = grid.pair_ids.size
    half = rng.permutation(n)[: n // 2]
    answers = grid.controls["shuffled"].correct[..., half]
    one = int(rng.integers(len(answers)))
    controls = {"label-shuffled": np.delete(answers, one, axis=0)}
    if "random" in grid.controls:
        controls["random"] = grid.controls["random"].correct[..., half]
    return Sweep(grid.alphas, grid.baseline.correct[half], answers[one], controls, before)


def as_it_is(sweep: Sweep, rng: np.random.Generator) -> Sweep:
    """The sweep itself."""
    return sweep


def exchanged(sweep: Sweep, rng: np.random.Generator) -> Sweep:
    """Right and wrong exchanged on random pairs: what an edit lost there, it wins."""
    turn = rng.random(sweep.baseline.size) < 0.5
    controls = {kind: answers ^ turn for kind, answers in sweep.controls.items()}
    return Sweep(sweep.alphas, sweep.baseline ^ turn, sweep.real ^ turn, controls)


def planted(loss: float, sweep: Sweep, rng: np.random.Generator) -> Sweep:
    """The same with this share of right answers lost along the real direction at every α < 0."""
    broken = (rng.random(sweep.baseline.size) < loss) & (sweep.alphas < 0)[:, None]
    return replace(sweep, real=sweep.real & ~broken)


def curves_of(sweep: Sweep, resamples: int, seed: int) -> tuple[Curve, ...]:
    """The curves as an analysis measures them."""
    before, now = sweep.before, float(sweep.baseline.mean())
    return measure_curves(
        sweep.alphas,
        sweep.baseline,
        sweep.real,
        controls={kind: answers.mean(-1) for kind, answers in sweep.controls.items()},
        fair=FAIR if before is None else fair_after(before, now),
        resamples=resamples,
        seed=seed,
    )


def repeat(draw, repetitions: int, resamples: int, change) -> Iterator[dict]:
    """What each repetition found."""
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        curves = curves_of(change(draw(rng), rng), resamples, seed)
        first = curves[0]
        end = int(np.argmax(first.alphas))
        yield {
            "kinds": [judge(curve).kind for curve in curves],
            "against α = 0, adjusted": min(float(c.p[c.steered].min()) for c in curves),
            "against controls, adjusted": max(
                min(float(c.controls[i].excess_p.min()) for c in curves)
                for i in range(len(first.controls))
            ),
            "against α = 0, one α": float(
                mcnemar_exact(first.wrong_to_right[end], first.right_to_wrong[end], first.fair)
            ),
        }


SCENARIOS = {
    "no change on average": exchanged,
    "label-shuffled as real": as_it_is,
    "a quarter of right answers lost": partial(planted, 0.25),
    "half of right answers lost": partial(planted, 0.5),
}
TESTS = ("against α = 0, one α", "against α = 0, adjusted", "against controls, adjusted")


def summary(found: list[dict]) -> dict:
    """Shares of verdicts over curves, of sweeps with an effect, and of p <= 0.05, with Wilson."""
    kinds = Counter(kind for each in found for kind in each["kinds"])
    effects = sum("effect" in each["kinds"] for each in found)
    rates = {name: sum(each[name] <= LEVEL for each in found) for name in TESTS}
    return {
        "repetitions": len(found),
        "verdicts": {kind: count / kinds.total() for kind, count in kinds.most_common()},
        "sweeps_with_effect": rate(effects, len(found)),
        "p_at_most_0.05": {name: rate(count, len(found)) for name, count in rates.items()},
    }


def rate(count: int, n: int) -> list[float]:
    """A share with its Wilson 95 % interval."""
    return [round(float(value), 4) for value in (count / n, *wilson(count, n))]


def show(name: str, found: dict) -> None:
    """One half of the table."""
    print(f"\n{name}, {found['repetitions']} sweeps")
    for kind, share in found["verdicts"].items():
        print(f"  verdict {kind:28} {share:7.1%} of curves")
    shares = {"sweeps with an effect anywhere": found["sweeps_with_effect"]}
    shares |= {f"p <= 0.05 {test}": value for test, value in found["p_at_most_0.05"].items()}
    for test, (share, low, high) in shares.items():
        print(f"  {test:36} {share:7.1%}  [{low:.1%}, {high:.1%}]")


def main() -> None:
    """Repeat and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="experiment with 20 shuffled controls")
    parser.add_argument("--run", type=int, help="id of the run (default the newest)")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=999)
    parser.add_argument("--pairs", type=int, default=240, help="simulated pairs")
    parser.add_argument("--layers", type=int, default=4, help="simulated layers")
    parser.add_argument(
        "--harm",
        type=float,
        default=HARM,
        help=f"simulated share of pairs that any direction loses per unit of α (default {HARM}, a "
        "model that steering hardly moves; 0.06 is what the bundled ones lose)",
    )
    args = parser.parse_args()
    words, draw = f"{args.pairs} simulated pairs, {args.layers} curves, harm {args.harm:g}", None
    if args.folder is not None:
        words, draw = decoded(args.folder, args.run)
    draw = draw or simulated(args.pairs, args.layers, args.harm)
    print(words)
    results = {}
    for name, change in SCENARIOS.items():
        results[name] = summary(list(repeat(draw, args.repetitions, args.resamples, change)))
        show(name, results[name])
    print(json.dumps({"source": words} | results, ensure_ascii=False))


if __name__ == "__main__":
    main()
