"""A necessity file against its own flags, and against the pair and validation files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from steer_core.data.seed.book import (
    Book,
    Counts,
    SeedFinding,
    disagreeing,
    finding,
    first_by_id,
    strangers,
    unchanged,
)
from steer_core.data.seed.files import NeedRow
from steer_core.data.seed.validation import right

SUSPICIOUS = 3.0
"""Standard errors between two shares that chance does not explain."""


def necessity_counts(rows: Sequence[NeedRow], book: Book) -> dict[str, object]:
    """Needs latents: clean, corrupted, either, both; for rows and for distinct ids."""
    return {
        "rows": len(rows),
        "distinct_ids": len(first_by_id(rows)),
        "needs_by_row": need_counts(rows),
        "needs_by_distinct_id": need_counts(list(first_by_id(rows).values())),
        "right_without_latents": {
            name: shares(rows, book, side) for side, name in enumerate(("clean", "corrupted"))
        },
    }


def needs(row: NeedRow) -> tuple[bool, bool]:
    """Right at baseline and wrong without latents, recomputed for both twins."""
    pairs = zip(row.baseline, row.ablated, strict=True)
    clean, corrupted = (base and not without for base, without in pairs)
    return clean, corrupted


def need_counts(rows: Iterable[NeedRow]) -> Counts:
    """How many rows need latents for which twin."""
    found = [needs(row) for row in rows]
    return {
        "clean": sum(clean for clean, _ in found),
        "corrupted": sum(corrupted for _, corrupted in found),
        "either": sum(any(need) for need in found),
        "both": sum(all(need) for need in found),
    }


def shares(rows: Sequence[NeedRow], book: Book, side: int) -> Counts:
    """Rows whose one twin is right without latents, by whether the two gold answers differ."""
    matches = [(r, p) for r, p in zip(rows, book.pairs_of(rows), strict=True) if p]
    same = [r.ablated[side] for r, p in matches if unchanged(p)]
    differ = [r.ablated[side] for r, p in matches if not unchanged(p)]
    return {
        "answers_same": sum(same),
        "of_same": len(same),
        "answers_differ": sum(differ),
        "of_differ": len(differ),
    }


def necessity_findings(rows: Sequence[NeedRow], book: Book) -> Iterator[SeedFinding]:
    """Flags, repeats that disagree, the baseline of the validation file, and how twins scored."""
    file = "necessity"
    yield from strangers(file, rows, book)
    wrong = [row for row in rows if (row.needs, row.either) != (needs(row), any(needs(row)))]
    text = "in {n} rows a 'needs' flag is not 'right at baseline and wrong without latents'"
    yield from finding(file, "wrong_flag", wrong, text)
    differ = disagreeing(rows, lambda row: (row.baseline, row.ablated))
    text = "{n} rows of a repeated pair_id have another outcome than the first"
    yield from finding(file, "repeat_differs", differ, text)
    matches = [(r, a) for r, a in zip(rows, book.answers_of(rows), strict=True) if a]
    for side, name in enumerate(("clean", "corrupted")):
        other = [r for r, a in matches if r.baseline[side] != right(a)[side]]
        text = f"in {{n}} rows the baseline of the {name} twin contradicts the validation file"
        yield from finding(file, f"{name}_baseline_differs", other, text)
    yield from scored_as_clean(rows, book)


def scored_as_clean(rows: Sequence[NeedRow], book: Book) -> Iterator[SeedFinding]:
    """Signs that the corrupted twin was scored against the clean twin's gold answer.

    The file stores no answers, so there are two signs: a baseline marked right where the stored
    answer is the clean gold answer and not its own; and, without latents, far fewer right answers
    where the two gold answers differ than where they are the same, which the clean twin lacks.
    """
    triples = zip(rows, book.pairs_of(rows), book.answers_of(rows), strict=True)
    marked = [
        r
        for r, p, a in triples
        if p and a and not unchanged(p)
        if r.baseline[1] and a.corrupted.predicted == p.clean.answer
    ]
    text = "in {n} rows the corrupted twin counts as right with the clean twin's gold answer"
    yield from finding("necessity", "corrupted_scored_as_clean", marked, text)
    clean, corrupted = (shares(rows, book, side) for side in (0, 1))
    if gap(corrupted) > SUSPICIOUS > gap(clean):
        message = (
            "without latents the corrupted twin is right in {answers_same} of {of_same} rows whose "
            "two gold answers are the same and in {answers_differ} of {of_differ} where they "
            "differ".format(**corrupted)
        )
        message += (
            " (clean twin: {answers_same} of {of_same} and {answers_differ} of {of_differ}), as "
            "when it is scored against the clean twin's gold answer".format(**clean)
        )
        count = corrupted["of_differ"]
        yield SeedFinding("necessity", "corrupted_ablation_suspicious", count, message)


def gap(share: Counts) -> float:
    """How many standard errors the share where answers are the same lies above the other."""
    n, m = share["of_same"], share["of_differ"]
    if not n or not m:
        return 0.0
    pooled = (share["answers_same"] + share["answers_differ"]) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (share["answers_same"] / n - share["answers_differ"] / m) / error if error else 0.0
