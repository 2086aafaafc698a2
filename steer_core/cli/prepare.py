"""The command `prepare`."""

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options, seed_files
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.data.problems import Pair
    from steer_core.pipeline.prepared import FunnelStep, Prepared
    from steer_core.pipeline.splits import SplitSettings

BAR = 24


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `prepare`."""
    parser = subparsers.add_parser(
        "prepare", help="baseline, latent necessity and a split of pairs"
    )
    options.add_model(parser, required=False)
    parser.add_argument(
        "--pairs", default="fit,test", help="bundled names or pair files, joined by commas"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for prepared.json, pairs.jsonl and the answers so far: a run that was ended "
        "goes on, another filter or split decodes nothing again",
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_necessity(parser)
    add_split(parser)
    seed_files.add_options(parser)
    parser.set_defaults(handler=run)


def add_necessity(parser: argparse.ArgumentParser) -> None:
    """How latents are taken away."""
    parser.add_argument(
        "--necessity", default="zeros", help="zeros, mean, noise or none (default zeros)"
    )
    parser.add_argument(
        "--necessity-site",
        default="embedding",
        help="where latents are replaced: embedding, thought or residual (default embedding)",
    )
    parser.add_argument("--necessity-layer", type=int, help="block of site residual")
    parser.add_argument(
        "--necessity-positions", help="such as 1,2,3 or 1-6 (default: all that can act)"
    )


def add_split(parser: argparse.ArgumentParser) -> None:
    """Which pairs are used, and how they are split."""
    parser.add_argument(
        "--filter",
        default="none",
        help="twin that must need its latents: none, clean, corrupted, either or both "
        "(default none)",
    )
    parser.add_argument(
        "--fractions", default="0.4,0.1,0.5", help="of fit, select, report (default 0.4,0.1,0.5)"
    )
    parser.add_argument(
        "--keep-all-labels",
        action="store_true",
        help="do not balance right and wrong answers of the fit split",
    )
    parser.add_argument(
        "--keep-unchanged",
        action="store_true",
        help="keep pairs whose corruption leaves the answer unchanged",
    )
    options.add_seed(parser, "of the split, and of noise")


def run(args: argparse.Namespace) -> int:
    """Prepare the pairs, or read what the seed experiment stored about them."""
    settings = split_settings(args)
    if seed_files.asked(args):
        return seed_files.run(args, settings, command_of(args))
    if not args.model or args.out is None:
        missing = "--out" if args.model else "--model"
        raise UserError(f"{missing} is missing; write 'prepare --model NAME --pairs P --out DIR'")
    prepared = prepared_by_model(args, settings)
    prepared.save(args.out)
    show(prepared, args.out, args.json)
    return 0


def split_settings(args: argparse.Namespace) -> "SplitSettings":
    """The options of `add_split`."""
    from steer_core.pipeline.splits import SplitSettings

    fractions = tuple(options.number(part, args.fractions) for part in args.fractions.split(","))
    balanced = not args.keep_all_labels
    return SplitSettings(args.filter, fractions, balanced, args.keep_unchanged, args.seed)


def prepared_by_model(args: argparse.Namespace, settings: "SplitSettings") -> "Prepared":
    """Run the model over the pairs."""
    from steer_core.pipeline.journal import FILE
    from steer_core.pipeline.prepare import PrepareSettings, prepare

    pairs = joined_pairs(args.pairs)
    text = args.necessity_positions
    asked = PrepareSettings(
        args.necessity,
        args.necessity_site,
        args.necessity_layer,
        None if text is None else tuple(options.integers_of(text)),
        settings,
        args.max_new_tokens,
    )
    args.out.mkdir(parents=True, exist_ok=True)  # now: not after minutes of decoding
    model = options.load(args)
    progress = options.Progress()
    return prepare(
        model,
        pairs,
        asked,
        lambda stage, done, total: progress.say(f"{stage}: ", done, total, "questions"),
        name=args.pairs,
        command=command_of(args),
        answers=args.out / FILE,
    )


def joined_pairs(text: str) -> "list[Pair]":
    """The pairs of one file, or of several names and files joined by commas."""
    from steer_core.data.pairs import load_pairs

    names = [text] if Path(text).is_file() else [name.strip() for name in text.split(",")]
    return [pair for name in names for pair in load_pairs(name)]


def command_of(args: argparse.Namespace) -> str:
    """The command with every value it ran with, defaults too."""
    words = ["python", "-m", "steer_core", args.command]
    for name, value in sorted(vars(args).items()):
        # Not "in (None, False)": 0, the usual seed, is equal to False.
        if name in ("command", "handler") or value is None or value is False:
            continue
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [f"{option}={value}"]
    return shlex.join(words)


def show(prepared: "Prepared", out: Path, as_json: bool) -> None:
    """Print what was prepared."""
    print(json_line(summary(prepared, out)) if as_json else "\n".join(lines(prepared, out)))


def summary(prepared: "Prepared", out: Path) -> dict[str, object]:
    """What was prepared, as one JSON object without the pairs."""
    from steer_core.pipeline.prepared import plain

    names = (
        *("model", "model_sha256", "latents", "dtype", "device", "pairs_name", "pairs_sha256"),
        *("seed", "filter", "balanced", "counts", "set_aside"),
    )
    return {
        "out": str(out),
        **{name: getattr(prepared, name) for name in names},
        "necessity": plain(prepared.necessity),
        "fractions": list(prepared.fractions),
        "funnel": [
            {"name": s.name, "count": s.count, "of": s.of, "percent": round(s.percent, 2)}
            for s in prepared.funnel
        ],
        "findings": list(prepared.findings),
    }


def lines(prepared: "Prepared", out: Path) -> Iterable[str]:
    """The same for a reader: the funnel with bars, the splits, and what was set aside."""
    yield f"{prepared.model} on {prepared.pairs_name}"
    yield from funnel_lines(prepared.funnel)
    for split, counts in prepared.counts.items():
        yield f"split {split}: {counts['correct']} right + {counts['wrong']} wrong"
    yield from (f"set aside: {n} ({why})" for why, n in prepared.set_aside.items())
    yield f"written to {out}"


def funnel_lines(funnel: "Iterable[FunnelStep]") -> Iterable[str]:
    """One line a step: a bar in proportion to all rows, the count, and the share it is of."""
    steps = list(funnel)
    width = max((len(step.name) for step in steps), default=0)
    for step in steps:
        filled = round(BAR * step.count / max(steps[0].count, 1))
        bar = "█" * filled + "·" * (BAR - filled)
        yield f"{step.name:{width}}  {bar} {step.count:6} of {step.of:<6} {step.percent:5.1f} %"
