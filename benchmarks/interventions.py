"""Interventions on the latents of pairs, each a share of rows with its Wilson interval.

Latents are put in place by an edit at site `embedding`; all rows of one intervention are decoded
greedily in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from steer_core.analysis.statistics import wilson
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.steering.decode import decode, stacked_states
from steer_core.steering.edits import Edit
from steer_core.steering.fit import site_states
from steer_core.training.batch import alone_through


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n` rows, and the Wilson 95 % interval of the share (0..1)."""

    count: int
    n: int

    @property
    def share(self) -> float:
        return self.count / max(1, self.n)

    @property
    def interval(self) -> tuple[float, float]:
        low, high = wilson(self.count, max(1, self.n))
        return float(low), float(high)

    def row(self) -> dict:
        """For JSON."""
        low, high = self.interval
        return {"count": self.count, "n": self.n, "share": self.share, "low": low, "high": high}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.1%} ({low:.0%}-{high:.0%}, n={self.n})"


def share(hits: Sequence[bool] | np.ndarray) -> Share:
    """The share of hits."""
    return Share(int(sum(hits)), len(hits))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Pairs that a model was asked, twins side by side: clean, corrupted, clean, ...

    `problems` 2N; `thoughts` float32 [2N, K+1, D], row 0 zeros; `hidden` float32 [2N, K+1, D] after
    the final norm; `right` bool [2N]; `both` bool [2N] where both twins are right; `step` [2N] the
    changed step where the twins differ by its result alone, else 0.
    """

    model: CodiModel
    problems: list[Problem]
    thoughts: np.ndarray
    hidden: np.ndarray
    right: np.ndarray
    both: np.ndarray
    step: np.ndarray

    @property
    def twins(self) -> np.ndarray:
        """Index of every row's twin [2N]."""
        return np.arange(len(self.problems)) ^ 1


def ask(model: CodiModel, pairs: Sequence[Pair]) -> Asked:
    """Decode both twins of every pair, unedited."""
    problems = [problem for pair in pairs for problem in (pair.clean, pair.corrupted)]
    questions = [problem.question for problem in problems]
    decoded = decode(model, questions, hidden=True)
    states = stacked_states(decoded)
    right = np.array([d.answer == p.answer for d, p in zip(decoded, problems, strict=True)])
    both = np.repeat(right[::2] & right[1::2], 2)
    step = np.array([step for pair in pairs for step in [alone_through(pair)] * 2])
    thoughts = site_states(model, states, "embedding", None)
    return Asked(model, problems, thoughts, states[..., -1, :], right, both, step)


def replaced(
    asked: Asked, rows: np.ndarray, states: np.ndarray, positions: Sequence[tuple[int, ...]]
) -> list:
    """Answers of some rows with states [n, K+1, D] in the place of their latents."""
    edits = [
        Edit(torch.from_numpy(np.ascontiguousarray(state)), 1.0, "embedding", None, at, "replace")
        for state, at in zip(states, positions, strict=True)
    ]
    questions = [asked.problems[i].question for i in rows]
    return [decoded.answer for decoded in decode(asked.model, questions, edits)]


def everywhere(asked: Asked, rows: np.ndarray) -> list[tuple[int, ...]]:
    """All latents, for every row."""
    return [asked.model.config.positions[1:]] * len(rows)


def own(asked: Asked, states: np.ndarray) -> Share:
    """All rows with states [2N, K+1, D] in the place of all latents: is the answer still right?"""
    rows = np.arange(len(asked.problems))
    answers = replaced(asked, rows, states, everywhere(asked, rows))
    return share([a == asked.problems[i].answer for i, a in zip(rows, answers, strict=True)])


def swap(asked: Asked, rows: np.ndarray, positions: Sequence[tuple[int, ...]]) -> Share:
    """Rows with the twin's latents at these positions: is the answer the twin's?"""
    answers = replaced(asked, rows, asked.thoughts[asked.twins[rows]], positions)
    wanted = [asked.problems[i].answer for i in asked.twins[rows]]
    return share([a == w for a, w in zip(answers, wanted, strict=True)])


def stranger(asked: Asked, rows: np.ndarray, seed: int = 0) -> Share:
    """The control of a swap: latents of a random other pair; is the answer the twin's?"""
    order = np.random.default_rng(seed).permutation(len(rows))
    others = asked.thoughts[rows[order]]
    answers = replaced(asked, rows, others, everywhere(asked, rows))
    wanted = [asked.problems[i].answer for i in asked.twins[rows]]
    return share([a == w for a, w in zip(answers, wanted, strict=True)])


def swaps(asked: Asked) -> dict[str, Share]:
    """Swaps in the rows whose twins both are right: all latents, each one, the changed step's."""
    rows = np.flatnonzero(asked.both)
    found = {"all": swap(asked, rows, everywhere(asked, rows)), "random": stranger(asked, rows)}
    for k in asked.model.config.positions[1:]:
        found[f"z{k}"] = swap(asked, rows, [(k,)] * len(rows))
    # z_{s+1} is made from h_s, which the lens reads as the result of step s.
    rows = np.flatnonzero(asked.both & (asked.step > 0))
    found["changed step"] = swap(asked, rows, [(int(asked.step[i]) + 1,) for i in rows])
    # The control: the same twin's latent of another step, before the change or behind it.
    other = [(int(asked.step[i] + 2) % asked.model.config.latents + 1,) for i in rows]
    found["another step"] = swap(asked, rows, other)
    return found


def ablations(asked: Asked, fit: Asked) -> dict[str, Share]:
    """Accuracy of all rows with their latents replaced by zeros, the mean, noise of their size."""
    mean = fit.thoughts.mean(0, keepdims=True).repeat(len(asked.problems), 0)
    size = np.linalg.norm(fit.thoughts, axis=-1).mean(0)
    noise = np.random.default_rng(0).standard_normal(asked.thoughts.shape)
    noise *= size[:, None] / np.linalg.norm(noise, axis=-1, keepdims=True)
    return {
        "zeros": own(asked, np.zeros_like(asked.thoughts)),
        "mean": own(asked, mean.astype(np.float32)),
        "noise": own(asked, noise.astype(np.float32)),
    }


def lens(asked: Asked) -> dict[str, Share]:
    """Step results read by final norm and head at position k, all and by step.

    `random` is the control: the same readings held to the results of another problem with as many
    steps.
    """
    with torch.inference_mode():
        hidden = torch.from_numpy(asked.hidden).to(asked.model.dtype)
        tokens = asked.model.body.head.choice(hidden).numpy()
    names = [str(n) for n in range(1000)]
    number_of = {asked.model.tokenizer.convert_tokens_to_ids(name): name for name in names}
    results = [[str(r) for r in problem.step_results or ()] for problem in asked.problems]
    others = shuffled_alike(results)
    hits: dict[int, list[bool]] = {}
    chance: list[bool] = []
    for row, (mine, theirs) in enumerate(zip(results, others, strict=True)):
        for step in range(1, len(mine) + 1):
            read = number_of.get(int(tokens[row, step]))
            hits.setdefault(step, []).append(read == mine[step - 1])
            chance.append(read == theirs[step - 1])
    found = {"all": share([hit for each in hits.values() for hit in each]), "random": share(chance)}
    return found | {f"step {step}": share(hits[step]) for step in sorted(hits)}


def shuffled_alike(results: list[list[str]], seed: int = 0) -> list[list[str]]:
    """For every problem the results of another one with as many steps."""
    chance = np.random.default_rng(seed)
    found = list(results)
    for steps in {len(each) for each in results}:
        rows = [i for i, each in enumerate(results) if len(each) == steps]
        for i, j in zip(rows, chance.permutation(rows), strict=True):
            found[i] = results[j]
    return found
