"""Pairs as one model answered them, sorted into splits: what directions and sweeps start from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from steer_core.data.pairs import pair_row
from steer_core.data.problems import Pair, question_key
from steer_core.data.rows import Row, row_faults, row_pair
from steer_core.errors import UserError
from steer_core.files import write_whole

FIT = "fit"
SPLITS = (FIT, "select", "report")
"""Directions come from fit, settings are chosen on select, results are shown on report."""

CORRECT, WRONG = "correct", "wrong"
LABELS = (CORRECT, WRONG)
ABOUT_FILE, PAIRS_FILE = "prepared.json", "pairs.jsonl"
FORMAT = 1
NECESSITY_KINDS = ("zeros", "mean", "noise", "none")
"""What latents are replaced by: zeros, the mean state, noise of its size; or no test at all."""
Number = int | float
Progress = Callable[[str, int, int], None]
"""Called with a stage and how many of how many rows of it are done."""


@dataclass(frozen=True, slots=True)
class Twin:
    """One side of a pair as the model answered it, scored against its own gold answer.

    `text`, `answer` (None without a number) and `correct` at baseline; `ablated_answer` and
    `ablated_correct` with the latents replaced, the latter None where that was not tested.
    `swapped_answer` with the latents of the other twin, and whether it is the other's gold answer
    (`swapped`; None where that was not tested).
    """

    text: str
    answer: Number | None
    correct: bool
    ablated_answer: Number | None = None
    ablated_correct: bool | None = None
    swapped_answer: Number | None = None
    swapped: bool | None = None

    @property
    def needs_latents(self) -> bool | None:
        """Right at baseline and not without latents; None where that was not tested."""
        return None if self.ablated_correct is None else self.correct and not self.ablated_correct


@dataclass(frozen=True, slots=True)
class PreparedPair:
    """A pair, how it was answered, and where it went.

    `label` is that of the clean twin at baseline; `split` is None for a pair that is not used, and
    `why` says why it is not (empty for one that is).
    """

    pair: Pair
    clean: Twin
    corrupted: Twin
    label: str
    split: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One count on the way from all rows to the splits: `count` of `of` rows."""

    name: str
    count: int
    of: int

    @property
    def percent(self) -> float:
        """The share in percent; 0 of nothing."""
        return 100 * self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Necessity:
    """How latents were taken away.

    `kind` is zeros, mean, noise, or none (not tested); `positions` are among 0..K, `layer` is None
    where the site has none.
    """

    kind: str
    site: str
    layer: int | None
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All pairs of a set with baseline, latent necessity and split, and where they come from.

    `model_sha256` is empty and `latents` 0 where the answers were read from files and no model was
    run. `pairs_sha256` is over the questions and answers of all rows. `fractions` are those of
    `SPLITS`; `balanced`: as many right as wrong answers in the fit split. `findings` are what a
    reader of files found wrong with them, one line each.
    """

    model: str
    model_sha256: str
    revision: str | None
    latents: int
    dtype: str
    device: str
    pairs_name: str
    pairs_sha256: str
    seed: int
    necessity: Necessity
    filter: str
    fractions: tuple[float, ...]
    balanced: bool
    pairs: tuple[PreparedPair, ...]
    funnel: tuple[FunnelStep, ...]
    versions: dict[str, str]
    command: str = ""
    findings: tuple[str, ...] = ()

    def rows(self, split: str) -> list[PreparedPair]:
        """The pairs of a split with what was answered, in the order of the file.

        Raises:
            UserError: for an unknown split.
        """
        if split not in SPLITS:
            raise UserError(f"unknown split '{split}'; choose {', '.join(SPLITS)}")
        return [row for row in self.pairs if row.split == split]

    def split(self, name: str) -> list[Pair]:
        """The pairs of a split, in the order of the file."""
        return [row.pair for row in self.rows(name)]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pairs of each split by label."""
        found = Counter((row.split, row.label) for row in self.pairs)
        return {split: {label: found[split, label] for label in LABELS} for split in SPLITS}

    @property
    def set_aside(self) -> dict[str, int]:
        """Unused pairs by the reason."""
        return dict(Counter(row.why for row in self.pairs if row.split is None))

    def check_model(self, name: str, sha256: str, latents: int) -> None:
        """Raise a `UserError` unless this was prepared with those weights and K latents."""
        if not self.model_sha256:
            return
        if sha256 != self.model_sha256 and name == self.model:
            raise UserError(
                f"the pairs were prepared when {name} had other weights ({self.model_sha256[:12]}, "
                f"now {sha256[:12]}); run 'prepare --model {name}' into another folder"
            )
        if sha256 != self.model_sha256:
            raise UserError(
                f"the pairs were prepared with {self.model} ({self.model_sha256[:12]}), not with "
                f"{name} ({sha256[:12]}); run 'prepare --model {name}'"
            )
        if latents != self.latents:
            raise UserError(
                f"the pairs were prepared with {self.latents} latents, not with {latents}; run "
                f"'prepare --model {name} --latents {latents}'"
            )

    def save(self, folder: Path) -> None:
        """Write `prepared.json` and `pairs.jsonl`; the latter is a pair file too."""
        lines = "".join(f"{json.dumps(pair_line(row))}\n" for row in self.pairs)
        # The folder is whole once prepared.json is there: it names the pairs it belongs to.
        about = {"format": FORMAT, "pairs_file_sha256": digest(lines)} | {
            field.name: plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name != "pairs"
        }
        write_whole(folder / PAIRS_FILE, lines)
        write_whole(folder / ABOUT_FILE, json.dumps(about, indent=1) + "\n")


def load_prepared(folder: Path) -> Prepared:
    """Read what `Prepared.save` wrote.

    Raises:
        UserError: when the folder or a file of it is missing, damaged, of another format, or when
            the two files do not belong together.
    """
    about_text, lines = (read_text(folder, name) for name in (ABOUT_FILE, PAIRS_FILE))
    try:
        about = json.loads(about_text)
        if about.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        if about.pop("pairs_file_sha256") != digest(lines):
            raise ValueError(f"{PAIRS_FILE} is of another run")
        rows = [json.loads(line) for line in lines.split("\n") if line]
        return Prepared(
            **about
            | {
                "necessity": Necessity(**read_positions(about["necessity"])),
                "fractions": tuple(about["fractions"]),
                "funnel": tuple(FunnelStep(**step) for step in about["funnel"]),
                "findings": tuple(about["findings"]),
                "pairs": tuple(pair_of(i, row) for i, row in enumerate(rows, start=1)),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{folder} holds no prepared pairs that can be used ({said}); run 'prepare --out "
            f"{folder}' again"
        ) from error


def check_no_leak(prepared: Prepared) -> None:
    """Raise a `UserError` where two splits share a pair id or a problem, names aside."""
    seen: dict[object, tuple[str, object]] = {}
    for row in prepared.pairs:
        for key in problem_keys(row.pair) if row.split else ():
            split, pair_id = seen.setdefault(key, (str(row.split), row.pair.pair_id))
            if split != row.split:
                raise UserError(
                    f"pair {row.pair.pair_id} of split {row.split} shares its id or a question "
                    f"with pair {pair_id} of split {split}; prepare the pairs again"
                )


def problem_keys(pair: Pair) -> Iterable[object]:
    """What makes two pairs the same problem: the id, or a question of either twin."""
    # Ids as text: "7" in one file is 7 in another. The mark keeps them apart from questions.
    yield "id", str(pair.pair_id)
    yield question_key(pair.clean.question)
    yield question_key(pair.corrupted.question)


def pair_line(row: PreparedPair) -> dict[str, object]:
    """A pair in the layout of pair files, with what was answered."""
    return pair_row(row.pair) | {
        "baseline": {"clean": plain(row.clean), "corrupted": plain(row.corrupted)},
        "label": row.label,
        "split": row.split,
        "why": row.why,
    }


def pair_of(number: int, value: dict) -> PreparedPair:
    """The inverse of `pair_line`."""
    row = Row(number, value)
    if faults := row_faults(row):
        raise ValueError(f"{PAIRS_FILE} row {number}: {faults[0].message}")
    label, split = value["label"], value["split"]
    if label not in LABELS or split not in (*SPLITS, None):
        raise ValueError(f"{PAIRS_FILE} row {number}: label {label!r}, split {split!r}")
    twins = (Twin(**value["baseline"][side]) for side in ("clean", "corrupted"))
    return PreparedPair(row_pair(row), *twins, label=label, split=split, why=value["why"])


def read_positions(necessity: dict) -> dict:
    """The fields of a `Necessity`, its positions as a tuple again."""
    return necessity | {"positions": tuple(necessity["positions"])}


def plain(value: object) -> object:
    """A value as JSON takes it: records as objects, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def digest(text: str) -> str:
    """Its SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_text(folder: Path, name: str) -> str:
    """The text of a file of a prepared folder."""
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{folder} holds no prepared pairs ({name}: {reason(error)}); make them with "
            f"'prepare --model NAME --out {folder}'"
        ) from error


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    return (error.strerror if isinstance(error, OSError) else None) or "is no UTF-8 text"
