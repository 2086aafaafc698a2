"""The command `models`."""

import argparse
import dataclasses

from steer_core.cli.json_lines import json_line


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `models`."""
    parser = subparsers.add_parser("models", help="list the models that have a name")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print every named model."""
    from steer_core.codi.listing import list_models

    for model in list_models():
        row = dataclasses.asdict(model)
        if args.json:
            print(json_line(row))
        else:
            here = "ready" if model.available else "to download"
            print(
                f"{model.name:16} {model.source:8} {model.layers:3} layers  "
                f"hidden {model.hidden:5}  {model.latents} latents  "
                f"{(model.parameters or 0) / 1e6:8.1f} M parameters  {here}"
            )
    return 0
