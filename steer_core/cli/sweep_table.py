"""What a sweep shows a reader: real directions line by line, their controls as ranges beside them.

A line for each of forty controls would bury what they are there for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from steer_core.pipeline.records import CurveKey

PLACE = ("site", "layer", "operation", "alpha", "direction", "positions", "n", "correct")
OUTCOMES = ("flips", "rose", "fell", "to_twin")
SHARES = {"accuracy": "accuracy %", "low": "low", "high": "high"}


def table_text(found: "pd.DataFrame", curves: "Sequence[CurveKey]", alphas: int) -> str:
    """The summary of a run as text, shares in percent.

    Args:
        found: As `Store.summary` gives it, curve by curve and `alphas` rows each.
        curves: Those of the run, in the same order.
        alphas: Number of α.
    """
    table = folded(found, curves, alphas)
    same = [name for name in ("site", "operation") if len(set(table[name])) == 1]
    table = table.drop(columns=same)
    table = table.assign(
        layer=["-" if at is None else f"{at:g}" for at in table["layer"]],
        alpha=[f"{alpha:g}" for alpha in table["alpha"]],
    )
    return table.to_string(index=False, float_format=lambda value: f"{value:.1f}")


def folded(found: "pd.DataFrame", curves: "Sequence[CurveKey]", alphas: int) -> "pd.DataFrame":
    """One row for each real direction and α, with a column for each kind of control."""
    import pandas as pd

    from steer_core.names import REAL

    parts = [found.iloc[i * alphas : (i + 1) * alphas] for i in range(len(curves))]
    real = [curve for curve in curves if curve.kind == REAL]
    every = list(zip(curves, parts, strict=True))
    # A control that was swept by itself stands beside nothing: it is shown as a direction is.
    return pd.concat(
        with_controls(part, curve, every if curve in real else [])
        for curve, part in every
        if curve in real or not any(map(curve.controls, real))
    )


def with_controls(
    mine: "pd.DataFrame", curve: "CurveKey", every: "Sequence[tuple[CurveKey, pd.DataFrame]]"
) -> "pd.DataFrame":
    """One real curve, shares in percent, with the range of each kind of its controls."""
    place = mine[[name for name in PLACE if name in mine]]
    percents = 100 * mine[list(SHARES)]
    percents.columns = list(SHARES.values())
    table = place.join(percents).join(mine[list(OUTCOMES)])
    if "nonfinite" in mine and any(mine["nonfinite"].tolist()):
        table["not finite"] = mine["nonfinite"]
    for kind in dict.fromkeys(other.kind for other, _ in every):
        parts = [part for other, part in every if other.kind == kind and other.controls(curve)]
        if parts:
            table[f"{len(parts)} {kind} %"] = ranges(parts)
    return table


def ranges(parts: "Sequence[pd.DataFrame]") -> list[str]:
    """From the lowest to the highest accuracy at each α, in percent."""
    import numpy as np

    shares = 100 * np.array([part["accuracy"] for part in parts])
    return [
        f"{low:.1f} to {high:.1f}" for low, high in zip(shares.min(0), shares.max(0), strict=True)
    ]
