"""The command `sweep`."""

import argparse
import json
from pathlib import Path

from steer_core.cli import options, presets
from steer_core.errors import UserError

CONTROLS = ("random", "shuffled")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sweep`."""
    parser = subparsers.add_parser("sweep", help="accuracy against alpha over pairs")
    options.add_model(parser)
    options.add_edit(parser)
    presets.add_preset(parser)
    parser.add_argument("--pairs", default="test", help="bundled name or pair file (default test)")
    parser.add_argument("--layers", help="such as 1,2,3 (default the middle one)")
    parser.add_argument(
        "--alphas", default="-3:3:0.5", help="list or start:stop:step, as --alphas=-3:3:0.5"
    )
    parser.add_argument(
        "--controls", help="controls in the same run, such as random=20,shuffled=20"
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    options.add_seed(parser, "of the order and of the first control of each kind")
    parser.add_argument("--out", type=Path, help="folder for sweep.csv")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Sweep and print one row per layer, direction and alpha."""
    from steer_core.data.pairs import load_pairs
    from steer_core.experiment.sweep import sweep

    presets.settle(args)
    alphas = options.alphas_of(args.alphas)
    layers = options.integers_of(args.layers) if args.layers else None
    controls = controls_of(args.controls)
    pairs = load_pairs(args.pairs)
    model = options.load(args)
    positions = options.positions_of(args.positions, model.config.latents)
    presets.report_dead(model.config, args.site, layers or [model.config.middle_layer], positions)
    found = sweep(
        model,
        pairs,
        layers=layers,
        alphas=alphas,
        site=args.site,
        positions=positions,
        direction=args.direction,
        **controls,
        max_new_tokens=args.max_new_tokens,
        seed=args.seed,
        progress=lambda state: options.show_progress(state.decoded, state.rows),
    )
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        found.to_csv(args.out / "sweep.csv", index=False)
    if args.json:
        for row in found.to_dict("records"):
            print(json.dumps(row))
    else:
        print(found.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    return 0


def controls_of(text: str | None) -> dict[str, int]:
    """Counts of 'random=20,shuffled=20'."""
    counts: dict[str, int] = dict.fromkeys(CONTROLS, 0)
    for part in text.split(",") if text else []:
        name, _, count = part.partition("=")
        if name not in counts or not count.isdecimal():
            raise UserError(f"'{part}' is no control; write such as random=20,shuffled=20")
        counts[name] = int(count)
    return counts
