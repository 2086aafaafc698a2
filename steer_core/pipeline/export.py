"""A stored run as a file for other tools, with what it comes from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from steer_core.errors import UserError
from steer_core.files import replacing, write_whole
from steer_core.pipeline.records import RunRecord
from steer_core.pipeline.store import Store

FORMATS = (".parquet", ".csv", ".json")
METADATA_KEY = "steer_core"
"""Of the provenance in the metadata of a Parquet file."""


def export_results(store: Store, run: int, out: Path) -> int:
    """Write the table of a run (`Store.table`) as Parquet, CSV or JSON, by the ending of `out`.

    The provenance goes with it: in the metadata of a Parquet file under `METADATA_KEY`, as `run`
    beside `rows` in JSON, and for CSV in a second file that ends in .csv.json.

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
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".json":
        write_whole(out, json.dumps({"run": about, "rows": records(table)}, allow_nan=False))
        return len(table)
    with replacing(out) as part:
        if out.suffix == ".parquet":
            write_parquet(table, about, part)
        else:
            table.to_csv(part, index=False)
    if out.suffix == ".csv":
        write_whole(beside(out), json.dumps(about, indent=1))
    return len(table)


def beside(out: Path) -> Path:
    """The file with the provenance of a CSV file."""
    return Path(f"{out}.json")


def is_export(out: Path, record: RunRecord) -> bool:
    """Whether a Parquet or CSV file is what exporting this run would write."""
    try:
        return out.is_file() and noted(out) == json.loads(json.dumps(about_run(record)))
    except (OSError, ValueError):
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
    return asdict(record)


def write_parquet(table: pd.DataFrame, about: dict[str, Any], out: Path) -> None:
    """Write a table with its provenance in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(set(map(type, table["pair_id"]))) > 1:
        table = table.assign(pair_id=table["pair_id"].astype(str))  # a column has one type
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    note = {METADATA_KEY: json.dumps(about)}
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **note}), out)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON values, floats in full; null where there is no value."""
    plain = table.astype(object)
    return plain.where(table.notna(), None).to_dict("records")
