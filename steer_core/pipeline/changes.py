"""What became of the answers of a run, row by row and cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from steer_core.analysis.statistics import wilson
from steer_core.data.answer_change import AnswerChange, answer_change

if TYPE_CHECKING:
    from steer_core.pipeline.rows import RunRows, Unedited

CHANGES = ("rose", "fell", "stayed", "lost number")
"""What an answer does under an edit, beside the model's own; exclusive."""
COUNTED = ("rose", "fell", "to_twin")
"""Outcomes that a summary counts."""


CURVE = ["site", "layer", "positions", "direction", "kind"]
"""Columns that name a curve in the table of a run."""


def changes(rows: RunRows, own: Unedited, twin: np.ndarray) -> tuple[AnswerChange, np.ndarray]:
    """Outcomes of n rows against the unedited row of the same pair.

    Args:
        rows: The rows.
        own: The unedited answers.
        twin: The twin's answer, float [n].

    Returns:
        The outcomes, and bool [n]: whether the row and the unedited one are there to compare;
        where numbers overflowed they are not.
    """
    change = answer_change(own.answer[rows.pair], rows.answer, twin)
    return change, own.known[rows.pair] & rows.finite


def change_codes(found: AnswerChange, known: np.ndarray) -> np.ndarray:
    """Index of `CHANGES` for each row, -1 where there is nothing to compare with."""
    kinds = np.stack([found.rose, found.fell, found.stayed, found.lost_number])
    return np.where(known, kinds.argmax(axis=0), -1)


def change_counts(
    found: AnswerChange, known: np.ndarray, cell: np.ndarray, cells: int
) -> dict[str, np.ndarray]:
    """Rows of each cell with each outcome of `COUNTED`, int [cells]."""
    return {
        name: np.bincount(cell[known], getattr(found, name)[known], minlength=cells).astype(int)
        for name in COUNTED
    }


def change_table(table: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of each curve and α of a run, from its table (`Store.table`), controls included.

    Columns `CURVE`, `alpha`, `n` pairs with both answers known, and for each outcome of `COUNTED`
    its share with its Wilson 95 % interval: `rose`, `rose_low`, `rose_high` and so on.
    """
    base = pd.DataFrame(table[table["alpha"] == 0])
    rows = pd.DataFrame(table[(table["alpha"] != 0) & table["change"].notna()])
    own = pd.Series(base["answer"].to_numpy(), index=base["question_index"].to_numpy())
    before = own.reindex(rows["question_index"].to_numpy()).to_numpy()
    answer, twin = rows["answer"].to_numpy(), rows["twin"].to_numpy()
    change = answer_change(before, answer, twin)
    rows = rows.assign(**{name: getattr(change, name) for name in COUNTED})
    groups = rows.groupby([*CURVE, "alpha"], dropna=False, observed=True)
    sums = pd.DataFrame(groups[list(COUNTED)].sum())
    sums["n"] = groups.size()
    found = sums.reset_index()
    for name in COUNTED:
        count = found[name].to_numpy()
        found[f"{name}_low"], found[f"{name}_high"] = wilson(count, found["n"].to_numpy())
        found[name] = count / found["n"]
    return found
