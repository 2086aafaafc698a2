"""Questions of users' files and of the published test sets, with their answers where asked for."""

from __future__ import annotations

import logging
from pathlib import Path

from steer_core.data.answers import parse_answer
from steer_core.data.formats import read_rows
from steer_core.data.layouts import NamedRow, in_row, named_rows
from steer_core.data.pairs import BUNDLED, load_pairs
from steer_core.data.problems import Problem
from steer_core.data.rows import is_pair, show
from steer_core.errors import UserError

NO_ANSWER = (None, "None")
"""Where a problem has no answer: null, and the text by which GSM-Plus says so."""
_log = logging.getLogger(__name__)


def read_questions(path: Path) -> list[str]:
    """The questions of a file in any format of `read_rows`; of pairs the clean twins.

    Raises:
        UserError: when the file cannot be read, is empty, or a row has no question.
    """
    rows = read_rows(path)
    if not rows:
        raise UserError(f"{path} holds no questions; give at least one")
    return [row.question for row in named_rows(rows, path)]


def load_problems(name_or_path: str | Path, names: tuple[str, str] | None = None) -> list[Problem]:
    """Questions with answers, of a bundled set or a file; of pairs the clean twins.

    A row without an answer (null, or "None" as GSM-Plus has it) is left out, which is logged.

    Args:
        name_or_path: "fit", "test", "validation", or a file in any format of `read_rows`.
        names: The fields of question and answer; found among the usual ones where not given.

    Raises:
        UserError: when the file cannot be read, is empty, or has a row without a question or a
            number as its answer.
    """
    path = Path(name_or_path)
    if str(name_or_path) in BUNDLED:
        return [pair.clean for pair in load_pairs(name_or_path)]
    rows = read_rows(path)
    if not rows:
        raise UserError(f"{path} holds no questions; give at least one row")
    if is_pair(rows[0]):
        return [pair.clean for pair in load_pairs(path)]
    found = named_rows(rows, path, scored=True, names=names)
    kept = [row for row in found if row.answer not in NO_ANSWER]
    if not kept:
        raise UserError(f"no row of {path} has an answer; give at least one with a number")
    if len(kept) < len(found):
        left = (len(found) - len(kept), len(found), path.name)
        _log.warning("%d of %d rows of %s have no answer (None) and are left out", *left)
    return [problem_of(row, path) for row in kept]


def problem_of(row: NamedRow, path: Path) -> Problem:
    """The problem in a row with question and answer."""
    answer = parse_answer(row.answer)
    if answer is None:
        with in_row(path, row.number):
            raise UserError(f"the answer is {show(row.answer)}, not a number; correct the row")
    return Problem(row.question, answer, row.steps)
