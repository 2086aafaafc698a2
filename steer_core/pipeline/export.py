"""A stored run as a file for other tools, with what it comes from."""

from __future__ import annotations

import csv
import json
import math
import re
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
    about, table = about_run(store.run(run)), store.table(run)
    if out.suffix == ".json":
        write_whole(out, json.dumps({"run": about, "rows": records(table)}, allow_nan=False))
        return len(table)
    with replacing(out) as part:
        if out.suffix == ".parquet":
            write_parquet(table, about, part)
        else:
            write_csv(table, part)
    if out.suffix == ".csv":
        write_whole(beside(out), json.dumps(about | CSV_NOTE, indent=1))
    return len(table)


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


def write_parquet(table: pd.DataFrame, about: dict[str, Any], part: Path) -> None:
    """Write a table with its provenance in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = table["pair_id"]
    large = any(isinstance(each, int) and not -_INT64 <= each < _INT64 for each in ids)
    if large or len(set(map(type, ids))) > 1:
        table = table.assign(pair_id=table["pair_id"].astype(str))  # a column has one type
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    note = {METADATA_KEY: json.dumps(about)}
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **note}), part)


def write_csv(table: pd.DataFrame, part: Path) -> None:
    """Write a table for spreadsheets; see `without_formulas`."""
    texts = [column.astype(str) for _, column in text_columns(table)]
    # A carriage return ends a row for some readers, and is not among what is quoted of itself.
    returns = any(column.str.contains("\r", regex=False).any() for column in texts)
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    without_formulas(table).to_csv(part, index=False, quoting=quoting)


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
