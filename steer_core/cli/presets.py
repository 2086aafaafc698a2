"""The option --preset, and what is said about edits that nothing reads."""

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.codi.config import CodiConfig

DEFAULT_SITE = "residual"
_log = logging.getLogger(__name__)


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add `--preset`."""
    parser.add_argument(
        "--preset",
        help="seed-replay: K = 5, site thought, positions 0..5, as in the experiment that found "
        "no effect",
    )


def settle(args: argparse.Namespace) -> None:
    """Fill in latents, site and positions: from the preset if there is one, else the defaults.

    A preset that takes directions of any layer also allows the file to be of another place.

    Raises:
        UserError: for an unknown preset, or an option that contradicts it.
    """
    from steer_core.steering.library import moved
    from steer_core.steering.presets import preset_of

    if args.preset is None:
        args.site = DEFAULT_SITE if args.site is None else args.site
        return
    preset = preset_of(args.preset)
    for name in ("latents", "site", "positions", "layer", "layers"):
        if getattr(args, name, None) is not None:
            raise UserError(
                f"--preset {preset.name} sets latents {preset.latents}, site {preset.site} and "
                f"positions {preset.positions[0]}-{preset.positions[-1]}; leave out --{name}"
            )
    args.latents, args.site = preset.latents, preset.site
    args.positions = ",".join(map(str, preset.positions))
    if preset.any_layer:
        args.direction = moved(args.direction)
    _log.info("%s: %s", preset.name, preset.about)


def report_dead(
    config: "CodiConfig", site: str, layers: Sequence[int | None], positions: Sequence[int]
) -> None:
    """Say on stderr which of the edited positions can change no answer, and why."""
    from steer_core.steering.edits import dead_positions

    found = {
        (position, reason)
        for layer in layers
        for position, reason in dead_positions(config, site, layer, positions).items()
    }
    for position, reason in sorted(found):
        _log.warning("position %d is dead: %s", position, reason)
