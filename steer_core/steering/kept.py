"""Mean differences of models that bring none: computed once, kept on this machine."""

from __future__ import annotations

from collections.abc import Callable

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.steering.directions import fitted, places, save_direction
from steer_core.steering.fit import FIT, bundled_fit_problems, fit_set
from steer_core.steering.library import direction_path, kept_folder, known_direction


def has_directions(model: CodiModel) -> bool:
    """Whether the mean difference of every site and layer is found by its name, in every unit.

    An earlier version kept them without `scales`.
    """
    found = [known_direction(model, site, layer) for site, layer in places(model)]
    return all(one is not None and one.scales is not None for one in found)


def keep_directions(
    model: CodiModel,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Compute the mean differences of a model from the bundled fit pairs, unless it has them.

    Args:
        model: The model.
        progress: Called with problems answered, and of how many.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.

    Raises:
        UserError: when all answers are right or all are wrong, or for a folder that cannot be
            written.
    """
    if has_directions(model):
        return
    folder = kept_folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # first: minutes of decoding may follow
        fit = fit_set(model, bundled_fit_problems(), FIT, twins=True, stop=stop, progress=progress)
        for site, layer in places(model):
            direction = fitted(model, fit, site, layer)
            save_direction(direction, direction_path(folder, site, layer))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); name another folder in "
            "STEER_DIRECTIONS"
        ) from error
