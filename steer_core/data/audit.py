"""The audit of a pair file: what a researcher should know before trusting numbers from it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from steer_core.data.answers import same_number
from steer_core.data.pairs import pair_rows
from steer_core.data.problems import Pair, question_key
from steer_core.data.rows import Row, row_faults, row_pair


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one row.

    Attributes:
        row: counted from 1; in a JSONL file the line.
        pair_id: of that row, None when it has none that can be used.
        kind: "duplicate_id", "repeated_question", "unchanged_question", "unchanged_answer",
            "leak", "wrong_steps", or for a broken row "bad_json", "bad_row", "missing_field",
            "bad_field", "bad_answer".
        message: the finding in words.
    """

    row: int
    pair_id: int | str | None
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit of one file found.

    Attributes:
        file: the file.
        rows: rows in it, broken ones included.
        distinct_ids: different pair ids.
        repeated_rows: rows whose clean question stands in an earlier row.
        unchanged_answers: rows whose two answers are equal.
        broken_rows: rows that are no pair.
        leaked_rows: rows with a problem that is also in a file audited against.
        findings: every finding, in the order of the rows.
    """

    file: str
    rows: int
    distinct_ids: int
    repeated_rows: int
    unchanged_answers: int
    broken_rows: int
    leaked_rows: int
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return asdict(self)


def audit_file(path: str | Path, against: Iterable[str | Path] = ()) -> AuditReport:
    """Audit a pair file (or bundled name) row by row.

    Args:
        path: the file; broken rows are findings and do not stop the audit.
        against: other pair files or bundled names that it must share no problem with. Two
            questions that differ only in names count as one problem (`question_key`).

    Raises:
        UserError: when a file cannot be read or holds no list of rows.
    """
    rows = pair_rows(path)
    auditor = _Auditor(_known_problems(against))
    findings = tuple(finding for row in rows for finding in auditor.check(row))
    return AuditReport(
        file=str(path),
        rows=len(rows),
        distinct_ids=len(auditor.ids),
        repeated_rows=_count(findings, "repeated_question"),
        unchanged_answers=_count(findings, "unchanged_answer"),
        broken_rows=auditor.broken,
        leaked_rows=_count(findings, "leak"),
        findings=findings,
    )


class _Auditor:
    """Checks rows in order and remembers what it has seen."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known
        self.ids: dict[int | str, int] = {}
        self.questions: dict[str, int] = {}
        self.broken = 0

    def check(self, row: Row) -> Iterator[Finding]:
        for kind, message in self._reasons(row):
            yield Finding(row.number, row.pair_id, kind, message)

    def _reasons(self, row: Row) -> Iterator[tuple[str, str]]:
        yield from self._duplicate_id(row)
        faults = row_faults(row)
        self.broken += bool(faults)
        yield from ((fault.kind, fault.message) for fault in faults)
        if not faults:
            pair = row_pair(row)
            yield from self._repeated(pair, row.number)
            yield from _unchanged(pair)
            yield from _wrong_steps(pair, row.value)
            yield from self._leak(pair)

    def _duplicate_id(self, row: Row) -> Iterator[tuple[str, str]]:
        if row.pair_id is None:
            return
        first = self.ids.setdefault(row.pair_id, row.number)
        if first != row.number:
            yield "duplicate_id", f"pair_id {row.pair_id!r} is also that of row {first}"

    def _repeated(self, pair: Pair, number: int) -> Iterator[tuple[str, str]]:
        first = self.questions.setdefault(_plain(pair.clean.question), number)
        if first != number:
            yield "repeated_question", f"the clean question is also that of row {first}"

    def _leak(self, pair: Pair) -> Iterator[tuple[str, str]]:
        for side, problem in (("clean", pair.clean), ("corrupted", pair.corrupted)):
            if place := self.known.get(question_key(problem.question)):
                yield "leak", f"the {side} problem, names aside, is also in {place}"
                return


def _unchanged(pair: Pair) -> Iterator[tuple[str, str]]:
    if _plain(pair.clean.question) == _plain(pair.corrupted.question):
        yield "unchanged_question", "clean and corrupted question are the same"
    if same_number(pair.clean.answer, pair.corrupted.answer):
        yield "unchanged_answer", f"clean and corrupted answer are both {pair.clean.answer}"


def _wrong_steps(pair: Pair, value: object) -> Iterator[tuple[str, str]]:
    """Where the solution, the results that the row names, and the answer contradict one another."""
    assert isinstance(value, dict)
    for side, problem in (("clean", pair.clean), ("corrupted", pair.corrupted)):
        results = problem.step_results
        if results is None:
            continue
        if results[-1] != problem.answer:
            yield "wrong_steps", f"the {side} chain ends in {results[-1]}, not in {problem.answer}"
        if value[side].get("step_results", [*results]) != [*results]:
            yield "wrong_steps", f"{side}.step_results are not those of its chain, {[*results]}"
    if value.get("changed_step", pair.changed_step) != pair.changed_step:
        yield "wrong_steps", f"changed_step is not that of the chains, {pair.changed_step}"


def _known_problems(files: Iterable[str | Path]) -> dict[str, str]:
    """Question key -> "FILE row N" for every problem in the usable rows of the files."""
    known: dict[str, str] = {}
    for file in files:
        for row in pair_rows(file):
            if row_faults(row):
                continue
            pair = row_pair(row)
            for problem in (pair.clean, pair.corrupted):
                known.setdefault(question_key(problem.question), f"{file} row {row.number}")
    return known


def _plain(question: str) -> str:
    """The question with case and spacing evened out; unlike the key, names count."""
    return " ".join(question.casefold().split())


def _count(findings: Iterable[Finding], kind: str) -> int:
    return sum(finding.kind == kind for finding in findings)
