"""What the stored files of the seed experiment say, counted again from their rows.

Every number is recounted, and every place where a file contradicts its own statistics, its own
rows, or another file is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from steer_core.data.problems import Pair, Problem, question_key
from steer_core.data.seed.book import (
    Book,
    Counts,
    SeedFinding,
    disagreeing,
    finding,
    repeats,
    unchanged,
)
from steer_core.data.seed.files import SeedFiles
from steer_core.data.seed.necessity import necessity_counts, necessity_findings
from steer_core.data.seed.splits import split_counts, split_findings
from steer_core.data.seed.validation import validation_counts, validation_findings


@dataclass(frozen=True, slots=True)
class SeedAudit:
    """Counts by file, recounted from the rows, and every finding."""

    counts: dict[str, dict]
    findings: tuple[SeedFinding, ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {**self.counts, "findings": [asdict(finding) for finding in self.findings]}


def audit_seed_files(files: SeedFiles) -> SeedAudit:
    """Count everything again and compare every file with itself and the others."""
    book = Book(files)
    counts: dict[str, dict] = {"pairs": pair_counts(files.pairs)}
    findings = [*pair_findings(files.pairs)]
    if files.validation is not None:
        counts["validation"] = validation_counts(files.validation)
        findings += validation_findings(files.validation, book)
    if files.necessity is not None:
        counts["necessity"] = necessity_counts(files.necessity, book)
        findings += necessity_findings(files.necessity, book)
    if files.split is not None:
        counts["split"] = split_counts(files.split, book)
        findings += split_findings(files.split, book)
    return SeedAudit(counts, tuple(findings))


def pair_counts(pairs: Sequence[Pair]) -> Counts:
    """Rows, ids, repeated rows, unchanged answers."""
    same = [pair for pair in pairs if unchanged(pair)]
    return {
        "rows": len(pairs),
        "distinct_ids": len({pair.pair_id for pair in pairs}),
        "repeated_rows": len(repeats(pairs)),
        "unchanged_answers": len(same),
        "distinct_unchanged_answers": len({pair.pair_id for pair in same}),
    }


def sides(pair: Pair) -> tuple[Problem, Problem]:
    """Clean and corrupted twin."""
    return pair.clean, pair.corrupted


def pair_findings(pairs: Sequence[Pair]) -> Iterator[SeedFinding]:
    """Repeated ids and questions, twins that differ between repeats, unchanged answers."""
    again = repeats(pairs)
    yield from finding("pairs", "repeated_id", again, "{n} rows repeat an earlier pair_id")
    other = disagreeing(pairs, lambda pair: [(p.question, p.answer) for p in sides(pair)])
    text = "{n} of the repeated rows have another question or gold answer than the first"
    yield from finding("pairs", "repeat_differs", other, text)
    ids = {id(pair) for pair in again}
    asked = repeats(pairs, lambda pair: question_key(pair.clean.question))
    asked = [pair for pair in asked if id(pair) not in ids]
    text = "{n} rows repeat an earlier clean question, names aside, under another pair_id"
    yield from finding("pairs", "repeated_question", asked, text)
    same = [pair for pair in pairs if unchanged(pair)]
    text = "in {n} rows ({ids} distinct ids) the corruption leaves the answer unchanged"
    yield from finding("pairs", "unchanged_answer", same, text)
