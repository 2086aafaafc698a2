"""Prepared pairs made from stored answers instead of a model: the seed experiment's own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from steer_core.data.answers import Number, same_number
from steer_core.data.problems import Pair, problems_hash
from steer_core.data.seed.audit import SeedAudit
from steer_core.data.seed.files import Answered, NeedRow, SeedFiles, ValidationRow, matched
from steer_core.errors import UserError
from steer_core.pipeline.funnel import FILTERS, measured
from steer_core.pipeline.necessity import both_twins
from steer_core.pipeline.prepared import (
    CORRECT,
    LABELS,
    SPLITS,
    WRONG,
    FunnelStep,
    Necessity,
    Prepared,
    PreparedPair,
    Twin,
)
from steer_core.pipeline.splits import SplitSettings, arrange
from steer_core.version import versions

SIDES = {"train": "fit", "test": "report"}
Twins = tuple[Twin, Twin]
Stored = TypeVar("Stored", NeedRow, ValidationRow)


def prepared_from_files(
    files: SeedFiles, audit: SeedAudit, settings: SplitSettings, command: str = ""
) -> Prepared:
    """Pairs with the stored answers: in the stored split as it is, or split anew without one.

    Leaks and repeats of a stored split are kept, and stand in `findings`; a new split has none.
    The model that answered is only known by name, so `model_sha256` is empty.

    Args:
        files: The files; of validation, necessity and split at least one.
        audit: What was found wrong with them.
        settings: Of a new split; with a stored one only its seed counts.
        command: The command line, for the record.

    Raises:
        UserError: when no answers are stored, when pairs lack a row, when settings are given for a
            stored split, or when too few pairs are left for a new one.
    """
    rows, funnel = placed(files, settings)
    fractions, balanced = settings.fractions, settings.balanced
    if files.split is not None:
        fractions, balanced = shares(rows)
    kind = "none" if files.necessity is None else "zeros"
    return Prepared(
        model="unknown" if files.validation is None else files.validation.model,
        model_sha256="",
        revision=None,
        latents=0,
        dtype="",
        device="",
        pairs_name=files.pairs_name,
        pairs_sha256=problems_hash(both_twins(files.pairs)),
        seed=settings.seed,
        necessity=Necessity(kind, "embedding", None, ()),
        filter=settings.filter,
        fractions=fractions,
        balanced=balanced,
        pairs=rows,
        funnel=funnel,
        versions=versions(),
        command=command,
        findings=tuple(f"{one.file}: {one.message}" for one in audit.findings),
    )


def placed(
    files: SeedFiles, settings: SplitSettings
) -> tuple[tuple[PreparedPair, ...], tuple[FunnelStep, ...]]:
    """The pairs on their sides, and the counts: of the stored split, or of a new one."""
    if files.split is None:
        return arrange(files.pairs, complete(files, settings), settings)
    if settings != SplitSettings(seed=settings.seed):
        raise UserError("a split file has its own split; leave out filter, fractions and labels")
    rows = stored_rows(files)
    return rows, stored_funnel(rows, files)


def stored_twins(files: SeedFiles) -> list[Twins | None]:
    """What is stored about both twins of every pair, None where nothing is."""
    answers = rows_for(files.pairs, () if files.validation is None else files.validation.rows)
    needs = rows_for(files.pairs, files.necessity or ())
    return [twins_of(*each) for each in zip(files.pairs, answers, needs, strict=True)]


def rows_for(pairs: Sequence[Pair], rows: Sequence[Stored]) -> list[Stored | None]:
    """The row of every pair, None where there is none."""
    places = matched([pair.pair_id for pair in pairs], [row.pair_id for row in rows])
    return [None if place is None else rows[place] for place in places]


def twins_of(pair: Pair, row: ValidationRow | None, need: NeedRow | None) -> Twins | None:
    """Both twins of a pair: scored again where the answer is stored, else as the flag says."""
    if row is None and need is None:
        return None
    sides = (row and row.clean, row and row.corrupted)
    golds = (pair.clean.answer, pair.corrupted.answer)
    clean, corrupted = (
        twin_of(side, gold, need and need.baseline[i], need and need.ablated[i])
        for i, (side, gold) in enumerate(zip(sides, golds, strict=True))
    )
    return clean, corrupted


def twin_of(
    side: Answered | None, gold: Number, baseline: bool | None, ablated: bool | None
) -> Twin:
    """One twin; the answers without latents are not stored, only whether they were right."""
    if side is None:
        return Twin("", None, bool(baseline), None, ablated)
    return Twin(side.text, side.predicted, same_number(side.predicted, gold), None, ablated)


def complete(files: SeedFiles, settings: SplitSettings) -> list[Twins]:
    """The stored twins, when a new split can be made from them."""
    found = [twins for twins in stored_twins(files) if twins is not None]
    if len(found) < len(files.pairs):
        raise UserError(
            f"{len(files.pairs) - len(found)} of {len(files.pairs)} pairs have no stored answer, "
            "and labels come from those; add the validation or the split file"
        )
    if FILTERS[settings.filter](False, False) is False and files.necessity is None:
        raise UserError(f"filter '{settings.filter}' needs the necessity file; add it")
    return found


def stored_rows(files: SeedFiles) -> tuple[PreparedPair, ...]:
    """Every pair where the split file puts it.

    The first entry of a repeated id gets its first row, the second its second, so that a problem
    that is on both sides stays on both.
    """
    assert files.split is not None
    entries = files.split.rows
    twins = stored_twins(files)
    ids = [pair.pair_id for pair in files.pairs]
    places = matched([entry.pair_id for entry in entries], ids)
    rows = [unused(pair, both) for pair, both in zip(files.pairs, twins, strict=True)]
    for entry, place in zip(entries, places, strict=True):
        if place is not None:
            split, label = SIDES[entry.side], entry.label
            row = rows[place]
            if twins[place] is None:
                row = replace(row, clean=Twin("", None, label == CORRECT))
            rows[place] = replace(row, split=split, label=label, why="")
    return tuple(rows)


def unused(pair: Pair, twins: Twins | None) -> PreparedPair:
    """A pair before the split file is read."""
    clean, corrupted = twins or (Twin("", None, False), Twin("", None, False))
    label = CORRECT if clean.correct else WRONG
    return PreparedPair(pair, clean, corrupted, label, None, "not in the split file")


def stored_funnel(rows: Sequence[PreparedPair], files: SeedFiles) -> tuple[FunnelStep, ...]:
    """The counts of a stored split."""
    n = len(rows)
    changed = sum(not same_number(row.pair.clean.answer, row.pair.corrupted.answer) for row in rows)
    steps = [FunnelStep("rows", n, n), FunnelStep("answer changed by the corruption", changed, n)]
    if files.validation is not None or files.necessity is not None:
        steps += measured(rows)
    used = [row for row in rows if row.split]
    steps.append(FunnelStep("in the split file", len(used), n))
    counts = [(split, sum(row.split == split for row in used)) for split in SPLITS]
    return (*steps, *(FunnelStep(split, count, len(used)) for split, count in counts))


def shares(rows: Sequence[PreparedPair]) -> tuple[tuple[float, ...], bool]:
    """The fractions that a stored split has, and whether its fit split is balanced."""
    used = [row for row in rows if row.split]
    counts = [
        [sum((row.split, row.label) == (split, label) for row in used) for label in LABELS]
        for split in SPLITS
    ]
    fractions = tuple(sum(pair) / max(len(used), 1) for pair in counts)
    correct, wrong = counts[0]
    return fractions, correct == wrong
