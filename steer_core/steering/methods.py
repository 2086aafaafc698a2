"""How a direction is computed from the states of a fit set.

A method of labels is one function of states [n, K+1, D] and labels bool [n] to vectors float32
[K+1, D]; a component is one of states and its number. The controls of other labels
(`steer_core.steering.controls`) call the same function, whatever it is. A direction is zero where
states do not vary.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError, shortened
from steer_core.names import MEAN_DIFFERENCE, DirectionRef
from steer_core.steering.fit import FitSet
from steer_core.steering.labels import CORRECT, LABELS
from steer_core.steering.sites import Site
from steer_core.steering.states import mean_state, noise_state, problem_state, zero_state
from steer_core.steering.trained import TARGETS, trained
from steer_core.steering.units import listed_units

PRINCIPAL_STATE = "principal_state"
CONTRASTS = tuple(name for name in LABELS if name != CORRECT)
MOST_COMPONENTS = 16
"""Independent components that are looked for."""
PENALTY = 10.0
"""Of the logistic probe's weights, on standardised states."""
TINY = 1e-12
GAUSSIAN_CONTRAST = 0.374567
"""Mean log cosh of a standard Gaussian."""
Labelled = Callable[[np.ndarray, np.ndarray], Tensor]
Component = Callable[[np.ndarray, int], Tensor]
Trained = Callable[[CodiModel, Site, FitSet, str, int | None], Tensor]


def mean_difference(states: np.ndarray, labels: np.ndarray) -> Tensor:
    """Mean state of the labelled problems minus that of the others, at every position."""
    states = states.astype(np.float64)
    return torch.from_numpy((states[labels].mean(0) - states[~labels].mean(0)).astype(np.float32))


def lda(states: np.ndarray, labels: np.ndarray) -> Tensor:
    """Linear discriminant with a shrunk covariance (Ledoit and Wolf)."""
    return along_axes(states, labels, discriminant)


def probe(states: np.ndarray, labels: np.ndarray) -> Tensor:
    """What a logistic probe on standardised states reads along."""
    return along_axes(states, labels, logistic)


def discriminant(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The axis of linear discriminant analysis on states [n, D]."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return model.fit(x, labels).coef_[0]


def logistic(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The axis of logistic regression on states [n, D]."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=1 / PENALTY, max_iter=300).fit(scaler.transform(x), labels)
    return model.coef_[0] / np.asarray(scaler.scale_)


def along_axes(
    states: np.ndarray, labels: np.ndarray, axis: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Tensor:
    """An axis at every position, as long as the means of both sides are apart along it."""
    gaps = mean_difference(states, labels).double().numpy()
    rows = []
    for k, gap in enumerate(gaps):
        x = states[:, k].astype(np.float64)
        unit = unit_of(axis(x, labels)) if varies(x) else np.zeros_like(gap)
        rows.append(unit * (gap @ unit))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def pca(states: np.ndarray, number: int) -> Tensor:
    """Principal component `number` (from 1) at every position, one standard deviation long."""
    return components(states, number, principal)


def ica(states: np.ndarray, number: int) -> Tensor:
    """Independent component `number`, the least Gaussian first, one standard deviation long."""
    return components(states, number, independent)


def components(
    states: np.ndarray, number: int, axes: Callable[[np.ndarray, int], np.ndarray]
) -> Tensor:
    """One component at every position; its sign is that of the one before, nearest to it."""
    rows: list[np.ndarray] = []
    for k in range(states.shape[1]):
        x = states[:, k].astype(np.float64)
        most = min(len(x) - 1, x.shape[1])
        if number > most:
            raise UserError(f"component {number} is one too many; states have {most} of them")
        axis = axes(x - x.mean(0), number) if varies(x) else np.zeros(x.shape[1])
        like = rows[-1] if rows and rows[-1].any() else axis * (axis == largest(axis))
        rows.append(-axis if axis @ like < 0 else axis)
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def principal(x: np.ndarray, number: int) -> np.ndarray:
    """Component `number` of centred states [n, D]."""
    _, sizes, axes = np.linalg.svd(x, full_matrices=False)
    return axes[number - 1] * sizes[number - 1] / np.sqrt(len(x))


def independent(x: np.ndarray, number: int) -> np.ndarray:
    """What source `number` adds to centred states [n, D], the least Gaussian first."""
    _, sizes, _ = np.linalg.svd(x, full_matrices=False)
    count = min(MOST_COMPONENTS, int((sizes > 1e-6 * sizes[0]).sum()), len(x) // 4)
    if number > count:
        raise UserError(f"component {number} is one too many; take one of 1..{count}")
    model = FastICA(count, whiten="unit-variance", random_state=0, max_iter=200, tol=1e-3)
    with warnings.catch_warnings():  # half-way is as good: sources of noise do not converge
        warnings.simplefilter("ignore")
        sources = np.asarray(model.fit_transform(x))
    order = np.argsort(-negentropy(sources))
    return np.asarray(model.mixing_)[:, order[number - 1]] * sources[:, order[number - 1]].std()


def negentropy(sources: np.ndarray) -> np.ndarray:
    """How far numbers [n, ...] are from Gaussian ones, by the contrast that is maximised.

    Not by kurtosis: one outlier among a few hundred makes that as large as two values do.
    """
    unit = sources / np.maximum(sources.std(0), TINY)
    return np.square(np.log(np.cosh(unit)).mean(0) - GAUSSIAN_CONTRAST)


def varies(x: np.ndarray) -> bool:
    """Whether states [n, D] differ at all; nothing is embedded at position 0."""
    return float(np.ptp(x, axis=0).max()) > TINY


def largest(axis: np.ndarray) -> float:
    """The number of an axis that is farthest from 0."""
    return float(axis[np.argmax(np.abs(axis))])


def unit_of(axis: np.ndarray) -> np.ndarray:
    """An axis of length 1; zero stays zero."""
    return axis / max(float(np.linalg.norm(axis)), TINY)


@dataclass(frozen=True, slots=True)
class Method:
    """One way to a direction: `words` for a reader, and one of four functions.

    `labelled` gets states and the sides of one of `labels`, the first where none is named;
    `component` gets states and a number, 1 where none is given; `trained` the model, a site, a fit
    set, one of `TARGETS`, and for a control a seed; `state` is a place to move to and gets states
    and a number up to `most`.
    """

    words: str
    labelled: Labelled | None = None
    labels: tuple[str, ...] = ()
    component: Component | None = None
    trained: Trained | None = None
    state: Component | None = None
    most: int = MOST_COMPONENTS

    @property
    def options(self) -> tuple[str, ...]:
        """What may stand behind its name, the default first."""
        numbers = tuple(map(str, range(1, self.most + 1)))
        return self.labels or (numbers if self.trained is None else TARGETS)


METHODS: dict[str, Method] = {
    MEAN_DIFFERENCE: Method("mean of right minus mean of wrong", mean_difference, (CORRECT,)),
    "contrast": Method(
        "difference of means by a label of the problems", mean_difference, CONTRASTS
    ),
    "clean_corrupted": Method("mean of clean minus mean of corrupted", mean_difference, ("clean",)),
    "counterfactual": Method(
        "the twin with the larger answer minus the other, averaged over pairs",
        mean_difference,
        ("larger_answer",),
    ),
    "lda": Method("linear discriminant of a label, covariance shrunk", lda, tuple(LABELS)),
    "probe": Method("what a logistic probe of a label reads along", probe, tuple(LABELS)),
    "pca": Method("principal component of the states, by number", component=pca),
    "ica": Method("independent component of the states, by number", component=ica),
    "trained": Method(
        "trained by gradient to raise the gold answer, or to give the twin's", trained=trained
    ),
    "mean_state": Method("the fit set's mean state, for replace", state=mean_state, most=1),
    PRINCIPAL_STATE: Method(
        "the mean state, outside the leading principal components", state=mean_state, most=1
    ),
    "zero_state": Method("nothing, for replace", state=zero_state, most=1),
    "noise_state": Method("noise as long as states are, for replace", state=noise_state, most=9999),
    "problem_state": Method(
        "the state of a problem of the fit set by number, for replace",
        state=problem_state,
        most=9999,
    ),
}


def method_of(ref: DirectionRef) -> tuple[Method, str]:
    """The method of a name, and its option: what is said behind the name, else the default.

    Raises:
        UserError: for an unknown method, or an option that it does not take.
    """
    method = METHODS.get(ref.method)
    if method is None:
        raise UserError(f"unknown method '{shortened(str(ref))}'; choose {', '.join(METHODS)}")
    option = ref.option or method.options[0]
    if option.partition("=")[0] not in method.options:
        raise UserError(
            f"'{shortened(str(ref))}' is no direction; behind {ref.method} may stand "
            f"{listed(some(method.options))}, such as "
            f"{ref.method}:{method.options[-1]}; with {listed_units()} behind it in that unit"
        )
    return method, option


def some(options: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last of many."""
    return options if len(options) <= MOST_COMPONENTS else (*options[:2], "...", options[-1])


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names)
