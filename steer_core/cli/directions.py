"""The command `directions`."""

import argparse
import json
from pathlib import Path

from steer_core.cli import options
from steer_core.errors import UserError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `directions`."""
    parser = subparsers.add_parser("directions", help="compute directions from answered problems")
    options.add_model(parser)
    parser.add_argument("--pairs", default="fit", help="bundled name or pair file (default fit)")
    parser.add_argument("--method", default="mean_difference", help="mean_difference")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for one file a site and layer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Compute, store and print every direction's norms."""
    from steer_core.data.pairs import load_pairs
    from steer_core.steering.directions import MEAN_DIFFERENCE, mean_differences, save_direction
    from steer_core.steering.library import direction_path

    if args.method != MEAN_DIFFERENCE:
        raise UserError(f"unknown method '{args.method}'; choose {MEAN_DIFFERENCE}")
    problems = [
        problem for pair in load_pairs(args.pairs) for problem in (pair.clean, pair.corrupted)
    ]
    for direction in mean_differences(options.load(args), problems, args.pairs):
        path = direction_path(args.out, direction.site, direction.layer)
        save_direction(direction, path)
        show(direction, path, args.json)
    return 0


def show(direction, path: Path, as_json: bool) -> None:
    """Print one direction's place, counts and norms by position."""
    origin, norms = direction.provenance, [round(float(norm), 4) for norm in direction.norms]
    if as_json:
        row = {"site": direction.site, "layer": direction.layer, "norms": norms, "file": str(path)}
        print(json.dumps(row | {"correct": origin.correct, "wrong": origin.wrong}))
        return
    place = f"{direction.site} {direction.layer or ''}".strip()
    shown = " ".join(f"{norm:8.3f}" for norm in norms)
    print(f"{place:12} {origin.correct} right - {origin.wrong} wrong  norms at 0..K {shown}")
