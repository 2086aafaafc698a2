"""The command `decode`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import edits, options
from steer_core.cli.json_lines import json_line
from steer_core.files import write_whole

if TYPE_CHECKING:
    from steer_core.steering.decode import Decoded


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `decode`."""
    parser = subparsers.add_parser("decode", help="answer questions, steered or not")
    options.add_model(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--question", action="append", help="a question; may be given again")
    asked.add_argument(
        "--questions-file",
        type=Path,
        help="text with one a line, or JSON, JSONL, CSV, TSV or Parquet with a field 'question' or "
        "as a published set names it; answers in it are not asked",
    )
    edits.add_edits(parser)
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    parser.add_argument("--hidden-out", type=Path, help="write hidden states as safetensors")
    options.add_seed(parser, "of a control such as --direction covariance")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Decode and print every question."""
    from steer_core.data.questions import read_questions
    from steer_core.steering.decode import decode

    edits.settle(args)
    questions = args.question or read_questions(args.questions_file)
    model = options.load(args)
    each = [edits.edits_of(args, model)] * len(questions)
    limit, hidden = args.max_new_tokens, args.hidden_out is not None
    decoded = decode(model, questions, each, max_new_tokens=limit, hidden=hidden)
    plain = decode(model, questions, max_new_tokens=limit) if each[0] else [None] * len(decoded)
    if args.hidden_out:
        write_hidden(args.hidden_out, decoded)
    for row, baseline in zip(decoded, plain, strict=True):
        show(row, baseline, args.json)
    return 0


def write_hidden(path: Path, decoded: Sequence["Decoded"]) -> None:
    """Write `hidden` float32 [N, K+1, L+1, D]."""
    from safetensors.numpy import save

    from steer_core.steering.decode import stacked_states, without_last_block

    hidden = without_last_block(stacked_states(decoded))
    write_whole(path, save({"hidden": hidden}))


def show(row: "Decoded", plain: "Decoded | None", as_json: bool) -> None:
    """Print one result, with its baseline where there was an edit."""
    found = {
        "question": row.question,
        "token_ids": list(row.token_ids),
        "text": row.text,
        "answer": row.answer,
        "prompt_tokens": row.prompt_tokens,
    }
    if not row.finite:
        found["nonfinite"] = True
    if plain is not None:
        found |= {"baseline_text": plain.text, "baseline_answer": plain.answer}
    if as_json:
        print(json_line(found, ensure_ascii=False))
    else:
        print("  ->  ".join(map(shown, (row,) if plain is None else (plain, row))))


def shown(row: "Decoded") -> str:
    """What a row says, or that it says nothing."""
    from steer_core.steering.rows import OVERFLOWED

    return row.text if row.finite else OVERFLOWED
