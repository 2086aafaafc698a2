"""A stored run as a file for other tools, with what it comes from."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from steer_core.errors import UserError
from steer_core.files import replacing, write_whole
from steer_core.pipeline.records import RunRecord, said
from steer_core.pipeline.store import Store

FORMATS = (".parquet", ".csv", ".json")
METADATA_KEY = "steer_core"
"""Of the provenance in the metadata of a Parquet file."""
CSV_NOTE = {"formulas": "an apostrophe stands before text that a spreadsheet would compute"}
"""In the provenance of a CSV file: what its cells are not as stored."""
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_INT64 = 2**63
Table = pd.DataFrame | Iterable[pd.DataFrame]


def export_results(store: Store, run: int, out: Path) -> int:
    """Write the table of a run (`Store.table`) as Parquet, CSV or JSON, by the ending of `out`.

    The provenance goes with it: in the metadata of a Parquet file under `METADATA_KEY`, as `run`
    beside `rows` in JSON, and for CSV in a second file that ends in .csv.json. Only in CSV, which
    spreadsheets open, text that begins like a formula gets an apostrophe in front.

    Args:
        store: The store.
        run: Id of the run.
        out: The file.

    Returns:
        Number of rows.

    Raises:
        UserError: for another ending, or an unknown run.
    """
    if out.suffix not in FORMATS:
        raise UserError(f"'{out}' ends in none of {', '.join(FORMATS)}; choose one of them")
    about, parts = about_run(store.run(run)), store.tables(run)
    with replacing(out) as part:
        if out.suffix == ".parquet":
            rows = write_parquet(parts, about, part, store.pair_ids(run))
        else:
            rows = (
                write_csv(parts, part) if out.suffix == ".csv" else write_json(parts, about, part)
            )
    if out.suffix == ".csv":
        write_whole(beside(out), json.dumps(about | CSV_NOTE, indent=1))
    return rows


def beside(out: Path) -> Path:
    """The file with the provenance of a CSV file."""
    return Path(f"{out}.json")


def is_export(out: Path, record: RunRecord) -> bool:
    """Whether a Parquet or CSV file is what exporting this run would write."""
    try:
        about = about_run(record) | (CSV_NOTE if out.suffix == ".csv" else {})
        return out.is_file() and noted(out) == json.loads(json.dumps(about))
    except (OSError, ValueError, RecursionError):
        return False  # written by another version, or no export at all


def noted(out: Path) -> object:
    """The provenance that an exported Parquet or CSV file comes with."""
    import pyarrow.parquet as pq

    if out.suffix == ".csv":
        return json.loads(beside(out).read_text(encoding="utf-8"))
    metadata = pq.read_schema(out).metadata or {}
    return json.loads(metadata.get(METADATA_KEY.encode(), b"null"))


def about_run(record: RunRecord) -> dict[str, Any]:
    """What a reader of exported rows must know of their run."""
    curves = [said(curve) for curve in record.curves]
    return asdict(record) | {"spec": record.spec.content, "curves": curves}


def parts_of(table: Table) -> Iterable[pd.DataFrame]:
    """A table in parts: those that it comes in, or itself."""
    return [table] if isinstance(table, pd.DataFrame) else table


def write_parquet(
    table: Table, about: dict[str, Any], part: Path, ids: Iterable[object] = ()
) -> int:
    """Write a table with its provenance in the schema's metadata; returns its rows.

    `ids` are all pair ids, where the table comes in parts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    count, writer, ids = 0, None, list(ids)
    for rows in parts_of(table):
        if of_no_type(ids or rows["pair_id"]):
            rows = rows.assign(pair_id=rows["pair_id"].astype(str))
        arrow = pa.Table.from_pandas(rows, preserve_index=False)
        if writer is None:
            note = {**(arrow.schema.metadata or {}), METADATA_KEY: json.dumps(about)}
            schema = pa.schema([same_type(field) for field in arrow.schema], metadata=note)
            writer = pq.ParquetWriter(part, schema)
        writer.write(arrow.cast(writer.schema))
        count += len(rows)
    if writer is not None:
        writer.close()
    return count


def of_no_type(ids: Iterable[object]) -> bool:
    """Whether ids fit no type that a column can have: too large, or numbers beside texts."""
    large = any(isinstance(each, int) and not -_INT64 <= each < _INT64 for each in ids)
    return large or len(set(map(type, ids))) > 1


def same_type(field: Any) -> Any:
    """A field whose type does not depend on how many categories a part of the table has."""
    import pyarrow as pa

    if not pa.types.is_dictionary(field.type):
        return field
    return field.with_type(pa.dictionary(pa.int32(), field.type.value_type))


def write_csv(table: Table, part: Path) -> int:
    """Write a table for spreadsheets, see `without_formulas`; returns its rows."""
    count = 0
    for rows in parts_of(table):
        texts = [column.astype(str) for _, column in text_columns(rows)]
        # A carriage return ends a row for some readers, and is not among what is quoted.
        returns = any(column.str.contains("\r", regex=False).any() for column in texts)
        quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
        options = {"index": False, "header": not count, "quoting": quoting}
        without_formulas(rows).to_csv(part, mode="a" if count else "w", **options)
        count += len(rows)
    return count


def write_json(parts: Iterable[pd.DataFrame], about: dict[str, Any], part: Path) -> int:
    """Write a table as one object, with its run; returns its rows."""
    count = 0
    with part.open("w", encoding="utf-8") as file:
        file.write(f'{{"run": {json.dumps(about, allow_nan=False)}, "rows": [')
        for rows in parts:
            text = json.dumps(records(rows), allow_nan=False)
            file.write(", " * (count > 0 and len(rows) > 0) + text[1:-1])
            count += len(rows)
        file.write("]}")
    return count


def text_columns(table: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """The columns that may hold text, by name."""
    columns = [(str(name), pd.Series(table[name])) for name in table]
    return [(name, column) for name, column in columns if not is_numeric_dtype(column)]


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text that a spreadsheet would compute.

    Such text begins with =, +, -, @, a tab or a line break; numbers, also as text, stay.
    """
    return table.assign(**{name: column.map(inert) for name, column in text_columns(table)})


def inert(cell: object) -> object:
    """A cell that a spreadsheet shows as it is."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON values, floats in full; null where there is no value."""
    plain, known = table.astype(object), table.notna() & ~table.isin([math.inf, -math.inf])
    return plain.where(known, None).to_dict("records")
