"""A validation file against its own statistics and flags, and against the pair file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from steer_core.data.seed.book import (
    Book,
    Counts,
    SeedFinding,
    disagreeing,
    finding,
    stated,
    strangers,
    unchanged,
)
from steer_core.data.seed.files import OUTCOMES, Validation, ValidationRow


def validation_counts(validation: Validation) -> Counts:
    """Correct answers by side, recounted from predicted and expected."""
    outcomes = Counter(outcome(row) for row in validation.rows)
    return {
        "rows": len(validation.rows),
        "num_pairs": len(validation.rows),
        "clean_correct": sum(right(row)[0] for row in validation.rows),
        "corrupted_correct": sum(right(row)[1] for row in validation.rows),
        **{name: outcomes[name] for name in OUTCOMES},
    }


def right(row: ValidationRow) -> tuple[bool, bool]:
    """Whether each side's prediction is what it was held to."""
    sides = (row.clean, row.corrupted)
    clean, corrupted = (s.predicted is not None and s.predicted == s.expected for s in sides)
    return clean, corrupted


def outcome(row: ValidationRow) -> str:
    """Which of `OUTCOMES` the row's answers give."""
    both = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    return OUTCOMES[both[right(row)]]


def validation_findings(validation: Validation, book: Book) -> Iterator[SeedFinding]:
    """Statistics, flags, gold answers, and repeats that disagree."""
    rows, file = validation.rows, "validation"
    yield from stated(file, validation.stated, validation_counts(validation))
    yield from strangers(file, rows, book)
    wrong = [row for row in rows if (row.clean.correct, row.corrupted.correct) != right(row)]
    text = "in {n} rows 'correct' contradicts predicted and expected"
    yield from finding(file, "wrong_flag", wrong, text)
    wrong = [r for r in rows if any(v != (k == outcome(r)) for k, v in r.outcome.items())]
    text = "in {n} rows a flag such as both_correct contradicts the two answers"
    yield from finding(file, "wrong_outcome", wrong, text)
    matches = [(r, p) for r, p in zip(rows, book.pairs_of(rows), strict=True) if p]
    other = [r for r, p in matches if held_to(r) != (p.clean.answer, p.corrupted.answer)]
    text = "in {n} rows an expected answer is not the gold answer of the pair file"
    yield from finding(file, "other_gold", other, text)
    swapped = [r for r, p in matches if not unchanged(p) and r.corrupted.expected == p.clean.answer]
    text = "in {n} rows the corrupted twin is held to the clean twin's gold answer"
    yield from finding(file, "corrupted_scored_as_clean", swapped, text)
    differ = disagreeing(rows, right)
    text = "{n} rows of a repeated pair_id have another outcome than the first"
    yield from finding(file, "repeat_differs", differ, text)


def held_to(row: ValidationRow) -> tuple:
    """The expected answers of both sides."""
    return row.clean.expected, row.corrupted.expected
