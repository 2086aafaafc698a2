"""The command `check`."""

import argparse
import dataclasses

from steer_core.cli import options
from steer_core.cli.json_lines import json_line

FAILED = 1


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    parser = subparsers.add_parser(
        "check", help="load a model and see that edits and latent thoughts reach its answer"
    )
    options.add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Run and print every check; status 1 when one fails."""
    from steer_core.codi.selfcheck import self_check

    checks = self_check(options.load(args, check=False))
    for check in checks:
        if args.json:
            print(json_line(dataclasses.asdict(check)))
        else:
            advice = "" if check.passed else f"; {check.advice}"
            print(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.value}{advice}")
    return 0 if all(check.passed for check in checks) else FAILED
