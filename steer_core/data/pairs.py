"""Pair files: the bundled sets by name, users' files by path, and writing them."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from steer_core.box import PAIRS_DIR
from steer_core.data.fields import listed
from steer_core.data.formats import read_rows
from steer_core.data.problems import Pair, Problem, question_key
from steer_core.data.rows import Row, is_pair, row_faults, row_pair
from steer_core.errors import UserError

BUNDLED = ("fit", "test", "validation")
"""Names of the shipped sets: "fit" for directions, "test" for what is reported, "validation" for
choices between trainings of the bundled models."""


def load_pairs(name_or_path: str | Path) -> list[Pair]:
    """Load a set of `BUNDLED` by name, or a file in any format of `read_rows`.

    Repeated ids and questions are kept as they are; the audit reports them.

    Raises:
        UserError: when the file cannot be read, holds no pairs, or has a row that is no pair.
    """
    path = pair_path(name_or_path)
    rows = pair_rows(path)
    if not rows:
        raise UserError(f"{path} holds no pairs; give at least one row")
    first = rows[0].value
    if isinstance(first, dict) and not is_pair(rows[0]) and "corrupted" not in first:
        raise UserError(
            f"{path.name} holds no pairs, row 1 has {listed(first)}; give objects with pair_id, "
            "clean and corrupted, each twin with question and answer"
        )
    for row in rows:
        if faults := row_faults(row):
            raise UserError(
                f"{path.name} row {row.number}: {faults[0].message}; correct the row "
                f"('pairs audit {path}' lists every broken one)"
            )
    return [row_pair(row) for row in rows]


def pair_rows(name_or_path: str | Path) -> list[Row]:
    """The rows of a bundled set or a file, broken ones too."""
    return read_rows(pair_path(name_or_path), "'fit', 'test' or ")


def pair_path(name_or_path: str | Path) -> Path:
    """Return the file of a bundled name, or the path as given."""
    if str(name_or_path) in BUNDLED:
        return PAIRS_DIR / f"{name_or_path}.json"
    return Path(name_or_path)


@cache
def shipped_keys() -> frozenset[str]:
    """Question keys of every shipped problem; training leaves these out (`question_key`)."""
    pairs = [pair for name in BUNDLED for pair in load_pairs(name)]
    return frozenset(
        question_key(problem.question) for pair in pairs for problem in (pair.clean, pair.corrupted)
    )


def pair_row(pair: Pair) -> dict[str, object]:
    """Return a pair in the layout of the files."""
    row: dict[str, object] = {
        "pair_id": pair.pair_id,
        "clean": _content(pair.clean),
        "corrupted": _content(pair.corrupted),
    }
    if pair.clean.template is not None:
        row |= {"template": pair.clean.template, "held_out": pair.held_out}
    if pair.changed_step is not None:
        row["changed_step"] = pair.changed_step
    return row


def dump_pairs(pairs: Iterable[Pair]) -> str:
    """Return the text of a pair file: a JSON list with one pair a line."""
    rows = ",\n".join(json.dumps(pair_row(pair), ensure_ascii=False) for pair in pairs)
    return f"[\n{rows}\n]\n"


def _content(problem: Problem) -> dict[str, object]:
    content: dict[str, object] = {"question": problem.question, "answer": problem.answer}
    if problem.chain:
        content["chain"] = list(problem.chain)
    if problem.step_results is not None:
        content["step_results"] = list(problem.step_results)
    return content
