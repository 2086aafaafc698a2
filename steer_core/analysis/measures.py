"""What is counted of the answers of a sweep: accuracy first, then what answers do, right or wrong.

An edit can move answers without making more or fewer of them right. So the same tests, bounds and
verdicts are given for the share of answers that are a larger or a smaller number than at α = 0,
and for that of answers that become the twin's.
"""

from __future__ import annotations

from dataclasses import dataclass

from steer_core.analysis.cells import Bools, Cells, Grid
from steer_core.data.answer_change import answer_change


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is counted.

    `of` names the share, `does` is what one answer does ("no answer rises"), `do` what several do;
    both empty for accuracy.
    """

    name: str
    of: str
    does: str = ""
    do: str = ""


ACCURACY = Measure("accuracy", "accuracy")
CHANGES = (
    Measure("rose", "the share of answers that rise", "rises", "rise"),
    Measure("fell", "the share of answers that fall", "falls", "fall"),
    Measure(
        "to_twin",
        "the share of answers that become the twin's",
        "becomes the twin's",
        "become the twin's",
    ),
)
"""By names of `AnswerChange`; none of them holds at α = 0."""


def holds(measure: Measure, grid: Grid, cells: Cells) -> Bools:
    """Of which answers [..., n] one of `CHANGES` holds, against those at α = 0."""
    change = answer_change(grid.baseline.answer, cells.answer, grid.twins)
    return getattr(change, measure.name)
