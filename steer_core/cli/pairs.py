"""The command `pairs {generate,audit,show}`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.data.audit import AuditReport, audit_file
from steer_core.data.generate import generate_pairs
from steer_core.data.pairs import dump_pairs, load_pairs, pair_row
from steer_core.data.problems import Pair, question_key
from steer_core.data.shipped import load_recipe, write_sets
from steer_core.errors import UserError
from steer_core.files import write_whole

MOST_PAIRS = 100_000
_log = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pairs` and its three commands; each sets `handler`, a function args -> exit code."""
    parser = subparsers.add_parser("pairs", help="generate, audit and show problem pairs")
    commands = parser.add_subparsers(dest="pairs_command", required=True)
    _add_generate(commands.add_parser("generate", help="write new pairs from the template bank"))
    _add_audit(commands.add_parser("audit", help="check a pair file row by row"))
    _add_show(commands.add_parser("show", help="print pairs"))


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--n", type=int, default=10, help="number of pairs (default 10)")
    options.add_seed(parser, "of the pairs: the same seed, the same pairs")
    parser.add_argument(
        "--held-out-share",
        type=float,
        default=0.0,
        help="share, 0..1, from templates that training never uses (default 0)",
    )
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="FILE",
        help="pair files or 'fit', 'test', 'validation' whose problems must not occur",
    )
    parser.add_argument("--recipe", type=Path, help="write every set of this recipe into --out")
    parser.add_argument("--out", type=Path, help="file, or with --recipe a folder (default stdout)")
    parser.add_argument("--json", action="store_true", help="JSON is what it prints in any case")
    parser.set_defaults(handler=_generate)


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", help="JSON, JSONL, CSV, TSV or Parquet file, or 'fit', 'test', 'validation'"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="FILE",
        help="pair files or 'fit', 'test', 'validation' that must share no problem with it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=_audit)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", help="JSON, JSONL, CSV, TSV or Parquet file, or 'fit', 'test', 'validation'"
    )
    parser.add_argument("--pair", metavar="ID", help="only the pair with this id")
    parser.add_argument("--limit", type=int, default=5, help="pairs to print, 0 = all (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=_show)


def _generate(args: argparse.Namespace) -> int:
    if args.recipe is not None:
        return _generate_recipe(args)
    if args.n < 1:
        raise UserError(f"--n {args.n} is below 1; ask for at least one pair")
    if args.n > MOST_PAIRS:
        raise UserError(f"--n {args.n} is above {MOST_PAIRS}; ask for fewer, with several seeds")
    excluded = {
        question_key(problem.question)
        for name in args.exclude
        for pair in load_pairs(name)
        for problem in (pair.clean, pair.corrupted)
    }
    text = dump_pairs(generate_pairs(args.n, args.seed, args.held_out_share, excluded))
    if args.out is None:
        sys.stdout.write(text)
    else:
        write_whole(args.out, text)
        _log.info("wrote %d pairs to %s", args.n, args.out)
    return 0


def _generate_recipe(args: argparse.Namespace) -> int:
    if args.out is None:
        raise UserError("--recipe writes several files; name a folder with --out")
    paths = write_sets(load_recipe(args.recipe), args.out)
    sys.stdout.writelines(f"{path}\n" for path in paths.values())
    return 0


def _audit(args: argparse.Namespace) -> int:
    report = audit_file(args.file, against=args.against)
    text = json_line(report.to_json(), ensure_ascii=False) if args.json else _report_text(report)
    sys.stdout.write(f"{text}\n")
    return 0


def _show(args: argparse.Namespace) -> int:
    if args.limit < 0:
        raise UserError(f"--limit {args.limit} is below 0; 0 shows every pair")
    pairs = load_pairs(args.file)
    if args.pair is not None:
        pairs = _with_id(pairs, args.pair, args.file)
    for pair in pairs[: args.limit or None]:
        text = json_line(pair_row(pair), ensure_ascii=False) if args.json else _pair_text(pair)
        sys.stdout.write(f"{text}\n")
    return 0


def _with_id(pairs: Sequence[Pair], pair_id: str, file: str) -> list[Pair]:
    found = [pair for pair in pairs if str(pair.pair_id) == pair_id]
    if not found:
        first, last = pairs[0].pair_id, pairs[-1].pair_id
        raise UserError(f"no pair {pair_id!r} in {file}; its ids run from {first} to {last}")
    return found


def _report_text(report: AuditReport) -> str:
    counts = (
        f"{report.file}: {report.rows} rows, {report.distinct_ids} distinct ids, "
        f"{report.repeated_rows} repeated rows, {report.unchanged_answers} unchanged answers, "
        f"{report.broken_rows} broken rows, {report.leaked_rows} leaked rows"
    )
    lines = [
        f"row {found.row} (pair {found.pair_id}): {found.kind}: {found.message}"
        for found in report.findings
    ]
    return "\n".join([counts, *lines])


def _pair_text(pair: Pair) -> str:
    labels = f" [{pair.clean.template}]" if pair.clean.template else ""
    labels += " held out" if pair.held_out else ""
    labels += f", changed step {pair.changed_step}" if pair.changed_step else ""
    lines = [f"pair {pair.pair_id}{labels}"]
    for side, problem in (("clean", pair.clean), ("corrupted", pair.corrupted)):
        steps = f"  {' '.join(problem.chain)}" if problem.chain else ""
        lines.append(f"  {side}: {problem.question}\n    answer {problem.answer}{steps}")
    return "\n".join(lines)
