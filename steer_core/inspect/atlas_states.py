"""Probes and paths over pairs, part by part: they need the states of all problems together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Pair, Problem
from steer_core.inspect.atlas import Stop, parts
from steer_core.inspect.cells import Atlas, Cell
from steer_core.inspect.paths import paths
from steer_core.inspect.probes import FEWEST, Probe, labels_of, probe
from steer_core.steering.decode import stacked_states, without_last_block
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve

SHUFFLED = 19
NAN = float("nan")


@dataclass(slots=True, eq=False)
class Gathered:
    """Problems so far, the pair of each, their states [L+2 layers] and whether each is right."""

    problems: list[Problem]
    groups: list[int | str]
    states: list[np.ndarray]
    right: list[bool]

    def add(self, pairs: Sequence[Pair], rows: Sequence, corrupted: bool) -> None:
        """Take in one twin of some pairs."""
        for pair, row in zip(pairs, rows, strict=True):
            problem = pair.corrupted if corrupted else pair.clean
            self.problems.append(problem)
            self.groups.append(pair.pair_id)
            self.right.append(same_number(row.answer, problem.answer))
        self.states.append(stacked_states(rows))


def probe_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """Cross-validated probes of every label, by position and layer, beside shuffled labels."""
    gathered, cells = Gathered([], [], [], []), ()
    for done, twins in parts(model, pairs, stop):
        gathered.add(twins.pairs, twins.clean, corrupted=False)
        gathered.add(twins.pairs, twins.corrupted, corrupted=True)
        yield probes_so_far(cells, min(done, len(pairs) - 1), len(pairs))
    hidden = without_last_block(np.concatenate(gathered.states))
    for label, values in labels_of(gathered.problems, gathered.right).items():
        known = [i for i, value in enumerate(values) if value is not None]
        chosen = [values[i] for i in known]
        if stop() or len(known) < FEWEST or len(set(chosen)) < 2:
            continue
        groups = [gathered.groups[i] for i in known]
        found = probe(hidden[known], chosen, label=label, groups=groups, shuffled=SHUFFLED)
        cells += probe_cells_of(found)
        yield probes_so_far(cells, len(pairs), len(pairs))


def probes_so_far(cells: tuple[Cell, ...], done: int, total: int) -> Atlas:
    """Probes of the labels so far."""
    return Atlas(
        "probe",
        "cross-validated score: AUC of two kinds, accuracy of several, R² of numbers",
        f"mean over {SHUFFLED} shuffled labellings, the largest anywhere as its upper end",
        done,
        total,
        cells,
    )


def probe_cells_of(found: Probe) -> tuple[Cell, ...]:
    """Every place of one label; its exact p is corrected for the choice of the place."""
    return tuple(
        Cell(
            f"{found.label} ({found.measure})",
            k,
            layer,
            None,
            found.n,
            float(found.score[k, layer]),
            NAN,
            NAN,
            float(found.chance[k, layer]),
            NAN,
            float(found.highest.max()),
            float(found.p[k, layer]),
        )
        for k, layer in np.ndindex(*found.score.shape)
    )


@dataclass(frozen=True, slots=True, eq=False)
class PathAtlas:
    """Latent paths of N clean problems in principal components at a site.

    `points` float32 [N, K, C]; `right` [N]; `steps` [N], 0 where unknown; `ids` [N] of the pairs;
    `variance` [C] and `random` [C], those of states with their numbers shuffled over problems;
    `parity` [C] and `parity_p`, see `Paths`.
    """

    what: str
    done: int
    total: int
    site: str
    ids: tuple[str, ...]
    points: np.ndarray
    right: tuple[bool, ...]
    steps: tuple[int, ...]
    variance: tuple[float, ...]
    random: tuple[float, ...]
    parity: tuple[float, ...]
    parity_p: float


def path_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[PathAtlas]:
    """The latent thoughts that are fed, problem by problem, in three principal components."""
    gathered = Gathered([], [], [], [])
    for done, twins in parts(model, pairs, stop):
        gathered.add(twins.pairs, twins.clean, corrupted=False)
        states = Site("embedding").states(model, np.concatenate(gathered.states))
        found = paths(states, shuffled=99 if done == len(pairs) else 1)
        yield PathAtlas(
            "paths",
            done,
            len(pairs),
            "embedding",
            tuple(map(str, gathered.groups)),
            found.points,
            tuple(gathered.right),
            tuple(problem.steps for problem in gathered.problems),
            tuple(map(float, found.variance)),
            shuffled_variance(states),
            tuple(map(float, found.parity)),
            found.parity_p,
        )


def shuffled_variance(states: np.ndarray, seed: int = 0) -> tuple[float, ...]:
    """Shares of variance in the components of states whose numbers are shuffled, each by itself."""
    flat = states[:, 1:].reshape(-1, states.shape[-1])
    mixed = np.random.default_rng(seed).permuted(flat, axis=0).reshape(states[:, 1:].shape)
    padded = np.concatenate((mixed[:, :1], mixed), 1)  # position 0 is left out
    return tuple(map(float, paths(padded, shuffled=1).variance))
