"""The null behind the live curve, as the page draws it: bands, and how many controls reach it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from steer_core.ui.inspect.payload import numbers

TINY = 1e-9


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
