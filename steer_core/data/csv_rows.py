"""Rows of tables in text: CSV with any common delimiter, TSV."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from steer_core.data.fields import listed, names_a_question, plain_name
from steer_core.data.rows import Row
from steer_core.errors import UserError

DELIMITERS = (",", ";", "\t", "|")
_NAME_OF_COLUMN = re.compile(r"[^\W\d][\w .\-/()#]{0,39}")
_MOST_WORDS = 4


def csv_rows(text: str, path: Path) -> list[Row]:
    """The rows below the first line, which names the columns.

    Raises:
        UserError: for a first line that names no question, a column twice, or a damaged table.
    """
    delimiter = question_delimiter(text) or _widest(text)
    records = _records(text, delimiter, path)
    names = [name.strip() for name in next(records, [])]
    _check_names(names, path)
    return [_row(number, names, cells, delimiter) for number, cells in enumerate(records, start=1)]


def question_delimiter(text: str) -> str | None:
    """The delimiter by which the first line names a column of questions; None for none."""
    headers = {delimiter: first_record(text, delimiter) for delimiter in DELIMITERS}
    named = [d for d in DELIMITERS if is_header(headers[d]) and names_a_question(headers[d])]
    return max(named, key=lambda delimiter: len(headers[delimiter]), default=None)


def is_header(cells: list[str]) -> bool:
    """Whether cells look like names of columns and not like sentences."""
    texts = [cell.strip() for cell in cells]
    good = [_NAME_OF_COLUMN.fullmatch(t) and len(t.split()) <= _MOST_WORDS for t in texts if t]
    return bool(good) and all(good)


def first_record(text: str, delimiter: str) -> list[str]:
    """The cells of the first line."""
    try:
        return next(_reader(text, delimiter), [])
    except csv.Error:
        return []


def _widest(text: str) -> str:
    return max(DELIMITERS, key=lambda delimiter: len(first_record(text, delimiter)))


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    # Lines end at \n alone: a form feed or U+2028 in a cell ends none. Strict: an open quote would
    # take the rest of the file into one question.
    lines = (f"{line}\n" for line in text.split("\n"))
    return (cells for cells in csv.reader(lines, delimiter=delimiter, strict=True) if any(cells))


def _records(text: str, delimiter: str, path: Path) -> Iterator[list[str]]:
    read = 0
    try:
        for cells in _reader(text, delimiter):
            yield cells
            read += 1
    except csv.Error as error:
        where = f"row {read}" if read else "the first line"
        raise UserError(
            f"{path.name}: {where} is no CSV ({error}); double the quotes inside of quoted cells"
        ) from error


def _check_names(names: list[str], path: Path) -> None:
    if not names_a_question(names):
        raise UserError(
            f"the first line of {path} names no column of questions, it reads {listed(names)}; "
            "name that column 'question' there, or save plain questions as .txt"
        )
    counts = Counter(plain_name(name) for name in names if name)
    twice = [name for name in names if counts[plain_name(name)] > 1]
    if twice:
        raise UserError(f"{path} has two columns {listed(twice[:1])}; rename one of them")


def _row(number: int, names: list[str], cells: list[str], delimiter: str) -> Row:
    if len(cells) != len(names):
        cause = f"has {len(cells)} cells where the first line names {len(names)}"
        return Row(number, None, error=f"{cause}; quote cells that hold '{delimiter}'")
    return Row(number, {n: cell for n, cell in zip(names, cells, strict=True) if n})
