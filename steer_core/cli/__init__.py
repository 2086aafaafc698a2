"""`python -m steer_core`: data on stdout, logs on stderr, exit 2 and one line for bad input."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from steer_core.cli import (
    bench,
    check,
    decode,
    directions,
    evaluate,
    export,
    export_results,
    models,
    pairs,
    prepare,
    report,
    sweep,
    train,
)
from steer_core.errors import UserError
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
    export_results,
    evaluate,
    train,
    export,
    bench,
)
BAD_INPUT = 2
logger = logging.getLogger("steer_core")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line; the usage is in --help."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Exit 2 with the message and where to look."""
        self.exit(BAD_INPUT, f"error: {one_line(message)}; see '{self.prog} --help'\n")


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
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    args = build_parser().parse_args(arguments)
    try:
        return args.handler(args)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("steer_core"):
            raise  # a fault of ours, and none of the environment
        print(
            f"error: {error.name} is not installed in this Python; activate the environment "
            "(. .venv/bin/activate) or run pip install -r requirements.txt",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone (`... | head`): nothing is wrong, nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {one_line(error)}; give a path that can be used", file=sys.stderr)
        return BAD_INPUT


def one_line(message: object) -> str:
    """A message on one line, whatever line breaks the user's own text put into it."""
    return " ".join(str(message).split())
