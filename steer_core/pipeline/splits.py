"""Which pairs are used, and on which side: filters, balance, and splits that share no problem."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from steer_core.analysis.clusters import join_clusters
from steer_core.data.answers import same_number
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.pipeline.funnel import FILTERS, UNCHANGED, count, funnel
from steer_core.pipeline.prepared import (
    CORRECT,
    FIT,
    LABELS,
    SPLITS,
    WRONG,
    FunnelStep,
    PreparedPair,
    Twin,
    problem_keys,
)

FRACTIONS = (0.4, 0.1, 0.5)
UNBALANCED = "not needed for balance"


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How pairs are chosen and split.

    `filter` is one of `FILTERS`; `fractions` of fit, select and report sum to 1; `balanced`: as
    many right as wrong answers in the fit split, which directions come from. Select and report keep
    the pairs' own share: accuracy on them is that of the pairs, and an edit that wins as many as it
    loses changes nothing. `keep_unchanged`: also pairs whose corruption leaves
    the answer unchanged; `seed` of the order in which problems are dealt out.
    """

    filter: str = "none"
    fractions: tuple[float, ...] = FRACTIONS
    balanced: bool = True
    keep_unchanged: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.filter not in FILTERS:
            raise UserError(f"unknown filter '{self.filter}'; choose {', '.join(FILTERS)}")
        shown = ",".join(f"{part:g}" for part in self.fractions)
        if len(self.fractions) != len(SPLITS) or not all(0 <= part <= 1 for part in self.fractions):
            raise UserError(
                f"fractions {shown} are not three shares between 0 and 1; give those of "
                f"{', '.join(SPLITS)}, such as 0.4,0.1,0.5"
            )
        if not math.isclose(sum(self.fractions), 1, abs_tol=1e-6):
            raise UserError(
                f"fractions {shown} sum to {sum(self.fractions):g}, not to 1; correct them"
            )
        if not (self.fractions[0] and self.fractions[2]):
            raise UserError(f"fractions {shown} leave fit or report empty; give both a share")


def arrange(
    pairs: Sequence[Pair], twins: Sequence[tuple[Twin, Twin]], settings: SplitSettings
) -> tuple[tuple[PreparedPair, ...], tuple[FunnelStep, ...]]:
    """Set pairs aside, filter, balance and split them.

    Args:
        pairs: n pairs.
        twins: For each the clean and the corrupted twin's answers.
        settings: How.

    Returns:
        The pairs in their order, and the counts on the way.

    Raises:
        UserError: when too few right or wrong answers are left for the splits.
    """
    rows = [
        PreparedPair(pair, clean, corrupted, CORRECT if clean.correct else WRONG, None)
        for pair, (clean, corrupted) in zip(pairs, twins, strict=True)
    ]
    rows = set_aside(rows, settings.keep_unchanged)
    usable = left(rows)
    rows = filtered(rows, settings.filter)
    passing = left(rows)
    check_enough(passing, usable, settings)
    sides = iter(dealt(passing, settings))
    rows = [row if row.why else placed(row, next(sides)) for row in rows]
    check_split(rows, passing, settings)
    return tuple(rows), funnel(rows, usable, passing, settings.filter, settings.balanced)


def left(rows: Iterable[PreparedPair]) -> list[PreparedPair]:
    """The rows that nothing has set aside yet."""
    return [row for row in rows if not row.why]


def placed(row: PreparedPair, split: str | None) -> PreparedPair:
    """The row on its side, or set aside as not needed."""
    return replace(row, split=split, why="" if split else UNBALANCED)


def set_aside(rows: Sequence[PreparedPair], keep_unchanged: bool) -> list[PreparedPair]:
    """Mark unchanged answers, then rows whose pair id or clean question was seen before."""
    ids: set[str] = set()
    questions: set[str] = set()
    found = []
    for row in rows:
        why = why_not(row.pair, ids, questions, keep_unchanged)
        if why != UNCHANGED:
            ids.add(str(row.pair.pair_id))
            questions.add(plain_question(row.pair))
        found.append(replace(row, why=why))
    return found


def why_not(pair: Pair, ids: set[str], questions: set[str], keep_unchanged: bool) -> str:
    """Why a pair cannot be used, given what was seen before; empty when it can."""
    if not keep_unchanged and same_number(pair.clean.answer, pair.corrupted.answer):
        return UNCHANGED
    if str(pair.pair_id) in ids:
        return "its pair_id was seen before"
    return "its question was seen before" if plain_question(pair) in questions else ""


def plain_question(pair: Pair) -> str:
    """The clean question with case and spacing evened out."""
    return " ".join(pair.clean.question.casefold().split())


def filtered(rows: Sequence[PreparedPair], name: str) -> list[PreparedPair]:
    """Mark rows that the filter on latent necessity drops."""
    passes = FILTERS[name]
    why = f"dropped by the filter '{name}'"
    return [
        row
        if row.why or passes(bool(row.clean.needs_latents), bool(row.corrupted.needs_latents))
        else replace(row, why=why)
        for row in rows
    ]


def dealt(rows: Sequence[PreparedPair], settings: SplitSettings) -> list[str | None]:
    """The split of each row, None where it is not needed.

    Rows that share a problem form a group, and a group goes to one side, the one that is furthest
    from what it should hold; the larger groups first. Only the fit split is balanced afterwards.
    """
    quota = quotas(rows, settings)
    order = np.random.default_rng(settings.seed).permutation(len(rows))
    groups = sorted(grouped(rows, order.tolist()), key=len, reverse=True)
    sides: list[str | None] = [None] * len(rows)
    room = {split: Counter(counts) for split, counts in quota.items()}
    for group in groups:
        wanted = Counter(rows[i].label for i in group)
        split = max(SPLITS, key=lambda s: need(room[s], quota[s], wanted))
        for i in group:
            room[split][rows[i].label] -= 1  # an uneven split only holds a few more
            sides[i] = split
    return trimmed(rows, sides) if settings.balanced else sides


def need(room: Counter, quota: Counter, wanted: Counter) -> tuple[int, float]:
    """How much a split gains from a group: rows it has room for, then the share still missing."""
    fitting = sum(min(max(room[label], 0), n) for label, n in wanted.items())
    missing = [room[label] / quota[label] for label in wanted if quota[label]]
    return fitting, max(missing, default=0.0)


def quotas(rows: Sequence[PreparedPair], settings: SplitSettings) -> dict[str, Counter]:
    """Rows of each label that each split should hold."""
    counts = Counter(row.label for row in rows)
    found: dict[str, Counter] = {split: Counter() for split in SPLITS}
    for label in LABELS:
        parts = apportioned(counts[label], settings.fractions)
        for split, part in zip(SPLITS, parts, strict=True):
            found[split][label] = part
    return found


def apportioned(total: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers near the fractions of a total, which they sum to (largest remainders)."""
    # Rounded, so that 0.1 * 30 is 3 and not a little more.
    exact = [round(total * part, 9) for part in fractions]
    found = [math.floor(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: found[i] - exact[i])
    for i in by_remainder[: total - sum(found)]:
        found[i] += 1
    return found


def grouped(rows: Sequence[PreparedPair], order: Sequence[int]) -> list[list[int]]:
    """Indices of rows that are connected by a shared id or question, in the given order."""
    clusters = join_clusters(problem_keys(row.pair) for row in rows).tolist()
    groups: dict[int, list[int]] = defaultdict(list)
    for i in order:
        groups[clusters[i]].append(i)
    return list(groups.values())


def trimmed(rows: Sequence[PreparedPair], sides: list[str | None]) -> list[str | None]:
    """Drop rows of the larger label from the fit split, so that both are equal there."""
    mine = {
        label: [i for i, side in enumerate(sides) if (side, rows[i].label) == (FIT, label)]
        for label in LABELS
    }
    least = min(map(len, mine.values()))
    if least == 0:  # nothing would be left to say what is missing
        return sides
    dropped = {i for members in mine.values() for i in members[least:]}
    return [None if i in dropped else side for i, side in enumerate(sides)]


def check_enough(
    passing: Sequence[PreparedPair], usable: Sequence[PreparedPair], settings: SplitSettings
) -> None:
    """Raise a `UserError` where the filter leaves no right or no wrong answers."""
    counts = [count(passing, label) for label in LABELS]
    if min(counts) > 0:
        return
    before = [count(usable, label) for label in LABELS]
    tried = f"filter '{settings.filter}' leaves" if settings.filter != "none" else "there are"
    next_move = "use --filter none" if min(before) > 0 else "use more or other pairs"
    raise UserError(
        f"{tried} {counts[0]} right and {counts[1]} wrong answers (of {before[0]} right and "
        f"{before[1]} wrong ones that can be used), both are needed; {next_move}"
    )


def check_split(
    rows: Sequence[PreparedPair], passing: Sequence[PreparedPair], settings: SplitSettings
) -> None:
    """Raise a `UserError` where fit lacks a label, or another split that has a share any pair."""
    for split, fraction in zip(SPLITS, settings.fractions, strict=True):
        found = [count([r for r in rows if r.split == split], label) for label in LABELS]
        lacks, need = (
            (min(found) == 0, "both are needed")
            if split == FIT
            else (sum(found) == 0, "some are needed")
        )
        if fraction > 0 and lacks:
            parts = " and ".join(f"{count(passing, label)} {label}" for label in LABELS)
            raise UserError(
                f"split {split} gets {found[0]} right and {found[1]} wrong answers of "
                f"{parts} ones, {need}; use more pairs, --filter none or other "
                "--fractions (0.5,0,0.5 has no select)"
            )
