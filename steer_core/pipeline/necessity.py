"""Baseline answers of questions, and their answers with latents taken away or of their twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from steer_core.codi.config import CodiConfig
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Pair, Problem
from steer_core.errors import UserError
from steer_core.pipeline.journal import Answer, Journal
from steer_core.pipeline.prepared import Necessity, Progress, Twin
from steer_core.pipeline.records import canonical
from steer_core.pipeline.spec import vectors_hash
from steer_core.steering.decode import Decoded, Options, Row, decode_rows, stacked_states
from steer_core.steering.edits import Edit, can_act, check_edit, check_site
from steer_core.steering.fit import decode_states, site_states

ROWS_AT_A_TIME = 256
"""Rows of a unit, so that progress shows and a killed run loses little."""
EditsOf = Callable[[Sequence[int]], Sequence[Edit | None]]
"""The edits of the questions with these indices."""


def necessity_of(
    config: CodiConfig, kind: str, site: str, layer: int | None, positions: tuple[int, ...] | None
) -> Necessity:
    """Where latents are replaced; without positions wherever that can act.

    Raises:
        UserError: for a site, layer or position the model lacks, or where nothing can act.
    """
    if kind == "none":
        return Necessity(kind, site, None, ())
    if site == "residual":
        layer = config.middle_layer if layer is None else layer
    elif layer is not None:
        raise UserError(f"site {site} has no layers; leave out layer {layer}, or choose residual")
    check_site(config, site, layer)
    # z_{k+1} is made from h_k, and h_K is read by nobody.
    first, last = (0, config.latents - 1) if site == "thought" else (1, config.latents)
    where = tuple(range(first, last + 1)) if positions is None else positions
    found = Necessity(kind, site, layer, where)
    edit = replacement(torch.zeros(config.latents + 1, config.hidden), found)
    check_edit(config, edit)
    if not can_act(config, edit):
        raise UserError(
            f"replacing the latents at site {site}, positions {list(where)}, changes nothing; "
            f"choose from {first}..{last}, or necessity none"
        )
    return found


def replacement(states: torch.Tensor, necessity: Necessity) -> Edit:
    """The edit that puts states [K+1, D] in the place of the model's own."""
    where = necessity.site, necessity.layer, necessity.positions
    return Edit(states, 1.0, *where, operation="replace")


@dataclass(frozen=True, slots=True)
class Answering:
    """A model that answers questions: how long, who is told and asked while it does, what is known.

    `journal` keeps the answers of each unit of questions.
    """

    model: CodiModel
    max_new_tokens: int
    progress: Progress
    stop: Callable[[], bool]
    journal: Journal

    def twins(
        self, pairs: Sequence[Pair], necessity: Necessity, seed: int
    ) -> list[tuple[Twin, Twin]]:
        """The clean and the corrupted twin of every pair; equal questions are decoded once."""
        problems = both_twins(pairs)
        index = {q: i for i, q in enumerate(dict.fromkeys(p.question for p in problems))}
        baseline, ablated = self.measured(list(index), necessity, seed)
        where = [index[problem.question] for problem in problems]
        twins = [
            twin_of(problem, baseline[i], ablated[i] if ablated else None)
            for problem, i in zip(problems, where, strict=True)
        ]
        sides = list(zip(twins[::2], twins[1::2], strict=True))
        return sides if necessity.kind == "none" else self.swapped(pairs, sides, necessity)

    def swapped(
        self, pairs: Sequence[Pair], sides: Sequence[tuple[Twin, Twin]], necessity: Necessity
    ) -> list[tuple[Twin, Twin]]:
        """The twins, the clean ones with what they are answered on the latents of the other.

        This is the positive control of every edit: latents that hold another question's thoughts.
        """
        clean = [pair.clean.question for pair in pairs]
        others = [pair.corrupted.question for pair in pairs]
        place = [necessity.site, necessity.layer, necessity.positions]
        hashes = [canonical(["of the twin", other, *place]) for other in others]

        def edits_of(unit: Sequence[int]) -> list[Edit]:
            decoded = decode_states(self.model, [others[i] for i in unit], 1, self.stop)
            at = necessity.site, necessity.layer
            states = site_states(self.model, stacked_states(decoded), *at)
            return [replacement(torch.from_numpy(each), necessity) for each in states]

        found = self.answers("with the twin's latents", clean, hashes, edits_of)
        return [
            (replace(one, swapped_answer=got, swapped=same_number(got, pair.corrupted.answer)), two)
            for pair, (one, two), got in zip(pairs, sides, [f.answer for f in found], strict=True)
        ]

    def measured(
        self, questions: list[str], necessity: Necessity, seed: int
    ) -> tuple[list[Answer], list[Answer]]:
        """Every question's answer at baseline, and without latents (empty when not tested)."""
        mean = SiteMean(self.model, necessity) if necessity.kind in ("mean", "noise") else None
        plain: list[Edit | None] = [None] * len(questions)
        baseline = self.answers("baseline", questions, edit_hashes(plain), of(plain), mean)
        if necessity.kind == "none":
            return baseline, []
        edits = replacements(self.model.config, len(questions), necessity, mean, seed)
        hashes = edit_hashes(edits)
        return baseline, self.answers("without latents", questions, hashes, of(edits))

    def answers(
        self,
        stage: str,
        questions: list[str],
        hashes: Sequence[str],
        edits_of: EditsOf,
        mean: SiteMean | None = None,
    ) -> list[Answer]:
        """The answer to every question with its edit, which `hashes` identify, unit by unit.

        With a `mean` all are decoded, for their states go into it; a journal has none.
        """
        found: list[Answer] = [Answer("", None)] * len(questions)
        # Questions of like length together; the order, and so every batch, is the same each time.
        order = sorted(range(len(questions)), key=lambda i: (len(questions[i]), i))
        self.progress(stage, 0, len(order))
        for start in range(0, len(order), ROWS_AT_A_TIME):
            unit = order[start : start + ROWS_AT_A_TIME]
            key = self.journal.key([[questions[i], hashes[i]] for i in unit])
            known = self.journal.find(key) if mean is None else None
            if known is None:
                known = self.decoded([questions[i] for i in unit], edits_of(unit), mean)
                self.journal.write(key, known)
            for i, answer in zip(unit, known, strict=True):
                found[i] = answer
            self.progress(stage, start + len(unit), len(order))
        return found

    def decoded(
        self, texts: Sequence[str], edits: Sequence[Edit | None], mean: SiteMean | None
    ) -> list[Answer]:
        """Decode one unit."""
        options = Options(self.max_new_tokens, hidden=mean is not None, max_rows=ROWS_AT_A_TIME)
        rows = [Row(i, () if edit is None else (edit,)) for i, edit in enumerate(edits)]
        found: dict[int, Decoded] = {}
        for batch in decode_rows(self.model, texts, rows, options, self.stop):
            if mean is not None:
                mean.add([row for _, row in batch])
            found |= {i: replace(row, states=None) for i, row in batch}
        return [Answer(found[i].text, found[i].answer) for i in range(len(rows))]


def of(edits: Sequence[Edit | None]) -> EditsOf:
    """Edits that are known beforehand."""
    return lambda unit: [edits[i] for i in unit]


def edit_hashes(edits: Sequence[Edit | None]) -> list[str]:
    """What identifies each edit; empty for none. Many questions share one."""
    known: dict[int, str] = {}
    for edit in edits:
        if id(edit) not in known:
            known[id(edit)] = "" if edit is None else edit_hash(edit)
    return [known[id(edit)] for edit in edits]


def edit_hash(edit: Edit) -> str:
    """The content of an edit."""
    where = edit.operation, edit.site, edit.layer, edit.positions, edit.alpha
    return canonical([*where, vectors_hash(edit.direction)])


def both_twins(pairs: Sequence[Pair]) -> list[Problem]:
    """Clean, corrupted, clean, corrupted, ..."""
    return [problem for pair in pairs for problem in (pair.clean, pair.corrupted)]


def twin_of(problem: Problem, baseline: Answer, ablated: Answer | None) -> Twin:
    """What was answered, scored against the problem's own gold answer."""
    return Twin(
        text=baseline.text,
        answer=baseline.answer,
        correct=same_number(baseline.answer, problem.answer),
        ablated_answer=ablated and ablated.answer,
        ablated_correct=None if ablated is None else same_number(ablated.answer, problem.answer),
    )


class SiteMean:
    """Mean state and mean norm at a site, float64 [K+1, D] and [K+1], over rows as they come."""

    def __init__(self, model: CodiModel, necessity: Necessity):
        self.model, self.necessity = model, necessity
        latents, hidden = model.config.latents, model.config.hidden
        self.count, self.sum = 0, np.zeros((latents + 1, hidden))
        self.norms = np.zeros(latents + 1)

    def add(self, decoded: Sequence[Decoded]) -> None:
        """Take in the states of a batch."""
        where = self.necessity.site, self.necessity.layer
        states = site_states(self.model, stacked_states(decoded), *where).astype(np.float64)
        self.count += len(states)
        self.sum += states.sum(0)
        self.norms += np.linalg.norm(states, axis=-1).sum(0)

    @property
    def mean(self) -> torch.Tensor:
        """Float32 [K+1, D]."""
        return torch.from_numpy((self.sum / self.count).astype(np.float32))

    def noise(self, seed: int, question: int) -> torch.Tensor:
        """Gaussian float32 [K+1, D] of the mean norm at every position, one for each question."""
        drawn = np.random.default_rng([seed, question]).standard_normal(self.sum.shape)
        size = self.norms / self.count / np.linalg.norm(drawn, axis=-1)
        return torch.from_numpy((drawn * size[:, None]).astype(np.float32))


def replacements(
    config: CodiConfig, n: int, necessity: Necessity, mean: SiteMean | None, seed: int
) -> list[Edit]:
    """For each of n questions what its latents are replaced by."""
    if mean is not None and necessity.kind == "noise":
        return [replacement(mean.noise(seed, i), necessity) for i in range(n)]
    zeros = torch.zeros(config.latents + 1, config.hidden)
    return [replacement(zeros if mean is None else mean.mean, necessity)] * n
