"""The command `bench`."""

import argparse
import dataclasses
import logging

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

BUNDLED = "bundled"
DEFAULTS = {
    # shape: problems, layers, sampled rows, official batches
    (BUNDLED, "cpu"): (240, 1, 60, 2),
    (BUNDLED, "cuda"): (240, 1, 60, 4),
    ("gpt2", "cpu"): (86, 1, 12, 1),
    ("gpt2", "cuda"): (86, 1, 30, 4),
    ("llama-1b", "cpu"): (4, 1, 2, 1),
    ("llama-1b", "cuda"): (107, 3, 20, 4),
}
MOST = 100_000
_log = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bench`."""
    parser = subparsers.add_parser(
        "bench", help="the engine against the one-row loop and the official batched way"
    )
    parser.add_argument(
        "--shape", default=BUNDLED, choices=[BUNDLED, "gpt2", "llama-1b"], help="default bundled"
    )
    parser.add_argument("--model", help="which bundled model (default tiny-llama)")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto: cpu for bundled)"
    )
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--alphas", default="-3:3:0.5", help="of the grid (default -3:3:0.5)")
    parser.add_argument("--pairs", type=int, help="how many test pairs (default by shape)")
    parser.add_argument("--layers", type=int, help="how many layers (default by shape)")
    parser.add_argument("--sample", type=int, help="rows of the one-row loop in every repeat")
    parser.add_argument("--repeats", type=int, default=3, help="default 3; medians are shown")
    parser.add_argument("--max-rows", type=int, help="hard cap of rows in one batch")
    parser.add_argument("--cores", type=int, help="CPU cores to use (default all)")
    parser.add_argument("--scaling", action="store_true", help="also how time grows with sizes")
    parser.add_argument(
        "--graphs",
        choices=["on", "off"],
        default="on",
        help="on a GPU, record batches as CUDA graphs or run them as they are (default on)",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table and one JSON line last."""
    from steer_core.bench.measure import as_json, measure
    from steer_core.bench.scaling import growths
    from steer_core.codi import cores, recording
    from steer_core.codi.load import pick_device

    device = pick_device("cpu" if args.shape == BUNDLED and args.device == "auto" else args.device)
    sizes = DEFAULTS[args.shape, device.type]
    if args.cores is not None:
        cores.ACCOUNT = cores.Account(count(args.cores, 1, "cores"))
    wanted = {
        "sample": count(args.sample, sizes[2], "sampled rows"),
        "repeats": count(args.repeats, 1, "repeats"),
        "cap": None if args.max_rows is None else count(args.max_rows, 1, "rows in a batch"),
    }
    alphas = options.alphas_of(args.alphas)
    subject = subject_of(args, device, sizes)
    with recording.recording_on(args.graphs == "on"):
        found = as_json(measure(subject, alphas, batches=sizes[3], say=_log.info, **wanted))
        if args.scaling:
            found["growth"] = [dataclasses.asdict(each) for each in growths(subject, args.repeats)]
    if not args.json:
        show(found)
    print(json_line(found))
    return 0


def subject_of(args: argparse.Namespace, device, sizes: tuple[int, ...]):
    """What is measured."""
    import torch

    from steer_core.bench.shapes import bundled, random_subject
    from steer_core.codi.load import pick_dtype

    problems = count(args.pairs, sizes[0], "pairs")
    layers = count(args.layers, sizes[1], "layers")
    dtype = pick_dtype(args.dtype, device)
    if args.shape == BUNDLED and args.dtype == "auto":
        dtype = torch.float32
    if args.shape == BUNDLED:
        if dtype is not torch.float32:
            raise UserError(
                f"--dtype {args.dtype} is for shapes with random weights; the models in the box "
                "are measured in float32"
            )
        subject = bundled(args.model or "tiny-llama", problems, layers, str(device))
    elif args.model is not None:
        raise UserError(f"--model is for --shape {BUNDLED}; {args.shape} has random weights")
    else:
        subject = random_subject(args.shape, device, dtype, problems, layers)
    for asked, there, what in (
        (problems, len(subject.problems), "test pairs"),
        (layers, len(subject.layers), f"layers in {subject.model.name}"),
    ):
        if asked > there:
            raise UserError(f"there are {there} {what}, not {asked}; ask for at most {there}")
    return subject


def count(given: int | None, default: int, what: str) -> int:
    """What was given or the default; a `UserError` where it is less than 1 or endless."""
    found = default if given is None else given
    if not 1 <= found <= MOST:
        raise UserError(f"{found} {what} are not within 1..{MOST}; give another number")
    return found


def show(found: dict) -> None:
    """The three ways, then the rest."""
    rows = found["rows"]
    print(f"{'':24}{'decodes/s':>12}{'seconds for ' + str(rows) + ' rows':>26}{'engine is':>12}")
    for name, label, ratio in (
        ("one_row_per_s", "one-row loop", f"{found['ratio_one_row']:.3g} x"),
        ("official_batch_per_s", "official, batch 128", f"{found['ratio_official_batch']:.3g} x"),
        ("decodes_per_s", "engine", ""),
    ):
        print(f"{label:24}{found[name]:12.4g}{rows / found[name]:26.4g}{ratio:>12}")
    print(
        f"the engine takes the time of {found['seconds_in_one_row_decodes']:.3g} one-row decodes; "
        f"{100 * found['floor_share']:.3g} % of the floor ({found['floor_s']:.3g} s)"
    )
    print(
        f"same ids on {100 * found['share_of_ids_equal']:.4g} % of {found['compared']} rows "
        f"({steered_text(found['share_of_ids_steered'])}); "
        f"memory {megabytes(found['peak_memory_bytes'])}, "
        f"predicted at most {megabytes(found['predicted_memory_bytes'])}"
    )
    if found["recorded"]:
        print(
            f"{found['recorded']} batches recorded in {found['recording_s']:.3g} s, "
            "which are not in the times"
        )
    for each in found.get("growth", ()):
        what, exponent, doubling = each["what"], each["exponent"], each["doubling"]
        print(f"time ~ ({what}) ^ {exponent:.2f}: twice costs {doubling:.2f} x")


def steered_text(share: float | None) -> str:
    """How many edited rows are no longer plain."""
    if share is None:
        return "no edited row beside a plain one"
    return f"{100 * share:.3g} % of edited rows differ from the plain one"


def megabytes(count: int | None) -> str:
    """Bytes in MB."""
    return "not known" if count is None else f"{count / 1e6:.0f} MB"
