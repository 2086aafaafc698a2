"""Answers of a run as arrays over curves, α and pairs: the forms, and the room that is filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steer_core.names import CONTROL_KINDS, REAL, DirectionRef

FLIPS = ("wrong to right", "right to wrong", "to twin", "other number", "no number")
"""Kinds of changed answers, exclusive; a flip is another answer than at α = 0."""
STATES = ("right", "the twin's answer", "another number", "no number")
"""What an answer is, exclusive, in this order of precedence."""
OUTCOMES = ("margin", "logprob_gold", "logprob_twin", "kl", "kl_number", "dose")
MEASURED = (*OUTCOMES, "shift")
MOVES = ("kl", "kl_number", "dose", "shift")
"""What is 0 without an edit."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, order=True)
class CurveName:
    """What a curve is of: `layer` is -1 where the site has none, `positions` such as "1-6"."""

    site: str
    layer: int
    positions: str
    direction: str

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it acts: site, layer, positions."""
        return self.site, self.layer, self.positions


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a run is there: `rows` of `expected` decoded, `used` of them in the numbers.

    Numbers need every curve at the same α on the same pairs, so of an unfinished run the largest
    such part is used; `left_out` names the parts that are not in it. `nonfinite` rows were decoded
    with a score that is no number, and count as missing.
    """

    rows: int
    used: int
    expected: int
    left_out: tuple[str, ...] = ()
    nonfinite: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return self.rows >= self.expected


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Answers, axes [..., n].

    `correct` bool; `answer` float64, NaN without a number; `state` and `flip` int8, indices into
    `STATES` and `FLIPS` (flip -1: the same answer), which those of controls do not keep; `measured`
    float64, or float32 as stored, by name of `MEASURED`, NaN where it was not measured.
    """

    correct: Bools
    answer: Floats
    state: NDArray[np.int8]
    flip: NDArray[np.int8]
    measured: dict[str, Floats]

    def take(self, *index) -> Cells:
        """The cells at a numpy index."""
        measured = {name: values[index] for name, values in self.measured.items()}
        return Cells(
            self.correct[index], self.answer[index], self.state[index], self.flip[index], measured
        )

    def put(self, index: tuple, values: Cells) -> None:
        """Values at a numpy index, of what these cells keep."""
        for name in ("correct", "answer", "state", "flip"):
            mine = getattr(self, name)
            if mine.flags.writeable:
                mine[index] = getattr(values, name)
        for name, mine in self.measured.items():
            mine[index] = values.measured.get(name, 0.0)

    def unmoved(self) -> Cells:
        """Unedited cells as they stand at α = 0: nothing moved, whatever was stored."""
        own = {k: v for k, v in self.measured.items() if k not in MOVES}
        return Cells(self.correct, self.answer, self.state, np.full_like(self.flip, -1), own)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A run as arrays: C real curves, A α (0 among them), n pairs.

    `names` [C]; `alphas` float64 [A], sorted; `clusters` int [n]: pairs of one template, pair id or
    question have the same; `twins` float64 [n], the twins' answers; `baseline` cells [n]; `real`
    cells [C, A, n]; `controls` by kind: cells [X, C, A, n], control x acting where its curve does.
    At α = 0 every curve holds the baseline.
    """

    names: tuple[CurveName, ...]
    alphas: Floats
    clusters: NDArray[np.int64]
    twins: Floats
    baseline: Cells
    real: Cells
    controls: dict[str, Cells]
    coverage: Coverage


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """A grid that is filled a curve and α at a time.

    `names` and `kinds` of F curves; `alphas` float64 [A] without 0; `places`: for each curve the
    cells [A + 1, n] that are its own, one for every real curve that it is a control of.
    """

    names: Sequence[CurveName]
    kinds: Sequence[str]
    alphas: Floats
    real: Cells
    controls: dict[str, Cells]
    places: Mapping[int, Sequence[Cells]]

    @property
    def zero(self) -> int:
        """Which α of the grid is 0."""
        return int(np.searchsorted(self.alphas, 0))

    def put(self, curve: int, alpha: int, where: NDArray, values: Cells) -> None:
        """Rows of a curve at one α, at these pairs."""
        for mine in self.places.get(curve, ()):
            mine.put((alpha + (alpha >= self.zero), where), values)

    def grid(
        self, clusters: NDArray[np.int64], twins: Floats, baseline: Cells, coverage: Coverage
    ) -> Grid:
        """The grid; unedited rows are put in at α = 0 of every curve."""
        still = baseline.unmoved()
        for cells in (self.real, *self.controls.values()):
            cells.put((..., self.zero, slice(None)), still)
        return Grid(
            names=tuple(n for n, kind in zip(self.names, self.kinds, strict=True) if kind == REAL),
            alphas=np.insert(self.alphas, self.zero, 0.0),
            clusters=clusters,
            twins=twins,
            baseline=baseline,
            real=self.real,
            controls=self.controls,
            coverage=coverage,
        )


def room_for(
    names: Sequence[CurveName],
    kinds: Sequence[str],
    alphas: Floats,
    pairs: int,
    measured: Mapping[str, np.dtype],
) -> Room:
    """Room for curves of these names and kinds, without rows yet.

    Args:
        names: Of F curves.
        kinds: Theirs.
        alphas: A sorted α without 0.
        pairs: n.
        measured: Outcomes that rows have, with the type that they are kept in.
    """
    real = [i for i, kind in enumerate(kinds) if kind == REAL]
    shape = len(alphas) + 1, pairs
    cells = empty_cells((len(real), *shape), measured)
    places = {i: [cells.take(row)] for row, i in enumerate(real)}
    controls = {}
    for kind in CONTROL_KINDS:
        mine = {i: names[i] for i, each in enumerate(kinds) if each == kind}
        if rows := control_rows(mine, [names[i] for i in real]):
            controls[kind] = empty_cells((len(rows), len(real), *shape), measured, answers=False)
            for x, c in np.ndindex(len(rows), len(real)):
                places.setdefault(rows[x][c], []).append(controls[kind].take(x, c))
    return Room(names, kinds, alphas, cells, controls, places)


def empty_cells(
    shape: tuple[int, ...], measured: Mapping[str, np.dtype], answers: bool = True
) -> Cells:
    """Cells that nothing is known of; without `answers` they keep no `state` and `flip`."""
    state, flip = (np.full(shape if answers else (), code, np.int8) for code in (0, -1))
    if not answers:
        state, flip = np.broadcast_to(state, shape), np.broadcast_to(flip, shape)
    values = {name: np.full(shape, np.nan, dtype) for name, dtype in measured.items()}
    return Cells(np.zeros(shape, bool), np.full(shape, np.nan), state, flip, values)


def control_rows(controls: dict[int, CurveName], real: Sequence[CurveName]) -> list[list[int]]:
    """For each control that every real curve has: its curves' numbers, one a real curve."""
    found: dict[str, dict[int, int]] = {}
    for number, name in controls.items():
        ref = DirectionRef.of_label(name.direction)
        label = str(replace(ref, of=""))
        for i, each in enumerate(real):
            if each.place == name.place and ref.of in ("", each.direction):
                found.setdefault(label, {})[i] = number
    whole = [label for label, curves in found.items() if len(curves) == len(real)]
    # "random-10" after "random-9"
    whole.sort(key=lambda label: (len(label), label))
    return [[found[label][i] for i in range(len(real))] for label in whole]
