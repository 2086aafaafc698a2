"""The command `directions`."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.analysis.stability import SplitHalf
    from steer_core.codi.model import CodiModel
    from steer_core.steering.directions import Direction, FitSet

FILE = ".safetensors"
FIT = "fit"
Place = tuple[str, int | None]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `directions`."""
    parser = subparsers.add_parser("directions", help="compute directions from answered problems")
    options.add_model(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--pairs", help="bundled name or pair file, both twins (default fit)")
    source.add_argument(
        "--split", type=Path, help="folder of 'prepare': the clean twins of its split fit"
    )
    parser.add_argument("--method", default="mean_difference", help="mean_difference")
    parser.add_argument("--site", help="only this site: residual, thought or embedding")
    parser.add_argument("--layer", type=int, help="only this block of site residual")
    parser.add_argument(
        "--out",
        type=Path,
        help=f"folder for one file a site and layer, or one file NAME{FILE} (default site "
        "residual, the middle layer); with --split the default is its folder 'directions', "
        "without it all directions of a model not in the box go where their name finds them",
    )
    options.add_seed(parser, "of the halves that --split compares")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Compute, store and print every direction's norms, and from a split their stability."""
    from steer_core.steering.directions import fitted, save_direction
    from steer_core.steering.library import kept_folder
    from steer_core.steering.methods import METHODS

    if args.method not in METHODS:
        raise UserError(f"unknown method '{args.method}'; choose {', '.join(METHODS)}")
    chosen_out = out_of(args)
    load_fit = fit_loader(args)
    model = options.load(args)
    out = chosen_out or kept_folder(model)
    chosen = places_of(args, model, single=out.suffix == FILE)
    fit = load_fit(model)
    for site, layer in chosen:
        direction = fitted(model, fit, site, layer, args.method)
        path = file_of(out, site, layer)
        save_direction(direction, path)
        halves = halves_of(args, model, fit, direction)
        print("\n".join(lines(direction, path, halves, args.json)))
    return 0


def out_of(args: argparse.Namespace) -> Path | None:
    """Where directions are written; None where those of a model not in the box are kept."""
    from steer_core.codi.places import bundled_names

    if args.out is not None:
        return args.out
    if args.split is not None:
        return args.split / "directions"
    whole = args.pairs in (None, FIT) and args.site is None and args.layer is None
    if whole and args.model not in bundled_names():
        return None
    raise UserError("--out is missing; name a folder, or a file that ends with .safetensors")


def file_of(out: Path, site: str, layer: int | None) -> Path:
    """The file of one site and layer."""
    from steer_core.steering.library import direction_path

    return out if out.suffix == FILE else direction_path(out, site, layer)


def fit_loader(args: argparse.Namespace) -> "Callable[[CodiModel], FitSet]":
    """What makes the fit set of a model; the files are read now, so that they fail early."""
    if args.split is not None:
        from steer_core.pipeline.prepare import fit_from
        from steer_core.pipeline.prepared import load_prepared

        prepared = load_prepared(args.split)
        return lambda model: fit_from(model, prepared)
    from steer_core.data.pairs import load_pairs
    from steer_core.steering.directions import fit_set

    name = args.pairs or FIT
    problems = [problem for pair in load_pairs(name) for problem in (pair.clean, pair.corrupted)]
    return lambda model: fit_set(model, problems, name)


def places_of(args: argparse.Namespace, model: "CodiModel", single: bool) -> list[Place]:
    """Which sites and layers are computed: all, one site's, or for a single file exactly one."""
    from steer_core.steering.directions import places
    from steer_core.steering.edits import check_site

    site = args.site or ("residual" if single or args.layer is not None else None)
    if args.layer is not None and site != "residual":
        raise UserError(f"site {site} has no layers; leave out --layer {args.layer}")
    layer = args.layer
    if single and site == "residual" and layer is None:
        layer = model.config.middle_layer
    if site is not None:
        check_site(model.config, site, 1 if site == "residual" and layer is None else layer)
    return [at for at in places(model) if site in (None, at[0]) and layer in (None, at[1])]


def halves_of(
    args: argparse.Namespace, model: "CodiModel", fit: "FitSet", direction: "Direction"
) -> "list[SplitHalf | None] | None":
    """Stability at each position; None where pairs bring both twins, which are not independent."""
    if args.split is None:
        return None
    from steer_core.pipeline.stability import stability

    return list(stability(model, fit, direction, args.seed))


def lines(
    direction: "Direction", path: Path, halves: "list[SplitHalf | None] | None", as_json: bool
) -> Iterator[str]:
    """One direction's place, counts, norms and stability by position."""
    from steer_core.steering.directions import SCALES

    origin, norms = direction.provenance, rounded(direction.norms)
    assert origin is not None
    if as_json:
        row = {"site": direction.site, "layer": direction.layer, "norms": norms, "file": str(path)}
        row |= {"correct": origin.correct, "wrong": origin.wrong}
        if (scales := direction.scales) is not None:
            row |= {name: rounded(getattr(scales, name)) for name in SCALES}
        if halves is not None:
            row["stability"] = [half and interval(half) for half in halves]
        yield json_line(row)
        return
    place = f"{direction.site} {direction.layer or ''}".strip()
    shown = " ".join(f"{norm:14.3f}" for norm in norms)
    yield f"{place:12} {origin.correct} right - {origin.wrong} wrong  norms at 0..K  {shown}"
    if halves is not None:
        shown = " ".join(f"{cosine_text(half):>14}" for half in halves)
        yield f"{'':12} cosine of halves (95 %)".ljust(46) + shown


def rounded(values: Iterable[float]) -> list[float]:
    """Numbers as they are printed."""
    return [round(float(value), 4) for value in values]


def interval(half: "SplitHalf") -> dict[str, float]:
    """A cosine and its interval."""
    return {name: round(getattr(half, name), 4) for name in ("cosine", "low", "high", "level")}


def cosine_text(half: "SplitHalf | None") -> str:
    """A cosine and its interval for a reader."""
    return "-" if half is None else f"{half.cosine:.2f} {half.low:.2f}..{half.high:.2f}"
