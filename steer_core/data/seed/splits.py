"""A split file against its own numbers, and against the other files: leaks, repeats, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from steer_core.data.problems import Pair, question_key
from steer_core.data.seed.book import (
    Book,
    Counts,
    SeedFinding,
    disagreeing,
    finding,
    first_by_id,
    repeats,
    stated,
    unchanged,
)
from steer_core.data.seed.files import LISTS, SplitFile, SplitRow
from steer_core.data.seed.necessity import needs
from steer_core.data.seed.validation import right


def split_counts(split: SplitFile, book: Book) -> Counts:
    """Entries by list, leaks, unchanged answers and latent necessity among them."""
    train, test = ([row for row in split.rows if row.side == side] for side in ("train", "test"))
    lists = Counter((row.side, row.label) for row in split.rows)
    found = {name: lists[where] for name, where in LISTS.items()}
    found |= {
        "train": len(train),
        "test": len(test),
        "distinct_train": len(first_by_id(train)),
        "distinct_test": len(first_by_id(test)),
        "leaked_test_rows": len(leaked_ids(train, test)),
        "leaked_test_questions": len(leaked_questions(train, test, book)),
        "unchanged_answers": sum(unchanged(pair) for pair in first_pairs(split.rows, book)),
    }
    if book.need_by_id:
        known = [book.need_by_id[r.pair_id] for r in split.rows if r.pair_id in book.need_by_id]
        found["needs_latents_either"] = sum(any(needs(row)) for row in known)
    return found


def first_pairs(rows: Iterable[SplitRow], book: Book) -> list[Pair]:
    """The pairs of the entries that have one."""
    return [book.by_id[row.pair_id] for row in rows if row.pair_id in book.by_id]


def leaked_ids(train: Sequence[SplitRow], test: Sequence[SplitRow]) -> list[SplitRow]:
    """Test entries whose id is also in training."""
    known = {row.pair_id for row in train}
    return [row for row in test if row.pair_id in known]


def leaked_questions(
    train: Sequence[SplitRow], test: Sequence[SplitRow], book: Book
) -> list[SplitRow]:
    """Test entries with another id, one of whose questions is also in training, names aside."""
    ids = {row.pair_id for row in train}
    known = {key for pair in first_pairs(train, book) for key in keys_of(pair)}
    return [
        row
        for row in test
        if row.pair_id not in ids and row.pair_id in book.by_id
        if known & keys_of(book.by_id[row.pair_id])
    ]


def keys_of(pair: Pair) -> set[str]:
    """The keys of both questions."""
    return {question_key(pair.clean.question), question_key(pair.corrupted.question)}


def split_findings(split: SplitFile, book: Book) -> Iterator[SeedFinding]:
    """Stated sizes, repeats, leaks, and labels that other files contradict."""
    rows, file = split.rows, "split"
    yield from stated(file, split.stated, restated(split, book))
    lost = [row for row in rows if row.pair_id not in book.by_id]
    yield from finding(file, "unknown_id", lost, "{n} entries are not in the pair file")
    again = repeats(rows, lambda row: (row.side, row.label, row.pair_id))
    yield from finding(file, "repeated_id", again, "{n} entries repeat an id of the same list")
    both = disagreeing(rows, lambda row: row.label)
    yield from finding(file, "both_labels", both, "{n} entries have an id with the other label too")
    yield from leaks(split, book)
    yield from labels(rows, book)
    gold = [
        row
        for row in rows
        if row.expected is not None and row.pair_id in book.by_id
        if row.expected != book.by_id[row.pair_id].clean.answer
    ]
    text = "in {n} entries the expected answer is not the clean gold answer"
    yield from finding(file, "other_gold", gold, text)


def leaks(split: SplitFile, book: Book) -> Iterator[SeedFinding]:
    """Test problems that are also training problems."""
    train, test = ([row for row in split.rows if row.side == side] for side in ("train", "test"))
    text = f"{{n}} of {len(test)} test problems are also training problems, by id"
    yield from finding("split", "leaked_id", leaked_ids(train, test), text)
    text = f"{{n}} of {len(test)} test problems share a question with training under another id"
    yield from finding("split", "leaked_question", leaked_questions(train, test, book), text)


def labels(rows: Sequence[SplitRow], book: Book) -> Iterator[SeedFinding]:
    """Labels that the entry itself or the validation file contradicts."""
    own = [r for r in rows if r.correct is not None and r.correct != (r.label == "correct")]
    text = "in {n} entries 'correct' contradicts the list they are in"
    yield from finding("split", "wrong_flag", own, text)
    known = [(r, book.answer_by_id[r.pair_id]) for r in rows if r.pair_id in book.answer_by_id]
    other = [r for r, a in known if right(a)[0] != (r.label == "correct")]
    text = "the labels of {n} entries contradict the validation file"
    yield from finding("split", "label_differs", other, text)


def restated(split: SplitFile, book: Book) -> Counts:
    """The numbers that split files are known to state, recounted."""
    lists = Counter((row.side, row.label) for row in split.rows)
    sides = Counter(row.side for row in split.rows)
    found = {
        "train_size": sides["train"],
        "test_size": sides["test"],
        "train_problems": sides["train"],
        "test_problems": sides["test"],
        "total_problems": len(split.rows),
        "train_size_per_category": lists["train", "correct"],
        "test_size_per_category": lists["test", "correct"],
        "balanced_n": lists["train", "correct"] + lists["test", "correct"],
        "total_pairs_per_category": lists["train", "correct"] + lists["test", "correct"],
    }
    needy = [i for i, row in book.need_by_id.items() if any(needs(row))]
    if needy:
        marks = [book.need_by_id[i].baseline[0] for i in needy]
        found |= {"total_pairs": len(needy), "correct": sum(marks)}
        found["wrong"] = len(needy) - found["correct"]
    return found
