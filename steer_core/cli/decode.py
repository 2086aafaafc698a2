"""The command `decode`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.steering.decode import Decoded
    from steer_core.steering.edits import Edit


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `decode`."""
    parser = subparsers.add_parser("decode", help="answer questions, steered or not")
    options.add_model(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--question", action="append", help="a question; may be given again")
    asked.add_argument("--questions-file", type=Path, help="JSON list of strings, or one a line")
    options.add_edit(parser)
    parser.add_argument("--layer", type=int, help="block of site residual (default the middle one)")
    parser.add_argument(
        "--alpha", type=float, default=0.0, help="strength in raw units (default 0)"
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    parser.add_argument("--hidden-out", type=Path, help="write hidden states as safetensors")
    parser.add_argument("--seed", type=int, default=0, help="of a random direction (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Decode and print every question."""
    from steer_core.steering.decode import decode
    from steer_core.steering.edits import check_alphas

    questions = args.question or options.read_questions(args.questions_file)
    check_alphas([args.alpha])
    if args.max_new_tokens < 1:
        raise UserError(f"--max-new-tokens {args.max_new_tokens} is below 1; ask for at least one")
    model = options.load(args)
    edit = edit_of(args, model)
    limits = {"max_new_tokens": args.max_new_tokens, "hidden": args.hidden_out is not None}
    decoded = decode(model, questions, edit, **limits)
    plain = decode(model, questions, max_new_tokens=args.max_new_tokens) if edit else None
    if args.hidden_out:
        write_hidden(args.hidden_out, decoded)
    for index, row in enumerate(decoded):
        show(row, plain[index] if plain else None, args.json)
    return 0


def edit_of(args: argparse.Namespace, model: "CodiModel") -> "Edit | None":
    """The edit that the options ask for; None at alpha 0, after everything was checked."""
    from steer_core.steering.edits import Edit, check_positions, check_site
    from steer_core.steering.library import find_direction

    residual = args.site == "residual"
    layer = (
        (args.layer if args.layer is not None else model.config.middle_layer) if residual else None
    )
    positions = options.positions_of(args.positions, model.config.latents)
    check_site(model.config, args.site, layer)
    check_positions(model.config, positions)
    if args.alpha == 0.0:
        return None
    name = f"random-{args.seed}" if args.direction == "random" else args.direction
    direction = find_direction(model, args.site, layer, name)
    return Edit(direction.vectors, args.alpha, args.site, layer, positions)


def write_hidden(path: Path, decoded: Sequence["Decoded"]) -> None:
    """Write `hidden` float32 [N, K+1, L+1, D]."""
    import torch
    from safetensors.torch import save_file

    hidden = torch.stack([torch.from_numpy(row.hidden) for row in decoded])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"hidden": hidden}, path)


def show(row: "Decoded", plain: "Decoded | None", as_json: bool) -> None:
    """Print one result, with its baseline where there was an edit."""
    found = {
        "question": row.question,
        "token_ids": list(row.token_ids),
        "text": row.text,
        "answer": row.answer,
        "prompt_tokens": row.prompt_tokens,
    }
    if plain is not None:
        found |= {"baseline_text": plain.text, "baseline_answer": plain.answer}
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    elif plain is None:
        print(f"{row.text}")
    else:
        print(f"{plain.text}  ->  {row.text}")
