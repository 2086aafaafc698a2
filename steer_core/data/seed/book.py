"""The seed experiment's files side by side, and what every check of them needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from steer_core.data.answers import same_number
from steer_core.data.problems import Pair
from steer_core.data.seed.files import PairId, SeedFiles, ValidationRow, matched

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class SeedFinding:
    """One way in which a file disagrees with itself or with another.

    `file` is pairs, validation, necessity or split; `count` rows are concerned, those of
    `pair_ids`; `message` says it in words.
    """

    file: str
    kind: str
    count: int
    message: str
    pair_ids: tuple[PairId, ...] = ()


class Book:
    """The files side by side: for each row of one its row in another, None where there is none."""

    def __init__(self, files: SeedFiles):
        self.pairs = files.pairs
        self.ids = [pair.pair_id for pair in files.pairs]
        self.by_id = first_by_id(files.pairs)
        self.validation = files.validation
        answers = files.validation.rows if files.validation else ()
        self.answers, self.answer_ids = answers, [row.pair_id for row in answers]
        self.answer_by_id = first_by_id(answers)
        self.need_by_id = first_by_id(files.necessity or ())

    def pairs_of(self, rows: Sequence) -> list[Pair | None]:
        """The pair of each row."""
        return [None if i is None else self.pairs[i] for i in self.places(rows, self.ids)]

    def answers_of(self, rows: Sequence) -> list[ValidationRow | None]:
        """The validation row of each row."""
        return [None if i is None else self.answers[i] for i in self.places(rows, self.answer_ids)]

    def places(self, rows: Sequence, ids: Sequence[PairId]) -> list[int | None]:
        """See `matched`."""
        return matched([row.pair_id for row in rows], ids)


def first_by_id(rows: Iterable) -> dict:
    """The first row of each pair id."""
    found: dict = {}
    for row in rows:
        found.setdefault(row.pair_id, row)
    return found


def finding(file: str, kind: str, rows: Sequence, message: str) -> Iterator[SeedFinding]:
    """A finding about rows that have a pair id; nothing where there are none."""
    if rows:
        ids = tuple(dict.fromkeys(row.pair_id for row in rows))
        yield SeedFinding(file, kind, len(rows), message.format(n=len(rows), ids=len(ids)), ids)


def repeats(rows: Sequence, key: Callable[..., Hashable] = lambda row: row.pair_id) -> list:
    """The rows whose key an earlier one had."""
    seen: set[Hashable] = set()
    found = []
    for row in rows:
        if key(row) in seen:
            found.append(row)
        seen.add(key(row))
    return found


def disagreeing(rows: Sequence, value: Callable[..., object]) -> list:
    """The rows that say something else than the first row of their id."""
    first = first_by_id(rows)
    return [row for row in rows if value(row) != value(first[row.pair_id])]


def stated(file: str, said: Counts, counted: Counts) -> Iterator[SeedFinding]:
    """One finding for each number that a file states about itself and its rows do not give."""
    for name, value in said.items():
        if name in counted and counted[name] != value:
            message = f"states {name} = {value}, its rows give {counted[name]}"
            yield SeedFinding(file, "stated_number", 1, message)


def strangers(file: str, rows: Sequence, book: Book) -> Iterator[SeedFinding]:
    """Rows without a pair, and pairs without a row."""
    found = book.pairs_of(rows)
    lost = [row for row, pair in zip(rows, found, strict=True) if pair is None]
    yield from finding(file, "unknown_id", lost, "{n} rows have no row of their id in the pairs")
    known = {row.pair_id for row in rows}
    missing = [pair for pair in book.pairs if pair.pair_id not in known]
    yield from finding(file, "missing_id", missing, "{n} pairs have no row")


def unchanged(pair: Pair) -> bool:
    """Whether the corruption leaves the answer as it is."""
    return same_number(pair.clean.answer, pair.corrupted.answer)
