"""Linear probes: what can be read off the states, place by place, beside shuffled labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from steer_core.analysis.folds import auc, folds_of
from steer_core.data.problems import Problem
from steer_core.errors import UserError
from steer_core.steering.labels import operation_of

Kind = Literal["binary", "classes", "number"]
MEASURES: dict[Kind, str] = {"binary": "AUC", "classes": "accuracy", "number": "R²"}
PENALTY = 10.0
"""Of the ridge, on standardised states: states have more numbers than a fit set has problems."""
FEWEST = 20


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Cross-validated linear probes of one label, a probe for every position and layer.

    Of n problems: `score` float64 [K+1, L+1] on folds it was not fitted on, in `measure` (AUC of a
    label of two values, accuracy of several, R² of a number); `chance` the mean of `shuffled`
    relabellings there, `highest` their largest; `p` the exact one of the score against the largest
    score that each relabelling has anywhere, so it is corrected for the choice of the place.
    """

    label: str
    kind: Kind
    n: int
    shuffled: int
    score: NDArray[np.float64]
    chance: NDArray[np.float64]
    highest: NDArray[np.float64]
    p: NDArray[np.float64]

    @property
    def measure(self) -> str:
        """Name of the score."""
        return MEASURES[self.kind]

    @property
    def best(self) -> tuple[int, int]:
        """Position and layer of the largest score."""
        position, layer = np.unravel_index(int(np.argmax(self.score)), self.score.shape)
        return int(position), int(layer)

    @property
    def separable(self) -> bool:
        """Whether any place is read better than relabelled states are anywhere, p <= .05."""
        return bool((self.p <= 0.05).any())


def probe(
    states: NDArray[np.float32],
    labels: Sequence[object] | NDArray,
    *,
    label: str,
    groups: Sequence[object] | None = None,
    shuffled: int = 39,
    seed: int = 0,
) -> Probe:
    """Fit and score probes.

    Args:
        states: float32 [n, K+1, L+1, D], as `hidden` of decoded questions.
        labels: n labels: bools or two values, words, or numbers.
        label: What they are called.
        groups: n groups that are never parted between fitting and scoring, such as pairs of twins;
            labels are shuffled over problems.
        shuffled: Relabellings; the least p is 1 / (1 + shuffled).
        seed: Of the relabellings.

    Raises:
        UserError: for fewer than 20 problems, labels that do not fit them or are all the same.
    """
    kind, targets = targets_of(labels, len(states), label)
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(targets)), *(rng.permutation(len(targets)) for _ in range(shuffled))]
    each = [targets[order] for order in orders]
    folds = list(folds_of(len(states), groups))
    shape = states.shape[1:3]
    found = np.zeros((len(each), *shape))
    for place in np.ndindex(*shape):
        found[(slice(None), *place)] = scores_at(states[(slice(None), *place)], each, kind, folds)
    most = found[1:].reshape(shuffled, -1).max(-1)
    beaten = (most[:, None, None] >= found[0] - 1e-12).sum(0)
    return Probe(
        label=label,
        kind=kind,
        n=len(states),
        shuffled=shuffled,
        score=found[0],
        chance=found[1:].mean(0),
        highest=found[1:].max(0),
        p=(1 + beaten) / (1 + shuffled),
    )


def targets_of(
    labels: Sequence[object] | NDArray, n: int, label: str
) -> tuple[Kind, NDArray[np.float64]]:
    """What kind of label it is; as targets [n, C], one column for each class."""
    values = np.asarray(labels)
    if len(values) != n or n < FEWEST:
        raise UserError(
            f"{len(values)} labels of {label} for {n} problems; give one for each of at least "
            f"{FEWEST} problems"
        )
    names, codes = np.unique(values, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"all {n} labels of {label} are {names[0]}; a probe needs two kinds")
    if len(names) == 2:
        return "binary", codes[:, None].astype(float)
    if values.dtype.kind in "iuf" and label != STEPS:
        return "number", values[:, None].astype(float)
    return "classes", np.eye(len(names))[codes]


def scores_at(
    states: NDArray[np.float32],
    targets: Sequence[NDArray[np.float64]],
    kind: Kind,
    folds: Sequence[tuple[NDArray, NDArray]],
) -> NDArray[np.float64]:
    """The score of each labelling on states [n, D] of one place: one fit for all of them."""
    together = np.concatenate(targets, 1)
    said = np.zeros_like(together)
    if np.ptp(states, axis=0).max() > 0:
        for fitted, scored in folds:
            ridge = ridge_of(states[fitted], together[fitted])
            said[scored] = ridge.predict(states[scored]).reshape(len(scored), -1)
    shape = len(states), len(targets), -1
    return scores(kind, together.reshape(shape), said.reshape(shape))


def ridge_of(states: NDArray[np.float32], targets: NDArray[np.float64]):
    """Ridge regression on standardised states."""
    return make_pipeline(StandardScaler(), Ridge(PENALTY)).fit(states.astype(np.float64), targets)


def scores(
    kind: Kind, wanted: NDArray[np.float64], said: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How well predictions [n, T, C] of all folds fit T labellings, [T]."""
    if kind == "classes":
        return (wanted.argmax(-1) == said.argmax(-1)).mean(0)
    wanted, said = wanted[..., 0], said[..., 0]
    if kind == "binary":
        return auc(wanted, said)
    return 1 - ((wanted - said) ** 2).sum(0) / ((wanted - wanted.mean(0)) ** 2).sum(0)


def probe_direction(states: NDArray[np.float32], labels: Sequence[object] | NDArray) -> Tensor:
    """The direction a probe reads along, at every position; float32 [K+1, D].

    In units of the states: adding it moves what the probe says by one for a number, from one value
    to the other for two. Of several classes there is none.

    Args:
        states: float32 [n, K+1, D] of one site and layer.
        labels: n labels of two values, or numbers.

    Raises:
        UserError: as `probe`, and for labels of several classes.
    """
    kind, targets = targets_of(labels, len(states), "the direction")
    if kind == "classes":
        raise UserError("several classes have no one direction; choose a label of two values")
    rows = []
    for k in range(states.shape[1]):
        fitted = ridge_of(states[:, k], targets).named_steps
        along = np.ravel(fitted["ridge"].coef_) / fitted["standardscaler"].scale_
        rows.append(along / max(along @ along, 1e-12) if along.any() else along)
    return torch.from_numpy(np.stack(rows).astype(np.float32))


STEPS, OPERATION, CORRECT = "number of steps", "last operation", "correct"


def labels_of(problems: Sequence[Problem], right: Sequence[bool]) -> dict[str, list[object]]:
    """Labels that solved problems come with: for each name one of every problem, None if unknown.

    Results of steps ("result of step 2") are known where there is such a step.
    """
    most = max((problem.steps for problem in problems), default=0)
    found: dict[str, list[object]] = {
        f"result of step {i + 1}": [result_of(problem, i) for problem in problems]
        for i in range(most)
    }
    found[OPERATION] = [operation_of(problem) for problem in problems]
    found[STEPS] = [problem.steps or None for problem in problems]
    found[CORRECT] = list(map(bool, right))
    return found


def result_of(problem: Problem, step: int) -> float | None:
    """The result of a step, from 0 on; None where there is no such step."""
    if step >= problem.steps:
        return None
    return float(problem.chain[step].strip("<>").rpartition("=")[2])
