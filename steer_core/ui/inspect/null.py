"""The null behind the live curve, as the page draws it: bands, and how many controls reach it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steer_core.ui.compute import NullJob, SweepJob
from steer_core.ui.inspect.payload import numbers

TINY = 1e-9
LARGE = 20_000_000
"""Parameters from which on thirty further curves would keep everybody waiting."""


def nulls_of(
    runner: Any, sweep: SweepJob, info: Any, wanted: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Decode the null behind a finished sweep; nothing for a large model, or without a direction.

    Args:
        runner: The page's `Runner`.
        sweep: What was swept.
        info: The model's parameters.
        wanted: Asked before each decoding step; False ends it.
    """
    state, job = runner.finished(sweep), NullJob(sweep)
    setting = sweep.setting
    if state is None or (info.parameters or 0) > LARGE:
        return
    if setting.of_twin or not setting.needs_direction:
        return
    for null in runner.states(job, wanted):
        yield null_payload(state, null, runner.finished(job) is null)


def null_payload(sweep: Any, null: Any, finished: bool) -> dict[str, Any]:
    """Bands of each kind of control, and where the curve lies among them.

    Args:
        sweep: The finished `SweepState` of the direction.
        null: A `NullState` on the same pairs and α.
        finished: Whether no batch is left.
    """
    return {
        "done": int(null.done),
        "rows": int(null.rows),
        "finished": finished,
        "kinds": [of_kind(sweep, null, kind) for kind in dict.fromkeys(null.kinds)],
    }


def of_kind(sweep: Any, null: Any, kind: str) -> dict[str, Any]:
    """The band of one kind: 2.5 to 97.5 % of its directions at each α, and its exact p.

    `reach` counts the directions whose largest change anywhere is at least the curve's largest, so
    `p` = (1 + reach) / (1 + n) is corrected for the choice of α.
    """
    rows = null.change[[one == kind for one in null.kinds]]
    known = np.isfinite(rows).all(0)
    middle = np.full((2, rows.shape[1]), math.nan)
    if known.any():
        middle[:, known] = np.percentile(rows[:, known], (2.5, 97.5), axis=0)
    own = changes(sweep)
    largest = np.abs(own[np.isfinite(own)]).max(initial=0.0)
    each = np.abs(np.where(np.isfinite(rows), rows, 0.0)).max(1)
    reach = int((each >= largest - TINY).sum())
    base = sweep.baseline_accuracy or 0.0
    low, high = (np.clip(base + part, 0.0, 1.0) for part in middle)
    return {
        "kind": kind,
        "n": len(rows),
        "low": numbers(low),
        "high": numbers(high),
        "reach": reach,
        "p": (1 + reach) / (1 + len(rows)),
        "largest": float(largest),
    }


def changes(sweep: Any) -> np.ndarray:
    """Change of the accuracy against α = 0 at each α, on the pairs done."""
    done = np.asarray(sweep.done, float)
    gained = np.asarray(sweep.wrong_to_right, float) - np.asarray(sweep.right_to_wrong, float)
    return np.where(done > 0, gained / np.maximum(done, 1), np.nan)
