"""The command `directions`."""

import argparse
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer_core.cli import options
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.analysis.stability import SplitHalf
    from steer_core.codi.model import CodiModel
    from steer_core.steering.directions import Direction, FitSet

FILE = ".safetensors"
FIT = "fit"
METHOD_HELP = (
    "one or several, with commas: mean_difference, contrast:LABEL, clean_corrupted, "
    "counterfactual, lda:LABEL, probe:LABEL, pca:NUMBER, ica:NUMBER; labels are correct, "
    "answer_size, steps, operation=SIGN, template=NAME, clean, larger_answer (default "
    "mean_difference)"
)
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
    parser.add_argument("--method", default="mean_difference", help=METHOD_HELP)
    parser.add_argument(
        "--site", help="only this site: residual, thought, embedding, kv, keys or values"
    )
    parser.add_argument("--layer", type=int, help="only this block, at a site that has layers")
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
    """Compute, store and print every direction: norms, whether it separates, its stability."""
    from steer_core.pipeline.directions import computed, methods_of

    names = methods_of(args.method)
    chosen_out = out_of(args, names)
    load_fit = fit_loader(args)
    model = options.load(args)
    out = chosen_out or kept(model)
    chosen = places_of(args, model, single=out.suffix == FILE)
    fit = load_fit(model)
    for name in names:
        folder = folder_of(args, out, name, len(names))
        for site, layer in chosen:
            direction = computed(model, fit, site, layer, name)
            path = store(direction, folder, site, layer)
            halves = halves_of(args, model, fit, direction)
            print("\n".join(lines(direction, path, halves, args.json)))
    return 0


def store(direction: "Direction", folder: Path, site: str, layer: int | None) -> Path:
    """Write a direction; where it lies."""
    from steer_core.steering.directions import save_direction
    from steer_core.steering.library import direction_path

    path = folder if folder.suffix == FILE else direction_path(folder, site, layer)
    save_direction(direction, path)
    return path


def kept(model: "CodiModel") -> Path:
    """Where the mean differences of a model not in the box are found by their name."""
    from steer_core.steering.library import kept_folder

    return kept_folder(model)


def out_of(args: argparse.Namespace, names: list[str]) -> Path | None:
    """Where directions are written; None where those of a model not in the box are kept."""
    from steer_core.codi.places import bundled_names

    if args.out is not None:
        if args.out.suffix == FILE and len(names) > 1:
            raise UserError(f"{args.out} holds one direction, not {len(names)}; name a folder")
        return args.out
    if args.split is not None:
        return args.split / "directions"
    whole = args.pairs in (None, FIT) and args.site is None and args.layer is None
    if whole and names == [options.MEAN_DIFFERENCE] and args.model not in bundled_names():
        return None
    raise UserError("--out is missing; name a folder, or a file that ends with .safetensors")


def folder_of(args: argparse.Namespace, out: Path, name: str, count: int) -> Path:
    """The folder of a method: of several each has its own, and so has one that is not usual.

    That of --split holds the mean differences, where no other folder is named.
    """
    alone = count == 1 and (args.out is not None or name == options.MEAN_DIFFERENCE)
    return out if alone else out / name.replace(":", "-").replace("/", "-").replace("=", "-")


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
    return lambda model: fit_set(model, problems, name, twins=True)


def places_of(args: argparse.Namespace, model: "CodiModel", single: bool) -> list[Place]:
    """Which sites and layers are computed: all, one site's, or for a single file exactly one."""
    from steer_core.steering.directions import places
    from steer_core.steering.sites import DEFAULT, Site, every_site

    name = args.site or (DEFAULT if single or args.layer is not None else None)
    if name is None:
        return places(model)
    layered = Site(name).has_layers
    if args.layer is not None and not layered:
        raise UserError(f"site {name} has no layers; leave out --layer {args.layer}")
    layer = model.config.middle_layer if single and layered and args.layer is None else args.layer
    Site(name, layer if layer is not None else 1).check(model.config)
    found = [(site.name, site.layer) for site in every_site(model.config, (name,))]
    return [at for at in found if layer in (None, at[1])]


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
        row: dict[str, Any] = {"method": direction.method}
        row |= {"site": direction.site, "layer": direction.layer, "norms": norms, "file": str(path)}
        row |= {"correct": origin.correct, "wrong": origin.wrong}
        if (scales := direction.scales) is not None:
            row |= {name: rounded(getattr(scales, name)) for name in SCALES}
        if (found := direction.separation) is not None:
            row["separation"] = dataclasses.asdict(found) | {"separable": found.separable}
        if halves is not None:
            row["stability"] = [half and interval(half) for half in halves]
        yield json_line(row)
        return
    place = f"{direction.site} {direction.layer or ''}".strip()
    shown = " ".join(f"{norm:14.3f}" for norm in norms)
    yield f"{place:12} {origin.correct} right - {origin.wrong} wrong  norms at 0..K  {shown}"
    if direction.separation is not None:
        yield f"{'':12} {direction.method}: {direction.separation.words}"
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
