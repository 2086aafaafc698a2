"""The command `decode`."""

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options, presets
from steer_core.cli.json_lines import json_line
from steer_core.files import write_whole

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.steering.decode import Decoded
    from steer_core.steering.edits import Edit


_log = logging.getLogger(__name__)


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
    options.add_edit(parser)
    presets.add_preset(parser)
    parser.add_argument("--layer", type=int, help="block of site residual (default the middle one)")
    parser.add_argument("--alpha", type=float, help="strength (default 0, no edit)")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    parser.add_argument("--hidden-out", type=Path, help="write hidden states as safetensors")
    options.add_seed(parser, "of a control such as --direction covariance")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Decode and print every question."""
    from steer_core.data.questions import read_questions
    from steer_core.steering.decode import decode
    from steer_core.steering.edits import check_alphas

    presets.settle(args)
    settle_alpha(args)
    questions = args.question or read_questions(args.questions_file)
    check_alphas([args.alpha])
    model = options.load(args)
    edit = edit_of(args, model)
    limit, hidden = args.max_new_tokens, args.hidden_out is not None
    decoded = decode(model, questions, edit, max_new_tokens=limit, hidden=hidden)
    plain = decode(model, questions, max_new_tokens=limit) if edit else [None] * len(decoded)
    if args.hidden_out:
        write_hidden(args.hidden_out, decoded)
    for row, baseline in zip(decoded, plain, strict=True):
        show(row, baseline, args.json)
    return 0


def settle_alpha(args: argparse.Namespace) -> None:
    """0 where no alpha was given; whoever only says where to edit may have forgotten it."""
    if args.alpha is not None:
        return
    args.alpha = 0.0
    if args.layer is not None or args.positions is not None:
        _log.warning("nothing is edited without --alpha; give one, such as --alpha 1")


def edit_of(args: argparse.Namespace, model: "CodiModel") -> "Edit | None":
    """The edit that the options ask for; None at alpha 0, after everything was checked."""
    from steer_core.names import REAL, DirectionRef
    from steer_core.steering.edits import Edit, check_positions, check_site
    from steer_core.steering.library import find_direction

    residual = args.site == "residual"
    layer = (
        (args.layer if args.layer is not None else model.config.middle_layer) if residual else None
    )
    positions = options.positions_of(args.positions, model.config.latents)
    check_site(model.config, args.site, layer)
    check_positions(model.config, positions)
    presets.report_dead(model.config, args.site, [layer], positions)
    ref = DirectionRef.parse(args.direction)
    if args.alpha == 0.0 and ref.method == options.MEAN_DIFFERENCE:
        return None  # plain decoding, also of a model that has no directions
    if ref.kind != REAL and ref.seed is None:
        ref = dataclasses.replace(ref, seed=args.seed)
    direction = find_direction(model, args.site, layer, str(ref))
    return Edit(direction.vectors, args.alpha, args.site, layer, positions) if args.alpha else None


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
