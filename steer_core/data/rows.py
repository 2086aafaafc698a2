"""Rows of a pair file, read leniently: what is wrong with a row is data, for reader and audit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steer_core.data.answers import parse_answer
from steer_core.data.problems import Pair, Problem
from steer_core.errors import UserError

_LIST_KEYS = ("pairs", "data", "rows", "problems")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        number: counted from 1; in a JSONL file the line.
        value: the decoded JSON value; None when the line is no JSON.
        error: why the line is no JSON, None when it is.
    """

    number: int
    value: object
    error: str | None = None

    @property
    def pair_id(self) -> int | str | None:
        """The pair_id when it is usable."""
        found = self.value.get("pair_id") if isinstance(self.value, dict) else None
        return found if _is_id(found) else None


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why a row cannot be used.

    Attributes:
        kind: "bad_json", "bad_row", "missing_field", "bad_field" or "bad_answer".
        message: field, value and what was expected, without the row number.
    """

    kind: str
    message: str


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a JSON list, a JSON object that holds the list, or JSONL.

    Raises:
        UserError: when the file cannot be read or holds no list of rows.
    """
    text = _read_text(path)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(text)
    try:
        value = _decode(text)
    except ValueError as error:
        if _starts_with_row(text):
            return _json_lines(text)
        raise UserError(f"{path} is not JSON ({error}); give a JSON list or JSONL") from error
    return [Row(number, item) for number, item in enumerate(_find_list(value, path), start=1)]


def row_faults(row: Row) -> list[Fault]:
    """Return everything that keeps a row from being a pair; an empty list when it is one."""
    if row.error is not None:
        return [Fault("bad_json", f"is not JSON ({row.error})")]
    if not isinstance(row.value, dict):
        return [Fault("bad_row", f"is {show(row.value)}, not an object with clean and corrupted")]
    faults = _id_faults(row.value)
    for side in ("clean", "corrupted"):
        faults += _side_faults(row.value, side)
    return faults


def row_pair(row: Row) -> Pair:
    """Return the pair in a row without faults."""
    value = row.value
    assert isinstance(value, dict)
    template = value.get("template") if isinstance(value.get("template"), str) else None
    clean, corrupted = (_problem(value[side], template) for side in ("clean", "corrupted"))
    return Pair(value["pair_id"], clean, corrupted, held_out=value.get("held_out") is True)


def show(value: object) -> str:
    """Return a value as it goes into a one-line message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"cannot read pair file '{path}' ({error.strerror}); "
            "use 'fit', 'test', 'validation' or the path of a JSON or JSONL file"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text; save it as UTF-8 JSON or JSONL") from error


def _decode(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _json_lines(text: str) -> list[Row]:
    lines = enumerate(text.split("\n"), start=1)
    return [_line_row(number, line) for number, line in lines if line.strip()]


def _line_row(number: int, line: str) -> Row:
    try:
        return Row(number, _decode(line))
    except ValueError as error:
        return Row(number, None, error=str(error))


def _starts_with_row(text: str) -> bool:
    rows = _json_lines(text.lstrip().partition("\n")[0])
    return bool(rows) and isinstance(rows[0].value, dict)


def _find_list(value: object, path: Path) -> list:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if "clean" in value or "corrupted" in value:
            return [value]
        named = [value[key] for key in _LIST_KEYS if isinstance(value.get(key), list)]
        lists = named[:1] or [item for item in value.values() if isinstance(item, list)]
        if len(lists) == 1:
            return lists[0]
    raise UserError(f"{path} holds no list of pairs; give a JSON list or an object with 'pairs'")


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


def _id_faults(value: Mapping) -> list[Fault]:
    if "pair_id" not in value:
        return [Fault("missing_field", "has no pair_id")]
    if not _is_id(value["pair_id"]):
        found = show(value["pair_id"])
        return [Fault("bad_field", f"pair_id is {found}, not an integer or a text")]
    return []


def _side_faults(value: Mapping, side: str) -> list[Fault]:
    if side not in value:
        return [Fault("missing_field", f"has no {side}")]
    content = value[side]
    if not isinstance(content, dict):
        found = show(content)
        return [Fault("bad_field", f"{side} is {found}, not an object with question and answer")]
    faults = [
        Fault("missing_field", f"has no {side}.{name}")
        for name in ("question", "answer")
        if name not in content
    ]
    question = content.get("question", "given")
    if not isinstance(question, str) or not question.strip():
        faults.append(Fault("bad_field", f"{side}.question is {show(question)}, not a text"))
    if "answer" in content and parse_answer(content["answer"]) is None:
        found = show(content["answer"])
        faults.append(Fault("bad_answer", f"{side}.answer is {found}, not a number"))
    return faults


def _problem(content: Mapping, template: str | None) -> Problem:
    chain = content.get("chain")
    if not isinstance(chain, list) or not all(isinstance(step, str) for step in chain):
        chain = []
    answer = parse_answer(content["answer"])
    assert answer is not None
    return Problem(content["question"], answer, tuple(chain), template)
