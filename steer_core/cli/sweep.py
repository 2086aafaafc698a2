"""The command `sweep`."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options, presets
from steer_core.cli.json_lines import json_line
from steer_core.cli.prepare import command_of
from steer_core.cli.sweep_table import table_text
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.data.problems import Pair
    from steer_core.pipeline.prepared import Prepared
    from steer_core.pipeline.records import RunRecord, SweepSpec
    from steer_core.pipeline.store import Store

CONTROLS = ("random", "shuffled")
REPORT, SELECT = "report", "select"
"""Splits that can be swept: results are shown on the first, settings chosen on the second."""
_log = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sweep`."""
    parser = subparsers.add_parser("sweep", help="accuracy against alpha over pairs")
    options.add_model(parser)
    options.add_edit(parser)
    presets.add_preset(parser)
    add_pairs(parser)
    parser.add_argument("--layers", help="such as 1,2,3 (default the middle one)")
    parser.add_argument(
        "--alphas", default="-3:3:0.5", help="list or start:stop:step, as --alphas=-3:3:0.5"
    )
    parser.add_argument(
        "--controls", help="controls in the same run, such as random=20,shuffled=20"
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    options.add_seed(parser, "of the order and of the first control of each kind")
    parser.add_argument(
        "--out", type=Path, help="folder for results.sqlite, which keeps every decoded row"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an unfinished run in --out (also done without; stored rows stay)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """What is swept over."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--pairs", help="bundled name or pair file (default test)")
    group.add_argument(
        "--split",
        type=Path,
        help=f"folder that 'prepare' wrote: its {REPORT} split is swept over, directions and "
        "shuffled controls come from its fit split",
    )
    parser.add_argument(
        "--part",
        choices=(REPORT, SELECT),
        default=REPORT,
        help=f"of --split: {SELECT} to choose a setting on it (default {REPORT})",
    )


def run(args: argparse.Namespace) -> int:
    """Sweep and print one row per layer, direction and alpha."""
    presets.settle(args)
    if args.resume and args.out is None:
        raise UserError("--resume needs the folder of the run; give it as --out")
    prepared, pairs = chosen_pairs(args)
    # Texts that mean nothing are found before seconds go into loading the model.
    alphas, controls = options.alphas_of(args.alphas), controls_of(args.controls)
    layers = options.integers_of(args.layers) if args.layers else None
    model = options.load(args)
    spec = spec_of(args, model, layers, alphas, controls)
    where = sorted({position for mask in spec.masks for position in mask})
    presets.report_dead(model.config, spec.site, spec.layers, where)
    with opened(args.out) as store:
        record = swept(args, model, spec, store, pairs, prepared)
        show(store, record, args.json)
    if args.out is not None and not args.json:
        print(f"all rows are in {args.out}; 'report {args.out} --out FILE.html' judges them")
    return 0


def chosen_pairs(args: argparse.Namespace) -> "tuple[Prepared | None, list[Pair]]":
    """The pairs of --split or --pairs, and the prepared folder if there is one."""
    from steer_core.data.pairs import load_pairs
    from steer_core.pipeline.prepared import load_prepared

    if args.split is None:
        if args.part != REPORT:
            raise UserError(f"--part {args.part} is a part of prepared pairs; give --split DIR")
        args.pairs = args.pairs or "test"
        return None, load_pairs(args.pairs)
    prepared = load_prepared(args.split)
    pairs = prepared.split(args.part)
    if not pairs:
        raise UserError(
            f"{args.split} has no pairs in its {args.part} split; prepare with other --fractions"
        )
    return prepared, pairs


def spec_of(
    args: argparse.Namespace,
    model: "CodiModel",
    layers: list[int] | None,
    alphas: list[float],
    controls: dict[str, int],
) -> "SweepSpec":
    """The options as a spec, checked against the model."""
    from steer_core.pipeline.spec import SweepSpec, check_spec, layers_of

    latents = model.config.latents
    masks = [None] if args.positions is None else args.positions.split(";")
    spec = SweepSpec(
        site=args.site,
        layers=layers_of(model, args.site, layers),
        alphas=tuple(alphas),
        masks=tuple(options.positions_of(mask, latents) for mask in masks),
        directions=names_of(args.direction),
        **controls,
        seed=args.seed,
        max_new_tokens=args.max_new_tokens,
    )
    check_spec(model, spec)
    return spec


def names_of(text: str) -> tuple[str, ...]:
    """Directions joined by commas; a path may hold commas itself."""
    return (text,) if Path(text).exists() else tuple(name.strip() for name in text.split(","))


@contextmanager
def opened(out: Path | None) -> "Iterator[Store]":
    """The store of a folder, or one in memory without it."""
    from steer_core.pipeline.store import FILE, Store

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with Store.memory() if out is None else Store(out / FILE) as store:
        yield store


def swept(
    args: argparse.Namespace,
    model: "CodiModel",
    spec: "SweepSpec",
    store: "Store",
    pairs: "list[Pair]",
    prepared: "Prepared | None",
) -> "RunRecord":
    """Decode what the store lacks."""
    from steer_core.pipeline.prepare import fit_from
    from steer_core.pipeline.run import Origin, run_sweep

    origin = Origin(
        pairs=args.pairs if prepared is None else prepared.pairs_name,
        split=None if prepared is None else args.part,
        command=command_of(args),
        prepared=prepared,
    )
    stored = store.runs()
    if args.resume:
        check_weights(args.out, stored, model)
    known = {record.id for record in stored}
    progress = options.Progress()
    try:
        record = run_sweep(
            model,
            pairs,
            spec,
            store,
            origin=origin,
            fit=None if prepared is None else fit_from(model, prepared),
            progress=lambda done, total, _: progress.say("", done, total, "rows"),
        )
    except KeyboardInterrupt:
        if args.out is not None:
            _log.warning("stopped; the same command goes on from what %s holds", args.out)
        raise
    if args.resume and record.id not in known:
        _log.warning("%s held no run of these settings; run %d is new", args.out, record.id)
    return record


def check_weights(out: Path, stored: "Sequence[RunRecord]", model: "CodiModel") -> None:
    """Raise a `UserError` where all that is stored of this model comes from other weights."""
    hashes = [
        record.provenance["model_sha256"]
        for record in stored
        if record.provenance["model"] == model.name
    ]
    if hashes and model.sha256 not in hashes:
        raise UserError(
            f"{out} cannot be resumed: {model.name} had other weights then ({hashes[-1][:12]}, now "
            f"{model.sha256[:12]}); sweep into another folder"
        )


def show(store: "Store", record: "RunRecord", as_json: bool) -> None:
    """Print the summary of a run."""
    found = store.summary(record.id)
    if as_json:
        for row in found.to_dict("records"):
            print(json_line(row))
    else:
        print(table_text(found, record.curves, len(record.spec.alphas)))


def controls_of(text: str | None) -> dict[str, int]:
    """Counts of 'random=20,shuffled=20'."""
    counts: dict[str, int] = dict.fromkeys(CONTROLS, 0)
    for part in text.split(",") if text else []:
        name, _, count = part.partition("=")
        if name not in counts or not count.isdecimal():
            raise UserError(f"'{part}' is no control; write such as random=20,shuffled=20")
        counts[name] = int(count)
    return counts
