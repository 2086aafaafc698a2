"""A fit set where a direction acts, and what a method makes of it: as it is, or relabelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Problem
from steer_core.names import RAW, DirectionRef
from steer_core.steering.fit import FitSet, site_states
from steer_core.steering.labels import CORRECT, Sides, sides_of
from steer_core.steering.methods import METHODS, Method, mean_difference, method_of
from steer_core.steering.nuisance import nuisance_label
from steer_core.steering.sites import Site
from steer_core.steering.states import problem_state
from steer_core.steering.units import TINY, as_long_as, scales_of


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a method of labels is given: `states` float32 [m, K+1, D] of `problems`, on `sides`."""

    states: np.ndarray
    problems: tuple[Problem, ...]
    sides: Sides


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """A fit set at one site and layer: `states` float32 [n, K+1, D].

    `model` and `site`: whose they are; without them there is no other fit set than this one.
    """

    states: np.ndarray
    fit: FitSet
    model: CodiModel | None = None
    site: Site | None = None

    @classmethod
    def at(cls, model: CodiModel, fit: FitSet, site: str, layer: int | None) -> Background:
        """The states of a fit set where a direction acts."""
        return cls(site_states(model, fit.states, site, layer), fit, model, Site(site, layer))

    def task(self, label: str) -> Task:
        """The problems that a label puts on a side."""
        fit, sides = sides_of(self.fit, label)
        states = self.states
        if fit is not self.fit and self.model is not None and self.site is not None:
            states = self.site.states(self.model, fit.states)
        if len(sides.rows) < len(states):
            states = states[sides.rows]
        return Task(states, tuple(fit.problems[i] for i in sides.rows.tolist()), sides)


How = Callable[[Method, str, Background], Tensor]
"""How a method with its option is applied."""


def plain(method: Method, option: str, here: Background) -> Tensor:
    """A method on its own labels."""
    if method.labelled is None:
        return unlabelled(method, option, here, None)
    task = here.task(option)
    return method.labelled(task.states, task.sides.high)


def shuffled(seed: int) -> How:
    """A method on problems that are put on random sides.

    A component has no labels: it is that of states whose numbers are shuffled among problems, each
    number for itself. What is trained for answers is trained for those of other problems.
    """

    def how(method: Method, option: str, here: Background) -> Tensor:
        if method.labelled is None:
            return unlabelled(method, option, here, seed)
        task = here.task(option)
        return method.labelled(task.states, task.sides.shuffled(seed).high)

    return how


def unlabelled(method: Method, option: str, here: Background, seed: int | None) -> Tensor:
    """A component, a trained direction or a state; with a seed its control.

    The control of a state is that of another problem.
    """
    if method.state is not None:
        count = len(here.states)
        return (
            method.state(here.states, int(option))
            if seed is None
            else problem_state(here.states, 1 + seed % count)
        )
    if method.component is not None:
        states = here.states if seed is None else mixed(here.states, seed)
        return method.component(states, int(option))
    assert method.trained is not None
    assert here.model is not None
    assert here.site is not None
    return method.trained(here.model, here.site, here.fit, option, seed)


def mixed(states: np.ndarray, seed: int) -> np.ndarray:
    """States [n, ...] of which every number comes from another problem."""
    return np.random.default_rng(seed).permuted(states, axis=0)


def nuisance(number: int) -> How:
    """A method on a label that splits both sides alike; without labels, a mean difference."""

    def how(method: Method, option: str, here: Background) -> Tensor:
        task = here.task(CORRECT if method.labelled is None else option)
        labels = nuisance_label(task.problems, task.sides.high, number).labels
        return (method.labelled or mean_difference)(task.states, labels)

    return how


def vectors_of(ref: DirectionRef, here: Background, how: How = plain) -> Tensor:
    """The vectors [K+1, D] of a method or an expression of methods, in its units.

    Raises:
        UserError: for an unknown method, option or label.
    """
    if ref.terms:
        return combined(ref, lambda term: vectors_of(term, here, how))
    vectors = how(*method_of(ref), here)
    return vectors if ref.unit == RAW else in_units(vectors, here, ref.unit)


def relabelled(ref: DirectionRef, here: Background, how: How) -> Tensor:
    """The same on other labels; what is no method (a file, a control) as a mean difference."""
    if ref.terms:
        return combined(ref, lambda term: relabelled(term, here, how))
    known = ref if ref.method in METHODS else DirectionRef(next(iter(METHODS)), unit=ref.unit)
    return vectors_of(known, here, how)


def in_units(vectors: Tensor, here: Background, unit: str) -> Tensor:
    """Vectors as long as one unit."""
    return as_long_as(vectors, scales_of(here.states, vectors), unit)


def combined(ref: DirectionRef, vectors: Callable[[DirectionRef], Tensor]) -> Tensor:
    """The sum of an expression, without its part along what it shall be orthogonal to."""
    first, *others = (vectors(term) * factor for factor, term in ref.terms)
    total = sum(others, first)
    if ref.across is None:
        return total
    axis = vectors(ref.across)
    unit = axis / axis.norm(dim=-1, keepdim=True).clamp_min(TINY)
    return total - (total * unit).sum(-1, keepdim=True) * unit
