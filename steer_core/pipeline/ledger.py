"""What was looked at on which pairs: one line for each sweep, in the folder of its results.

Whoever tries sixteen layers on some pairs and then judges the best of them on the same pairs finds
something where nothing is. No single run shows that; so every sweep leaves a line, and a reader of
any run counts the lines of its folder and of the folders beside it that tell of the same questions
and the same model. Lines are only added, each in one piece, so any number of processes may write.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steer_core.files import append
from steer_core.names import REAL
from steer_core.pipeline.records import CurveKey, RunRecord, canonical, positions_text, said
from steer_core.pipeline.store import now

FILE = "looks.jsonl"
SELECT, REPORT = "select", "report"
"""Splits that can be swept: settings are chosen on the first, results shown on the second."""
DIGITS = 12
"""Hexadecimal digits by which a question is known here."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """One sweep over some pairs.

    `what` is the same for the same model, pairs, real curves and α: that is one look, however
    often it is taken and whatever controls are beside it. `part`: the split that was swept, empty
    for pairs without splits; `fit`: the problems that its directions come from, empty if they are
    not known; `questions`: the clean questions, `DIGITS` digits each; `settings`: its real curves
    in words; `who`: page or command; `when` in ISO 8601, UTC.
    """

    what: str
    part: str
    model: str
    pairs: str
    fit: str
    questions: tuple[str, ...]
    settings: tuple[str, ...]
    who: str
    when: str

    @classmethod
    def of(cls, record: RunRecord, questions: Iterable[str] = (), who: str = "command") -> Look:
        """What a run looks at."""
        facts, real = record.provenance, real_curves(record.curves)
        model, pairs = str(facts.get("model_sha256", "")), str(facts.get("pairs_sha256", ""))
        curves = [said(curve) for curve in real]
        what = hashed(canonical([model, pairs, curves, sorted(record.spec.alphas)]), 32)
        return cls(
            what=what,
            part=str(facts.get("split") or ""),
            model=model,
            pairs=pairs,
            fit=str((facts.get("fit") or {}).get("problems_sha256", "")),
            questions=tuple(sorted({hashed(question, DIGITS) for question in questions})),
            settings=tuple(map(setting_words, real)),
            who=who,
            when=now(),
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Look:
        """What a line holds.

        Raises:
            ValueError, TypeError, KeyError: for one that holds something else.
        """
        questions, settings = (tuple(map(str, value[x])) for x in ("questions", "settings"))
        what, part, model, pairs, fit, who, when = (
            str(value[name]) for name in ("what", "part", "model", "pairs", "fit", "who", "when")
        )
        return cls(what, part, model, pairs, fit, questions, settings, who, when)

    def shares(self, other: Look) -> bool:
        """Whether both are of one model, and of pairs that are the same or overlap."""
        same = self.pairs == other.pairs != ""
        return self.model == other.model and (
            same or bool(set(self.questions) & set(other.questions))
        )


def real_curves(curves: Iterable[CurveKey]) -> list[CurveKey]:
    """The curves of a run that are no controls."""
    return [curve for curve in curves if curve.kind == REAL]


def setting_words(curve: CurveKey) -> str:
    """A setting as a reader sees it."""
    place = curve.site if curve.layer is None else f"{curve.site} {curve.layer}"
    done = "" if curve.doing == "add" else f" ({curve.doing})"
    return f"{curve.direction}{done} at {place}, positions {positions_text(curve.positions)}"


def hashed(text: str, digits: int) -> str:
    """The first hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def note(path: Path, look: Look) -> None:
    """Add a look to the ledger of a folder, unless it is there; what fails is said, not fatal."""
    found, _ = read(path)
    if any(each.what == look.what for each in found):
        return
    line = json.dumps(asdict(look), ensure_ascii=False) + "\n"
    try:
        # A line that was cut off by a crash ends here, so that this one is whole.
        whole = not path.is_file() or path.read_bytes()[-1:] in (b"", b"\n")
        append(line if whole else "\n" + line, path)
    except OSError as error:
        _log.warning(
            "%s cannot be written (%s), so this look at the pairs is not counted", path, error
        )


def read(path: Path) -> tuple[list[Look], int]:
    """The looks of one ledger, each once, and how many of its lines are damaged."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return [], 0
    found: dict[str, Look] = {}
    damaged = 0
    for line in lines:
        try:
            if line.strip():
                look = Look.from_json(json.loads(line))
                found.setdefault(look.what, look)
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged += 1
    return list(found.values()), damaged


@dataclass(frozen=True, slots=True)
class Looks:
    """What was looked at on the pairs of a run.

    `own`: its real curves; `others`: looks of other runs on the same or overlapping pairs with the
    same model; `compared`: settings that were swept on the select split of the same preparation;
    `part` of the run; `problems`: what is wrong with the ledger, one line each.
    """

    own: int
    others: tuple[Look, ...] = ()
    compared: frozenset[str] = frozenset()
    part: str = ""
    problems: tuple[str, ...] = ()

    @property
    def curves(self) -> int:
        """Curves looked at on these pairs, over all runs."""
        return self.own + sum(len(look.settings) for look in self.others)

    @property
    def factor(self) -> float:
        """By how much p-values of the run grow: a union bound over all curves, at least 1."""
        return max(1.0, self.curves / max(self.own, 1))

    @property
    def chosen(self) -> float:
        """Settings that each curve of a report run was chosen from on select, at least 1.

        New pairs are a new draw of pairs, but the direction is the one that stood out there.
        """
        if self.part != REPORT:
            return 1.0
        return max(1.0, len(self.compared) / max(self.own, 1))

    @property
    def mark(self) -> str:
        """What every figure, table and verdict of the run says of it; empty for a first look."""
        marks = []
        if self.part == SELECT:
            marks.append("select split: a setting is chosen here, results are those of the report")
        if self.others:
            more = self.curves - self.own
            marks.append(
                f"these pairs were looked at {times(len(self.others))} more, along {more} other "
                f"{'curve' if more == 1 else 'curves'}; p counts all {self.curves}"
            )
        return "; ".join(marks)

    @property
    def words(self) -> str:
        """How the settings of the run were chosen; empty where nothing is known of it."""
        if self.part != REPORT or not self.compared:
            return ""
        many = len(self.compared)
        return (
            f"{many} {'setting was' if many == 1 else 'settings were'} compared on the select "
            "split: p over pairs counts what was opened on the report split alone, the rank among "
            "controls counts the choice too, for the direction is the same one."
        )


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def looks_at(folder: Path, record: RunRecord, records: Sequence[RunRecord] = ()) -> Looks:
    """What was looked at on the pairs of a run, as its folder and those beside it tell.

    Args:
        folder: Of the run.
        record: The run.
        records: All runs of its store; one that the ledger lacks is counted all the same.
    """
    known, damaged = read(folder / FILE)
    mine = Look.of(record)
    own = next((look for look in known if look.what == mine.what), mine)
    stored = [look for each in records for look in look_of_stored(each)]
    lacking = {look.what for look in (mine, *stored)} - {look.what for look in known}
    seen = {look.what: look for look in (*stored, *beside(folder), *known)}
    others = [look for what, look in seen.items() if what != own.what]
    return Looks(
        own=len(own.settings),
        others=tuple(look for look in others if own.shares(look)),
        compared=frozenset(
            setting
            for look in others
            if look.part == SELECT and (look.model, look.fit) == (own.model, own.fit) and own.fit
            for setting in look.settings
        ),
        part=own.part,
        problems=tuple(problems(folder, len(lacking), damaged)),
    )


def look_of_stored(record: RunRecord) -> Iterator[Look]:
    """The look of a stored run; of one whose description is damaged none."""
    with suppress(AttributeError, TypeError, ValueError, KeyError):
        yield Look.of(record)


def beside(folder: Path) -> Iterator[Look]:
    """The looks of the folders beside one."""
    for path in sorted(folder.resolve().parent.glob(f"*/{FILE}")):
        yield from read(path)[0]


def problems(folder: Path, lacking: int, damaged: int) -> Iterator[str]:
    """What is wrong with a ledger, in words."""
    path = folder / FILE
    if lacking and not path.is_file():
        yield f"{path} is missing; of earlier looks at these pairs only stored runs are counted"
    elif lacking:
        yield f"{path} lacks {lacking} of the stored runs; they are counted all the same"
    if damaged:
        yield f"{path} has {damaged} damaged lines, which are not counted"
