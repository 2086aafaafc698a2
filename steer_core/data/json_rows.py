"""Rows of JSON and JSONL files, in the shapes that data sets are exported in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from steer_core.data.fields import ascii_controls, field_of, listed, names_a_question
from steer_core.data.rows import Row
from steer_core.errors import UserError

LINES = (".jsonl", ".ndjson")
_LIST_KEYS = (
    *("pairs", "data", "rows", "problems", "questions", "examples", "instances", "items"),
    *("records", "train", "test", "validation"),
)
_LIKE_JSON = re.compile(r"\s*(?:\{|\[\s*(?:[\"'{\[]|$|-?\d[\d.eE+-]*\s*(?:,|\]\s*$)|\]\s*$))")
_DEEPEST, _MOST_DIGITS = 40, 1000


def like_json(text: str) -> bool:
    """Whether a text begins as a JSON object or list does."""
    return _LIKE_JSON.match(text) is not None


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or list."""
    try:
        return like_json(text) and isinstance(decode_json(text), dict | list)
    except ValueError:
        return False


def decode_json(text: str) -> object:
    """The value of a JSON text.

    Raises:
        ValueError: for text that is no JSON, is nested too deeply, or holds a field twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_rows(text: str, path: Path) -> list[Row]:
    """The rows of a JSON text: a list, an object that holds rows, or an object a line.

    Raises:
        UserError: for text that is neither, or an object in which no rows can be named.
    """
    lines = _begins_with_row(text)
    if lines and path.suffix.lower() in LINES:
        return line_rows(text)
    try:
        value = decode_json(text)
    except ValueError as error:
        if lines or path.suffix.lower() in LINES:
            return line_rows(text)
        raise UserError(f"{path} is not JSON ({error}); give a JSON list or JSONL") from error
    return [checked(number, row) for number, row in enumerate(_rows_in(value, path), start=1)]


def line_rows(text: str) -> list[Row]:
    """The rows of JSONL; a line that is no JSON is a row with an error."""
    lines = enumerate(text.split("\n"), start=1)
    return [_line_row(number, line) for number, line in lines if line.strip()]


def checked(number: int, value: object) -> Row:
    """A row, unless it holds what no reader, writer or tokenizer can take."""
    flaw = flaw_of(value)
    return Row(number, value if flaw is None else None, flaw)


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field '{ascii_controls(twice[:40])}' comes twice in one object")
    return found


def _line_row(number: int, line: str) -> Row:
    try:
        return checked(number, decode_json(line))
    except ValueError as error:
        return Row(number, None, error=f"is not JSON ({error})")


def _begins_with_row(text: str) -> bool:
    """Whether the first line alone is an object or a text."""
    rows = line_rows(text.lstrip().partition("\n")[0])
    return bool(rows) and isinstance(rows[0].value, dict | str)


def flaw_of(value: object) -> str | None:
    """What is wrong with a value, at any depth; None for nothing."""
    waiting = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        if depth > _DEEPEST:
            return f"is nested more than {_DEEPEST} deep"
        if isinstance(inner, dict):
            waiting += ((each, depth + 1) for pair in inner.items() for each in pair)
        elif isinstance(inner, list):
            waiting += ((each, depth + 1) for each in inner)
        elif isinstance(inner, str) and not encodable(inner):
            return "holds half of a surrogate pair, which is no Unicode text"
    return None


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows_in(value: object, path: Path) -> Sequence[object]:
    """The rows of a decoded file."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        found = next((rows for rows in _shapes(value, path) if rows is not None), None)
        if found is not None:
            return found
    seen = f" ({listed(value)})" if isinstance(value, dict) else ""
    raise UserError(
        f"{path} holds no list of rows{seen}; give a JSON list of objects with a field 'question', "
        "or of texts"
    )


def _shapes(value: Mapping[str, object], path: Path) -> Iterator[Sequence[object] | None]:
    """The rows by each shape that an object of rows can have; None where it has not."""
    yield _usual_list(value)
    yield [value] if _is_row(value) else None
    yield _split_table(value, path)
    yield _columns(value, path)
    yield _by_id(value)
    yield _held_list(value, path)


def _usual_list(value: Mapping[str, object]) -> Sequence[object] | None:
    """Objects under a usual name; what stands beside them is about all of them."""
    named = [value[name] for name in _LIST_KEYS if _all(value.get(name), dict)]
    return named[0] if len(named) == 1 else None  # type: ignore[return-value]


def _is_row(value: Mapping[str, object]) -> bool:
    """One question, one chat, or one pair."""
    if {"clean", "corrupted", "messages", "conversations"} & set(value):
        return True
    return names_a_question(name for name, inner in value.items() if isinstance(inner, str))


def _split_table(value: Mapping[str, object], path: Path) -> Sequence[object] | None:
    """Column names beside rows of cells, as pandas' orient="split" writes them."""
    names, cells = value.get("columns"), value.get("data")
    if not _all(names, str) or not _all(cells, list):
        return None
    assert isinstance(names, list)
    assert isinstance(cells, list)
    if any(len(row) != len(names) for row in cells):
        raise UserError(f"{path} has rows of another length than its {len(names)} columns; mend it")
    return [dict(zip(names, row, strict=True)) for row in cells]


def _columns(value: Mapping[str, object], path: Path) -> Sequence[object] | None:
    """A list, or an object by row number, for each column."""
    if not names_a_question(value):
        return None
    kinds = {type(column) for column in value.values()}
    if kinds == {dict}:
        lists = {name: list(column.values()) for name, column in value.items()}  # type: ignore[attr-defined]
        indexes = {tuple(column) for column in value.values()}  # type: ignore[arg-type]
    elif kinds == {list}:
        lists = dict(value)
        indexes = {len(column) for column in lists.values()}  # type: ignore[arg-type]
    else:
        return None
    if len(indexes) > 1:
        raise UserError(f"{path} has columns of several lengths ({listed(value)}); mend it")
    cells = zip(*lists.values(), strict=True)  # type: ignore[call-overload]
    return [dict(zip(lists, row, strict=True)) for row in cells]


def _by_id(value: Mapping[str, object]) -> Sequence[object] | None:
    """Rows under their ids."""
    rows = list(value.values())
    named = [isinstance(row, dict) and (_is_row(row) or field_of(row, "row")) for row in rows]
    return rows if rows and all(named) else None


def _held_list(value: Mapping[str, object], path: Path) -> Sequence[object] | None:
    """The list of rows in an object that says more, the one with a usual name first."""
    lists = [name for name, inner in value.items() if isinstance(inner, list)]
    usual = [name for name in _LIST_KEYS if name in lists]
    splits = [name for name in usual if name in ("train", "test", "validation")]
    if len(splits) > 1 and splits == usual:
        raise UserError(f"{path} holds several sets ({listed(splits)}); give one of them as a file")
    chosen = usual[:1] or lists
    if len(chosen) == 1:
        return value[chosen[0]]  # type: ignore[return-value]
    inner = value.get("data")
    return None if lists or not isinstance(inner, dict) else _rows_in(inner, path)


def _all(value: object, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)
