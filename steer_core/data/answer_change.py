"""What became of an answer under an edit: outcomes that need no right answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, eq=False)
class AnswerChange:
    """Outcomes of n rows, bool [n] each.

    Exactly one of the first four holds in a row: `rose`, `fell`, `stayed` compare the answer with
    the model's own, `lost_number` says that just one of the two has a number. `to_twin` and
    `to_expected`: it became the twin's answer, or the one that was expected, and was not before.
    """

    rose: np.ndarray
    fell: np.ndarray
    stayed: np.ndarray
    lost_number: np.ndarray
    to_twin: np.ndarray
    to_expected: np.ndarray


def answer_change(
    own: ArrayLike, steered: ArrayLike, twin: ArrayLike, expected: ArrayLike = np.nan
) -> AnswerChange:
    """Classify answers under an edit.

    Args:
        own: the model's answers without the edit; NaN (or None) where there is no number.
        steered: those with it.
        twin: the right answers of the twins.
        expected: what the edit should make of the answer; NaN where nothing is expected.
    """
    own, steered, twin, expected = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (own, steered, twin, expected))
    )
    none = np.isnan(own), np.isnan(steered)
    return AnswerChange(
        rose=steered > own,
        fell=steered < own,
        stayed=(steered == own) | (none[0] & none[1]),
        lost_number=none[0] != none[1],
        to_twin=(steered == twin) & (own != twin),
        to_expected=(steered == expected) & (own != expected),
    )
