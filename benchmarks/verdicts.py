"""How often verdicts are wrong, and how often a planted change is found.

    python -m benchmarks.verdicts [--runs 300] [--seed 0] [--only NAME]

Every scenario is simulated that many times and judged as a report judges a run, with 299 sign
patterns: p-values from so few are as valid as from many, only coarser. Four tables: false effects,
directions without meaning, planted changes at the number of pairs that the product says is enough,
and bounds of "no effect". Rates stand with Wilson 95 % intervals. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.simulated import CONTROLS, Sweep, balanced, curves, doubled, draw, part, planted
from steer_core.analysis.curves import Answers, Curve, answers_of, measure_curves
from steer_core.analysis.power import power_of
from steer_core.analysis.statistics import wilson
from steer_core.analysis.verdict import Verdict, judge

PATTERNS = 299
MANY = {"covariance": 99}
Rng = np.random.Generator


def answers(sweep: Sweep, looks: float = 1.0, chosen: float = 1.0) -> Answers:
    """A simulated sweep as tests take it."""
    return answers_of(
        sweep.alphas,
        sweep.baseline,
        sweep.real,
        controls=sweep.controls,
        clusters=sweep.clusters,
        before=sweep.before,
        looks=looks,
        chosen=chosen,
    )


def measured(sweep: Sweep, **more: float) -> tuple[Curve, ...]:
    """Its curves."""
    return measure_curves(answers(sweep, **more), resamples=PATTERNS)


def judged(sweep: Sweep, **more: float) -> list[Verdict]:
    """Its verdicts."""
    return [judge(curve) for curve in measured(sweep, **more)]


def plain(rng: Rng, **settings) -> list[Verdict]:
    """A direction that is one of its controls in all but name."""
    return judged(draw(rng, **settings))


def twice(rng: Rng, **settings) -> list[Verdict]:
    """The same with every pair doubled."""
    return judged(doubled(draw(rng, pairs=120, **settings)))


def by_answer(rng: Rng, **settings) -> list[Verdict]:
    """The same on pairs balanced by their answer."""
    return judged(balanced(draw(rng, pairs=480, **settings), rng))


def best_of_select(rng: Rng, chosen: float = 8.0) -> list[Verdict]:
    """The layer of 8 that stands out most on the select pairs, judged on the report pairs."""
    whole = draw(rng, layers=8, pairs=300, controls={"covariance": 199})
    select = measured(part(whole, np.arange(60)))
    best = max(
        range(8), key=lambda i: max(np.abs(each.rank.excess).max() for each in select[i].contrasts)
    )
    return judged(curves(part(whole, np.arange(60, 300)), [best]), chosen=chosen)


def best_again(rng: Rng) -> list[Verdict]:
    """The layer of 8 that stands out most, judged again alone on the same pairs, as a look."""
    whole = draw(rng, layers=8, controls={"covariance": 199})
    change = np.abs(whole.real.mean(-1) - whole.controls["covariance"].mean((0, -1)))
    return judged(curves(whole, [int(change.max(-1).argmax())]), looks=9.0)


def ten_runs(rng: Rng, controls: int) -> list[Verdict]:
    """Ten runs of one curve each on the same pairs, each a look of ten."""
    whole = draw(rng, layers=10, controls={"covariance": controls})
    return [verdict for i in range(10) for verdict in judged(curves(whole, [i]), looks=10.0)]


STILL = {"harm": 0.0, "restless": 0.06}
FALSE: dict[str, Callable[[Rng], list[Verdict]]] = {
    "240 pairs, 4 layers, 12 α": partial(plain, layers=4),
    "the same, one kind of 20 controls": partial(plain, layers=4, controls={"covariance": 20}),
    "the same, 99 controls of one kind": partial(plain, layers=4, controls=MANY),
    "8 templates": partial(plain, templates=8),
    "24 templates": partial(plain, templates=24),
    "8 templates, it flips more than its controls": partial(plain, templates=8, **STILL),
    "24 templates, it flips more than its controls": partial(plain, templates=24, **STILL),
    "doubled pairs": twice,
    "doubled pairs, it flips more than its controls": partial(twice, **STILL),
    "6 pairs": partial(plain, pairs=6),
    "12 pairs": partial(plain, pairs=12),
    "24 pairs": partial(plain, pairs=24),
    "60 α": partial(plain, alphas=np.linspace(-3, 3, 61)),
    "16 layers": partial(plain, layers=16),
    "heavy-tailed controls": partial(plain, tails=1.2),
    "2 % right": partial(plain, right=0.02, noise=0.005),
    "98 % right": partial(plain, right=0.98, noise=0.005),
    "unbalanced, it flips more than its controls": partial(plain, **STILL),
    "balanced": by_answer,
    "balanced, it flips more than its controls": partial(by_answer, **STILL),
    "best of 8 layers, chosen on select": best_of_select,
    "the same, were the choice not counted": partial(best_of_select, chosen=1.0),
    "best of 8 layers, judged again on the same pairs": best_again,
    "ten runs in one folder, 99 controls": partial(ten_runs, controls=99),
    "ten runs in one folder, 299 controls": partial(ten_runs, controls=299),
}
ALIKE = {
    "20 + 20 controls": CONTROLS,
    "99 controls of one kind": MANY,
}
PLANTED = {
    "nothing else harms": {"harm": 0.006},
    "every direction harms": {"harm": 0.06},
}
BOUNDS = {
    "60 pairs, 3 points lost": {"pairs": 60, "loss": 0.03},
    "60 pairs, 8 points lost": {"pairs": 60, "loss": 0.08},
    "240 pairs, 3 points lost": {"pairs": 240, "loss": 0.03},
    "240 pairs, 8 points lost": {"pairs": 240, "loss": 0.08},
    "240 pairs in 24 templates, 5 points lost": {"pairs": 240, "loss": 0.05, "templates": 24},
    "24 pairs, 5 points lost": {"pairs": 24, "loss": 0.05},
}


def rate(count: int, n: int) -> dict[str, float]:
    """A share with its Wilson 95 % interval."""
    low, high = wilson(count, n)
    return {"rate": round(count / n, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def shown(name: str, rates: dict[str, dict[str, float]]) -> None:
    """One line of a table."""
    texts = [f"{key} {x['rate']:.1%} [{x['low']:.1%}, {x['high']:.1%}]" for key, x in rates.items()]
    print(f"  {name}: {'; '.join(texts)}", flush=True)


def false_effects(name: str, runs: int, seed: int) -> dict:
    """Share of runs with an effect anywhere."""
    found = [FALSE[name](np.random.default_rng([seed, run])) for run in range(runs)]
    rates = {"effect": rate(sum(any(v.kind == "effect" for v in each) for each in found), runs)}
    kinds = Counter(verdict.kind for each in found for verdict in each)
    shown(name, rates)
    return rates | {"verdicts": {kind: n / kinds.total() for kind, n in kinds.most_common()}}


def without_meaning(name: str, runs: int, seed: int) -> dict:
    """What a direction is called that harms as its controls do, about 18 points at α = 3."""
    kinds = Counter(
        judged(draw(np.random.default_rng([seed, run]), controls=ALIKE[name]))[0].kind
        for run in range(runs)
    )
    rates = {kind: rate(kinds[kind], runs) for kind in ("as random", "effect", "no effect")}
    shown(name, rates)
    return rates


def pairs_said(settings: dict, change: float, seed: int, pilots: int) -> list[int | None]:
    """The pairs that pilot runs of 240 say show a change."""
    found = []
    for pilot in range(pilots):
        each = answers(draw(np.random.default_rng([seed, 1, pilot]), **settings))
        power = power_of(each, measure_curves(each, resamples=PATTERNS))[0]
        found.append(power.needed[change])
    return found


def found_at_its_n(name: str, runs: int, seed: int, pilots: int = 10) -> dict:
    """Gains and losses planted at the pairs that pilot runs say are enough, pilot after pilot."""
    words, change = name.split(": ")
    change = float(change.removesuffix(" points")) / 100
    settings = PLANTED[words] | {"controls": MANY}
    said = pairs_said(settings, change, seed, pilots)
    known = [pairs for pairs in said if pairs is not None]
    if not known:
        print(f"  {name}: no number of pairs is said to be enough", flush=True)
        return {"pairs": said}
    counts = {sign: Counter[str]() for sign in (1, -1)}
    for sign, found in counts.items():
        for run in range(runs):
            rng = np.random.default_rng([seed, 2, run])
            sweep = draw(rng, pairs=known[run % len(known)], **settings)
            verdict = judged(planted(sweep, sign * change, rng))[0]
            if verdict.kind == "effect":
                found["found" if np.sign(verdict.contrast or 0) == sign else "wrong sign"] += 1
    rates = {"gain found": rate(counts[1]["found"], runs)}
    rates |= {"loss found": rate(counts[-1]["found"], runs)}
    wrong = counts[1]["wrong sign"] + counts[-1]["wrong sign"]
    rates |= {"sign wrong": rate(wrong, 2 * runs)}
    shown(f"{name}, {min(known)} to {max(known)} pairs ({len(known)} of {pilots} pilots)", rates)
    return rates | {"pairs": said}


def bound_below(name: str, runs: int, seed: int) -> dict:
    """Share of "no effect larger than x" whose x is below a loss planted at the largest α."""
    settings = dict(BOUNDS[name])
    loss, below, called = settings.pop("loss"), 0, 0
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        sweep = draw(rng, harm=0.0, noise=0.01, controls={"covariance": 2}, **settings)
        hurt = rng.random(sweep.baseline.size) < loss / 0.63
        if settings.get("templates"):  # half of the templates lose twice as much, the others none
            hit = rng.random(settings["templates"]) < 0.5
            hurt = hit[sweep.clusters] & (rng.random(hurt.size) < 2 * loss / 0.63)
        real = sweep.real.copy()
        real[..., -1, :] &= ~hurt
        verdict = judge(measured(replace(sweep, real=real))[0], limit=0.9)
        called += verdict.kind == "no effect"
        below += verdict.kind == "no effect" and verdict.bound < loss
    rates = {"below": rate(below, runs)}
    shown(f"{name} ({called} of {runs} called no effect)", rates)
    return rates


TABLES = {
    "False effects": (false_effects, list(FALSE)),
    "Directions without meaning": (without_meaning, list(ALIKE)),
    "Planted changes": (
        found_at_its_n,
        [f"{name}: {points} points" for points in (10, 5) for name in PLANTED],
    ),
    "Bounds": (bound_below, list(BOUNDS)),
}


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    args = parser.parse_args()
    results: dict[str, dict] = {"runs": args.runs, "seed": args.seed}
    for title, (measure, names) in TABLES.items():
        print(f"{title}, {args.runs} runs each")
        chosen = [name for name in names if args.only in name]
        results[title] = {name: measure(name, args.runs, args.seed) for name in chosen}
    print(json.dumps(results, ensure_ascii=False))


if __name__ == "__main__":
    main()
