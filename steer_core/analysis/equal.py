"""Methods side by side at equal dose, and at equal change of what the answer says.

Two directions at one α are not alike: one may be longer, or lie where the model listens. So each
side of each curve is read where its mean dose, or its mean KL where the answer's number begins, has
a given value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steer_core.names import BASELINE

Floats = NDArray[np.float64]
KL, DOSE = "kl_number", "dose"
LEVELS: dict[str, tuple[float, ...]] = {KL: (0.01, 0.03, 0.1, 0.3, 1.0), DOSE: (0.1, 0.2, 0.4, 0.8)}
"""Nats, and parts of the state's norm, at which curves are compared."""
CURVE = ["site", "layer", "positions", "operation", "direction", "kind"]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One sign of one curve, by growing |α|, 0 first; A of them, over n pairs.

    `alphas` [A]; `dose` and `kl_number` [A], means over pairs; `change` [A]: accuracy minus that
    without an edit, in points of 100; `damage` [A]: share of the pairs that were right without an
    edit and are wrong with it, 0..1.
    """

    site: str
    layer: int | None
    operation: str
    direction: str
    kind: str
    sign: int
    n: int
    alphas: Floats
    dose: Floats
    kl_number: Floats
    change: Floats
    damage: Floats

    @property
    def name(self) -> str:
        """The curve and its sign for a reader."""
        place = self.site if self.layer is None else f"{self.site} {self.layer}"
        sign = "+" if self.sign > 0 else "−"
        return f"{sign} {self.operation} {self.direction}, {place}"

    def at(self, by: str, level: float) -> tuple[float, float, float] | None:
        """|α|, change and damage where the mean of `KL` or `DOSE` first has a value; None beyond.

        Between two α everything is taken as a straight line.
        """
        reached = np.maximum.accumulate(getattr(self, by))
        if not reached[-1] >= level:
            return None
        alpha = float(np.interp(level, reached, self.alphas))
        change, damage = (
            float(np.interp(alpha, self.alphas, y)) for y in (self.change, self.damage)
        )
        return alpha, change, damage


def sides_of(table: pd.DataFrame) -> list[Side]:
    """Both signs of every curve of a run's rows (`full_table`), controls too.

    Pairs whose numbers overflowed anywhere are left out of the means where they did.
    """
    base: pd.Series = pd.Series(
        pd.DataFrame(table[table.kind == BASELINE]).set_index("question_index")["correct"]
    )
    edited = pd.DataFrame(table[(table.kind != BASELINE) & table.question_index.isin(base.index)])
    found = []
    for _, rows in edited.groupby(CURVE, sort=False, dropna=False, observed=True):
        for sign in (1, -1):
            some = pd.DataFrame(rows[np.sign(rows.alpha) == sign])
            if len(some):
                found.append(side_of(some, base, sign))
    return found


def side_of(rows: pd.DataFrame, base: pd.Series, sign: int) -> Side:
    """One sign of one curve."""
    was = base.loc[rows.question_index].to_numpy(bool)
    now = rows.correct.to_numpy(bool)
    each = pd.DataFrame(
        {
            "alpha": rows.alpha.abs().to_numpy(),
            DOSE: rows.dose.to_numpy(float),
            KL: rows.kl_number.to_numpy(float),
            "change": 100.0 * now - 100.0 * was,
            "lost": was & ~now,
            "was": was,
        }
    )
    by_alpha: Any = each.groupby("alpha", sort=True)
    means = by_alpha.mean().reset_index()
    sums = by_alpha[["lost", "was"]].sum().to_numpy(float)
    first: Any = rows.iloc[0]
    return Side(
        site=str(first.site),
        layer=None if pd.isna(first.layer) else int(first.layer),
        operation=str(first.operation),
        direction=str(first.direction),
        kind=str(first.kind),
        sign=sign,
        n=len(base),
        alphas=from_zero(means["alpha"].to_numpy(float)),
        dose=from_zero(means[DOSE].to_numpy()),
        kl_number=from_zero(means[KL].to_numpy()),
        change=from_zero(means["change"].to_numpy()),
        damage=from_zero(sums[:, 0] / np.maximum(sums[:, 1], 1)),
    )


def from_zero(values: NDArray) -> Floats:
    """Values with the unedited one in front, which is 0 of everything."""
    return np.concatenate(([0.0], np.asarray(values, float)))


def compared(sides: Sequence[Side], by: str, levels: Sequence[float] | None = None) -> pd.DataFrame:
    """Every side at every level: `name`, `kind`, `by`, `level`, `alpha`, `change`, `damage`.

    NaN where a side does not get so far within its α.
    """
    rows = [
        (side.name, side.kind, by, level, *(side.at(by, level) or (np.nan,) * 3))
        for side in sides
        for level in (LEVELS[by] if levels is None else levels)
    ]
    names = ["name", "kind", "by", "level", "alpha", "change", "damage"]
    return pd.DataFrame(rows, columns=names)
