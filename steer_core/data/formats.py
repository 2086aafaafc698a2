"""The one reader of users' files: rows of JSON, JSONL, CSV, TSV, Parquet or text."""

from __future__ import annotations

import io
from pathlib import Path

from steer_core.data.csv_rows import csv_rows, question_delimiter
from steer_core.data.json_rows import LINES, checked, json_rows, like_json, line_rows
from steer_core.data.rows import Row
from steer_core.data.text_rows import text_rows
from steer_core.errors import UserError

KINDS = "JSON, JSONL, CSV, TSV, Parquet or text"
_TABLES = (".csv", ".tsv", ".tab")
TEXT_ENDINGS = (".json", *LINES, *_TABLES)
"""Endings of files that are text with rows."""
_NO_TEXT = (".yaml", ".yml", ".toml", ".xml", ".html", ".htm", ".py", ".tex", ".parquet")
_PARQUET = b"PAR1"
_BINARY = {
    b"\x1f\x8b": "compressed (gzip); unpack it",
    b"PK\x03\x04": "a zip archive or a spreadsheet; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; export it as CSV",
    b"BZh": "compressed (bzip2); unpack it",
    b"\xfd7zXZ": "compressed (xz); unpack it",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it",
    b"ARROW1": "an Arrow file; export it as Parquet",
    b"SQLite format": "a database; export its table as CSV",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}
"""What files that are no text begin with."""


def read_rows(path: Path, or_name: str = "") -> list[Row]:
    """Read the rows of a file; its content decides what it is, then its ending.

    Values are dicts of fields, or texts where a file holds nothing else. What is wrong with a
    single row is in the row (`Row.error`).

    Args:
        path: The file.
        or_name: What else could have been given, for the message.

    Raises:
        UserError: when the file cannot be read or no rows can be named in it.
    """
    data = _read_bytes(path, or_name)
    if data.startswith(_PARQUET) and path.suffix.lower() in TEXT_ENDINGS:
        # A few bytes of Parquet can unfold to gigabytes: nobody gets them by another name.
        raise UserError(f"{path} is a Parquet file; name it .parquet")
    if data.startswith(_PARQUET):
        return _parquet_rows(data, path)
    text = _decode(data, path)
    suffix = path.suffix.lower()
    if like_json(text) or suffix in (".json", *LINES):
        return json_rows(text, path) if text.strip() else []
    if suffix in _TABLES or question_delimiter(text):
        return csv_rows(text, path) if text.strip() else []
    if suffix in _NO_TEXT:
        raise UserError(f"{path} is none of {KINDS}; export it as one of them")
    strings = line_rows(text) if text.lstrip().startswith('"') else []
    if strings and all(isinstance(row.value, str) for row in strings):
        return strings
    return text_rows(text, path)


def _read_bytes(path: Path, or_name: str) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or "no such name"
        raise UserError(
            f"cannot read '{path}' ({reason}); give {or_name}the path of a {KINDS} file"
        ) from error


def _decode(data: bytes, path: Path) -> str:
    for start, kind in _BINARY.items():
        if data.startswith(start):
            raise UserError(f"{path} is {kind}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    if "\0" in text:
        raise UserError(f"{path} is UTF-16 text or binary; save it as UTF-8 text")
    return text


def _parquet_rows(data: bytes, path: Path) -> list[Row]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        table = pq.read_table(io.BytesIO(data))
        records = table.to_pylist()
    except (OSError, ValueError, ArrowException) as error:
        reason = str(error).split("\n")[0][:80]
        raise UserError(f"{path} is a damaged Parquet file ({reason}); write it again") from error
    if len(set(table.column_names)) < table.num_columns:
        raise UserError(f"{path} has two columns of one name; rename one of them")
    return [checked(number, row) for number, row in enumerate(records, start=1)]
