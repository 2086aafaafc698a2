"""The command `export-results`."""

import argparse
from pathlib import Path

from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export-results`."""
    parser = subparsers.add_parser(
        "export-results", help="every decoded row of a stored sweep as Parquet, CSV or JSON"
    )
    parser.add_argument("folder", type=Path, help="folder that 'sweep --out' wrote")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="file that ends in .parquet, .csv or .json; only in CSV an apostrophe stands before "
        "text that begins like a formula",
    )
    parser.add_argument("--run", type=int, help="id of the run (default the newest)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Write the rows and say how many."""
    from steer_core.pipeline.export import export_results
    from steer_core.pipeline.store import FILE, Store

    with Store(args.folder / FILE, create=False) as store:
        chosen = args.run
        if chosen is None:
            runs = store.readable()
            if not runs:
                raise UserError(f"{args.folder} holds no run; 'sweep --out' makes one")
            chosen = runs[-1].id
        rows = export_results(store, chosen, args.out)
    found = {"run": chosen, "rows": rows, "file": str(args.out)}
    print(json_line(found) if args.json else sentence(found, args.out))
    return 0


def sentence(found: dict[str, object], out: Path) -> str:
    """What was written, and where the run is described beside a CSV."""
    apostrophes = "an apostrophe stands before text that begins like a formula"
    beside = f", about the run in {out}.json; {apostrophes}" if out.suffix == ".csv" else ""
    return f"{found['rows']} rows of run {found['run']} in {out}{beside}"
