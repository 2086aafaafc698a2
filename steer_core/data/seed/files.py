"""Readers of the files in which the seed experiment stored its answers, necessity and splits.

A validation file holds what a model answered to both twins of every pair, a necessity file whether
it was still right with its latents replaced by zeros, and a split file the pair ids of its
training and test sets by label. All are JSON; rows are matched to the pair file by `pair_id`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from steer_core.data.answers import Number, parse_answer
from steer_core.data.json_file import read_json
from steer_core.data.json_rows import flaw_of
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Pair
from steer_core.data.rows import show
from steer_core.errors import UserError

LISTS = {
    "train_correct": ("train", "correct"),
    "train_wrong": ("train", "wrong"),
    "test_correct": ("test", "correct"),
    "test_wrong": ("test", "wrong"),
}
"""Lists of a split file: side and label."""

OUTCOMES = ("both_correct", "clean_only", "corrupted_only", "both_wrong")
PairId = int | str


@dataclass(frozen=True, slots=True)
class Answered:
    """One side of a validation row: what was answered, and what it was held to."""

    text: str
    predicted: Number | None
    expected: Number | None
    correct: bool


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """Both sides of a pair; `outcome` holds the flags `OUTCOMES` that the row states."""

    pair_id: PairId
    clean: Answered
    corrupted: Answered
    outcome: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation file: `stated` are the numbers it gives for itself."""

    model: str
    stated: dict[str, int]
    rows: tuple[ValidationRow, ...]


@dataclass(frozen=True, slots=True)
class NeedRow:
    """A row of a necessity file; each pair of flags is (clean twin, corrupted twin)."""

    pair_id: PairId
    baseline: tuple[bool, bool]
    ablated: tuple[bool, bool]
    needs: tuple[bool, bool]
    either: bool


@dataclass(frozen=True, slots=True)
class SplitRow:
    """An entry of a split file: `side` train or test; `correct` is a flag it may repeat."""

    pair_id: PairId
    side: str
    label: str
    expected: Number | None
    correct: bool | None


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A split file: `stated` are the numbers it gives for itself."""

    stated: dict[str, int]
    rows: tuple[SplitRow, ...]


@dataclass(frozen=True, slots=True)
class SeedFiles:
    """A pair file and what is stored about it; a part is None where no file was given."""

    pairs_name: str
    pairs: tuple[Pair, ...]
    necessity: tuple[NeedRow, ...] | None = None
    validation: Validation | None = None
    split: SplitFile | None = None


def read_seed_files(
    pairs: str | Path,
    necessity: Path | None = None,
    validation: Path | None = None,
    split: Path | None = None,
) -> SeedFiles:
    """Read a pair file and any of the files about it.

    Raises:
        UserError: for a file that cannot be read or has another layout.
    """
    return SeedFiles(
        pairs_name=str(pairs),
        pairs=tuple(load_pairs(pairs)),
        necessity=necessity and read_necessity(necessity),
        validation=validation and read_validation(validation),
        split=split and read_split(split),
    )


def read_necessity(path: Path) -> tuple[NeedRow, ...]:
    """Read a necessity file: a list of rows of flags."""
    return tuple(
        NeedRow(
            row.pair_id(),
            (row.flag("clean_baseline_correct"), row.flag("corrupted_baseline_correct")),
            (row.flag("clean_ablated_correct"), row.flag("corrupted_ablated_correct")),
            (row.flag("clean_needs_cot"), row.flag("corrupted_needs_cot")),
            row.flag("needs_cot_either"),
        )
        for row in fields_of(stored_value(path), path, "")
    )


def read_validation(path: Path) -> Validation:
    """Read a validation file: an object with `results` and, optionally, `statistics`."""
    value = stored_value(path)
    if not isinstance(value, dict) or "results" not in value:
        raise UserError(f"{path} is no validation file (no list 'results'); give another file")
    rows = tuple(
        ValidationRow(
            row.pair_id(),
            answered(row.inside("clean")),
            answered(row.inside("corrupted")),
            {name: row.flag(name) for name in OUTCOMES if name in row.value},
        )
        for row in fields_of(value["results"], path, "results ")
    )
    stated = numbers_of({"num_pairs": value.get("num_pairs")}) | numbers_of(value.get("statistics"))
    return Validation(str(value.get("model_name", "unknown")), stated, rows)


def read_split(path: Path) -> SplitFile:
    """Read a split file: an object with the four `LISTS`, and numbers about them."""
    value = stored_value(path)
    missing = [name for name in LISTS if not isinstance(value, dict) or name not in value]
    if missing:
        raise UserError(f"{path} is no split file (no list '{missing[0]}'); give another file")
    assert isinstance(value, dict)
    rows = tuple(
        SplitRow(
            row.pair_id(),
            *LISTS[name],
            expected=parse_answer(row.value.get("expected")),
            correct=row.flag("correct") if "correct" in row.value else None,
        )
        for name in LISTS
        for row in fields_of(value[name], path, f"{name} ")
    )
    inner = [numbers_of(value.get(name)) for name in ("stats", "summary")]
    return SplitFile(numbers_of(value) | inner[0] | inner[1], rows)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one object of a file; `where` names it in messages."""

    value: dict
    where: str

    def pair_id(self) -> PairId:
        """The pair id."""
        found = self.value.get("pair_id")
        if isinstance(found, bool) or not isinstance(found, int | str):
            raise UserError(f"{self.where} has pair_id {show(found)}, not an id; correct the row")
        return found

    def flag(self, name: str) -> bool:
        """A field that is true or false."""
        found = self.value.get(name)
        if not isinstance(found, bool):
            raise UserError(f"{self.where} has {name} {show(found)}, not true or false; correct it")
        return found

    def inside(self, name: str) -> Fields:
        """An object in the object."""
        found = self.value.get(name)
        if not isinstance(found, dict):
            raise UserError(f"{self.where} has {name} {show(found)}, not an object; correct it")
        return Fields(found, f"{self.where} {name}")


def answered(side: Fields) -> Answered:
    """One side of a validation row."""
    predicted, expected = (parse_answer(side.value.get(n)) for n in ("predicted", "expected"))
    return Answered(str(side.value.get("output", "")), predicted, expected, side.flag("correct"))


def fields_of(value: object, path: Path, where: str) -> Iterable[Fields]:
    """The objects of a list, counted from 1."""
    if not isinstance(value, list):
        raise UserError(f"{path} {where}holds {show(value)}, not a list of rows; give another file")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise UserError(f"{path} {where}row {number} is {show(row)}, no object; correct it")
        yield Fields(row, f"{path} {where}row {number}")


def numbers_of(value: object) -> dict[str, int]:
    """The whole numbers among the values of an object."""
    items = value.items() if isinstance(value, dict) else ()
    return {k: v for k, v in items if isinstance(v, int) and not isinstance(v, bool)}


def stored_value(path: Path) -> object:
    """The value of a JSON file that can be shown and written."""
    value = read_json(path)
    if flaw := flaw_of(value):
        raise UserError(f"{path} {flaw}; correct it or give another file")
    return value


def matched(ids: Sequence[PairId], to: Sequence[PairId]) -> list[int | None]:
    """For each id the index of its row in `to`: the second time an id comes, its second row.

    None for an id that `to` does not hold, or not as often.
    """
    places: dict[PairId, list[int]] = defaultdict(list)
    for index, pair_id in enumerate(to):
        places[pair_id].append(index)
    seen: Counter[PairId] = Counter()
    found: list[int | None] = []
    for pair_id in ids:
        rows = places.get(pair_id, [])
        found.append(rows[seen[pair_id]] if seen[pair_id] < len(rows) else None)
        seen[pair_id] += 1
    return found
