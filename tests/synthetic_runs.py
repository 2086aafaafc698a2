"""Tables of runs that were never decoded, in the columns of `Store.table`, with known effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

ALPHAS = tuple(round(-3 + 0.5 * i, 1) for i in range(13))
Harm = Callable[[str, int, float], float]
"""Share of pairs lost, of a direction ("real", "random-3", ...), a layer and an α."""


def nothing(direction: str, layer: int, alpha: float) -> float:
    return 0.0


def planted(direction: str, layer: int, alpha: float) -> float:
    """The real direction costs up to 30 points at negative α, its controls nothing."""
    return 0.1 * max(-alpha, 0) if direction == "mean_difference" else 0.0


def everywhere(direction: str, layer: int, alpha: float) -> float:
    """Every direction breaks the model alike."""
    return 0.05 * abs(alpha)


def run_table(
    harm: Harm = nothing,
    *,
    pairs: int = 120,
    layers: Sequence[int | None] = (1, 2),
    alphas: Sequence[float] = ALPHAS,
    random: int = 20,
    shuffled: int = 20,
    noise: float = 0.02,
    dead: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """One run.

    `harm` is the share of pairs an edit loses, `noise` the share that flips either way besides;
    `dead` edits change nothing at all, scores included.
    """
    rng = np.random.default_rng(seed)
    gold = rng.integers(2, 90, pairs)
    base = pd.DataFrame(
        {
            "pair_id": np.arange(100, 100 + pairs).astype(str),
            "question_index": np.arange(pairs),
            "gold": gold,
            "twin": gold + rng.integers(1, 9, pairs),
        }
    )
    right = rng.random(pairs) < 0.6
    margin = np.where(right, 2.0, -2.0) + rng.normal(0, 0.5, pairs)
    grid = np.array([alpha for alpha in alphas if alpha])
    zero = rows(base, rng, right, margin, right[None], np.zeros(1), dead=True)
    parts = [zero.assign(site="", layer=-1, positions="", direction="baseline")]
    labels = ["mean_difference"]
    labels += [f"random-{i}" for i in range(random)] + [f"shuffled-{i}" for i in range(shuffled)]
    for layer in layers:
        for label in labels:
            luck = rng.normal(size=pairs) + rng.normal(size=(len(grid), pairs))
            luck = luck.argsort(1).argsort(1) / pairs
            lost = np.array([harm(label, layer, alpha) for alpha in grid])[:, None]
            after = right ^ (luck < np.where(right, lost + noise, noise)) if not dead else right
            after = np.broadcast_to(after, luck.shape)
            kept = zero["answer"].to_numpy()
            part = rows(base, rng, right, margin, after, grid, dead=dead, keep=kept)
            site = "thought" if layer is None else "residual"
            place = {"site": site, "layer": -1 if layer is None else layer, "positions": "1-6"}
            parts.append(part.assign(**place, direction=label))
    table = pd.concat(parts, ignore_index=True)
    table["layer"] = table["layer"].astype("Int64").replace(-1, pd.NA)
    table["kind"] = table["direction"].str.partition("-")[0].replace({"mean_difference": "real"})
    return table


def rows(base, rng, right, margin, after, alphas, *, dead, keep=None) -> pd.DataFrame:
    """The rows of one curve: `after` bool [A, n], all n pairs of an α together."""
    shape = after.shape
    gold, twin = base["gold"].to_numpy(float), base["twin"].to_numpy(float)
    other = np.where(rng.random(shape) < 0.9, gold + 100, np.nan)
    wrong = np.where(rng.random(shape) < 0.4, twin, other)
    if keep is not None:  # a wrong answer stays the same wrong answer, mostly
        wrong = np.where(right | (rng.random(shape) < 0.1 * (not dead)), wrong, keep)
    answer = np.where(after, gold, wrong)
    start = answer if keep is None else keep
    flip = np.select(
        [
            (answer == start) | (np.isnan(answer) & np.isnan(start)),
            np.isnan(answer),
            after & ~right,
            answer == twin,
            right & ~after,
        ],
        ["", "no number", "wrong to right", "to twin", "right to wrong"],
        "other number",
    )
    size = np.abs(alphas)[:, None] + np.zeros(shape)
    moved = 0.0 if dead else 1.0
    columns = {
        "alpha": np.broadcast_to(alphas[:, None], shape),
        "answer": answer,
        "correct": after,
        "flip": flip,
        "margin": margin + moved * (4.0 * after - 4.0 * right - 0.1 * size),
        "logprob_gold": -np.log1p(np.exp(-margin)) - moved * 0.05 * size,
        "logprob_twin": -np.log1p(np.exp(margin)) - moved * 0.02 * size,
        "kl": moved * 0.02 * size**2 * rng.random(shape),
        "kl_number": moved * 0.03 * size**2 * rng.random(shape),
        "shift": moved * 0.2 * size,
        "dose": 0.1 * size,
    }
    table = pd.concat([base] * len(alphas), ignore_index=True)
    table = table.assign(**{name: values.ravel() for name, values in columns.items()})
    return table.assign(text="The answer is: 1", token_ids="[1, 2]")
