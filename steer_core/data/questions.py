"""Questions with one answer each: users' files and the published test sets' own layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from steer_core.data.answers import Number, parse_answer
from steer_core.data.pairs import BUNDLED, load_pairs
from steer_core.data.problems import Problem
from steer_core.data.rows import Row, read_rows, show
from steer_core.errors import UserError

QUESTION_FIELDS = ("question", "question_concat", "instruction", "input")
ANSWER_FIELDS = ("answer", "Answer", "final_ans", "response", "target")
"""Names under which the published test sets keep them; the first that a row has is taken."""
FINAL = "####"
"""In GSM8K's answers the number behind this is the answer."""


def load_problems(name_or_path: str) -> list[Problem]:
    """Questions of a bundled set or a file: pairs (their clean twins), or rows with an answer.

    Args:
        name_or_path: "fit", "test", "validation", or a JSON, JSONL or Parquet file.

    Raises:
        UserError: when the file cannot be read, is empty, or has a row without a question or a
            number as its answer.
    """
    path = Path(name_or_path)
    if name_or_path in BUNDLED:
        return [pair.clean for pair in load_pairs(name_or_path)]
    rows = parquet_rows(path) if path.suffix == ".parquet" else read_rows(path)
    if not rows:
        raise UserError(f"{path} holds no questions; give at least one row")
    if isinstance(rows[0].value, dict) and "clean" in rows[0].value:
        return [pair.clean for pair in load_pairs(path)]
    return [row_problem(row, path) for row in rows]


def parquet_rows(path: Path) -> list[Row]:
    """The rows of a Parquet file."""
    import pandas as pd
    from pyarrow import ArrowException

    try:
        records = pd.read_parquet(path).to_dict("records")
    except (OSError, ValueError, ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"cannot read '{path}' ({reason}); give a Parquet file") from error
    return [Row(number, value) for number, value in enumerate(records, start=1)]


def row_problem(row: Row, path: Path) -> Problem:
    """The problem in a row of question and answer."""
    where = f"{path.name} row {row.number}"
    if not isinstance(row.value, dict):
        raise UserError(f"{where} is no object with a question and an answer; correct the row")
    question = field(row.value, QUESTION_FIELDS, where)
    value = field(row.value, ANSWER_FIELDS, where)
    answer = gold_answer(value)
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{where}: the question is {show(question)}, not a text; correct the row")
    if answer is None:
        raise UserError(f"{where}: the answer is {show(value)}, not a number; correct the row")
    return Problem(question, answer)


def field(row: Mapping[str, object], names: Sequence[str], where: str) -> object:
    """The first of several fields that a row has."""
    for name in names:
        if name in row:
            return row[name]
    raise UserError(f"{where} has none of the fields {', '.join(names)}; name one of them so")


def gold_answer(value: object) -> Number | None:
    """The number that a stored answer means, by the rule of the official evaluation.

    What stands behind the last "####" if there is one, thousands commas dropped; None when that is
    no finite number.
    """
    if not isinstance(value, str):
        return parse_answer(value)
    text = value.rpartition(FINAL)[2].replace(",", "")
    try:
        number = float(text)
    except ValueError:
        return None
    return parse_answer(number) if math.isfinite(number) else None
