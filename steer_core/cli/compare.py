"""The command `compare`: directions at equal KL, models at equal depth, α and subspaces."""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.cli.values import integer
from steer_core.errors import UserError

Rows = Iterator[dict[str, Any]]
ALPHAS = "-2:2:0.5"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `compare`."""
    parser = subparsers.add_parser("compare", help="directions, models, strengths side by side")
    whats = parser.add_subparsers(dest="what", required=True, parser_class=type(parser))
    methods = whats.add_parser("methods", help="directions of a stored sweep at equal dose and KL")
    methods.add_argument("folder", type=Path, metavar="DIR", help="what 'sweep --out' wrote")
    methods.add_argument("--run", type=int, help="id of the run (default the newest)")
    methods.add_argument("--by", choices=("kl", "dose"), help="only at equal KL, or equal dose")
    models = whats.add_parser("models", help="two models at 25, 50 and 87.5 %% of their depth")
    models.add_argument("--models", required=True, help="names or folders, with commas")
    models.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    models.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    models.add_argument("--controls", type=integer, default=0, help="random directions each")
    alpha = whats.add_parser("alpha", help="an α for each problem against one for all")
    subspace = whats.add_parser("subspace", help="a learned subspace against random ones")
    for each in (alpha, subspace):
        options.add_model(each)
        each.add_argument("--site", help="residual, thought or embedding")
        each.add_argument("--layer", type=integer, help="block of site residual")
        each.add_argument("--positions", help="such as 1,2,3 or 1-6")
    alpha.add_argument("--fit-pairs", default="fit", help="what is fitted on (default fit)")
    subspace.add_argument("--size", type=integer, default=4, help="dimensions (default 4)")
    subspace.add_argument("--out", type=Path, help="safetensors file for its basis")
    options.add_seed(subspace, "of the bases")
    for each in (models, alpha):
        each.add_argument("--direction", default=options.MEAN_DIFFERENCE, help="by name")
        each.add_argument("--alphas", default=ALPHAS, help=f"as for 'sweep' (default {ALPHAS})")
    for each, usual in ((models, "test"), (alpha, "test"), (subspace, "fit")):
        each.add_argument("--pairs", default=usual, help=f"name or file (default {usual})")
    for each in (methods, models, alpha, subspace):
        each.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print one row for each thing compared."""
    for row in list(COMPARISONS[args.what](args)):
        print(json_line(row, ensure_ascii=False) if args.json else row.pop("words", readable(row)))
    return 0


def methods(args: argparse.Namespace) -> Rows:
    """Each side of each direction at each level of KL and of dose."""
    from steer_core.analysis.equal import DOSE, KL, compared
    from steer_core.report.source import load_source

    sides = load_source(args.folder, args.run).sides
    for by in {"kl": (KL,), "dose": (DOSE,)}.get(args.by, (KL, DOSE)):
        yield from compared(sides, by).to_dict("records")


def models(args: argparse.Namespace) -> Rows:
    """Each model's accuracy at each depth and α."""
    from steer_core.codi.load import load_model
    from steer_core.data.pairs import load_pairs
    from steer_core.pipeline.compare import at_depths

    pairs, alphas = load_pairs(args.pairs), options.alphas_of(args.alphas)
    names = [name.strip() for name in args.models.split(",")]
    if len(set(names)) < 2:
        raise UserError(f"'{args.models}' names one model; give two, with a comma")
    for name in names:
        model = load_model(name, device=args.device, dtype=args.dtype)
        yield from at_depths(
            model, pairs, alphas=alphas, direction=args.direction, random=args.controls
        ).to_dict("records")


def alpha(args: argparse.Namespace) -> Rows:
    """Ways to choose α, held out."""
    from steer_core.data.pairs import load_pairs
    from steer_core.pipeline.compare import adaptive

    fit, pairs = load_pairs(args.fit_pairs), load_pairs(args.pairs)
    alphas = options.alphas_of(args.alphas)
    model = options.load(args)
    site, positions = place_of(args, model, "residual")
    found = adaptive(
        model,
        *(fit, pairs),
        site=site,
        alphas=alphas,
        direction=args.direction,
        positions=positions,
    )
    yield {**dataclasses.asdict(found), "uses_gold_answer": ["by_gold"], "words": found.words}


def subspace(args: argparse.Namespace) -> Rows:
    """What swapping a learned, a principal and random subspaces does."""
    from safetensors.torch import save_file

    from steer_core.data.pairs import load_pairs
    from steer_core.files import replacing
    from steer_core.pipeline.necessity import both_twins
    from steer_core.steering.fit import fit_set
    from steer_core.steering.subspaces import learned_subspace

    pairs = load_pairs(args.pairs)
    model = options.load(args)
    site, positions = place_of(args, model, "embedding")
    fit = fit_set(model, both_twins(pairs), args.pairs, twins=True)
    found = learned_subspace(model, fit, site, args.size, positions, args.seed)
    if args.out is not None:
        with replacing(args.out) as part:
            save_file({"basis": found.basis}, part)
    for kind in ("learned", "principal", "random", "whole"):
        rate = getattr(found, kind)
        row = {"subspace": kind, "size": args.size, "site": site.name, "layer": site.layer}
        row |= {**dataclasses.asdict(rate), "share": rate.share}
        interval = f"({rate.low:.0%}–{rate.high:.0%}, {rate.n} problems)"
        yield row | {"words": f"{kind:9} {rate.share:6.1%} give the twin's answer {interval}"}


def place_of(args: argparse.Namespace, model: Any, usual: str) -> Any:
    """Site and positions of the options; None for the usual positions."""
    from steer_core.steering.sites import Site

    name = args.site or usual
    middle = model.config.middle_layer if args.layer is None else args.layer
    site = Site(name, middle if Site(name).has_layers else None)
    site.check(model.config)
    if args.positions is None:
        return site, None
    return site, options.positions_of(args.positions, model.config.latents)


def readable(row: dict[str, Any]) -> str:
    """A row for a reader."""
    return "  ".join(f"{name} {shown(value)}" for name, value in row.items())


def shown(value: Any) -> str:
    """A value in a row."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


COMPARISONS = {"methods": methods, "models": models, "alpha": alpha, "subspace": subspace}
