"""The command `evaluate`."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.data.answers import same_number
from steer_core.errors import UserError
from steer_core.files import write_whole

if TYPE_CHECKING:
    from steer_core.data.problems import Problem
    from steer_core.experiment.evaluate import Evaluation
    from steer_core.steering.decode import Decoded

FAILED = 1
SETS = "gsm8k, svamp, gsm-hard, multiarith"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="accuracy on a test set, held to the published figure (status 1 if it is missed)",
    )
    options.add_model(parser)
    parser.add_argument(
        "--data",
        required=True,
        help=f"{SETS} (from the hub), test, fit, or a file of questions with answers, or of pairs",
    )
    parser.add_argument("--limit", type=int, help="only the first so many problems")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    parser.add_argument("--batch", type=int, default=128, help="rows of a batch (default 128)")
    parser.add_argument("--out", type=Path, help="file for every answer, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; status 1 when a published figure is not reproduced."""
    from steer_core.experiment.benchmarks import load_test_set
    from steer_core.experiment.evaluate import evaluate

    if args.limit is not None and args.limit < 1:
        raise UserError(f"--limit {args.limit} is below 1; ask for at least one problem")
    problems = load_test_set(args.data)
    result, decoded = evaluate(
        options.load(args),
        problems,
        args.data,
        limit=args.limit,
        max_new_tokens=args.max_new_tokens,
        rows_at_a_time=args.batch,
        progress=show_progress,
    )
    if args.out:
        write_answers(args.out, problems, decoded)
    print(json_line(dataclasses.asdict(result)) if args.json else summary(result))
    return FAILED if result.gate == "fail" else 0


def show_progress(done: int, total: int, correct: int) -> None:
    """A bar on stderr: redrawn for a watcher, one line a batch in a log."""
    filled = 30 * done // total
    bar = f"[{'#' * filled}{'.' * (30 - filled)}] {done}/{total}  {correct / done:.1%} right"
    watched = sys.stderr.isatty()
    end = "\n" if done == total or not watched else ""
    print(f"{chr(13) if watched else ''}{bar}", end=end, file=sys.stderr, flush=True)


def write_answers(path: Path, problems: Sequence["Problem"], decoded: Sequence["Decoded"]) -> None:
    """Write what was answered to every problem."""
    rows = (
        {
            "question": problem.question,
            "gold": problem.answer,
            "text": row.text,
            "answer": row.answer,
            "correct": same_number(row.answer, problem.answer),
        }
        for problem, row in zip(problems, decoded, strict=False)
    )
    write_whole(path, "".join(f"{json_line(row, ensure_ascii=False)}\n" for row in rows))


def summary(result: "Evaluation") -> str:
    """The result for a reader."""
    figures = ", ".join(f"{figure:g}" for figure in result.published)
    gate = f"{result.gate} (published {figures})" if figures else result.gate
    return "\n".join(
        (
            f"{result.model} on {result.data} ({result.device}, {result.dtype})",
            f"accuracy   {100 * result.accuracy:.2f} %  ({result.correct} of {result.n}, "
            f"Wilson 95 % {100 * result.low:.1f} to {100 * result.high:.1f})",
            f"no number  {result.no_number}",
            f"speed      {result.problems_per_s:.1f} problems/s, "
            f"{result.tokens_per_s:.0f} tokens/s, {result.seconds:.1f} s",
            f"gate       {gate}",
        )
    )
