"""Options that say what is edited, and what they come to: edits for `decode` and `inspect`."""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli import options, presets
from steer_core.cli.values import integer
from steer_core.errors import UserError
from steer_core.names import MEAN_DIFFERENCE

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.steering.spec import EditCurve, EditSpec
    from steer_core.steering.uses import Edits

_log = logging.getLogger(__name__)
INSTEAD = ("site", "layer", "positions", "operation", "schedule", "layers_at_once")
"""Options that an edits file takes the place of."""


def add_edits(parser: argparse.ArgumentParser) -> None:
    """Add everything that says what is edited."""
    options.add_edit(parser)
    presets.add_preset(parser)
    parser.add_argument(
        "--layer", type=integer, help="block, at a site that has layers (default the middle one)"
    )
    parser.add_argument("--alpha", type=float, help="strength (default 0, no edit)")
    add_more(parser)


def add_more(parser: argparse.ArgumentParser) -> None:
    """Add what one edit may be besides, or several."""
    parser.add_argument(
        "--operation",
        help="add (default), project_out, clamp, rotate, scale, replace, restore_norm, pull_mean, "
        "pull_principal",
    )
    parser.add_argument(
        "--schedule",
        help="K+1 factors of alpha, one for each position 0..K, such as 0,1,1,0.5,0,0,0",
    )
    parser.add_argument("--layers-at-once", help="one edit at all of these blocks, such as 1,2")
    parser.add_argument(
        "--edits",
        type=Path,
        help="JSON list of objects with site, layer, positions, direction, alpha, operation, "
        "schedule, made together in that order; --alpha multiplies (default 1)",
    )


def settle(args: argparse.Namespace, remind: bool = True) -> None:
    """Fill in what was not given; `remind` whoever says where to edit, but not how strongly.

    Raises:
        UserError: for options that contradict each other.
    """
    if args.edits is not None:
        both = [name for name in INSTEAD if getattr(args, name) is not None]
        both += ["preset"] * (args.preset is not None)
        both += ["direction"] * (args.direction != MEAN_DIFFERENCE)
        if both:
            raise UserError(f"--edits says what is edited; leave out --{both[0].replace('_', '-')}")
        args.alpha = 1.0 if args.alpha is None else args.alpha
    presets.settle(args)
    if args.alpha is not None:
        return
    args.alpha = 0.0
    if remind and any(getattr(args, name) is not None for name in INSTEAD if name != "site"):
        _log.warning("nothing is edited without --alpha; give one, such as --alpha 1")


def edits_of(args: argparse.Namespace, model: "CodiModel") -> "Edits":
    """The edits that the options ask for; none at alpha 0, after everything was checked."""
    from steer_core.steering.edits import check_alphas

    check_alphas([args.alpha])
    specs = specs_of(args, model)
    for spec in specs:
        spec.check(model.config)
    for spec in specs:
        presets.report_dead(model.config, spec.site.name, [spec.site.layer], spec.positions)
    usual = all(spec.direction == MEAN_DIFFERENCE for spec in specs)
    if args.alpha == 0.0 and usual:
        return ()  # plain decoding, also of a model that has no directions
    curve = curve_of(args, model, specs)
    return curve.at(args.alpha) if args.alpha else ()


def curve_of(args: argparse.Namespace, model: "CodiModel", specs: "list[EditSpec]") -> "EditCurve":
    """Specs with their directions; a control without a seed gets that of --seed."""
    from steer_core.names import REAL, DirectionRef
    from steer_core.steering.spec import resolved

    def seeded(name: str) -> str:
        ref = DirectionRef.parse(name)
        lacks = ref.kind != REAL and ref.seed is None
        return str(dataclasses.replace(ref, seed=args.seed)) if lacks else name

    each = [dataclasses.replace(spec, direction=seeded(spec.direction)) for spec in specs]
    return resolved(model, each)


def specs_of(args: argparse.Namespace, model: "CodiModel") -> "list[EditSpec]":
    """What the options ask for: one edit, one at several layers, or those of a file."""
    from steer_core.steering.sites import Site
    from steer_core.steering.spec import EditSpec, specs_of

    config = model.config
    if args.edits is not None:
        return specs_of(read_edits(args.edits), config)
    site = Site(args.site)
    layers = layers_of(args, site.has_layers, config.middle_layer)
    positions = options.positions_of(args.positions, config.latents)
    schedule = None if args.schedule is None else factors_of(args.schedule)
    if schedule is not None and args.positions is None:
        positions = config.positions  # a factor of 0 leaves a position out
    return [
        EditSpec(
            Site(args.site, layer),
            positions,
            args.direction,
            args.operation or "add",
            schedule=schedule,
        )
        for layer in layers
    ]


def layers_of(args: argparse.Namespace, layered: bool, middle: int) -> list[int | None]:
    """The blocks of the edit, (None,) at a site without layers."""
    if args.layers_at_once is not None:
        if args.layer is not None or not layered:
            other = "--layer" if layered else f"site {args.site}, which has no layers"
            raise UserError(f"--layers-at-once {args.layers_at_once} contradicts {other}")
        return list(options.integers_of(args.layers_at_once))
    if not layered:
        if args.layer is not None:
            _log.warning("site %s has no layers; --layer %d is not used", args.site, args.layer)
        return [None]
    return [middle if args.layer is None else args.layer]


def factors_of(text: str) -> tuple[float, ...]:
    """The factors of a schedule."""
    return tuple(options.number(part, text) for part in text.split(","))


def read_edits(path: Path) -> object:
    """The value of a JSON file of edits."""
    from steer_core.data.json_rows import decode_json

    try:
        return decode_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is no edits file ({error}); give a JSON list of objects"
        ) from error
