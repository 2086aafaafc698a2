"""The command `train`."""

import argparse
import dataclasses
from pathlib import Path

from steer_core.cli import options
from steer_core.cli.json_lines import json_line


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `train`."""
    parser = subparsers.add_parser("train", help="train a small CODI model on generated problems")
    parser.add_argument("--arch", required=True, help="llama or gpt2")
    parser.add_argument(
        "--causal",
        action="store_true",
        help="train by interchange too, so that latents hold step results and are obeyed when "
        "swapped",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; an unfinished run goes on")
    parser.add_argument("--steps", type=int, help="optimizer steps")
    parser.add_argument("--batch", type=int, help="problems a step")
    parser.add_argument("--learning-rate", type=float, help="peak of the schedule")
    parser.add_argument("--warmup", type=int, help="steps of linear warm-up")
    parser.add_argument("--teacher-only", type=float, help="share of steps before the student")
    parser.add_argument(
        "--teacher-every", type=int, help="the teacher trains at every n-th step of the student's"
    )
    for name, what in (
        ("lens", "reading step results from hidden states"),
        ("swap", "the twin's answer behind the twin's latents"),
        ("chain", "the twin's later results and answer behind one swapped latent"),
    ):
        parser.add_argument(f"--{name}-weight", type=float, help=f"weight of the loss of {what}")
    parser.add_argument(
        "--hidden-question", type=float, help="share of rows whose answer sees the latents only"
    )
    parser.add_argument("--init", help="folder of a finished model to start from")
    options.add_seed(parser, "of weights and data")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--json", action="store_true", help="print each log line as JSON")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Train, and print a line of progress every 100 steps."""
    import torch

    from steer_core.codi.load import pick_device
    from steer_core.training.recipe import CAUSAL, Recipe
    from steer_core.training.trainer import Trainer

    names = {field.name for field in dataclasses.fields(Recipe)}
    given = dict(CAUSAL) if args.causal else {}
    given |= {n: value for n, value in vars(args).items() if n in names and value is not None}
    # The order of sums depends on the number of threads, and with it the weights to the last bit.
    torch.set_num_threads(1)
    trainer = Trainer(Recipe(**given), args.out, pick_device(args.device))
    trainer.run(lambda row: print(json_line(row) if args.json else line(row), flush=True))
    return 0


def line(row: dict) -> str:
    """One line of the log for a reader."""
    shares = "  ".join(
        f"{name.removesuffix('_accuracy')} {value:.1%}"
        for name, value in row.items()
        if name.endswith("_accuracy")
    )
    return f"step {row['step']}/{row['of']}  {row['seconds']:.0f} s  {shares}"
