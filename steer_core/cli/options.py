"""Options that several commands share, and how their texts become values."""

import argparse
import math
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from steer_core.cli.values import seed_of
from steer_core.errors import UserError
from steer_core.names import LOCAL, MEAN_DIFFERENCE, RAY

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.pipeline.runner import Engine

MOST_ALPHAS, MOST_NUMBERS = 10_001, 10_001
SMALLEST_STEP = 1e-9
LOG_SECONDS = 10
"""Between two lines of progress where nobody watches."""


def add_model(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Which model, and how it runs."""
    parser.add_argument(
        "--model",
        required=required,
        help="name (see 'models'), hub repository owner/name, or folder of a checkpoint",
    )
    parser.add_argument("--base", help="folder with config and tokenizer of the base model")
    parser.add_argument("--lora-alpha", type=float, help="LoRA's scale (32 for rank 128)")
    parser.add_argument(
        "--keep-eos", action="store_true", default=None, help="trained with remove_eos off"
    )
    parser.add_argument("--latents", type=int, help="latent steps K (the model's own, mostly 6)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument(
        "--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default auto)"
    )


def load(args: argparse.Namespace, check: bool | None = None) -> "CodiModel":
    """The model that `add_model`'s options ask for; `check` as for `load_model`."""
    from steer_core.codi.load import load_model

    return load_model(
        args.model,
        base=args.base,
        device=args.device,
        dtype=args.dtype,
        lora_alpha=args.lora_alpha,
        keep_eos=args.keep_eos,
        latents=args.latents,
        check=check,
    )


def loading(args: argparse.Namespace) -> "partial[CodiModel]":
    """What loads that model in another process, where it was checked before."""
    from steer_core.codi.load import load_model

    names = ("base", "device", "dtype", "lora_alpha", "keep_eos", "latents")
    options = {name: getattr(args, name) for name in names}
    return partial(load_model, args.model, **options, check=False)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Where it is decoded."""
    parser.add_argument(
        "--engine",
        choices=(LOCAL, RAY),
        default=LOCAL,
        help=f"this process, or workers of a Ray cluster with the same results (default {LOCAL})",
    )
    parser.add_argument(
        "--ray-address", help="cluster to join, such as auto (default one on this machine)"
    )
    parser.add_argument("--workers", type=int, help="Ray workers (default as many as fit)")
    parser.add_argument(
        "--gpus-per-worker", type=float, help="GPUs of each Ray worker (default 1 on cuda, else 0)"
    )


def engine_of(args: argparse.Namespace, device: str) -> "Engine | None":
    """The engine that is asked for, for a model on a device; None for this process."""
    given = {n: getattr(args, n) for n in ("ray_address", "workers", "gpus_per_worker")}
    if args.engine == LOCAL:
        if named := [name for name, value in given.items() if value is not None]:
            option = named[0].replace("_", "-")
            raise UserError(f"--{option} {given[named[0]]} is for --engine ray; add it")
        return None
    from steer_core.pipeline.ray_engine import RayEngine, RayOptions, required

    required()
    gpus = float(device == "cuda") if args.gpus_per_worker is None else args.gpus_per_worker
    return RayEngine(loading(args), RayOptions(args.ray_address, args.workers, gpus))


def add_edit(parser: argparse.ArgumentParser) -> None:
    """Where an edit acts and along what."""
    parser.add_argument(
        "--site",
        help="residual, thought, embedding; kv, keys, values of a position as later ones read them "
        "(default residual)",
    )
    parser.add_argument("--positions", help="positions that are edited, such as 1,2,3 or 1-6")
    parser.add_argument(
        "--direction",
        default=MEAN_DIFFERENCE,
        help=f"{MEAN_DIFFERENCE}, a control such as covariance:SEED (or shuffled, nuisance, "
        f"random), or a safetensors file (default {MEAN_DIFFERENCE}); alpha counts its own "
        "length, with :sd behind it standard deviations of the fit set's "
        "states along the mean difference, with :dose their mean norm",
    )


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """The seed of whatever is random in a command."""
    parser.add_argument("--seed", type=seed_of, default=0, help=f"{what} (default 0)")


def positions_of(text: str | None, latents: int) -> tuple[int, ...]:
    """Positions of '1,2,3' or '1-6'; 1..K when nothing is given."""
    if text is None:
        return tuple(range(1, latents + 1))
    return tuple(dict.fromkeys(k for part in text.split(",") for k in span(part, text)))


def integers_of(text: str) -> list[int]:
    """Whole numbers of '1,2,3' or '1-4'."""
    return list(dict.fromkeys(k for part in text.split(",") for k in span(part, text)))


def span(part: str, text: str) -> range:
    """One number or a range of them."""
    first, dash, last = part.strip().partition("-")
    try:
        found = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        found = range(0)
    if not 0 < len(found) <= MOST_NUMBERS:
        raise UserError(f"'{text}' is no list of whole numbers; write 1,2,3 or 1-6")
    return found


def alphas_of(text: str) -> list[float]:
    """Alphas of a list '0,1,2.5' or of start:stop:step, both ends included."""
    parts = [number(part, text) for part in text.replace(":", ",").split(",")]
    if ":" not in text:
        return parts
    if len(parts) != 3 or "," in text or parts[2] < SMALLEST_STEP or parts[1] < parts[0]:
        raise UserError(f"'{text}' is no range; write start:stop:step, such as -3:3:0.5")
    start, stop, step = parts
    steps = (stop - start) / step + 1e-9
    if steps >= MOST_ALPHAS:
        raise UserError(f"'{text}' makes more than {MOST_ALPHAS} alphas; widen the step")
    # Rounded, so that 0 is 0 and not 5.6e-17: the baseline must be recognised.
    return [round(start + i * step, 10) + 0.0 for i in range(math.floor(steps) + 1)]


def number(part: str, text: str) -> float:
    """One finite number."""
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"'{part.strip()}' in '{text}' is no finite number; write such as 1.5")
    return value + 0.0  # -0 is 0, the baseline


class Progress:
    """What is done so far, on stderr: on one line for a watcher, now and then a line in a log."""

    def __init__(self) -> None:
        self.said = time.monotonic()

    def say(self, what: str, done: int, total: int, unit: str) -> None:
        """Say that `done` of `total` are there; `what` stands in front."""
        line = f"{what}{done}/{total} {unit}"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
        elif time.monotonic() - self.said >= LOG_SECONDS:
            self.said = time.monotonic()
            print(line, file=sys.stderr, flush=True)
