"""From a pair file to splits: baseline, latent necessity, filter, balance; and the fit set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, problems_hash
from steer_core.errors import UserError
from steer_core.pipeline.journal import Journal
from steer_core.pipeline.necessity import Answering, both_twins, necessity_of
from steer_core.pipeline.prepared import CORRECT, NECESSITY_KINDS, Prepared, Progress
from steer_core.pipeline.splits import SplitSettings, arrange
from steer_core.steering.decode import MAX_NEW_TOKENS
from steer_core.steering.fit import FitSet, fit_set
from steer_core.version import versions


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """How pairs are prepared.

    `necessity` is one of `NECESSITY_KINDS`; `site`, `layer` and `positions` are where latents are
    replaced: site embedding is what the model is fed, and without positions every one that can act
    is replaced. `split` is how pairs are chosen. `max_new_tokens` limits an answer.
    """

    necessity: str = "zeros"
    site: str = "embedding"
    layer: int | None = None
    positions: tuple[int, ...] | None = None
    split: SplitSettings = field(default_factory=SplitSettings)
    max_new_tokens: int = MAX_NEW_TOKENS

    def __post_init__(self) -> None:
        if self.necessity not in NECESSITY_KINDS:
            raise UserError(
                f"unknown necessity '{self.necessity}'; choose {', '.join(NECESSITY_KINDS)}"
            )
        if self.necessity == "none" and self.split.filter != "none":
            raise UserError(
                f"filter '{self.split.filter}' needs a test of necessity; choose necessity zeros, "
                "mean or noise, or filter none"
            )


def prepare(
    model: CodiModel,
    pairs: Sequence[Pair],
    settings: PrepareSettings = PrepareSettings(),
    progress: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
    *,
    name: str = "pairs",
    command: str = "",
    answers: Path | None = None,
) -> Prepared:
    """Answer both twins with and without latents, and split the pairs.

    Args:
        model: The model.
        pairs: n pairs; rows that cannot be used are kept and say why.
        settings: What is tested and how pairs are chosen.
        progress: Called after every batch with the stage, questions done, and of how many.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.
        name: What the pairs are called.
        command: The command line, for the record.
        answers: File that keeps what was decoded, see `Journal`: what is in it is not decoded
            again, whatever filter or split is asked for now.

    Raises:
        UserError: for no pairs, a site or position that does not fit, or when too few right or
            wrong answers are left.
    """
    if not pairs:
        raise UserError("there are no pairs to prepare; give at least one")
    where = settings.site, settings.layer, settings.positions
    necessity = necessity_of(model.config, settings.necessity, *where)
    journal = Journal(answers, journal_setting(model, settings.max_new_tokens))
    answering = Answering(model, settings.max_new_tokens, progress, stop, journal)
    twins = answering.twins(pairs, necessity, settings.split.seed)
    arranged, funnel = arrange(pairs, twins, settings.split)
    return Prepared(
        **model_record(model),
        pairs_name=name,
        pairs_sha256=problems_hash(both_twins(pairs)),
        seed=settings.split.seed,
        necessity=necessity,
        filter=settings.split.filter,
        fractions=settings.split.fractions,
        balanced=settings.split.balanced,
        pairs=arranged,
        funnel=funnel,
        versions=versions(),
        command=command,
    )


def journal_setting(model: CodiModel, max_new_tokens: int) -> dict[str, Any]:
    """Everything about the decoding that can change an answer."""
    names = ("model_sha256", "latents", "dtype", "device")
    record = model_record(model)
    return {name: record[name] for name in names} | {"max_new_tokens": max_new_tokens}


def model_record(model: CodiModel) -> dict[str, Any]:
    """The fields of a record that say what answered."""
    return {
        "model": model.name,
        "model_sha256": model.sha256,
        "revision": model.revision,
        "latents": model.config.latents,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
    }


def fit_from(
    model: CodiModel, prepared: Prepared, stop: Callable[[], bool] = lambda: False
) -> FitSet:
    """The clean twins of the fit split, labelled by their baseline: what directions come from.

    Args:
        model: The model that the pairs were prepared with.
        prepared: The pairs.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.

    Raises:
        UserError: for another model or number of latents, or a split without right or wrong
            answers.
    """
    prepared.check_model(model.name, model.sha256, model.config.latents)
    rows = prepared.rows("fit")
    right = np.array([row.label == CORRECT for row in rows], dtype=bool)
    name = f"{prepared.pairs_name}, split fit"

    @cache
    def with_both() -> FitSet:
        both = both_twins([row.pair for row in rows])
        labels = np.array([t.correct for row in rows for t in (row.clean, row.corrupted)], bool)
        return fit_set(model, both, name, right=labels, seed=prepared.seed, twins=True, stop=stop)

    problems = [row.pair.clean for row in rows]
    return fit_set(
        model, problems, name, right=right, seed=prepared.seed, with_both=with_both, stop=stop
    )
