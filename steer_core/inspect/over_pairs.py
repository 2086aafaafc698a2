"""Instruments over pairs: probes of what solved problems bring, and the paths of their latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Pair, Problem
from steer_core.errors import UserError
from steer_core.inspect.paths import paths
from steer_core.inspect.probes import CORRECT, FEWEST, labels_of, probe
from steer_core.steering.decode import MAX_NEW_TOKENS, stacked_states, without_last_block
from steer_core.steering.fit import decode_states
from steer_core.steering.sites import Site


def probe_cells(
    model: CodiModel, pairs: Sequence[Pair], *, only: str | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Probes of every label that the pairs' solutions give, cell by cell.

    Labels that fewer than 20 problems have, or that are all the same, are left out.

    Args:
        model: The model.
        pairs: n pairs; both twins are decoded, and never parted between fitting and scoring.
        only: One label by name; all when not given.
        seed: Of the relabellings.

    Yields:
        `label`, `measure`, `n`, `position`, `layer`, `score`, `chance`, `p`, see `Probe`.

    Raises:
        UserError: for a label that is not there.
    """
    problems, groups, states, right = decoded_twins(model, pairs)
    labels = labels_of(problems, right)
    if only is not None and only not in labels:
        raise UserError(f"there is no label '{only}'; choose one of {', '.join(labels)}")
    hidden = without_last_block(states)
    for name, values in labels.items() if only is None else [(only, labels[only])]:
        known = [i for i, value in enumerate(values) if value is not None]
        chosen = [values[i] for i in known]
        if only is None and (len(known) < FEWEST or len(set(chosen)) < 2):
            continue
        found = probe(
            hidden[known], chosen, label=name, groups=[groups[i] for i in known], seed=seed
        )
        for position, layer in np.ndindex(*found.score.shape):
            yield {
                "label": name,
                "measure": found.measure,
                "n": found.n,
                "position": position,
                "layer": layer,
                "score": float(found.score[position, layer]),
                "chance": float(found.chance[position, layer]),
                "p": float(found.p[position, layer]),
            }


def path_cells(
    model: CodiModel, pairs: Sequence[Pair], site: Site, *, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The latents of clean twins in principal components: first what these are, then each path.

    Args:
        model: The model.
        pairs: n pairs.
        site: Whose states.
        seed: Of the control.

    Yields:
        One object with `variance`, `parity`, `parity_p` (see `Paths`) and `n`; then for each pair
        `pair_id`, `correct`, `steps` and `points` [K][C].
    """
    problems = [pair.clean for pair in pairs]
    states, right = states_and_answers(model, problems)
    found = paths(site.states(model, states), seed=seed)
    yield {
        "site": site.name,
        "layer": site.layer,
        "n": len(pairs),
        "variance": found.variance.tolist(),
        "parity": found.parity.tolist(),
        "parity_p": found.parity_p,
    }
    for pair, correct, points in zip(pairs, right, found.points, strict=True):
        yield {
            "pair_id": pair.pair_id,
            CORRECT: bool(correct),
            "steps": pair.clean.steps or None,
            "points": points.tolist(),
        }


def decoded_twins(
    model: CodiModel, pairs: Sequence[Pair]
) -> tuple[list[Problem], list[int | str], NDArray[np.float32], list[bool]]:
    """Both twins of pairs, the pair of each, their states and whether each is answered right."""
    problems = [problem for pair in pairs for problem in (pair.clean, pair.corrupted)]
    groups = [pair.pair_id for pair in pairs for _ in range(2)]
    return problems, groups, *states_and_answers(model, problems)


def states_and_answers(
    model: CodiModel, problems: Sequence[Problem]
) -> tuple[NDArray[np.float32], list[bool]]:
    """States float32 [n, K+1, L+2, D] of problems, and whether each is answered right."""
    questions = [problem.question for problem in problems]
    rows = decode_states(model, questions, MAX_NEW_TOKENS, lambda: False)
    right = [
        same_number(row.answer, problem.answer) for row, problem in zip(rows, problems, strict=True)
    ]
    return stacked_states(rows), right
