"""What a sweep of n pairs can see: the whole verdict, simulated on the run's own rows and controls.

In every simulation one of the controls stands in for the direction, so it does the harm that any
direction does. Clusters of pairs are drawn again, the same for all directions, and a gain or a loss
of x is planted at every α of one sign. Then both gates of an effect are asked: the contrast with
the controls' mean over pairs, and the rank among the controls. Power is the share of simulations in
which all of them let it pass, at one α and with the right sign.

Controls differ for two reasons, what they are and which pairs were drawn; how much is due to pairs
is estimated from the rows and taken out of the differences between them, so that it does not count
twice. For another number of pairs the part that is due to pairs is scaled with its root, as if they
came in as many clusters a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from steer_core.analysis.clusters import cluster_sums
from steer_core.analysis.controls import MARGIN
from steer_core.analysis.curves import LEVEL, Answers, Contrast, Curve
from steer_core.analysis.permutation import critical
from steer_core.analysis.statistics import Floats, Ints
from steer_core.names import COMPARABLE

POWER = 0.8
SAFE = 0.85
"""Asked of a number of pairs, which this run's own chance makes uncertain."""
GOALS = (0.05, 0.1)
"""Changes that "pairs needed" speaks of: five points and ten."""
MOST_PAIRS = 200_000  # beyond this no pair file will go
DRAWS = (60, 400)
"""Fewest and most simulations; in between as many as `ENTRIES` numbers hold."""
ENTRIES = 12_000_000
STEP = 1.05  # pairs needed are sought on a grid of this ratio


@dataclass(frozen=True, slots=True)
class Power:
    """What one curve's run would have shown, with a chance of 80 %.

    Attributes:
        gain: smallest gain at every α of one sign that would have been called an effect, share of
            all pairs; nan when none would.
        loss: smallest such loss.
        needed: pairs that would show a gain and a loss of each of `GOALS`, as far as the baseline
            leaves room for them; None when no number would, because the controls differ by more.
    """

    gain: float
    loss: float
    needed: Mapping[float, int | None]


NO_POWER = Power(float("nan"), float("nan"), dict.fromkeys(GOALS))
"""Of runs without comparable controls, in which nothing can be called an effect."""


def power_of(answers: Answers, curves: Sequence[Curve], *, seed: int = 0) -> tuple[Power, ...]:
    """Power of each curve of a sweep, see `Power`."""
    if not any(kind in COMPARABLE for kind in answers.controls):
        return (NO_POWER,) * len(curves)
    simulation = Simulation(answers, curves, seed)
    return tuple(
        Power(
            simulation.smallest(row, +1),
            simulation.smallest(row, -1),
            {goal: simulation.pairs_needed(row, goal) for goal in GOALS},
        )
        for row in range(len(curves))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """The C controls of one kind over M cells (curves × α), and S draws of pairs.

    `centre` float [C, M]: what each does, without the part that is due to pairs; `noise` float32
    [C, M, S]: what the draw of pairs adds; `tests`, `z`: independent tests of the contrast, and
    |z| that the exchange with controls needs; `between` float [M]: variance over controls of what a
    pair adds; `allowed`: controls that may be ahead of an effect.
    """

    centre: Floats
    noise: Floats
    tests: float
    z: float
    between: Floats
    allowed: int


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One kind at one number of pairs.

    `change` float [C, M, S]; `mean`, `spread` float [M, S] over its controls; `beyond` float [S]:
    the excess that an effect must have, see `allowed`.
    """

    change: Floats
    mean: Floats
    spread: Floats
    beyond: Floats


class Simulation:
    """Draws of one sweep; every number of pairs and every planted change is asked of the same."""

    def __init__(self, answers: Answers, curves: Sequence[Curve], seed: int):
        self.answers = answers
        self.level = LEVEL / answers.looks
        self.rank_level = self.level / answers.chosen
        self.groups = int(answers.clusters.max()) + 1
        rng = np.random.default_rng(seed)
        kinds = [kind for kind in COMPARABLE if kind in answers.controls]
        cells = sum(answers.controls[kind][..., 0].size for kind in kinds)
        self.draws = int(np.clip(ENTRIES // cells, *DRAWS))
        counts = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups), self.draws)
        self.luck = rng.standard_normal(self.draws)
        contrasts = {each.kind: each for each in curves[0].contrasts}
        sums = {kind: self.sums(kind) for kind in kinds}
        self.kinds = [self.kind(sums[kind], counts.T - 1.0, contrasts[kind]) for kind in kinds]
        # Which control stands in, of all kinds in turn.
        owners = np.concatenate([np.full(len(sums[kind]), i) for i, kind in enumerate(kinds)])
        numbers = np.concatenate([np.arange(len(sums[kind])) for kind in kinds])
        pick = rng.permutation(self.draws) % owners.size
        self.owner, self.number = owners[pick], numbers[pick]
        self.second = [self.second_moment(list(sums.values()), i) for i in range(len(kinds))]
        self.known: dict[int, list[Drawn]] = {}

    def sums(self, kind: str) -> NDArray:
        """What each control changes in each cluster, float32 [C, M, G]."""
        answers = self.answers
        start = answers.weights * answers.baseline
        each = [
            cluster_sums(answers.weights * control - start, answers.clusters).astype(np.float32)
            for control in answers.controls[kind]
        ]
        return np.stack(each).reshape(len(each), -1, self.groups)

    def kind(self, sums: NDArray, counts: NDArray, contrast: Contrast) -> Kind:
        """The controls of one kind, from their sums [C, M, G] and centred counts [G, S]."""
        n = self.answers.n
        change = sums.sum(-1) / n
        apart = sums - sums.mean(0)
        between = np.square(apart).mean(0).sum(-1) / n
        apart = np.square(apart - apart.mean(-1, keepdims=True)).sum(-1).mean(0) / n**2
        seen = change.var(0, ddof=1) if len(change) > 1 else np.zeros(change.shape[1])
        kept = np.sqrt(np.clip(1 - apart / np.maximum(seen, 1e-12), 0, 1))
        mean = change.mean(0)
        noise = np.matmul(sums, counts.astype(np.float32)) / np.float32(n)
        allowed = int(np.floor(self.rank_level * (len(sums) + 1) + 1e-9)) - 1
        centre = mean + kept * (change - mean)
        return Kind(centre, noise, contrast.tests, contrast.z, between, allowed)

    def second_moment(self, sums: list[Floats], against: int) -> Floats:
        """Mean square [M, S] of what a pair adds to the contrast of each draw's stand-in."""
        mean = sums[against].mean(0)
        found = np.empty((mean.shape[0], self.draws))
        for owner in range(len(sums)):
            count = len(sums[owner])
            own = count / max(count - 1, 1) if owner == against else 1.0  # not against itself
            squares = np.square(own * (sums[owner] - mean)).sum(-1) / self.answers.n
            mine = self.owner == owner
            found[:, mine] = squares[self.number[mine]].T
        return found

    @cached_property
    def spacing(self) -> float:
        """Mean size of the cluster that a pair is in."""
        return float(np.square(np.bincount(self.answers.clusters)).sum() / self.answers.n)

    def at(self, n: int) -> list[Drawn]:
        """Every kind as n pairs would show it."""
        if n not in self.known:
            self.known[n] = [self.drawn(i, n) for i in range(len(self.kinds))]
        return self.known[n]

    def drawn(self, index: int, n: int) -> Drawn:
        """One kind at n pairs."""
        kind = self.kinds[index]
        scale = np.float32(np.sqrt(self.answers.n / n))
        change = kind.centre[..., None].astype(np.float32) + scale * kind.noise
        mean, spread = change.mean(0), change.std(0)
        size = beyond_rest(change, mean, spread, n).max(1)
        mine = self.owner == index
        size[self.number[mine], np.flatnonzero(mine)] = -np.inf  # it stands in for the direction
        order = np.sort(size, axis=0)[::-1]
        need = order[kind.allowed] if 0 <= kind.allowed < len(order) else np.full(len(mine), np.inf)
        return Drawn(change, mean, spread, need)

    def power(self, row: int, change: float, n: int) -> float:
        """Share of draws in which a change planted in one curve is called an effect."""
        if self.groups * n / self.answers.n < 1 - np.log2(self.level):
            return 0.0  # too few clusters for any sign flips to be that rare
        kinds, cells = self.at(n), self.cells(row)
        columns = np.arange(self.draws)
        real = np.empty((cells.size, self.draws))
        for owner, drawn in enumerate(kinds):
            mine = self.owner == owner
            each = self.number[mine][:, None], cells, columns[mine][:, None]
            real[:, mine] = drawn.change[each].T
        planted = self.planted(change, real, n)
        found = self.sides(row)
        for index, drawn in enumerate(kinds):
            found &= self.passes(index, drawn, cells, real, planted, n) == np.sign(change)
        return float(found.any(0).mean())

    def planted(self, change: float, real: Floats, n: int) -> Floats:
        """What is planted [A, S]: as much of the change as there is room for, and its luck."""
        right = self.answers.weights @ self.answers.baseline / self.answers.n + real
        room = np.clip(1 - right if change > 0 else right, 0, 1)
        size = np.minimum(abs(change), room)
        share = np.divide(size, room, out=np.ones_like(size), where=room > 0)
        luck = self.luck * np.sqrt(size * (1 - share) / n)
        return np.sign(change) * np.clip(size + luck, 0, room)

    def passes(
        self, index: int, drawn: Drawn, cells: Ints, real: Floats, planted: Floats, n: int
    ) -> Floats:
        """Sign [A, S] of the contrast with one kind where both gates let it pass, else 0."""
        count = len(drawn.change)
        mine = self.owner == index
        mean, spread = drawn.mean[cells], drawn.spread[cells]
        own = np.where(mine, count / max(count - 1, 1), 1.0)
        contrast = own * (real - mean) + planted
        size = np.abs(planted)
        second = self.second[index][cells] + size + (self.spacing - 1) * size**2
        kind = self.kinds[index]
        z = np.abs(contrast) * np.sqrt(n / np.maximum(second, 1e-12))
        sure = z >= critical(self.level, kind.tests)
        # With the planted direction among them, the directions differ by more.
        between = kind.between[cells][:, None] + size / (count + 1)
        sure &= np.abs(contrast) * np.sqrt(n / np.maximum(between, 1e-12)) >= kind.z
        over = np.abs(contrast) / (spread + 1 / n) > MARGIN * drawn.beyond
        return np.sign(contrast) * (over & sure)

    def cells(self, row: int) -> Ints:
        """Cells of a curve, int [A]."""
        count = self.answers.alphas.size
        return np.arange(row * count, (row + 1) * count)

    def sides(self, row: int) -> np.ndarray:
        """Where each draw plants, bool [A, S]: the α of one sign, in turn."""
        alphas = self.answers.alphas
        signs = [sign for sign in (-1, 1) if (np.sign(alphas) == sign).any()]
        side = np.array(signs)[np.arange(self.draws) % len(signs)]
        return np.sign(alphas)[:, None] == side

    def smallest(self, row: int, sign: int) -> float:
        """Smallest change of a sign that this run finds with `POWER`, share; nan when none."""
        low, high = 0.0, self.room(sign)
        if self.power(row, sign * high, self.answers.n) < POWER:
            return float("nan")
        while high - low > 0.0005:
            middle = (low + high) / 2
            enough = self.power(row, sign * middle, self.answers.n) >= POWER
            low, high = (low, middle) if enough else (middle, high)
        return high

    def room(self, sign: int) -> float:
        """Largest gain or loss that the baseline leaves room for."""
        start = float(self.answers.weights @ self.answers.baseline / self.answers.n)
        return 1 - start if sign > 0 else start

    def pairs_needed(self, row: int, change: float) -> int | None:
        """Fewest pairs that find a gain and a loss of this size, where there is room for them."""
        signs = [sign for sign in (-1, 1) if self.room(sign) >= change]

        def enough(step: int) -> bool:
            pairs = grid_pairs(step)
            return min(self.power(row, sign * change, pairs) for sign in signs) >= SAFE

        low, high = 0, int(np.log(MOST_PAIRS / 8) / np.log(STEP))
        if not signs or not enough(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return grid_pairs(high)


def grid_pairs(step: int) -> int:
    """Numbers of pairs that are tried: from 8 upwards."""
    return round(8 * STEP**step)


def beyond_rest(change: Floats, mean: Floats, spread: Floats, n: int) -> Floats:
    """|excess| of each of C controls [C, M, S] over the rest, as `controls.excess` has it."""
    count = len(change)
    if count < 2:
        return np.zeros_like(change)
    apart = (change - mean) * np.float32(count / (count - 1))
    rest = (count * spread**2 - (count - 1) / count * apart**2) / (count - 1)
    return np.abs(apart) / (np.sqrt(np.maximum(rest, 0)) + np.float32(1 / n))
