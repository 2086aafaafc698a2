"""From rows to batches: which rows are decoded together, and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

Part = tuple[int, tuple[int, ...]]
"""A question, and indices of rows of it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One batch: for each question of it the indices of its rows."""

    questions: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Rows in the batch."""
        return sum(map(len, self.rows))

    def halves(self) -> list[Grid]:
        """Two batches of half the questions, or of half the rows of the only question."""
        if len(self.questions) > 1:
            half = len(self.questions) // 2
            cuts = (slice(None, half), slice(half, None))
            return [Grid(self.questions[cut], self.rows[cut]) for cut in cuts]
        half = len(self.rows[0]) // 2
        return [
            Grid(self.questions, (part,)) for part in (self.rows[0][:half], self.rows[0][half:])
        ]


def grids_of(
    rows: Iterable[tuple[int, int]],
    lengths: Sequence[int],
    limit: int,
    in_order: bool,
    at_once: int = 1,
) -> list[Grid]:
    """Cut rows into batches.

    Args:
        rows: (index of the row, its question) of every row.
        lengths: Tokens of every question.
        limit: Most rows of a batch, filling included.
        in_order: Keep the order of the rows, and only what stands together is one question's group;
            else questions of like row count and length sit together, which wastes least.
        at_once: Batches that run beside each other; each of them gets about the same work.
    """
    parts = list(parts_of(rows, limit, in_order))
    if not in_order:
        parts.sort(key=lambda part: (len(part[1]), lengths[part[0]]))
    return list(packed(parts, even_limit(parts, limit, at_once)))


def even_limit(parts: Sequence[Part], limit: int, at_once: int) -> int:
    """A small limit under which there are no more batches than the next multiple of `at_once`.

    They are then of about one size, and nobody waits for a last one. Tried in steps of half the
    widest part.
    """
    if len(parts) < 2:
        return limit
    batches = -(-count(packed(parts, limit)) // at_once) * at_once
    rows, widest = sum(len(some) for _, some in parts), max(len(some) for _, some in parts)
    tried = range(-(-rows // batches), limit, max(1, widest // 2))
    return next((even for even in tried if count(packed(parts, even)) <= batches), limit)


def count(grids: Iterable[Grid]) -> int:
    """How many batches there are."""
    return sum(1 for _ in grids)


def parts_of(rows: Iterable[tuple[int, int]], limit: int, in_order: bool) -> Iterator[Part]:
    """Rows grouped by question, in the order of their first row; long groups are cut."""
    if in_order:
        groups = [(question, list(some)) for question, some in groupby(rows, key=itemgetter(1))]
    else:
        by_question: dict[int, list[tuple[int, int]]] = {}
        for row in rows:
            by_question.setdefault(row[1], []).append(row)
        groups = list(by_question.items())
    for question, several in groups:
        for i in range(0, len(several), limit):
            yield question, tuple(row for row, _ in several[i : i + limit])


def packed(parts: Sequence[Part], limit: int) -> Iterator[Grid]:
    """Batches of consecutive parts; questions with fewer rows than the widest are filled up."""
    chosen: list[Part] = []
    widest = 0
    for part in parts:
        wider = max(widest, len(part[1]))
        if chosen and (len(chosen) + 1) * wider > limit:
            yield grid_of(chosen)
            chosen, wider = [], len(part[1])
        chosen.append(part)
        widest = wider
    if chosen:
        yield grid_of(chosen)


def grid_of(parts: Sequence[Part]) -> Grid:
    """A batch of parts."""
    questions, rows = zip(*parts, strict=True)
    return Grid(questions, rows)
