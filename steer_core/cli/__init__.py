"""`python -m steer_core`: data on stdout, logs on stderr, exit 2 and one line for bad input."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from steer_core.cli import (
    bench,
    check,
    compare,
    decode,
    directions,
    evaluate,
    export,
    export_results,
    inspect,
    models,
    pairs,
    prepare,
    report,
    sweep,
    train,
    values,
)
from steer_core.errors import one_line
from steer_core.guard import BAD_INPUT, guarded
from steer_core.version import __version__

COMMANDS = (
    models,
    check,
    decode,
    pairs,
    prepare,
    directions,
    sweep,
    report,
    compare,
    inspect,
    export_results,
    evaluate,
    train,
    export,
    bench,
)
WITHOUT_VALUE = "=--"
"""How an option ends that argparse would fail at, not refuse."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line; the usage is in --help.

    Of every option it refuses an empty value, and a whole number that no count of ours can be.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.register("type", None, values.text_of)
        self.register("type", Path, values.path_of)
        self.register("type", int, values.integer)

    def error(self, message: str) -> None:  # type: ignore[override]
        """Exit 2 with the message and where to look."""
        self.exit(BAD_INPUT, f"error: {one_line(message)}; see '{self.prog} --help'\n")


class OneLineFormatter(logging.Formatter):
    """What is logged, each message on one line."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(record.getMessage())


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = OneLineParser(prog="python -m steer_core", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, parser_class=OneLineParser)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return guarded(lambda: run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Parse and run one command."""
    set_up_logs()
    parser = build_parser()
    for text in arguments:
        if text.startswith("-") and text.endswith(WITHOUT_VALUE):
            parser.error(f"argument {text.removesuffix(WITHOUT_VALUE)}: expected a value, not '--'")
    args = parser.parse_args(arguments)
    return args.handler(args)


def set_up_logs() -> None:
    """Our own messages on stderr, one line each; those of libraries only where something fails."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
