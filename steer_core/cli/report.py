"""The command `report`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.analysis.verdict import Verdict
    from steer_core.report.source import Source


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `report`."""
    parser = subparsers.add_parser(
        "report", help="what a sweep shows, as one HTML file or Markdown; two folders: compared"
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="what 'sweep --out' wrote"
    )
    parser.add_argument("--out", type=Path, help="file to write: .html, or .md without figures")
    parser.add_argument("--run", type=int, help="id of the run (default the newest)")
    options.add_seed(parser, "of permutation test and bootstrap")
    parser.add_argument("--json", action="store_true", help="print one verdict a line as JSON")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Write the report, and print a verdict for each curve."""
    from steer_core.report.write import load_sources, write_report

    if args.out is not None:
        sources = write_report(args.folders, args.out, run=args.run, seed=args.seed)
    elif args.json:
        sources = load_sources(args.folders, args.run, args.seed)
    else:
        raise UserError("--out is missing; name a file that ends with .html or .md, or use --json")
    for source in sources:
        note_unfinished(source)
        print("\n".join(map(json_line, rows(source)) if args.json else lines(source)))
    if args.out is not None and not args.json:
        print(f"written to {args.out}")
    return 0


def note_unfinished(source: "Source") -> None:
    """Say on stderr that rows are missing."""
    coverage = source.analysis.coverage
    if not coverage.finished:
        lost, _ = source.overflowed
        what = f", {lost} more overflowed" if lost else ""
        print(
            f"{source.folder}: unfinished: {coverage.rows} of {coverage.expected} rows{what}, the "
            f"numbers are of {source.analysis.n} pairs",
            file=sys.stderr,
        )


def rows(source: "Source") -> list[dict[str, object]]:
    """One object a curve."""
    return [
        {
            "model": source.model,
            "run": source.record.id,
            "site": each.name.site,
            "layer": None if each.name.layer < 0 else each.name.layer,
            "positions": each.name.positions,
            "direction": each.name.direction,
            "n": each.curve.n,
            "kind": each.verdict.kind,
            "headline": each.verdict.headline,
            "sentence": each.verdict.sentence,
            "alpha": each.verdict.alpha,
            "change": each.verdict.change,
            "contrast": each.verdict.contrast,
            "bound": each.verdict.bound,
            "smallest_detectable": each.verdict.smallest,  # nan: no change could have been found
            "smallest_gain": each.power.gain,
            "smallest_loss": each.power.loss,
            "pairs_for_5_points": each.power.needed[0.05],
            "pairs_for_10_points": each.power.needed[0.1],
            "finished": source.analysis.coverage.finished,
            "changes": {
                name: verdict_row(results[i].verdict)
                for name, results in source.analysis.changes.items()
            },
        }
        for i, each in enumerate(source.analysis.results)
    ]


def verdict_row(verdict: "Verdict") -> dict[str, object]:
    """A verdict by what answers do."""
    return {
        name: getattr(verdict, name)
        for name in ("kind", "headline", "sentence", "alpha", "change", "contrast", "bound")
    }


def lines(source: "Source") -> list[str]:
    """The verdicts for a reader: on accuracy, then effects on what answers do."""
    from steer_core.report.sections import labels

    changes = source.analysis.changes.values()
    told = [
        (label, each.verdict)
        for results in (source.analysis.results, *changes)
        for label, each in zip(labels(source), results, strict=True)
        if results is source.analysis.results or each.verdict.kind == "effect"
    ]
    return [f"{source.model}, {label.lower()}: {verdict.sentence}" for label, verdict in told]
