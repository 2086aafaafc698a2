"""The command `sweep`."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import edits, options, presets
from steer_core.cli.json_lines import json_line
from steer_core.cli.prepare import command_of
from steer_core.cli.sweep_table import table_text
from steer_core.cli.values import whole
from steer_core.errors import UserError
from steer_core.names import MEAN_DIFFERENCE

if TYPE_CHECKING:
    from steer_core.codi.config import CodiConfig
    from steer_core.codi.model import CodiModel
    from steer_core.data.problems import Pair
    from steer_core.pipeline.prepared import Prepared
    from steer_core.pipeline.records import RunRecord, SweepSpec
    from steer_core.pipeline.store import Store

MOST, NONE = "most", "none"
MOST_CONTROLS = 1000
DEFAULT_CONTROLS = "covariance=20,shuffled=20,nuisance=20,most=99"
"""Of prepared pairs: an experiment to be judged. A sweep over a pair file is a glance, without."""
REPORT, SELECT = "report", "select"
"""Splits that can be swept: results are shown on the first, settings chosen on the second."""
_log = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sweep`."""
    parser = subparsers.add_parser("sweep", help="accuracy against alpha over pairs")
    options.add_model(parser)
    options.add_edit(parser)
    presets.add_preset(parser)
    edits.add_more(parser)
    add_pairs(parser)
    parser.add_argument("--layers", help="such as 1,2,3 (default the middle one)")
    parser.add_argument("--sites", help="several sites in one run, such as residual,thought,values")
    parser.add_argument("--directions", help="several directions in one run, by name or file")
    parser.add_argument("--operations", help="several operations in one run, such as add,rotate")
    parser.add_argument(
        "--alphas", default="-3:3:0.5", help="list or start:stop:step, as --alphas=-3:3:0.5"
    )
    parser.add_argument(
        "--controls",
        help="controls in the same run, such as covariance=20,shuffled=20,nuisance=20,random=20; "
        f"with {MOST}=99 more of those that leave a verdict open, {NONE} for none (default with "
        f"--split {DEFAULT_CONTROLS}, else {NONE})",
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    options.add_engine(parser)
    options.add_seed(parser, "of the order and of the first control of each kind")
    parser.add_argument(
        "--out", type=Path, help="folder for results.sqlite, which keeps every decoded row"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="only go on with the run in --out: other settings are refused, naming what differs",
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
        "controls come from its fit split",
    )
    parser.add_argument(
        "--part",
        choices=(REPORT, SELECT),
        default=REPORT,
        help=f"of --split: {SELECT} to choose a setting on it, then {REPORT} for that setting; "
        f"any other that {REPORT} is opened for counts against all (default {REPORT})",
    )


def run(args: argparse.Namespace) -> int:
    """Sweep and print one row per layer, direction and alpha."""
    settle(args)
    if args.resume and args.out is None:
        raise UserError("--resume needs the folder of the run; give it as --out")
    prepared, pairs = chosen_pairs(args)
    note_repeats(pairs)
    # Texts that mean nothing are found before seconds go into loading the model.
    alphas = options.alphas_of(args.alphas)
    controls = controls_of(args.controls, args.split is not None)
    layers = options.integers_of(args.layers) if args.layers else None
    model = options.load(args)
    spec = spec_of(args, model, layers, alphas, controls)
    report_dead(model.config, spec)
    with opened(args.out) as store:
        if args.resume and args.controls is None:
            spec = as_begun(spec, store)
        record = swept(args, model, spec, store, pairs, prepared)
        show(store, record, args.json)
        report_looks(args.out, record, store)
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


def note_repeats(pairs: "list[Pair]") -> None:
    """Say on stderr that questions come more than once, and how they are counted."""
    from steer_core.data.problems import question_key

    distinct = len({question_key(pair.clean.question) for pair in pairs})
    if distinct < len(pairs):
        _log.warning(
            "%d pairs hold %d distinct questions (names aside); rows count every pair, a report's "
            "tests and intervals count repeats as one draw",
            *(len(pairs), distinct),
        )


def spec_of(
    args: argparse.Namespace,
    model: "CodiModel",
    layers: list[int] | None,
    alphas: list[float],
    controls: dict[str, int],
) -> "SweepSpec":
    """The options as a spec, checked against the model."""
    from steer_core.pipeline.records import canonical
    from steer_core.pipeline.spec import SweepSpec, check_spec
    from steer_core.steering.sites import Site

    latents = model.config.latents
    masks = [None] if args.positions is None else args.positions.split(";")
    sites = list(map(str.strip, args.sites.split(","))) if args.sites else [args.site]
    schedule = None if args.schedule is None else edits.factors_of(args.schedule)
    if schedule is not None and args.positions is None:
        masks = [f"0-{latents}"]  # a factor of 0 leaves a position out
    spec = SweepSpec(
        site=sites[0],
        layers=sweep_layers(model, sites, layers),
        alphas=tuple(alphas),
        masks=tuple(options.positions_of(mask, latents) for mask in masks),
        directions=names_of(args.directions or args.direction),
        **controls,
        seed=args.seed,
        max_new_tokens=args.max_new_tokens,
        sites=tuple(sites[1:]),
        operations=tuple(map(str.strip, (args.operations or args.operation or "add").split(","))),
        schedule=schedule,
        at_once=at_once(args, Site(sites[0]).has_layers),
        edits="" if args.edits is None else canonical(edits.read_edits(args.edits)),
    )
    check_spec(model, spec)
    return spec


def settle(args: argparse.Namespace) -> None:
    """Fill in what was not given.

    Raises:
        UserError: for options that contradict each other.
    """
    for one, several in (("site", "sites"), ("operation", "operations")):
        if getattr(args, one) is not None and getattr(args, several) is not None:
            raise UserError(f"--{one} and --{several} both name {several}; give one of them")
    if args.directions is not None and args.direction != MEAN_DIFFERENCE:
        raise UserError("--direction and --directions both name directions; give one of them")
    if args.edits is not None:
        names = (*edits.INSTEAD, "sites", "operations", "directions", "layers", "preset")
        both = [name for name in names if getattr(args, name, None) is not None]
        both += ["direction"] * (args.direction != MEAN_DIFFERENCE)
        if both:
            raise UserError(f"--edits says what is edited; leave out --{both[0].replace('_', '-')}")
    presets.settle(args)


def sweep_layers(
    model: "CodiModel", sites: list[str], layers: list[int] | None
) -> tuple[int | None, ...]:
    """The layers of the sites that have any, see `layers_of`."""
    from steer_core.pipeline.spec import layers_of
    from steer_core.steering.sites import Site

    layered = [site for site in sites if Site(site).has_layers]
    return layers_of(model, (layered or sites)[0], layers)


def at_once(args: argparse.Namespace, layered: bool) -> tuple[int, ...]:
    """The blocks that are edited together."""
    if args.layers_at_once is None:
        return ()
    if args.layers is not None or not layered:
        other = "--layers" if layered else "the site, which has no layers"
        raise UserError(f"--layers-at-once {args.layers_at_once} contradicts {other}")
    return tuple(options.integers_of(args.layers_at_once))


def report_dead(config: "CodiConfig", spec: "SweepSpec") -> None:
    """Say which of the edited positions can change no answer."""
    from steer_core.pipeline.spec import shapes

    parts = {part for shape in shapes(config, spec) for part in shape}
    for site in sorted({part.site for part in parts}):
        where = {k for part in parts if part.site == site for k in part.positions}
        presets.report_dead(config, site.name, [site.layer], sorted(where))


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
            resume=args.resume,
            engine=options.engine_of(args, model.device.type),
            progress=lambda done, total, _: progress.say("", done, total, "rows"),
        )
    except KeyboardInterrupt:
        if args.out is None:
            raise
        raise KeyboardInterrupt(
            f"stopped; the same command goes on from what {args.out} holds"
        ) from None
    if args.resume and not known:
        _log.warning("%s held no run to resume; run %d is new", args.out, record.id)
    return record


def as_begun(spec: "SweepSpec", store: "Store") -> "SweepSpec":
    """Without controls where a stored run has none: it began before there were any by default.

    Whoever resumes it repeats the command, which says nothing of controls.
    """
    from dataclasses import replace

    from steer_core.names import CONTROL_KINDS

    plain = replace(spec, **dict.fromkeys((*CONTROL_KINDS, MOST), 0))
    begun = [record.spec for record in store.runs()]
    return plain if plain in begun and spec not in begun else spec


def report_looks(out: Path | None, record: "RunRecord", store: "Store") -> None:
    """Say on stderr what else was looked at on these pairs; without --out nothing is noted."""
    from steer_core.pipeline.ledger import looks_at

    if out is None:
        return
    found = looks_at(out, record, store.runs())
    for text in (found.mark, found.words, *found.problems):
        if text:
            _log.warning("%s", text)


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


def controls_of(text: str | None, split: bool = False) -> dict[str, int]:
    """Counts of 'covariance=20,shuffled=20,most=99', by the names of a spec."""
    from steer_core.names import CONTROL_KINDS

    counts: dict[str, int] = dict.fromkeys((*CONTROL_KINDS, MOST), 0)
    if text is None:
        text = DEFAULT_CONTROLS if split else NONE
    for part in text.split(",") if text not in ("", NONE) else []:
        name, _, count = part.partition("=")
        number = whole(count)
        if name not in counts or number is None or not 0 <= number <= MOST_CONTROLS:
            raise UserError(
                f"'{part}' is no control of {', '.join(CONTROL_KINDS)}, of each kind there are at "
                f"most {MOST_CONTROLS}; write such as covariance=20,shuffled=20,random=20,{MOST}=99"
            )
        counts[name] = number
    return counts
